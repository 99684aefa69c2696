"""
Undoing content encodings (RFC 9110, 8.4), in steps of which each is short.

A few bytes can stand for gigabytes, and several encodings can be applied one upon another. So what comes out is asked
for in small pieces, one step at a time, by somebody who can stop between two of them; what waits in between is bounded,
and so is the sum of what comes out for what has gone in.

gzip may have several members (RFC 1952, 2.2), zstd several frames (RFC 8878, 3.1): all of them are undone. What follows
the last one belongs to nothing, and is left alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

import brotli
import zstandard

STEP: Final = 16384
"""Bytes that come out of one step at most."""

MOST_STAGES: Final = 3
"""Encodings that are undone one upon another; nobody has a use for two."""

MOST_WINDOW: Final = 8 * 1024 * 1024
"""Bytes that zstd may look back: what all who offer it on the web have to be able to (RFC 9659, 3)."""

FREE: Final = 32 * 1024 * 1024
"""Bytes that may come out of a few."""

MOST_EXPANDED: Final = 200
"""Bytes beyond `FREE` that may come out of each; texts come to ten, streams of small events to thirty."""

MOST_PARTS: Final = 4096
"""Members of gzip, or frames of zstd, that are undone: each takes a step, and may be of twenty bytes, or of eight."""

_ZSTD_STEP: Final = 128
"""Bytes of zstd that are undone at once, as it cannot be asked for less: 32 blocks, of 128 KiB each at most."""

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS


class Undecodable(Exception):
    """
    It is not what it says it is.
    """


class TooMuch(Exception):
    """
    More comes out of it than may, or it asks for more memory than it may.
    """


class Stage:
    """
    Undoes one encoding: a base.

    :ivar is_over: it has ended; what comes now is left alone.
    """

    __slots__ = ("_at", "_more", "_parts", "_piece", "is_over")

    def __init__(self) -> None:
        self._parts = 0  # members, or frames, that have ended
        self._piece = b""
        self._at = 0
        self._more = False  # there may be more to come out of what has gone in
        self.is_over = False

    def give(self, data: bytes) -> None:
        """
        The next bytes.
        """
        if not self.is_over:
            self._piece = self._piece[self._at :] + data
            self._at = 0

    @property
    def waiting(self) -> int:
        """
        Bytes that are to be undone.
        """
        return len(self._piece) - self._at

    @property
    def is_busy(self) -> bool:
        """
        Whether there is something to do.
        """
        return not self.is_over and (self._more or self._at < len(self._piece))

    def run(self) -> bytes:
        """
        Do the next step.

        :return: `STEP` bytes at most, and maybe none.
        :raises Undecodable: nothing can be undone any more.
        :raises TooMuch: nor can it here.
        """
        raise NotImplementedError

    def _take(self, most: int) -> bytes:
        at = self._at
        piece = self._piece[at : at + most]
        self._at = at + len(piece)
        return piece

    def _put_back(self, rest: bytes) -> None:
        """
        What was taken last was too much by this. Nothing is copied, since it may happen for every few bytes.
        """
        self._at -= len(rest)

    def _next_part(self) -> None:
        """
        A part of it has ended, and another may follow.

        :raises TooMuch: there are too many.
        """
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise TooMuch

    def _finish(self) -> None:
        self.is_over = True
        self._piece, self._at, self._more = b"", 0, False


class Zlib(Stage):
    """
    gzip and deflate.

    ``deflate`` means the zlib format (RFC 9110, 8.4.1.2), but some send what is in it without it; the first two bytes
    tell.
    """

    __slots__ = ("_gzip", "_made")

    def __init__(self, gzip: bool) -> None:
        super().__init__()
        self._gzip = gzip
        self._made: Any = None

    def run(self) -> bytes:
        """
        Do the next step.
        """
        if self._made is None and not self._begin():
            return b""
        made = self._made
        try:
            out: bytes = made.decompress(self._take(4096), STEP)
        except zlib.error as error:
            raise Undecodable from error
        rest: bytes = made.unused_data if made.eof else made.unconsumed_tail
        self._put_back(rest)
        self._more = len(out) >= STEP
        if made.eof:
            self._made = None
            self._next_part()
            self._more = False
            if not self._gzip:
                self._finish()
        return out

    def _begin(self) -> bool:
        """
        Whether there is enough to know how to begin.
        """
        first = self._piece[self._at : self._at + 2]
        if self._parts and not _GZIP_MAGIC.startswith(first):
            self._finish()
            return False
        if len(first) < 2:
            self._more = False
            return False
        # RFC 1950, 2.2: the method is 8, and both bytes together are a multiple of 31.
        wrapped = first[0] & 15 == 8 and int.from_bytes(first, "big") % 31 == 0
        self._made = zlib.decompressobj(_GZIP if self._gzip else zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return True

    @property
    def is_busy(self) -> bool:
        """
        Whether there is something to do; one byte is not enough to begin with.
        """
        waiting = len(self._piece) - self._at
        return not self.is_over and (self._more or waiting > (1 if self._made is None else 0))


class Brotli(Stage):
    """
    br (RFC 7932). Its decoder takes what follows the end for an error.
    """

    __slots__ = ("_made",)

    def __init__(self) -> None:
        super().__init__()
        self._made: Any = brotli.Decompressor()

    def run(self) -> bytes:
        """
        Do the next step.
        """
        made = self._made
        if made is None:
            raise Undecodable
        try:
            out: bytes = made.process(b"" if self._more else self._take(4096), output_buffer_limit=STEP)
            self._more = len(out) >= STEP or not made.can_accept_more_data()
        except brotli.error as error:
            raise Undecodable from error
        if not self._more and made.is_finished():
            self._made = None
        return out


class Zstd(Stage):
    """
    zstd (RFC 8878).
    """

    __slots__ = ("_begun", "_made", "_out", "_out_at")

    def __init__(self) -> None:
        super().__init__()
        self._made: Any = None
        self._begun: Any = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW)
        self._out = b""
        self._out_at = 0

    @property
    def is_busy(self) -> bool:
        """
        Whether there is something to do.
        """
        if self._out:
            return True
        waiting = len(self._piece) - self._at
        return not self.is_over and waiting > (3 if self._made is None else 0)

    def run(self) -> bytes:
        """
        Do the next step.
        """
        if not self._out:
            self._undo()
        at = self._out_at
        out = self._out[at : at + STEP]
        self._out_at = at + len(out)
        if self._out_at >= len(self._out):
            self._out, self._out_at = b"", 0
        return out

    def _undo(self) -> None:
        if self._made is None:
            first = self._piece[self._at : self._at + 4]
            # Frames that are to be skipped have sixteen magic numbers (RFC 8878, 3.1.2).
            if self._parts and first != _ZSTD_MAGIC and (first[0] & 0xF0 != 0x50 or first[1:] != b"\x2a\x4d\x18"):
                self._finish()
                return
            self._made = self._begun.decompressobj()
        made = self._made
        try:
            self._out = made.decompress(self._take(_ZSTD_STEP))
        except zstandard.ZstdError as error:
            if "too much memory" in str(error):
                raise TooMuch from error
            raise Undecodable from error
        if made.eof:
            self._put_back(made.unused_data)
            self._made = None
            self._next_part()


_STAGES: Final[dict[bytes, Callable[[], Stage]]] = {
    b"gzip": lambda: Zlib(True),
    b"x-gzip": lambda: Zlib(True),
    b"deflate": lambda: Zlib(False),
    b"br": Brotli,
    b"zstd": Zstd,
}


class Decoding:
    """
    Undoes all encodings of one body.

    :param stages: in the order in which they are undone.
    :ivar given: bytes that have gone in.
    :ivar made: bytes that have come out, of each of the stages.
    """

    __slots__ = ("_stages", "given", "made")

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self.given = 0
        self.made = 0

    def give(self, data: bytes) -> None:
        """
        The next bytes of the body.
        """
        self.given += len(data)
        self._stages[0].give(data)

    @property
    def is_busy(self) -> bool:
        """
        Whether there is something to do.
        """
        return any(stage.is_busy for stage in self._stages)

    @property
    def waiting(self) -> int:
        """
        Bytes that are to be undone.
        """
        return self._stages[0].waiting

    def run(self) -> bytes:
        """
        Do the next step.

        :return: `STEP` bytes at most, and maybe none.
        :raises Undecodable: nothing can be undone any more.
        :raises TooMuch: more than `FREE` bytes have come out, and more than `MOST_EXPANDED` for each that went in.
        """
        stages = self._stages
        for index in range(len(stages) - 1, -1, -1):
            stage = stages[index]
            if not stage.is_busy:
                continue
            out = stage.run()
            self.made += len(out)
            if self.made > FREE + MOST_EXPANDED * self.given:
                raise TooMuch
            if index == len(stages) - 1:
                return out
            stages[index + 1].give(out)
            return b""
        return b""


def decoding_of(content_encoding: bytes | None) -> Decoding | None:
    """
    What undoes the encodings that a header field lists; None if there are none.

    :raises Undecodable: one of them is not known here, or there are more than `MOST_STAGES`.
    """
    if not content_encoding:
        return None
    names = [name.strip().lower() for name in content_encoding.split(b",")]
    # They are listed in the order in which they were applied.
    names = [name for name in reversed(names) if name and name != b"identity"]
    if not names:
        return None
    if len(names) > MOST_STAGES:
        raise Undecodable
    stages = []
    for name in names:
        made = _STAGES.get(name)
        if made is None:
            raise Undecodable
        stages.append(made())
    return Decoding(stages)
