"""
The one way to read what a response says about itself, whatever its dialect, form and encoding.

A reader is given a copy of the bytes that cross, in whatever pieces they come, and says at the end what it has seen.
It raises nothing, keeps no more than one unfinished event or one body up to a limit, and can do no harm to the exchange
but the time it takes.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, Protocol

from aibridge.dialects.abridged import Abridged
from aibridge.dialects.chat import Chat
from aibridge.dialects.messages import Messages
from aibridge.dialects.reading import Reading, loaded
from aibridge.dialects.responses import Responses
from aibridge.dialects.usage import Report, Unread
from aibridge.model import Dialect

MOST_KEPT: Final = 4 * 1024 * 1024
"""Bytes of a body, or of one event of a stream, beyond which it is not read."""

MOST_INFLATED: Final = 16
"""Times `limit`: bytes to which an encoded stream is inflated at most, which is more than any model writes in one."""

_TINY: Final = 512
"""Bytes of a piece that is not worth an object of its own."""

_STEP = 65536
"""Bytes that are inflated at once."""

_READINGS: dict[Dialect, type[Reading]] = {
    Dialect.CHAT: Chat,
    Dialect.RESPONSES: Responses,
    Dialect.MESSAGES: Messages,
}

_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": zlib.MAX_WBITS}


class UsageReader(Protocol):
    """
    Reads one response.
    """

    def feed(self, data: bytes) -> None:
        """
        The next bytes of the body, as they came.
        """

    def end(self) -> Report:
        """
        The body is over, whole or not; to be called once.
        """


def reader_for(
    dialect: Dialect, content_type: bytes | None, content_encoding: bytes | None, *, limit: int = MOST_KEPT
) -> UsageReader | None:
    """
    A reader for a response, or None if there is nothing in it to read: it is of no dialect, or neither JSON nor
    server-sent events.

    Of the encodings, gzip and deflate are undone. Brotli and zstd are not: nothing in Python 3.11 can, so what is
    encoded so gives a report that says `Unread.ENCODED`.

    :param content_type: the value of the header field.
    :param content_encoding: the value of the header field.
    :param limit: bytes of a body, or of one event of a stream, beyond which it is not read.
    """
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    made = _READINGS.get(dialect)
    if made is None:
        return None
    reader: UsageReader
    if kind == b"text/event-stream":
        reader, most = made(limit), limit * MOST_INFLATED
    elif kind == b"application/json" or kind.endswith(b"+json"):
        reader, most = _Body(made(0), limit), limit
    else:
        return None
    encoding = (content_encoding or b"identity").strip().lower() or b"identity"
    if encoding == b"identity":
        return reader
    bits = _ENCODINGS.get(encoding)
    return _Unreadable() if bits is None else _Inflated(reader, bits, most)


class _Body:
    """
    Reads a response that is one JSON object.
    """

    __slots__ = ("_left", "_limit", "_looked", "_reading", "_small")

    def __init__(self, reading: Reading, limit: int) -> None:
        self._reading = reading
        self._left = self._limit = limit
        self._looked = Abridged()
        self._small = bytearray()  # tiny pieces behind those: of a list of them, most would not be what is in them

    def feed(self, data: bytes) -> None:
        """
        The next bytes of the body.
        """
        size = len(data)
        if size <= self._left:
            self._left -= size
            if size < _TINY:
                self._small += data
                return
            if self._small:
                self._looked.feed(bytes(self._small))
                self._small.clear()
            self._looked.feed(data)
        else:
            self._left = -1
            self._looked = Abridged()
            self._small.clear()

    def end(self) -> Report:
        """
        The body is over.
        """
        if self._left < 0:
            return Report(unread=Unread.TOO_LARGE)
        if self._small:
            self._looked.feed(bytes(self._small))
        told = loaded(self._looked.end())
        if told is None:
            return Report(unread=Unread.BROKEN if self._left < self._limit else None)
        self._reading.whole(told)
        return self._reading.report()


class _Inflated:
    """
    Undoes the encoding of a response for another reader.

    :param bits: as `zlib.decompressobj` has it. ``deflate`` means the zlib format (RFC 9110, 8.4.1.2), but some send
        what is in it without it; the first two bytes tell.
    :param most: bytes, inflated, after which the rest is left unread.
    """

    __slots__ = ("_bits", "_first", "_inflate", "_is_over", "_left", "_reader", "_unread")

    def __init__(self, reader: UsageReader, bits: int, most: int) -> None:
        self._reader = reader
        self._bits = bits
        self._left = most
        self._first = b""
        self._inflate: Any = None
        self._is_over = False
        self._unread: Unread | None = None

    def feed(self, data: bytes) -> None:
        """
        The next bytes of the body.
        """
        if self._is_over:
            return
        if self._inflate is None:
            data = self._first = self._first + data
            if len(data) < 2:
                return
            self._inflate = zlib.decompressobj(self._bits if self._is_wrapped(data) else -zlib.MAX_WBITS)
            self._first = b""
        try:
            self._undo(data)
        except zlib.error:
            self._give_up(Unread.BROKEN)

    def end(self) -> Report:
        """
        The body is over.
        """
        # How much came out before an error depends on how the bytes were cut, so none of it counts.
        if self._unread is Unread.BROKEN:
            return Report(unread=self._unread)
        report = self._reader.end()
        return report if self._unread is None else report.but_for(self._unread)

    def _is_wrapped(self, data: bytes) -> bool:
        # RFC 1950, 2.2: the method is 8, and both bytes together are a multiple of 31.
        return self._bits == _GZIP or (data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0)

    def _undo(self, data: bytes) -> None:
        while True:
            step = min(_STEP, self._left)
            # One byte more than may be is enough to know that there are more.
            inflated = self._inflate.decompress(data, step or 1)
            if not step and inflated:
                self._give_up(Unread.TOO_LARGE)
                return
            if inflated:
                self._left -= len(inflated)
                self._reader.feed(inflated)
            if self._inflate.eof:
                # What follows belongs to nothing, and would be kept for whoever might ask for it.
                self._give_up(None)
                return
            data = self._inflate.unconsumed_tail
            if not data and len(inflated) < (step or 1):
                return

    def _give_up(self, unread: Unread | None) -> None:
        self._is_over = True
        self._inflate = None
        self._unread = unread


class _Unreadable:
    """
    Stands for the reader of a response that cannot be read.
    """

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        """
        The next bytes of the body, which are of no use.
        """

    def end(self) -> Report:
        """
        The body is over.
        """
        return Report(unread=Unread.ENCODED)
