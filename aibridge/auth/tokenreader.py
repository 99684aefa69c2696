"""
The entries of ``tokens.toml``, read again and again: piece by piece, and only what has changed. Pure.

Note [Pieces]: a file of ten thousand tokens takes seconds to parse, and mostly one of them has changed. So the text is
cut before each header of a table, what each piece says is remembered by its text, and reading can pause in between.
Where every line of a piece is a whole statement by itself, a header, a key with a plain value, a comment, nothing
outside of it can change what it says, and nothing of it reaches further. That is how `aibridge token` writes; a text
that is not so (an array, a table of another kind, a string of several lines) has to be read at once.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final

from aibridge.auth.tokenfile import TokensUnusable, read_entries
from aibridge.auth.tokens import Entry

MOST_PIECE: Final = 65536
"""Characters of a piece, beyond which it is not one entry of anybody's."""

MOST_TOLD: Final = 10
"""Pieces whose problems are told, each with all that it has."""

STEP: Final = 1000
COST: Final = 40
"""A step is as long as it takes to find so many pieces that are known, of which a new one takes this many times as
long: a few milliseconds."""

# Possessive throughout: a line is read once, whatever is in it.
_PLAIN: Final = re.compile(
    r"""(?:[ \t]*+(?:
        \[\[[ \t]*+token[ \t]*+\]\][ \t]*+
        | [A-Za-z0-9_-]++[ \t]*+=[ \t]*+
          (?: "(?:[^"\\\n]|\\[^\n])*+"[ \t]*+ | '[^'\n]*+'[ \t]*+ | [^"'\[\]{}\#\n]*+ )
    )?+(?:\#[^\n]*+)?+\r?+\n)*+""",
    re.VERBOSE,
)

Pieces = dict[str, tuple[Entry, ...]]


class Undivided(Exception):
    """
    The text cannot be read piece by piece; it may be good all the same.
    """


class TokenReader:
    """
    Reads one file after the other, and remembers the pieces of the last one. See Note [Pieces].
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: Pieces = {}

    def read(self, text: str) -> tuple[Entry, ...]:
        """
        What `aibridge.auth.tokenfile.read_entries` would say, sooner; of several pieces that are not TOML each is told.

        :raises TokensUnusable: with its problems.
        """
        steps = self.steps(text)
        try:
            while True:
                next(steps)
        except StopIteration as done:
            entries: tuple[Entry, ...] = done.value
            return entries
        except Undivided:
            return read_entries(text)

    def steps(self, text: str) -> Generator[None, None, tuple[Entry, ...]]:
        """
        The same, with pauses; the entries are what it returns.

        :raises TokensUnusable: with its problems.
        :raises Undivided: it cannot be read in steps.
        """
        if text.endswith("\r"):
            # It would be the first half of a line's end with what is added.
            raise Undivided
        pieces = _pieces(text)
        known: Pieces = {}
        bad: dict[int, list[str]] = {}
        spent = 0
        for index, piece in enumerate(pieces):
            entries = self._known.get(piece)
            spent += COST if entries is None else 1
            if entries is None:
                if len(piece) > MOST_PIECE or not _PLAIN.fullmatch(piece):
                    raise Undivided
                try:
                    entries = read_entries(piece)
                except TokensUnusable:
                    bad[index] = []
                    continue
            known[piece] = entries
            if spent >= STEP:
                spent = 0
                yield
        self._known = known
        found = [(index, entry) for index, piece in enumerate(pieces) for entry in known.get(piece, ())]
        if len(pieces) >= STEP:
            yield
        yield from _find_clashes(found, bad)
        if bad:
            raise TokensUnusable((yield from _problems(pieces, bad)))
        return tuple([entry for _, entry in found])


def _pieces(text: str) -> list[str]:
    first, *others = f"{text}\n".split("\n[[")
    return [f"{first}\n", *[f"[[{piece}\n" for piece in others]]


def _find_clashes(found: list[tuple[int, Entry]], bad: dict[int, list[str]]) -> Iterator[None]:
    ids: set[str] = set()
    names: set[str] = set()
    for count, (index, entry) in enumerate(found, 1):
        if entry.id in ids:
            bad.setdefault(index, []).append(_taken(entry, f'id "{entry.id}"'))
        if entry.name in names:
            bad.setdefault(index, []).append(_taken(entry, f'name "{entry.name}"'))
        ids.add(entry.id)
        names.add(entry.name)
        if not count % (4 * STEP):
            yield


def _taken(entry: Entry, what: str) -> str:
    return f'(token "{entry.name}"): the {what} is taken by another token'


def _problems(pieces: list[str], bad: dict[int, list[str]]) -> Generator[None, None, list[str]]:
    """
    What is wrong, each with its line in the whole text.
    """
    problems: list[str] = []
    line = 1
    told = 0
    for index, piece in enumerate(pieces):
        clashes = bad.get(index)
        if clashes is not None:
            told += 1
            if told > MOST_TOLD:
                return [*problems, f"there are more problems, in {len(bad) - MOST_TOLD} further places"]
            problems.extend(f"line {line} {clash}" for clash in clashes)
            try:
                # As many empty lines before it as there are others, so that its own are where they are.
                read_entries("\n" * (line - 1) + piece)
            except TokensUnusable as unusable:
                problems.extend(unusable.problems)
            yield
        line += piece.count("\n")
    return problems
