"""
What a provider may answer: the rules of response heads and of where their bodies end (RFC 9112, sections 4 to 7).

The grammar is llhttp's, the parser of Node.js, through `httptools`, strict as it comes. What it lets through and a
relay should not is refused here: other versions than 1.0 and 1.1, other protocols than HTTP, empty lines before the
status line, control bytes in the reason, a transfer coding that is not exactly ``chunked``, one on HTTP/1.0, lengths
beyond what anybody can send, a 101 that nobody asked for, a 1xx without end, and trailers without end.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpResponseParser

Pair = tuple[bytes, bytes]

HEAD: Final = 0
"""The head is not complete."""
COUNTED: Final = 1
"""A body follows whose length was declared."""
CHUNKED: Final = 2
"""A body follows in chunks."""
UNTIL_CLOSE: Final = 3
"""A body follows that ends with its connection."""
ENDED: Final = 4
"""The response is whole."""
FAULTY: Final = 5
"""What came is not a response; what follows it cannot be understood."""

MOST_INTERIM: Final = 16
"""1xx responses before the final one; a provider sends none or one."""

_LONGEST_LENGTH: Final = 18
"""Digits; the first length of 19 is two exabytes."""
_LONGEST_HINT: Final = 9

_END = b"\r\n\r\n"
_START = b"HTTP/1."
# A status line without a reason often comes without the space before it as well, which harms nobody.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
# For heads that the parser has passed: names without colons, values without CR, line ends as they have to be. Three
# times as fast as being called for each field; a test holds that both find the same.
_FIELDS = re.compile(rb"([^:]+):[\t ]*([^\r]*)(?<![\t ])[\t ]*\r\n")
_KEEP_FOR = re.compile(rb"(?:^|[,;\s])timeout=([0-9]{1,%d})(?:$|[,;\s])" % _LONGEST_HINT, re.IGNORECASE)


class ResponseReader:
    """
    Reads one response after another from the bytes of a connection. It does no I/O and knows no time.

    Whatever the segments in which the bytes come, the outcome is the same: the same head, the same body, the same
    fault after the same body bytes. (Only trailers without end are counted by segments.)

    :param max_head: most bytes of a head, the 1xx heads before it included; also of the segments that may come in a
        row with trailers or chunk extensions and without a byte of the body.
    :ivar phase: `HEAD`, `COUNTED`, `CHUNKED`, `UNTIL_CLOSE`, `ENDED` or `FAULTY`.
    :ivar fault: what was wrong, for people, once the phase is `FAULTY`.
    :ivar touched: at least one byte of the response has come.
    :ivar surplus: bytes came after the end, so that nobody knows what the next ones belong to.
    :ivar minor: of the version: 0 or 1.
    :ivar code: the status, 200 to 599, or 0 as long as there is no head.
    :ivar pairs: the fields in their order, values without the white space around them.
    :ivar length: of the body, or None if it was not declared.
    :ivar keeps_alive: the connection may be used again once the response has ended.
    :ivar keep_for: seconds for which the provider says it keeps the connection, or None.
    """

    __slots__ = (
        "_bodiless",
        "_complete",
        "_interim",
        "_kept",
        "_last",
        "_left",
        "_max_head",
        "_next",
        "_parser",
        "_pieces",
        "_quiet",
        "_used",
        "_whole",
        "code",
        "fault",
        "keep_for",
        "keeps_alive",
        "length",
        "minor",
        "pairs",
        "phase",
        "phrase",
        "surplus",
        "touched",
    )

    # The parser looks these up; None spares it the calls. Trailers end here as well.
    on_status = None
    on_header = None
    on_chunk_header = None
    on_chunk_complete = None

    def __init__(self, max_head: int) -> None:
        self._max_head = max_head
        self._parser: HttpResponseParser | None = None
        self.begin()

    def begin(self, *, to_head: bool = False) -> None:
        """
        What comes from now on is the answer to a new request.

        :param to_head: the request is a HEAD, so that the response has no body whatever its head says.
        """
        self.phase = HEAD
        self.code = 0
        self.fault = ""
        self.touched = self.surplus = self.keeps_alive = False
        self.length: int | None = None
        self.keep_for: int | None = None
        self.pairs: list[Pair] = []
        self._bodiless = to_head
        self._interim = self._used = 0
        self._kept: bytearray | None = None
        self._left = 0
        self._parser = None

    def stop(self) -> None:
        """
        Nothing more will be read. Lets go of the parser, which holds the reader as the reader holds it.
        """
        self._parser = None

    def feed(self, data: bytes) -> bytes:
        """
        Take a segment, and return the body bytes in it. Never raises: see `phase` and `fault`.
        """
        phase = self.phase
        if phase == COUNTED:
            left = self._left - len(data)
            self._left = left
            if left > 0:
                return data
            self.phase = ENDED
            if left < 0:
                self.surplus = True
                return data[:left]
            return data
        if phase == CHUNKED:
            return self._chunks(data)
        if phase == UNTIL_CLOSE:
            return data
        if phase == HEAD:
            self.touched = True
            return self._heads(data)
        if phase == ENDED:
            self.surplus = True
        return b""

    # -- heads ---------------------------------------------------------------------------------------------------

    def _heads(self, data: bytes) -> bytes:
        while data:
            before = 0
            if self._kept is None:
                end = data.find(_END)
                size = end + 4 if end >= 0 else len(data)
            else:
                before = len(self._kept)
                self._kept += data
                end = self._kept.find(_END, max(0, before - 3))
                size = end + 4 if end >= 0 else len(self._kept)
            if self._used + size > self._max_head:
                return self._faulted("its head is too large")
            if end < 0:
                self._part(data)
                return b""
            part = data[: size - before]
            if not self._head(part, part if self._kept is None else bytes(self._kept[:size])):
                return b""
            data = data[size - before :]
            if self.code:
                return self.feed(data) if data else b""
            self._used += size
        return b""

    def _part(self, part: bytes) -> None:
        """
        Take a part of a head that goes on. What can be refused is refused now, not when the time for it is up.
        """
        kept = self._kept
        start = part[: len(_START)] if kept is None else kept[: len(_START)]
        if start != _START[: len(start)] or not self._parsed(part):
            self._faulted("its head is malformed")
        elif kept is None:
            self._kept = bytearray(part)

    def _head(self, part: bytes, head: bytes) -> bool:
        """
        Take the last part of a head.

        :param head: all of it.
        """
        status = _STATUS_LINE.match(head)
        code = 0 if status is None else int(status[2])
        if code == 101:
            self._faulted("it switches protocols, which nobody asked for")
            return False
        # The parser has to see the end of the head where it was found.
        if status is None or code > 599 or not self._parsed(part) or not self._complete or self._pieces:
            self._faulted("its head is malformed")
            return False
        self._kept = None
        if code >= 200:
            self.minor = int(status[1])
            self.phrase = status[3] or b""
            self.pairs = _FIELDS.findall(head, status.end())
            return self._frame(code)
        self._interim += 1
        if self._interim > MOST_INTERIM:
            self._faulted("it has too many interim responses")
            return False
        self._parser = None
        return True

    def _parsed(self, part: bytes) -> bool:
        parser = self._parser
        if parser is None:
            self._pieces: list[bytes] = []
            self._complete = self._whole = self._next = False
            parser = self._parser = HttpResponseParser(self)
        try:
            parser.feed_data(part)
        except HttpParserError:
            return False
        return True

    def _frame(self, code: int) -> bool:
        """
        Decide where the body ends (RFC 9112, 6.3).
        """
        length: int | None = None
        codings = 0
        keeps_alive = self.minor == 1
        for name, value in self.pairs:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                if len(value) > _LONGEST_LENGTH:
                    self._faulted("its length is malformed")
                    return False
                length = int(value)
            elif size == 17 and name.lower() == b"transfer-encoding":
                codings += 1
                if codings > 1 or value.lower() != b"chunked" or not self.minor:
                    self._faulted("its transfer coding is not one to rely on")
                    return False
            elif size == 10:
                lower = name.lower()
                if lower == b"connection":
                    keeps_alive = _keeps_alive(value, keeps_alive)
                elif lower == b"keep-alive" and (hint := _KEEP_FOR.search(value)) is not None:
                    self.keep_for = int(hint[1])
        self.code = code
        self.keeps_alive = keeps_alive
        if self._bodiless or code == 204 or code == 304:
            self.phase, self.length = ENDED, 0
        elif codings:
            self.phase, self._last, self._quiet = CHUNKED, b"", 0
            return True
        elif length is None:
            self.phase, self.keeps_alive = UNTIL_CLOSE, False
        else:
            self.phase, self.length, self._left = COUNTED if length else ENDED, length, length
        # Counting needs no parser, and the next head gets one of its own.
        self._parser = None
        return True

    # -- chunks --------------------------------------------------------------------------------------------------

    def _chunks(self, data: bytes) -> bytes:
        pieces = self._pieces
        fault = False
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except HttpParserError:
            fault = True
        if self._whole:
            # Bytes behind the end start another message, are an error, or are line ends, which the parser skips.
            tail = self._last + data[-8:] if len(data) < 8 else data[-8:]
            ends = len(tail) - len(tail.rstrip(b"\r\n"))
            self.surplus = fault or self._next or ends != 4
            self.phase = ENDED
            self._parser = None
        elif fault:
            self._faulted("its chunks are malformed")
        else:
            self._last = (self._last + data)[-4:]
            if not pieces:
                self._quiet += len(data)
                if self._quiet > self._max_head:
                    self._faulted("it has trailers or chunk extensions without end")
                return b""
            self._quiet = 0
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def _faulted(self, fault: str) -> bytes:
        self.phase = FAULTY
        self.fault = fault
        self._parser = self._kept = None
        return b""

    # -- called by the parser ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """
        A message begins; a second one has no business here.
        """
        self._next = self._whole

    def on_headers_complete(self) -> None:
        """
        The head ends.
        """
        self._complete = True

    def on_body(self, piece: bytes) -> None:
        """
        A piece of a chunk.
        """
        if not self._whole:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """
        The last chunk, and its trailers, have been read.
        """
        self._whole = True


def _keeps_alive(value: bytes, otherwise: bool) -> bool:
    options = [option.strip(b" \t") for option in value.lower().split(b",")]
    if b"close" in options:
        return False
    return otherwise or b"keep-alive" in options
