"""
Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as a relay and a reader
of what it relays must know them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")

MOST_HELD: Final = 65536
"""Bytes of an event that is held until it is over: of nearly all, also of those that repeat what was asked for."""

MOST_IN_ALL: Final = 64 * 1024 * 1024
"""Bytes of events that all streams together hold; beyond, an event is read in the pieces in which it comes."""


class Boundary:
    """
    Knows whether a stream stands between two events, from the last bytes of what has passed.

    Only there can an event be added: within one it would become part of it, and a reader would take the whole for
    garbage instead of for an error.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\n\n"

    def passed(self, data: bytes) -> None:
        """
        `data` has crossed.
        """
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]

    def __bool__(self) -> bool:
        return self._tail.endswith(_ENDS)


def boundary_of(content_type: bytes, encoding: bytes) -> Boundary | None:
    """
    That of a body if it is server-sent events to which one could be added.

    :param encoding: of the body; empty if it is not encoded.
    """
    return Boundary() if not encoding and content_type.lower().startswith(b"text/event-stream") else None


class Memory:
    """
    What all readers together hold of events that are not over.

    :param most: bytes.
    :ivar held: bytes.
    """

    __slots__ = ("held", "most")

    def __init__(self, most: int = MOST_IN_ALL) -> None:
        self.most = most
        self.held = 0

    @property
    def is_full(self) -> bool:
        """
        Whether no more is to be held.
        """
        return self.held > self.most


class Sink(Protocol):
    """
    Who is given the events of a stream.
    """

    def take(self, block: bytes) -> None:
        """
        Whole events, each with its blank line.
        """

    def take_large(self, piece: bytes) -> None:
        """
        A piece of an event that is too large to be held.
        """

    def end_large(self) -> None:
        """
        That event is over.
        """


class Events:
    """
    Cuts a stream into its events, whatever the segments in which it comes.

    It holds one unfinished event and nothing else. One that is larger than `limit`, or comes while others hold too
    much, is handed on in pieces. Line ends are told apart here and nowhere else: what comes out has LF alone, which
    costs a text of JSON nothing, since that has no line end of its own.

    :param limit: bytes of the largest event that is held, without the blank line that ends it.
    :param sink: is given what comes before a large event, and that event; what is behind it is returned.
    :param memory: what is held counts there, until `rest` is called.
    """

    __slots__ = (
        "_after_cr",
        "_at_line",
        "_counted",
        "_held",
        "_is_between",
        "_is_large",
        "_limit",
        "_memory",
        "_sink",
    )

    def __init__(self, limit: int, sink: Sink, memory: Memory) -> None:
        self._limit = limit
        self._sink = sink
        self._memory = memory
        self._counted = 0
        self._held = bytearray()
        self._is_between = True  # nothing is held, and no large event is being handed on
        self._is_large = False
        self._at_line = False  # of a large event: its last piece ended with a line end, which is kept back
        self._after_cr = False

    def take(self, data: bytes) -> bytes:
        """
        The events that `data` completes, each with the blank line that ends it, in one piece; empty if none is.
        """
        if self._after_cr or data.find(b"\r") >= 0:
            data = self._with_line_feeds(data)
        if self._is_between and data.endswith(b"\n\n") and len(data) <= self._limit:
            return data
        return self._cut(data)

    def rest(self) -> bytes:
        """
        What came after the last blank line, now that the stream has ended: an event whose end was left out, or a part
        of one that was cut.
        """
        rest = bytes(self._held).removesuffix(b"\n")
        self._held = bytearray()
        self._count()
        self._is_between = True
        if self._is_large:
            self._is_large = False
            self._sink.end_large()
        elif len(rest) > self._limit:
            self._sink.take_large(rest)
            self._sink.end_large()
            return b""
        return rest

    def _with_line_feeds(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _cut(self, data: bytes) -> bytes:
        if self._is_large:
            data = self._go_on(data)
        held = self._held
        if held:
            seam = len(held) - 1
            held += data
            end = held.rfind(b"\n\n", seam) + 2
            block = bytes(held[:end]) if end > 1 else b""
            data = bytes(held[end:]) if end > 1 else b""
            if end > 1:
                held.clear()
        else:
            end = data.rfind(b"\n\n") + 2
            block, data = (data[:end], data[end:]) if end > 1 else (b"", data)
        if len(block) > self._limit:
            block = self._without_large(block)
        if not held:
            # More blank lines than one belong to no event.
            held += data.lstrip(b"\n")
        # One more byte may be the first of the two line ends that make the blank line.
        if len(held) > self._limit + 1 or (held and self._memory.is_full):
            if block:
                self._sink.take(block)
                block = b""
            self._is_large = True
            self._hand_on(bytes(held))
            self._held = bytearray()
        if len(self._held) != self._counted:
            self._count()
        self._is_between = not self._held and not self._is_large
        return block

    def _count(self) -> None:
        size = len(self._held)
        self._memory.held += size - self._counted
        self._counted = size

    def _hand_on(self, piece: bytes) -> None:
        """
        Give a piece of a large event, all but a line end that may be the first of those that end it.
        """
        self._at_line = piece.endswith(b"\n")
        self._sink.take_large(piece.removesuffix(b"\n"))

    def _go_on(self, data: bytes) -> bytes:
        """
        What comes after the end of the large event.
        """
        if not data:
            return b""
        if self._at_line:
            if data.startswith(b"\n"):
                self._is_large = False
                self._sink.end_large()
                return data[1:]
            self._sink.take_large(b"\n")
        end = data.find(b"\n\n")
        if end < 0:
            self._hand_on(data)
            return b""
        self._sink.take_large(data[:end])
        self._is_large = False
        self._sink.end_large()
        return data[end + 2 :]

    def _without_large(self, block: bytes) -> bytes:
        """
        What is behind the last large event of a block, when all that is before it has been given.
        """
        kept: list[bytes] = []
        for event in split(block):
            if len(event) <= self._limit:
                kept.append(event + b"\n\n")
                continue
            if kept:
                self._sink.take(b"".join(kept))
                kept = []
            self._sink.take_large(event)
            self._sink.end_large()
        return b"".join(kept)


def split(block: bytes) -> Iterator[bytes]:
    """
    The events of a block that `Events` has given, one by one and without their blank lines.
    """
    for event in block.split(b"\n\n"):
        stripped = event.strip(b"\n")
        if stripped:
            yield stripped


def fields(event: bytes) -> tuple[bytes, bytes]:
    """
    The name of an event, or nothing, and its data: the values of all ``data`` fields, one to a line.
    """
    name = b""
    data = []
    for line in event.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, b"\n".join(data)
