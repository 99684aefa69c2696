"""
JSON without its long texts.

A prompt, an answer, a picture: of what crosses, nearly all is in a few long texts, and nothing of what is read is in
them. A parser looks at each of their bytes, and makes a text of them that nobody wants; to find where they end takes a
fiftieth of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONG: Final = 4096
"""Bytes of a text that is left out; in less than that, there may be a name, each character of it an escape."""

LEAST: Final = 16384
"""Bytes of a body that is looked through."""

INSTEAD: Final = rb'"\u0000"'
"""Stands for a long text: not empty, and neither a name nor a word that anybody could mean."""

_BACKSLASH: Final = 92

# To find a quote takes about as long as a parser takes for so many bytes; the first few are always looked for.
_QUOTE_COSTS: Final = 256
_FIRST_QUOTES: Final = 64


def abridged(pieces: Sequence[bytes]) -> bytes:
    """
    The same JSON in one piece, with `INSTEAD` for each text of more than `LONG` bytes; or the whole of it, where there
    is none, where it is small, or where it is so full of quotes that to look for the long ones would take longer than
    to read them.

    What is no JSON becomes no JSON either, but what is wrong within a long text is not found.
    """
    if sum(map(len, pieces)) < LEAST:
        return b"".join(pieces)
    kept: list[bytes] = []
    before = quotes = 0  # bytes of earlier pieces
    inside = False
    size = 0  # of the text that is not over, as far as it is in earlier pieces
    held: list[bytes] = []  # what there is of it, while it may turn out to be short
    odd = False  # the piece before ended in a backslash that escapes what follows
    for piece in pieces:
        find = piece.find
        start = 0  # of what is to be kept
        begin = 0  # of the text, if it is in this piece
        at = find(b'"')
        while at >= 0:
            quotes += 1
            if (quotes - _FIRST_QUOTES) * _QUOTE_COSTS > before + at:
                return b"".join(pieces)
            if not inside:
                inside, begin = True, at
            elif not _is_escaped(piece, at, odd):
                inside = False
                if size + at - begin > LONG:
                    kept.append(piece[start:begin])
                    kept.append(INSTEAD)
                    start = at + 1
                else:
                    kept += held
                held, size = [], 0
            at = find(b'"', at + 1)
        end = len(piece)
        if inside:
            kept.append(piece[start:begin])
            size += end - begin
            held = [*held, piece[begin:]] if size <= LONG else []
        else:
            kept.append(piece[start:])
        odd = inside and _is_escaped(piece, end, odd)
        before += end
    return b"".join(kept + held)


def _is_escaped(piece: bytes, at: int, odd: bool) -> bool:
    """
    Whether an odd number of backslashes stands before a place.

    :param odd: they are an odd number at the end of what came before the piece.
    """
    place = at
    while place and piece[place - 1] == _BACKSLASH:
        place -= 1
    return bool((at - place) & 1) is not (odd and not place)
