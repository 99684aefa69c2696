"""
OpenAI's legacy completions, as the official SDK understands them.
"""

from __future__ import annotations

import json

import pytest
from openai.types import Completion

from aibridge.demo.ask import Ask
from aibridge.demo.completions import COMPLETIONS, answer, error_event, events, read
from aibridge.demo.text import Reply
from aibridge.demo.vendors import DONE, Refused, Stamp

STAMP = Stamp(1, 1793491200)
REPLY = Reply(text="Hello to you.")


@pytest.mark.parametrize(
    ("prompt", "said"), [("hi", "hi"), (["hi", "ho"], "hi"), ([1, 2], ""), (None, ""), ([], ""), (3, "")]
)
def test_the_prompt_is_read(prompt: object, said: str) -> None:
    """
    A text, or the first of several; tokens cannot be read.
    """
    ask = read({"model": "demo", "prompt": prompt, "stream": True, "stream_options": {"include_usage": True}})
    assert (ask.prompt, ask.stream, ask.include_usage) == (said, True, True)


def test_a_model_is_needed() -> None:
    """
    A request without a model is refused.
    """
    with pytest.raises(Refused):
        read({"prompt": "hi"})


@pytest.mark.parametrize("is_cut", [False, True])
def test_both_ways_of_asking_get_the_same(is_cut: bool) -> None:
    """
    A stream put together is the answer that would have been given without one, usage included.
    """
    ask = Ask(model="demo", input_tokens=2, include_usage=True)
    reply = Reply(text="Hello to you.", is_cut=is_cut)
    whole = Completion.model_validate(answer(ask, reply, STAMP))
    *sent, done = events(ask, reply, STAMP)
    parts = [json.loads(event.removeprefix(b"data: ")) for event in sent]
    assert done == DONE
    assert "".join(part["choices"][0]["text"] for part in parts if part["choices"]) == whole.choices[0].text
    assert (
        parts[-2]["choices"][0]["finish_reason"] == whole.choices[0].finish_reason == ("length" if is_cut else "stop")
    )
    assert whole.usage is not None
    assert parts[-1]["usage"]["total_tokens"] == whole.usage.total_tokens == 6


def test_usage_is_streamed_only_where_it_is_asked_for() -> None:
    """
    Without the option, no chunk speaks of usage.
    """
    assert not any(b"usage" in event for event in events(Ask(model="demo"), REPLY, STAMP))


def test_the_error_event() -> None:
    """
    An error within a stream is one event with the vendor's error body.
    """
    assert b'"server_error"' in error_event(STAMP, 3)
    assert COMPLETIONS.events is events
