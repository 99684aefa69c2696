"""
The one way to read what a response says about itself, whatever its dialect, form and encoding.

A reader is given a copy of the bytes that cross, in whatever pieces they come, and says at the end what it has seen.
It raises nothing, keeps one unfinished event up to a limit, or of a body what is asked for, and can do no harm to the
exchange but the time it takes. That is bounded for each byte; and where few bytes stand for many, there is more to be
done after a piece, in steps of which each is short.
"""

from __future__ import annotations

from typing import Final, Protocol

from aibridge.dialects import chat, messages, responses
from aibridge.dialects.decoding import Decoding, TooMuch, Undecodable, decoding_of
from aibridge.dialects.parts import Part
from aibridge.dialects.pruned import Pruned
from aibridge.dialects.reading import SMALL, Reading, loaded
from aibridge.dialects.sse import MOST_HELD, Memory
from aibridge.dialects.usage import Report, Unread
from aibridge.model import Dialect

MOST_AT_ONCE: Final = 16384
"""Bytes that are read in one step. The worst that is known takes a reader two milliseconds, most a hundredth of it."""

_JSON: Final = b"application/json"

_READINGS: dict[Dialect, type[chat.Chat] | type[responses.Responses] | type[messages.Messages]] = {
    Dialect.CHAT: chat.Chat,
    Dialect.RESPONSES: responses.Responses,
    Dialect.MESSAGES: messages.Messages,
}

_BODIES: dict[Dialect, Part] = {
    Dialect.CHAT: chat.PART,
    Dialect.RESPONSES: responses.BODY,
    Dialect.MESSAGES: messages.BODY,
}


class UsageReader(Protocol):
    """
    Reads one response.
    """

    @property
    def pieces(self) -> int:
        """
        Deltas that were seen, if it is a stream.
        """

    def feed(self, data: bytes) -> bool:
        """
        The next bytes of the body, as they came.

        :return: whether there is more to be done, by `go_on`. The next bytes may be fed all the same.
        """

    def go_on(self) -> bool:
        """
        Do the next of what is to be done.

        :return: whether there is still more.
        """

    def end(self) -> Report:
        """
        The body is over, whole or not; to be called once.
        """


def reader_for(
    dialect: Dialect,
    content_type: bytes | None,
    content_encoding: bytes | None,
    *,
    limit: int = MOST_HELD,
    memory: Memory | None = None,
) -> UsageReader | None:
    """
    A reader for a response, or None if there is nothing in it to read: it is of no dialect, or neither JSON nor
    server-sent events.

    Of the encodings, gzip, deflate, br and zstd are undone, up to three of them one upon another. What is encoded
    otherwise gives a report that says `Unread.ENCODED`, with the bytes that came in the place of texts.

    :param content_type: the value of the header field.
    :param content_encoding: the value of the header field.
    :param limit: bytes of the largest event of a stream that is held until it is over.
    :param memory: what is held by all readers together.
    """
    kind = content_type or b""
    if kind != _JSON:
        kind = kind.partition(b";")[0].strip().lower()
    made = _READINGS.get(dialect)
    if made is None:
        return None
    reading: Reading = made(limit, Memory() if memory is None else memory)
    reader: UsageReader
    if kind == b"text/event-stream":
        reader = reading
    elif kind == _JSON or kind.endswith(b"+json"):
        reader = _Body(reading, _BODIES[dialect])
    else:
        return None
    if not content_encoding:
        return reader
    try:
        decoding = decoding_of(content_encoding)
    except Undecodable:
        return _Unreadable()
    return reader if decoding is None else _Decoded(reader, decoding)


class _Body:
    """
    Reads a response that is one JSON object.
    """

    __slots__ = ("_is_begun", "_part", "_pruned", "_reading", "_small")

    def __init__(self, reading: Reading, part: Part) -> None:
        self._reading = reading
        self._part = part
        self._small = b""  # all of it, while it is small
        self._pruned: Pruned | None = None
        self._is_begun = False

    @property
    def pieces(self) -> int:
        """
        It has none.
        """
        return 0

    def feed(self, data: bytes) -> bool:
        """
        The next bytes of the body.
        """
        pruned = self._pruned
        self._is_begun = True
        if pruned is not None:
            pruned.feed(data)
        elif len(self._small) + len(data) <= SMALL:
            self._small = self._small + data if self._small else data
        else:
            self._prune().feed(data)
        return False

    def go_on(self) -> bool:
        """
        There is nothing left to do.
        """
        return False

    def end(self) -> Report:
        """
        The body is over.
        """
        reading, pruned = self._reading, self._pruned
        if pruned is None:
            told = loaded(self._small)
            if told is not None:
                reading.whole(told)
                if reading.usage is not None:
                    return reading.report()
            pruned = self._prune()
        else:
            told = loaded(pruned.end())
            if told is not None:
                reading.whole(told)
        reading.text = pruned.text
        if pruned.overflowed:
            return reading.report(Unread.TOO_LARGE)
        reading.cut = told is None and self._is_begun
        return reading.report(Unread.BROKEN if told is None and not pruned.may_go_on else None)

    def _prune(self) -> Pruned:
        self._pruned = pruned = Pruned(self._part)
        pruned.feed(self._small)
        self._small = b""
        return pruned


class _Decoded:
    """
    Undoes the encoding of a response for another reader.
    """

    __slots__ = ("_decoding", "_reader", "_unread")

    def __init__(self, reader: UsageReader, decoding: Decoding) -> None:
        self._reader = reader
        self._decoding = decoding
        self._unread: Unread | None = None

    @property
    def pieces(self) -> int:
        """
        Deltas that were seen, if it is a stream.
        """
        return self._reader.pieces

    def feed(self, data: bytes) -> bool:
        """
        The next bytes of the body.
        """
        if self._unread is not None:
            return False
        decoding = self._decoding
        is_behind = decoding.is_busy
        decoding.give(data)
        return is_behind or self.go_on()

    def go_on(self) -> bool:
        """
        Undo the next bytes.
        """
        decoding = self._decoding
        if self._unread is not None or not decoding.is_busy:
            return False
        try:
            data = decoding.run()
        except Undecodable:
            self._unread = Unread.BROKEN
            return False
        except TooMuch:
            self._unread = Unread.TOO_LARGE
            return False
        if data:
            self._reader.feed(data)
        return decoding.is_busy

    def end(self) -> Report:
        """
        The body is over.
        """
        report = self._reader.end()
        # How much came out before an error depends on how the bytes were cut, so none of it counts.
        if self._unread is Unread.BROKEN:
            return Report(unread=self._unread, text=self._decoding.given, cut=True)
        if self._unread is None and self._decoding.is_busy:
            self._unread = Unread.BEHIND
        return report if self._unread is None else report.but_for(self._unread)


class _Unreadable:
    """
    Stands for the reader of a response that cannot be read.
    """

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = 0

    @property
    def pieces(self) -> int:
        """
        None were.
        """
        return 0

    def feed(self, data: bytes) -> bool:
        """
        The next bytes of the body, of which no more is known than how many they are.
        """
        self._bytes += len(data)
        return False

    def go_on(self) -> bool:
        """
        There is nothing to do.
        """
        return False

    def end(self) -> Report:
        """
        The body is over.
        """
        return Report(unread=Unread.ENCODED, text=self._bytes)
