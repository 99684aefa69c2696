"""
Answers as the vendors document them, and how to have them read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from aibridge.dialects.reader import reader_for
from aibridge.dialects.sse import MOST_HELD
from aibridge.dialects.usage import Report
from aibridge.model import Dialect

EVENTS = b"text/event-stream; charset=utf-8"
JSON = b"application/json"

Json = dict[str, Any]


def compact(value: object) -> bytes:
    """
    JSON without blanks.
    """
    return json.dumps(value, separators=(",", ":")).encode()


def data(*values: object) -> bytes:
    """
    Events without names.
    """
    return b"".join(b"data: " + compact(value) + b"\n\n" for value in values)


def named(*values: Json) -> bytes:
    """
    Events that have the name of their type.
    """
    return b"".join(b"event: " + value["type"].encode() + b"\n" + data(value) for value in values)


def cut(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """
    `body` in pieces, cut at these places.
    """
    places = [0, *sorted(cuts), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(places)]


def bytewise(body: bytes) -> list[bytes]:
    """
    One byte at a time.
    """
    return cut(body, range(1, len(body)))


def report(
    dialect: Dialect,
    body: bytes | Sequence[bytes],
    content_type: bytes = EVENTS,
    encoding: bytes | None = None,
    limit: int = MOST_HELD,
) -> Report:
    """
    What is read of an answer.

    :param body: as a whole, or in pieces.
    """
    reader = reader_for(dialect, content_type, encoding, limit=limit)
    assert reader is not None
    for piece in [body] if isinstance(body, bytes) else body:
        more = reader.feed(piece)
        while more:
            more = reader.go_on()
    return reader.end()


# -- chat completions --------------------------------------------------------------------------------------------

CHAT_USAGE: Json = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def chunk(delta: Json | None, finish: str | None = None, **others: Any) -> Json:
    """
    A ``chat.completion.chunk``; without a choice where there is no delta.
    """
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "chatcmpl-Bq1",
        "object": "chat.completion.chunk",
        "created": 1767000000,
        "model": "gpt-5.4-2026-03-05",
        "choices": choices,
        **others,
    }


DONE = b"data: [DONE]\n\n"

CHAT_STREAM = (
    data(
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "Hi"}, usage=None),
        chunk({"content": ' "usage" [DONE'}, usage=None),
        chunk({}, "stop", usage=None),
        chunk(None, usage=CHAT_USAGE),
    )
    + DONE
)

CHAT_BODY: Json = {
    "id": "chatcmpl-Bq1",
    "object": "chat.completion",
    "created": 1767000000,
    "model": "gpt-5.4-2026-03-05",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}

# -- responses ---------------------------------------------------------------------------------------------------

RESPONSES_USAGE: Json = {
    "input_tokens": 2600,
    "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 2687,
}


def response(status: str, **others: Any) -> Json:
    """
    A ``response``.
    """
    return {
        "id": "resp_68a1",
        "object": "response",
        "created_at": 1767000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": 'Say "usage": {"input_tokens": 1}.',
        "model": "gpt-5.4-2026-03-05",
        "output": [],
        "tools": [{"type": "function", "name": "usage", "parameters": {"properties": {"usage": {"type": "object"}}}}],
        "usage": None,
        **others,
    }


def lifecycle(kind: str, number: int, **others: Any) -> Json:
    """
    An event that has the whole response.
    """
    return {"type": f"response.{kind}", "sequence_number": number, "response": response(kind, **others)}


def text_delta(number: int, text: str) -> Json:
    """
    A piece of text.
    """
    where = {"item_id": "msg_68a1", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", "sequence_number": number, **where, "delta": text, "logprobs": []}


RESPONSES_START = named(
    {"type": "response.created", "sequence_number": 0, "response": response("in_progress")},
    lifecycle("in_progress", 1),
    text_delta(2, "Hi"),
    text_delta(3, ' {"response": {"id": 1}, "error": 2}'),
)

RESPONSES_STREAM = RESPONSES_START + named(lifecycle("completed", 4, usage=RESPONSES_USAGE))

# -- messages ----------------------------------------------------------------------------------------------------

MESSAGES_USAGE: Json = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188,
    "cache_read_input_tokens": 18086,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 88},
    "output_tokens": 3,
    "service_tier": "standard",
}


def message(**others: Any) -> Json:
    """
    A ``message``.
    """
    return {
        "id": "msg_01Xf",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-20260401",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": MESSAGES_USAGE,
        **others,
    }


def block_delta(text: str) -> Json:
    """
    A piece of text.
    """
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def message_delta(stop: str | None, **usage: Any) -> Json:
    """
    A ``message_delta``.
    """
    return {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}


MESSAGES_START = named(
    {"type": "message_start", "message": message()},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    block_delta("Hi"),
    block_delta(' "message_delta": "error"'),
)
MESSAGE_STOP = named({"type": "message_stop"})

MESSAGES_STREAM = (
    MESSAGES_START
    + named({"type": "content_block_stop", "index": 0}, message_delta("end_turn", output_tokens=15))
    + MESSAGE_STOP
)

STREAMS = {
    Dialect.CHAT: CHAT_STREAM,
    Dialect.RESPONSES: RESPONSES_STREAM,
    Dialect.MESSAGES: MESSAGES_STREAM,
}
"""A whole stream of each dialect."""
