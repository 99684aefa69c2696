"""
Tests for `benchmarks.requests`.
"""

from __future__ import annotations

import json

import pytest

from benchmarks.requests import BODY_SIZE, chat, post


@pytest.mark.parametrize("model", ["bench-600", "bench-sse-50-150"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_bodies_have_one_size(model: str, is_stream: bool) -> None:
    """
    Whatever is asked for; and it is a chat completion request.
    """
    body = chat(model, is_stream=is_stream)
    assert len(body) == BODY_SIZE
    question = json.loads(body)
    assert (question["model"], question["stream"]) == (model, is_stream)


def test_too_small() -> None:
    """
    A size that the question itself exceeds is an error.
    """
    with pytest.raises(ValueError, match="as small as 20 bytes"):
        chat("bench-600", is_stream=False, size=20)


def test_post() -> None:
    """
    The head says where to, what is expected, and how long the body is.
    """
    head, _, body = post("/v1/chat/completions", "bench-idle", is_stream=True, headers=[("X-A", "b")]).partition(
        b"\r\n\r\n"
    )
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert {b"X-A: b", b"Accept: text/event-stream", b"Content-Length: %d" % len(body)} <= set(lines)
