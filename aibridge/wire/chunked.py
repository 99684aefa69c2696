"""
Reads chunked request bodies (RFC 9112, 7.1), and finds where they end.

Two readers look at every byte of the framing: the one here, which cuts the bytes into lines and chunks so that nothing
behind the end is ever taken for a part of the body, and llhttp, which judges the grammar. Where they do not agree, the
body is refused.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpRequestParser

from aibridge.wire.request import Refusal

MOST_SMALL: Final = 8192
"""Chunks that a body may have whatever their size; each further one takes `LEAST_EACH` bytes of body, on average."""

LEAST_EACH: Final = 64

MOST_EXTRA: Final = 4096
"""Most bytes of one body, in sum, that say nothing: extensions, padded sizes, trailers (compare CVE-2023-39326)."""

_PLAIN_LINE = 18  # sixteen digits and the line's end
_SIZE = re.compile(rb"[0-9A-Fa-f]+(?=[;\r])")
_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

_FORBIDDEN = frozenset(
    (
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
    )
)
_FORBIDDEN_FAMILIES = (b"proxy-", b"x-coder-", b"coder-", b"x-forwarded-", b"forwarded", b"x-ai-bridge-")


class ChunkedBody:
    """
    Decodes one body. Trailers are checked and dropped: nobody may add to a head that was already acted upon.

    :ivar ended: the last byte of the body has come.
    :ivar is_behind: bytes were taken that were not looked at yet; `feed` goes on with them, also without any more.
    :ivar fault: what is wrong with the bytes behind those that were returned; nothing after it can be read.
    """

    __slots__ = (
        "_chunk",
        "_chunks",
        "_extra",
        "_held",
        "_judge",
        "_size",
        "_trailers",
        "_verdict",
        "ended",
        "fault",
        "is_behind",
    )

    def __init__(self) -> None:
        self.ended = False
        self.fault: Refusal | None = None
        self._held = b""
        # Bytes still to come of the current chunk, its CR and LF included; 0 before a line.
        self._chunk = 0
        self._extra = 0
        self._chunks = self._size = 0
        self.is_behind = False
        self._trailers = False
        # The parser holds what it reports to, which must not hold it in turn: that would be a circle for each body.
        self._verdict = _Verdict()
        self._judge = HttpRequestParser(self._verdict)
        self._judge.feed_data(_HEAD)
        self._verdict.trailers.clear()

    def feed(self, data: bytes, most: int = 1 << 30) -> tuple[bytes, bytes]:
        """
        Take the next bytes.

        :param most: lines and chunks that are looked at; the rest is kept.
        :return: the part of the body that is in them, and what comes after its end (nothing while `ended` is false).
            See `fault` too: what comes before it was good, so that the cut of the segments makes no difference.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        try:
            while at < size and not self.ended and most > 0:
                at = self._chunk_bytes(data, at, pieces) if self._chunk else self._line(data, at)
                most -= 1
        except Refusal as refusal:
            self.fault, self.ended = refusal, False
            at = size
        self.is_behind = at < size and not self.ended
        if self.is_behind:
            self._held = data[at:]
            at = size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), data[at:]

    @property
    def held(self) -> int:
        """
        Bytes that were taken and are kept.
        """
        return len(self._held)

    def forget(self) -> None:
        """
        Let go of what is kept: nothing more will be asked of it.
        """
        self._held = b""
        self.is_behind = False

    def _chunk_bytes(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """
        Take what is there of a chunk and its line's end.
        """
        stop = min(at + self._chunk, len(data))
        payload = min(at + self._chunk - 2, stop)
        if payload > at:
            pieces.append(data[at:payload])
        self._judged(memoryview(data)[at:stop])
        self._chunk -= stop - at
        return stop

    def _line(self, data: bytes, at: int) -> int:
        """
        Take a line that says how large the next chunk is, or a line of the trailers.
        """
        end = data.find(b"\n", at, at + MOST_EXTRA + _PLAIN_LINE) + 1
        if not end:
            self._held = data[at:]
            if len(self._held) >= MOST_EXTRA + _PLAIN_LINE:
                raise Refusal(400, "The chunked body has a line that is too long.")
            return len(data)
        line = data[at:end]
        self._judged(line)
        if self._trailers:
            self._extra += len(line)
            self.ended = line == b"\r\n"
        else:
            self._extra += max(0, len(line) - _PLAIN_LINE)
            digits = _SIZE.match(line)
            if digits is None:
                raise Refusal(400, "The chunked body is malformed.")
            size = int(digits[0], 16)
            self._chunks += 1
            self._size += size
            if self._chunks > MOST_SMALL + self._size // LEAST_EACH:
                raise Refusal(400, "The chunked body has too many small chunks.")
            if size:
                self._chunk = size + 2
            else:
                self._trailers = True
        if self._extra > MOST_EXTRA:
            raise Refusal(400, "The chunked body has too many extensions or trailers.")
        if self._verdict.ended != self.ended:
            raise Refusal(400, "The chunked body is malformed.")
        if self.ended:
            self._verdict.check()
        return end

    def _judged(self, part: bytes | memoryview) -> None:
        try:
            self._judge.feed_data(part)
        except HttpParserError as error:
            raise Refusal(400, f"The chunked body is malformed: {error}.") from None


class _Verdict:
    """
    What llhttp found.
    """

    __slots__ = ("ended", "trailers")

    def __init__(self) -> None:
        self.ended = False
        self.trailers: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.trailers.append(name)

    def on_message_complete(self) -> None:
        self.ended = True

    def check(self) -> None:
        """
        :raises Refusal: a trailer would have changed how the request is read, or by whom it is paid.
        """
        for name in self.trailers:
            lower = name.lower().replace(b"_", b"-")
            if lower in _FORBIDDEN or lower.startswith(_FORBIDDEN_FAMILIES):
                raise Refusal(400, "The chunked body has a trailer that does not belong there.")
