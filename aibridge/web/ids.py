"""
Names for requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_DIGITS: Final = 24
_AT_ONCE: Final = 64


class Ids:
    """
    Makes request ids: 24 hexadecimal digits each, so that nobody can ask about somebody else's request by guessing.

    :param random: so many random bits as it is asked for, from a source fit for keys. It is asked for many ids at once,
        since each time is a system call.
    """

    __slots__ = ("_made", "_random")

    def __init__(self, random: Callable[[int], int]) -> None:
        self._random = random
        self._made: list[str] = []

    def new(self) -> str:
        """
        One that nobody had before.
        """
        if not self._made:
            size = _DIGITS * _AT_ONCE
            digits = hex(self._random(4 * size))[2:].rjust(size, "0")
            self._made = [digits[start : start + _DIGITS] for start in range(0, size, _DIGITS)]
        return self._made.pop()
