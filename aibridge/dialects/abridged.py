"""
JSON without its long texts.

A prompt, an answer, a picture: of what crosses, nearly all is in a few long texts, and nothing of what is read is in
them. A parser looks at each of their bytes, and makes a text of them that nobody wants; to find where they end takes a
fiftieth of that.
"""

from __future__ import annotations

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


def abridged(body: bytes) -> bytes:
    """
    The same JSON with `INSTEAD` for each text of more than `LONG` bytes; or `body` itself, if it has none, is small, or
    is so full of quotes that to look for the long ones would take longer than to read them.

    What is no JSON becomes no JSON either, but what is wrong within a long text is not found.
    """
    if len(body) < LEAST:
        return body
    find = body.find
    kept: list[bytes] = []
    start = quotes = 0
    begin = -1  # where the text begins that has not ended yet
    at = find(b'"')
    while at >= 0:
        quotes += 1
        if (quotes - _FIRST_QUOTES) * _QUOTE_COSTS > at:
            return body
        if begin < 0:
            begin = at
        elif body[at - 1] != _BACKSLASH or not _is_escaped(body, at):
            if at - begin > LONG:
                kept.append(body[start:begin])
                kept.append(INSTEAD)
                start = at + 1
            begin = -1
        at = find(b'"', at + 1)
    if not kept:
        return body
    kept.append(body[start:])
    return b"".join(kept)


def _is_escaped(body: bytes, at: int) -> bool:
    """
    Whether an odd number of backslashes stands before a place.
    """
    before = at
    while before and body[before - 1] == _BACKSLASH:
        before -= 1
    return bool((at - before) & 1)
