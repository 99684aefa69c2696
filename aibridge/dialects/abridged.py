"""
JSON without its long texts.

A prompt, an answer, a picture: of what crosses, nearly all is in a few long texts, and nothing of what is read is in
them. A parser looks at each of their bytes, and makes a text of them that nobody wants; to find where they end takes a
fiftieth of that, less while they are in the processor's cache, and what is left out need not be kept.
"""

from __future__ import annotations

from typing import Final

LONG: Final = 4096
"""Bytes of a text that is left out; in less than that, there may be a name, each character of it an escape."""

LEAST: Final = 16384
"""Bytes of a body that is looked through."""

INSTEAD: Final = rb'"\u0000"'
"""Stands for a long text: not empty, and neither a name nor a word that anybody could mean."""

_OPENED: Final = rb'"\u0000'
"""Stands for all of a long text but its end."""

_BACKSLASH: Final = 92

FIRST_QUOTES: Final = 64
"""How many are looked for in any case."""

_QUOTE_COSTS: Final = 256
"""Bytes for which a parser takes about as long as it takes to find a quote."""


class Abridged:
    """
    The same JSON with `INSTEAD` for each text of more than `LONG` bytes, made while its bytes come. It is left as it is
    where it is small, and from where it is so full of quotes that to look for the long texts would take longer than to
    read them.

    What is no JSON becomes no JSON either, but what is wrong within a long text is not found.
    """

    __slots__ = ("_before", "_held", "_inside", "_kept", "_looks", "_odd", "_quotes", "_size")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._looks = True  # or has given it up
        self._before = 0  # bytes of earlier pieces
        self._quotes = 0
        self._inside = False
        self._size = 0  # of the text that is not over, as far as it is in earlier pieces
        self._held: list[bytes] = []  # what there is of it, while it may turn out to be short
        self._odd = False  # the piece before ended in a backslash that escapes what follows

    def feed(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        before = self._before
        if before >= LEAST:
            self._look(piece)
            return
        self._kept.append(piece)
        self._before = before + len(piece)
        if self._before >= LEAST:
            pieces, self._kept, self._before = self._kept, [], 0
            for each in pieces:
                self._look(each)

    def end(self) -> bytes:
        """
        All that is left, in one piece.
        """
        return b"".join(self._kept + self._held)

    def _look(self, piece: bytes) -> None:
        kept, before, end = self._kept, self._before, len(piece)
        self._before = before + end
        if not self._looks:
            kept.append(piece)
            return
        find = piece.find
        inside, quotes, size = self._inside, self._quotes, self._size
        start = 0  # of what is to be kept
        begin = 0  # of the text, if it is in this piece
        at = find(b'"')
        while at >= 0:
            quotes += 1
            if quotes > FIRST_QUOTES + (before + at) // _QUOTE_COSTS:
                self._give_up(piece, start, at)
                return
            if not inside:
                inside, begin = True, at
            elif not _is_escaped(piece, at, self._odd):
                inside = False
                if size + at - begin > LONG:
                    kept.append(piece[start:begin])
                    kept.append(INSTEAD)
                    start = at + 1
                else:
                    kept += self._held
                self._held, size = [], 0
            at = find(b'"', at + 1)
        if inside:
            kept.append(piece[start:begin])
            size += end - begin
            self._held = [*self._held, piece[begin:]] if size <= LONG else []
        else:
            kept.append(piece[start:])
        self._odd = inside and _is_escaped(piece, end, self._odd)
        self._inside, self._quotes, self._size = inside, quotes, size

    def _give_up(self, piece: bytes, start: int, at: int) -> None:
        """
        Keep the rest as it is.

        :param start: of what is to be kept of a piece.
        :param at: a quote in it. If the text that it is in has been let go of, it is an escaped one, or the end.
        """
        self._looks = False
        if self._size > LONG and not start:
            ends = not _is_escaped(piece, at, self._odd)
            self._kept.append(_OPENED)
            start = at if ends else at + 1
        self._kept += self._held
        self._held = []
        self._kept.append(piece[start:])


def _is_escaped(piece: bytes, at: int, odd: bool) -> bool:
    """
    Whether an odd number of backslashes stands before a place.

    :param odd: they are an odd number at the end of what came before the piece.
    """
    place = at
    while place and piece[place - 1] == _BACKSLASH:
        place -= 1
    return bool((at - place) & 1) is not (odd and not place)


def abridged(body: bytes) -> bytes:
    """
    A whole body, as `Abridged` leaves it.
    """
    if len(body) < LEAST:
        return body
    looked = Abridged()
    looked.feed(body)
    return looked.end()
