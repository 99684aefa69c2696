"""
Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as a relay and a reader
of what it relays must know them.
"""

from __future__ import annotations

from collections.abc import Iterator

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


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


class Events:
    """
    Cuts a stream into its events, whatever the segments in which it comes.

    It holds one unfinished event and nothing else. One that is larger than `limit` is left out, and counted in
    `skipped`. Line ends are told apart here and nowhere else: what comes out has LF alone, which costs a text of JSON
    nothing, since that has no line end of its own.

    :param limit: bytes of the largest event that is kept, without the blank line that ends it.
    """

    __slots__ = ("_after_cr", "_at_line", "_held", "_is_between", "_is_skipping", "_limit", "skipped")

    def __init__(self, limit: int) -> None:
        self.skipped = 0
        self._limit = limit
        self._held = bytearray()
        self._is_between = True  # nothing is held, and nothing being skipped
        self._is_skipping = False
        self._at_line = False  # while skipping: what was skipped last is a line end
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
        self._is_between = True
        if self._is_skipping or len(rest) > self._limit:
            self._is_skipping = False
            self.skipped += 1
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
        if self._is_skipping:
            data = self._skip(data)
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
        if not held:
            # More blank lines than one belong to no event.
            held += data.lstrip(b"\n")
        # One more byte may be the first of the two line ends that make the blank line.
        if len(held) > self._limit + 1:
            self._is_skipping = True
            self._at_line = held.endswith(b"\n")
            self._held = bytearray()
        self._is_between = not self._held and not self._is_skipping
        return block if len(block) <= self._limit else self._without_large(block)

    def _skip(self, data: bytes) -> bytes:
        """
        What comes after the end of the event that is being skipped.
        """
        if self._at_line and data.startswith(b"\n"):
            end = 1
        else:
            end = data.find(b"\n\n") + 2
            if end == 1:
                if data:
                    self._at_line = data.endswith(b"\n")
                return b""
        self._is_skipping = False
        self.skipped += 1
        return data[end:]

    def _without_large(self, block: bytes) -> bytes:
        kept = []
        for event in split(block):
            if len(event) <= self._limit:
                kept.append(event + b"\n\n")
            else:
                self.skipped += 1
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
