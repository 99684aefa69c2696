"""
What a response has told so far, while it is read event by event or as one body: the part that is the same in all
dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aibridge.dialects import sse
from aibridge.dialects.facts import name_of
from aibridge.dialects.usage import Report, Source, Unread, Usage

MOST_WORD = 64
"""Characters of a vendor's word for an error or an end, which may become a label."""

UNKNOWN = "unknown"
"""Stands for an error whose type is not told in a word."""

_decode: Callable[[bytes], Any] = msgspec.json.decode

_IN_WORDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:")


class Reading:
    """
    The base of the dialects' readers.

    A reader looks through whole blocks of events for the few bytes that all events have which matter, and takes only
    those apart that have them: nearly all of a stream is pieces of text, and costs a search.

    :param limit: bytes of the largest event that is read.
    """

    __slots__ = ("complete", "error", "events", "id", "is_final", "model", "pieces", "stop", "usage")

    def __init__(self, limit: int) -> None:
        self.events = sse.Events(limit)
        self.usage: Usage | None = None
        self.is_final = False  # the usage is that of the whole answer
        self.complete = False
        self.model = self.id = self.stop = self.error = ""
        self.pieces = 0

    def feed(self, data: bytes) -> None:
        """
        A segment of the stream.
        """
        raise NotImplementedError

    def read(self, block: bytes) -> None:
        """
        Take those events of a block apart that matter.
        """
        raise NotImplementedError

    def whole(self, body: Mapping[str, Any]) -> None:
        """
        Read a response that is no stream.
        """
        raise NotImplementedError

    def end(self) -> Report:
        """
        The stream is over, or was broken off.
        """
        rest = self.events.rest()
        if rest:
            self.read(rest)
        return self.report(Unread.TOO_LARGE if self.events.skipped else None)

    def report(self, unread: Unread | None = None) -> Report:
        """
        What has been told.
        """
        if self.usage is None:
            source = Source.NONE
        else:
            source = Source.PROVIDER if self.is_final else Source.PARTIAL
        return Report(
            usage=self.usage,
            source=source,
            model=self.model,
            id=self.id,
            stop=self.stop,
            error=self.error,
            complete=self.complete and not self.error,
            pieces=self.pieces,
            unread=unread,
        )

    def identify(self, told: Mapping[str, Any]) -> None:
        """
        Take model and id from the object that has them.
        """
        self.model = self.model or name_of(told.get("model"))
        self.id = self.id or name_of(told.get("id"))


def loaded(data: bytes) -> dict[str, Any] | None:
    """
    A JSON object, or None if `data` is none.
    """
    try:
        value = _decode(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def word(value: object) -> str:
    """
    A vendor's word, or nothing if it is none: what is long, or has blanks in it, may be a sentence about the prompt.
    """
    return value if isinstance(value, str) and len(value) <= MOST_WORD and _IN_WORDS.issuperset(value) else ""


def error_of(told: Mapping[str, Any]) -> str:
    """
    The type of the error in an object that may carry one under ``error``; empty if it carries none.
    """
    error = told.get("error")
    if not error:
        return ""
    if not isinstance(error, dict):
        return UNKNOWN
    return word(error.get("type")) or word(error.get("code")) or UNKNOWN


def has_told(block: bytes, key: bytes, null: bytes, spaced_null: bytes) -> bool:
    """
    Whether a block has a key whose value is not null, at any depth.

    Within a text the quotes of a key would be escaped, so the bytes of one are found where there is one. Some vendors
    send the key with null in every event; to count both is quicker than to take such events apart.

    :param key: with its quotes.
    :param null: the key with null behind it, as most write it.
    :param spaced_null: the same as others write it.
    """
    found = block.count(key)
    if not found:
        return False
    found -= block.count(null)
    return bool(found) and found != block.count(spaced_null)
