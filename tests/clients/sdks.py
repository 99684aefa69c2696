"""
The vendors' SDKs for Python, through whatever HTTPS_PROXY names; prints what arrived, as JSON.

    python sdks.py VENDOR
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import openai

KEY = "sk-own-canary-0123456789abcdef"
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def ask_openai() -> dict[str, Any]:
    """
    Chat completions and responses.
    """
    with openai.OpenAI(api_key=KEY, max_retries=0) as client:
        blocking = client.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
        streamed = ""
        for chunk in client.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True):
            streamed += "".join(choice.delta.content or "" for choice in chunk.choices)
        events = [event.type for event in client.responses.create(model="gpt-5.4", input="Hello", stream=True)]
    return {"blocking": blocking.choices[0].message.content, "streamed": streamed, "last": events[-1]}


def ask_anthropic() -> dict[str, Any]:
    """
    Messages.
    """
    asked: Any = {"model": "claude-opus-5", "max_tokens": 50, "messages": MESSAGES}
    with anthropic.Anthropic(api_key=KEY, max_retries=0) as client:
        blocking: Any = client.messages.create(**asked)
        streamed = last = ""
        for event in client.messages.create(**asked, stream=True):
            if event.type == "content_block_delta":
                streamed += event.delta.text
            last = event.type
    return {"blocking": blocking.content[0].text, "streamed": streamed, "last": last}


print(json.dumps(ask_openai() if sys.argv[1] == "openai" else ask_anthropic()))
