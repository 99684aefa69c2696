"""
What the body of an error says of its cause, in any vendor's words.

All but Google's are an object with an ``error``, itself an object with a ``type``, a ``code`` and a ``message``, of
which each vendor leaves out some: OpenAI (https://platform.openai.com/docs/guides/error-codes), Anthropic
(https://docs.anthropic.com/en/api/errors), Azure
(https://learn.microsoft.com/azure/ai-services/openai/reference), Google
(https://cloud.google.com/apis/design/errors, in a list where it plays OpenAI). What cannot be read says nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aibridge.dialects.decoding import TooMuch, Undecodable, decoding_of
from aibridge.dialects.limits import MOST_S, duration

MOST_BODY: Final = 65536
"""Bytes of an error's body that are read, decoded; all that vendors send are a few hundred."""

_MOST_WORD: Final = 128
_MOST_MESSAGE: Final = 2048


class Said:
    """
    The cause of an error. All words are in lower case, and empty where there is none.

    :ivar words: its type, code and status.
    :ivar message: what people are told.
    :ivar retry_after_s: how long to wait, where the body says so.
    """

    __slots__ = ("message", "retry_after_s", "words")

    def __init__(
        self, words: frozenset[str] = frozenset(), message: str = "", retry_after_s: float | None = None
    ) -> None:
        self.words = words
        self.message = message
        self.retry_after_s = retry_after_s

    def __repr__(self) -> str:
        return f"Said({sorted(self.words)}, {self.message!r}, {self.retry_after_s})"


NOTHING: Final = Said()


def read_error(body: bytes, encoding: bytes = b"") -> Said:
    """
    What an error says.

    :param body: all of it, or its beginning.
    :param encoding: its ``Content-Encoding``; of one that cannot be undone here nothing is read.
    """
    if encoding:
        body = _decoded(body, encoding)
    try:
        found = msgspec.json.decode(body[:MOST_BODY])
    except (ValueError, RecursionError):
        return NOTHING
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict):
        return NOTHING
    error = found.get("error")
    if isinstance(error, str):
        return Said(_words((found.get("code"), found.get("type"), error)), error.lower()[:_MOST_MESSAGE])
    if not isinstance(error, dict):
        error = found
    message = error.get("message") or error.get("detail")
    return Said(
        _words((error.get("type"), error.get("code"), error.get("status"), error.get("__type"))),
        message.lower()[:_MOST_MESSAGE] if isinstance(message, str) else "",
        _retry_delay(error.get("details")),
    )


def _words(values: tuple[object, ...]) -> frozenset[str]:
    """
    A number is what Google and Azure repeat the status by; it says nothing more.
    """
    texts = [value for value in values if isinstance(value, str) and 0 < len(value) <= _MOST_WORD]
    return frozenset(text.lower() for text in texts if " " not in text)


def _retry_delay(details: Any) -> float | None:
    """
    Google's ``google.rpc.RetryInfo`` (https://cloud.google.com/apis/design/errors#error_details).
    """
    if not isinstance(details, list):
        return None
    for detail in details:
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            wait = duration(detail["retryDelay"].encode())
            return wait if wait is not None and wait <= MOST_S else None
    return None


def _decoded(body: bytes, encoding: bytes) -> bytes:
    pieces, size = [], 0
    try:
        decoding = decoding_of(encoding)
        if decoding is None:
            return body
        decoding.give(body)
        while decoding.is_busy and size < MOST_BODY:
            piece = decoding.run()
            pieces.append(piece)
            size += len(piece)
    except (Undecodable, TooMuch):
        pass
    return b"".join(pieces)
