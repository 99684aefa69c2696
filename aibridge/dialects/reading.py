"""
What a response has told so far, while it is read event by event or as one body: the part that is the same in all
dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from aibridge.dialects import sse
from aibridge.dialects.facts import name_of
from aibridge.dialects.large import Large
from aibridge.dialects.parts import Part
from aibridge.dialects.pruned import Pruned
from aibridge.dialects.usage import PROVIDER, Report, Source, Unread, Usage
from aibridge.dialects.weight import weight_of

MOST_WORD = 64
"""Characters of a vendor's word for an error or an end, which may become a label."""

SMALL = 4096
"""Bytes of JSON that is taken apart as it is, as most events are; of a larger one only what is asked for, since to make
objects of all that can be in it may take long."""

UNKNOWN = "unknown"
"""Stands for an error whose type is not told in a word."""

_DELTA: Final = b'"delta"'
_BACKSLASH: Final = 92

_decode: Callable[[bytes], Any] = msgspec.json.decode

_IN_WORDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:")


class Reading:
    """
    The base of the dialects' readers.

    A reader looks through whole blocks of events for the few bytes that all events have which matter, and takes only
    those apart that have them: nearly all of a stream is pieces of text, and costs a search. A block that differs from
    one that did not matter in nothing but its text does not matter either, and costs two comparisons.

    :param limit: bytes of the largest event that is held until it is over.
    :param memory: what is held counts there.
    :param event: what is kept of an event that is not small.
    :param texts: finds the texts of the answer in a block, each as a group.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_event",
        "_large",
        "_texts",
        "complete",
        "cut",
        "error",
        "events",
        "id",
        "is_final",
        "model",
        "pieces",
        "skipped",
        "stop",
        "text",
        "unfinished",
        "usage",
    )

    def __init__(self, limit: int, memory: sse.Memory, event: Part, texts: Any) -> None:
        self.events = sse.Events(limit, self, memory)
        self.usage: Usage | None = None
        self.is_final = False  # the usage is that of the whole answer
        self.complete = False
        self.cut = False
        self.unfinished = False
        self.model = self.id = self.stop = self.error = ""
        self.pieces = 0
        self.text = 0
        self.skipped = 0
        self._event = event
        self._texts = texts
        self._large: Large | None = None
        # What stood before and behind the text in a block that did not matter.
        self._before = self._behind = b""

    def feed(self, data: bytes) -> bool:
        """
        A segment of the stream.

        :return: False, as it is read at once.
        """
        block = self.events.take(data)
        if block:
            self.take(block)
        return False

    def go_on(self) -> bool:
        """
        There is nothing left to do.
        """
        return False

    def take(self, block: bytes) -> None:
        """
        Whole events.
        """
        raise NotImplementedError

    def is_like_the_last(self, block: bytes) -> bool:
        """
        Whether a block differs from the one to `remember` in nothing but its text, which is counted then.
        """
        before, behind = self._before, self._behind
        if not before or not block.startswith(before) or not block.endswith(behind):
            return False
        text = block[len(before) : -len(behind)]
        if len(before) + len(text) + len(behind) != len(block) or text.find(b'"') >= 0 or text.endswith(b"\\"):
            return False
        self.pieces += 1
        self.text += weight_of(text)
        return True

    def remember(self, block: bytes, begin: int, end: int) -> None:
        """
        A block has nothing that matters but a text, which is there.
        """
        self._before, self._behind = block[:begin], block[end:]

    def take_large(self, piece: bytes) -> None:
        """
        A piece of an event that is too large to be held.
        """
        if self._large is None:
            self._large = Large(self._event)
        self._large.feed(piece)

    def end_large(self) -> None:
        """
        That event is over.
        """
        large, self._large = self._large, None
        if large is None:
            return
        if large.data.text:
            self.pieces += 1
            self.text += large.data.text
        if large.data.overflowed:
            self.skipped += 1
            return
        told = loaded(large.data.end())
        if told is not None:
            self.tell(told, large.name)

    def tell(self, told: Mapping[str, Any], name: bytes) -> None:
        """
        What an event has told.

        :param name: that it has been given.
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
            self.text += text_of(self._texts(rest))
            self.read(rest)
        self.cut = not self.has_ended() and not self.skipped
        return self.report(Unread.TOO_LARGE if self.skipped else None)

    def has_ended(self) -> bool:
        """
        Whether its last event was seen, so that a body that ended well is a whole answer.
        """
        return self.complete

    def report(self, unread: Unread | None = None) -> Report:
        """
        What has been told.
        """
        if self.usage is None:
            source = Source.NONE
        else:
            source = PROVIDER if self.is_final else Source.PARTIAL
        return Report(
            usage=self.usage,
            source=source,
            model=self.model,
            id=self.id,
            stop=self.stop,
            error=self.error,
            complete=self.complete and not self.error,
            pieces=self.pieces,
            text=self.text,
            unread=unread,
            cut=self.cut and not self.error,
            unfinished=self.unfinished and not self.error,
        )

    def identify(self, told: Mapping[str, Any]) -> None:
        """
        Take model and id from the object that has them.
        """
        self.model = self.model or name_of(told.get("model"))
        self.id = self.id or name_of(told.get("id"))

    def loaded(self, data: bytes) -> dict[str, Any] | None:
        """
        The JSON object that an event's data is, or what is kept of it; None if it is none.
        """
        if len(data) <= SMALL:
            return loaded(data)
        pruned = Pruned(self._event)
        pruned.feed(data)
        if pruned.overflowed:
            self.skipped += 1
            return None
        return loaded(pruned.end())


