"""
The ids that answers have.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.made import Made
from aibridge.model import Stored


def told(kind: Stored, body: Any, streams: bool = False, size: int = 0, most: int = 4096) -> list[tuple[str, str]]:
    """
    What one answer tells, fed in pieces of some size.
    """
    learned: list[tuple[str, str]] = []
    made = Made(kind, lambda kind, id: learned.append((kind.value, id)), streams, most)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for at in range(0, len(data), size or len(data) or 1):
        made.feed(data[at : at + (size or len(data))])
    made.end()
    return learned


@pytest.mark.parametrize(
    ("kind", "body", "ids"),
    [
        (Stored.FILE, {"id": "file-1", "object": "file"}, [("file", "file-1")]),
        (Stored.BATCH, {"id": "b1", "object": "batch", "input_file_id": "x"}, [("batch", "b1")]),
        (
            Stored.FILE,
            {"id": "b1", "object": "batch", "output_file_id": "f1", "error_file_id": None},
            [("file", "f1")],
        ),
        (Stored.FILE, {"id": "u1", "object": "upload", "file": {"id": "f1"}}, [("file", "f1")]),
        (
            Stored.RESPONSE,
            {
                "id": "r1",
                "conversation": {"id": "c1"},
                "metadata": {"id": "hers"},
                "output": [{"id": "m1", "content": [{"id": "hers"}]}, {"id": "ci", "container_id": "k1"}, "x"],
            },
            [("response", "r1"), ("conversation", "c1"), ("item", "m1"), ("item", "ci"), ("container", "k1")],
        ),
        (Stored.ITEM, {"object": "list", "data": [{"id": "m1"}, {"id": "m2"}]}, [("item", "m1"), ("item", "m2")]),
        (
            Stored.CHAT_COMPLETION,
            {"id": "c1", "choices": [{"message": {"audio": {"id": "a1"}}}]},
            [("chat_completion", "c1"), ("audio", "a1")],
        ),
        (
            Stored.CONTAINER,
            {
                "type": "message",
                "id": "msg",
                "container": {"id": "k1"},
                "content": [
                    {"type": "text", "text": "t"},
                    {"type": "bash_code_execution_tool_result", "content": {"content": [{"file_id": "f1"}]}},
                    {"type": "tool_use", "content": {"content": [{"file_id": "hers"}]}},
                ],
            },
            [("container", "k1"), ("file", "f1")],
        ),
        (Stored.CONTAINER, {"object": "container", "id": "k1"}, [("container", "k1")]),
        (Stored.FILE, {"error": {"message": "no"}}, []),
        (Stored.FILE, {"id": 5}, []),
        (Stored.FILE, [], []),
        (Stored.FILE, b"no JSON", []),
        (Stored.FILE, b"", []),
        (Stored.RESPONSE, {"id": "r1", "output": "x", "conversation": "y"}, [("response", "r1")]),
    ],
)
def test_bodies(kind: Stored, body: Any, ids: list[tuple[str, str]]) -> None:
    """
    Where a vendor has them, and nowhere where an answer repeats what somebody has written.
    """
    assert told(kind, body) == ids


EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "r1", "metadata": {"id": "hers"}, "output": []}},
    {"type": "response.in_progress", "response": {"id": "r1"}},
    {"type": "response.output_item.added", "item": {"id": "m1", "type": "message"}},
    {"type": "response.output_text.delta", "item_id": "m1", "delta": '{"id":"hers"} response.created'},
    {"type": "response.output_item.done", "item": {"id": "m1", "type": "message"}},
    {"type": "response.completed", "response": {"id": "r1", "output": [{"id": "m1"}]}},
]
RESPONSE = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in EVENTS)


@given(st.integers(1, 200), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_response_that_streams(size: int, line_end: bytes) -> None:
    """
    However it is cut, and whatever its lines end with.
    """
    stream = RESPONSE.replace(b"\n", line_end)
    assert told(Stored.RESPONSE, stream, True, size) == [("response", "r1"), ("item", "m1")]


def test_an_id_is_known_at_once() -> None:
    """
    Its response can be asked for while it is still made.
    """
    learned: list[str] = []
    made = Made(Stored.RESPONSE, lambda _, id: learned.append(id), True)
    first, rest = RESPONSE.partition(b"event: response.in_progress")[::2]
    made.feed(first)
    assert learned == ["r1"]
    made.feed(rest)


def test_other_streams() -> None:
    """
    Chat completions, with their audio, and messages with a container.
    """
    chat = b'data: {"id":"c1","choices":[{"delta":{"audio":{"id":"a1"}}}]}\n\ndata: {"id":"c1"}\n\ndata: [DONE]\n\n'
    assert told(Stored.CHAT_COMPLETION, chat, True) == [("chat_completion", "c1"), ("audio", "a1")]
    blocks = (
        {"type": "message_start", "message": {"type": "message", "container": None}},
        {
            "type": "content_block_start",
            "content_block": {"type": "code_execution_tool_result", "content": {"content": [{"file_id": "f1"}]}},
        },
        {"type": "message_delta", "delta": {"container": {"id": "k1"}}},
    )
    stream = b"".join(b"data: %b\n\n" % json.dumps(block).encode() for block in blocks)
    assert told(Stored.CONTAINER, stream, True) == [("file", "f1"), ("container", "k1")]


@given(st.integers(1, 600))
def test_what_is_large_is_passed_over(size: int) -> None:
    """
    An event that is too large, and what is behind it is read; of a body its head.
    """
    large = b'data: {"type":"response.created","x":"' + b"-" * 3000 + b'"}\n\n'
    assert told(Stored.RESPONSE, large + RESPONSE, True, size, most=1000) == [("response", "r1"), ("item", "m1")]
    body = b'{"id":"r1","output":[{"id":"m1","result":"' + b"-" * 3000 + b'"}]}'
    assert told(Stored.RESPONSE, body, False, size, most=1000) == [("response", "r1")]
    assert told(Stored.FILE, body, False, size, most=1000) == []


@given(st.binary(max_size=300), st.booleans(), st.sampled_from(Stored))
def test_nothing_is_too_odd(data: bytes, streams: bool, kind: Stored) -> None:
    """
    Whatever comes, it raises nothing.
    """
    told(kind, data, streams, 7)
