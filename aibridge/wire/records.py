"""
Finds the records in a TLS stream without decrypting any: their types and lengths are sent in the clear (RFC 8446, 5.1).
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 512
"""Bytes that are taken for one record where what comes is none."""

_HEADER = 5
_TYPES = b"\x14\x15\x16\x17"
_MAJOR = 3


class Records:
    """
    Follows one direction of a connection, however its bytes are cut.

    What is no record, as where it was not followed from the start, is not judged: that is for TLS itself.
    """

    __slots__ = ("_begun", "_left")

    def __init__(self) -> None:
        self._begun = b""  # of a header that is not complete
        self._left = 0

    def end(self, data: bytes, at: int) -> int:
        """
        Where the record ends that `data` has at `at`, or goes on with there.

        :return: at most the length of `data`. Call it next with what follows that end.
        """
        size = len(data)
        if not self._left:
            piece = data[at : at + _HEADER - len(self._begun)]
            at += len(piece)
            begun = self._begun + piece
            if len(begun) < _HEADER:
                self._begun = begun
                return at
            self._begun = b""
            is_record = begun[0] in _TYPES and begun[1] == _MAJOR
            self._left = (begun[3] << 8 | begun[4]) if is_record else UNKNOWN
        step = min(self._left, size - at)
        self._left -= step
        return at + step
