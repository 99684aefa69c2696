"""
The bytes of requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

BODY_SIZE = 500


def chat(model: str, *, is_stream: bool, size: int = BODY_SIZE) -> bytes:
    """
    A chat completion request of `size` bytes.
    """

    def encoded(text: str) -> bytes:
        question = {"model": model, "messages": [{"role": "user", "content": text}], "stream": is_stream}
        return json.dumps(question, separators=(",", ":")).encode()

    filling = size - len(encoded(""))
    if filling < 0:
        raise ValueError(f"a request cannot be as small as {size} bytes")
    return encoded(("why so " * size)[:filling])


def post(path: str, model: str, *, is_stream: bool = False, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """
    A whole request, as a client of today's would send it.

    :param model: what the mock upstream is to answer; see ``c/mock.c``.
    """
    body = chat(model, is_stream=is_stream)
    fields = (
        ("Host", "bridge.example"),
        ("User-Agent", "bench/1.0"),
        ("Accept", "text/event-stream" if is_stream else "application/json"),
        ("Content-Type", "application/json"),
        *headers,
        ("Content-Length", str(len(body))),
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body
