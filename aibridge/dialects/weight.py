"""
How many tokens a text is taken for, without a tokenizer.

Four bytes of UTF-8 are about one token of most languages and of code. Digits, capitals and what emojis begin with come
to about one token for two of them (numbers, hashes, base64, names in capitals), so each weighs twice. Everything is a
sum over bytes or short runs of them: it costs a search or two, and a text may come in pieces.

The vocabularies that were measured are OpenAI's ``o200k_base`` and ``cl100k_base``; see tests/dialects/test_weight.py.
"""

from __future__ import annotations

from typing import Final

PER_TOKEN: Final = 4
"""What weighs as much as one token."""

_HEAVY: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ\xf0\x9f\xd7"

# An escape is taken for what it stands for, its digits being heavy already: six bytes for three of UTF-8 in the scripts
# of Asia, for two in those before U+0800.
_FOUR_DIGITS: Final = b"\\u"
_LOW: Final = b"\\u0"

BEFORE: Final = 2
"""Bytes before a piece of a text that have to be known to weigh it."""

BEGINNING: Final = 4096
"""Bytes of a text that are looked at."""


def weight_of(text: bytes, before: bytes = b"") -> int:
    """
    What a text weighs, as it stands in JSON between its quotes, or a piece of it.

    :param before: the last `BEFORE` bytes of the pieces before it.
    """
    weight = 2 * len(text) - len(text.translate(None, _HEAVY))
    if text.find(b"\\") >= 0 or before.find(b"\\") >= 0:
        weight -= text.count(b"\\")
        text = before + text
        weight -= 4 * (text.count(_FOUR_DIGITS) - before.count(_FOUR_DIGITS)) + 3 * text.count(_LOW)
    return weight


class Weighing:
    """
    Weighs one text after the other, each in whatever pieces it comes.

    A long one is taken to weigh throughout what it does in its first `BEGINNING` bytes: to look at all of it would take
    longer than all else that is done for an answer.
    """

    __slots__ = ("_before", "_begun", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._begun = 0  # what the beginning weighs, as far as it has come
        self._before = b""  # the last bytes of that

    def begin(self) -> None:
        """
        Another text.
        """
        self._size = self._begun = 0
        self._before = b""

    def add(self, data: bytes, begin: int, end: int) -> int:
        """
        The next piece of it, from `begin` to `end`.

        :return: what the text weighs so far.
        """
        if self._size < BEGINNING:
            piece = data[begin : min(end, begin + BEGINNING - self._size)]
            self._begun += weight_of(piece, self._before)
            self._before = (self._before + piece[-BEFORE:])[-BEFORE:]
        self._size += end - begin
        beyond = self._size - BEGINNING
        return self._begun if beyond <= 0 else self._begun + beyond * self._begun // BEGINNING