class Named(Reading):
    """
    Reads streams whose events say what they are.

    :param piece: what an event has in it that is a piece of the answer.
    :param mark: what one has in it that may matter; one that tells an error does as well.
    :param delta: what a text comes behind where it is all that an event has, see `sole_text`; empty for none.
    """

    __slots__ = ("_delta", "_mark", "_piece")

    def __init__(
        self, limit: int, memory: sse.Memory, event: Part, texts: Any, piece: bytes, mark: bytes, delta: bytes = b""
    ) -> None:
        super().__init__(limit, memory, event, texts)
        self._piece = piece
        self._mark = mark
        self._delta = delta

    def take(self, block: bytes) -> None:
        """
        Whole events.
        """
        if self.is_like_the_last(block):
            return
        pieces = block.count(self._piece)
        self.pieces += pieces
        self.text += text_of(self._texts(block))
        if self.matters(block):
            self.read(block)
        elif pieces == 1 and self._delta:
            begin, end = sole_text(block, self._delta)
            if begin >= 0:
                self.remember(block, begin, end)

    def read(self, block: bytes) -> None:
        """
        Take those events of a block apart that matter.
        """
        for event in sse.split(block):
            if not self.matters(event) or self.is_known(event):
                continue
            name, data = sse.fields(event)
            told = self.loaded(data)
            if told is not None:
                self.tell(told, name)

    def tell(self, told: Mapping[str, Any], name: bytes) -> None:
        """
        What an event has told.
        """
        self.hear(told, word(told.get("type")) or name.decode("ascii", "replace"))

    def is_known(self, event: bytes) -> bool:
        """
        Whether an event has nothing new to tell.
        """
        return False

    def hear(self, told: Mapping[str, Any], kind: str) -> None:
        """
        What an event has told.

        :param kind: what it says that it is.
        """
        raise NotImplementedError

    def matters(self, block: bytes) -> bool:
        """
        Whether something in a block may matter.
        """
        return block.find(self._mark) >= 0 or block.find(b'"error"') >= 0


def sole_text(block: bytes, mark: bytes, start: int = 0) -> tuple[int, int]:
    """
    Where the text begins and ends of a block whose one delta is nothing but a text; -1 if it is another block.

    :param mark: what stands between the delta's name, with which it begins, and the text.
    """
    at = block.find(_DELTA, start)
    if at < 0 or not block.startswith(mark, at):
        return -1, -1
    begin = at + len(mark)
    end = block.find(b'"', begin)
    is_sole = end >= 0 and block.startswith(b'"}', end) and block.find(_DELTA, end) < 0
    return (begin, end) if is_sole and block[end - 1] != _BACKSLASH else (-1, -1)


def text_of(found: list[bytes]) -> int:
    """
    What texts weigh, as they stand in JSON: see `aibridge.dialects.weight`.
    """
    total = 0
    for text in found:
        total += weight_of(text)
    return total


def loaded(data: bytes) -> dict[str, Any] | None:
    """
    A JSON object, or None if `data` is none. It is to be small.
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
