"""
A provider that refuses what it is asked to refuse, so often, and then answers; by what stands in the request.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter

import attrs

from answers import CHAT_BODY, CHAT_STREAM, compact, message, named, response
from wires import Provider, whole

ALWAYS = 99

_MARK = re.compile(rb"mood=([a-z]+)-([0-9]+)x([0-9]+)(?:-after-([0-9]+)ms)?")

_TYPES = {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}


@attrs.frozen
class Mood:
    """
    How a request is answered.

    :ivar name: of whoever asks; each mood is counted by itself.
    :ivar times: how often it is refused before it is answered.
    :ivar after_ms: what the refusal says about coming back, or None.
    """

    name: str
    status: int = 429
    times: int = 0
    after_ms: int | None = None

    def __str__(self) -> str:
        told = "" if self.after_ms is None else f"-after-{self.after_ms}ms"
        return f"mood={self.name}-{self.status}x{self.times}{told}"


class Moody(Provider):
    """
    Speaks all three dialects.

    :ivar attempts: how often each mood was met.
    """

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__(_serve)

    def reply(self, request: bytes) -> bytes:
        """
        What is answered.
        """
        head, _, body = request.partition(b"\r\n\r\n")
        found = _MARK.search(body)
        if found is None:
            return _answer(head, body)
        _, status, times, after_ms = found.groups()
        with self._lock:
            self.attempts[found[0].decode()] += 1
            attempt = self.attempts[found[0].decode()]
        if attempt > int(times):
            return _answer(head, body)
        return refusal(int(status), None if after_ms is None else int(after_ms))


def _serve(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Moody)
    while request := provider.take(stream):
        stream.sendall(provider.reply(request))


def refusal(status: int, after_ms: int | None) -> bytes:
    """
    In a shape that both vendors' clients read.
    """
    body = compact({"type": "error", "error": {"type": _TYPES[status], "message": "Not in the mood.", "code": None}})
    told = "" if after_ms is None else f"retry-after: {-(-after_ms // 1000)}\r\nretry-after-ms: {after_ms}\r\n"
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\n{told}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _answer(head: bytes, body: bytes) -> bytes:
    target = head.split(b" ", 2)[1]
    streams = b'"stream":true' in body.replace(b" ", b"")
    if b"/messages" in target:
        answer = message(content=[{"type": "text", "text": TEXT}], stop_reason="end_turn")
        return _stream(_messages()) if streams else whole(compact(answer))
    if b"/responses" in target:
        return _stream(_responses()) if streams else whole(compact(_response()))
    return _stream(CHAT_STREAM) if streams else whole(compact(CHAT_BODY))


def _stream(events: bytes) -> bytes:
    return whole(events, "text/event-stream")


TEXT = "Hi"


def _messages() -> bytes:
    return named(
        {"type": "message_start", "message": message()},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 15},
        },
        {"type": "message_stop"},
    )


def _response() -> dict[str, object]:
    content = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [content]}
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 15,
    }
    return response("completed", output=[item], usage=usage)


def _responses() -> bytes:
    done = _response()
    (item,) = json.loads(json.dumps(done["output"]))
    return named(
        {"type": "response.created", "sequence_number": 0, "response": response("in_progress")},
        {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": item},
        {"type": "response.completed", "sequence_number": 2, "response": done},
    )
