"""
A server-sent event that is too large to be held: it is read in the pieces in which it comes.
"""

from __future__ import annotations

from typing import Final

from aibridge.dialects.parts import Part
from aibridge.dialects.pruned import Pruned

_MOST_NAME: Final = 64
"""Bytes of a field's name, and of an event's; what is longer is none that anybody knows."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_DATA: Final = 1
_EVENT: Final = 2
_OTHER: Final = 3


class Large:
    """
    The name of one event, and what is asked for of its data.

    :param part: what is kept of the data.
    :ivar name: of the event, or nothing.
    """

    __slots__ = ("_field", "_is_first", "_is_value", "_kind", "_lines", "data", "name")

    def __init__(self, part: Part) -> None:
        self.data = Pruned(part)
        self.name = b""
        self._field = b""
        self._kind = 0  # of the field that has begun; 0 while its name has not ended
        self._is_first = True
        self._is_value = False  # something of its value has come
        self._lines = 0  # of data

    def feed(self, piece: bytes) -> None:
        """
        The next bytes, with LF as the end of a line.
        """
        at, end = 0, len(piece)
        while at < end:
            line = piece.find(b"\n", at)
            stop = end if line < 0 else line
            if not self._kind:
                at = self._name(piece, at, stop, line >= 0)
            if self._kind:
                self._value(piece, at, stop)
            if line < 0:
                return
            self._kind = 0
            self._field = b""
            at = line + 1

    def _name(self, piece: bytes, at: int, stop: int, is_line: bool) -> int:
        colon = piece.find(b":", at, stop)
        end = stop if colon < 0 else colon
        if len(self._field) <= _MOST_NAME:
            self._field += piece[at : min(end, at + _MOST_NAME + 1)]
        if colon < 0 and not is_line:
            return stop
        name = self._field.removeprefix(_BYTE_ORDER_MARK) if self._is_first else self._field
        self._is_first = False
        self._kind = _DATA if name == b"data" else _EVENT if name == b"event" else _OTHER
        self._is_value = False
        if self._kind == _EVENT:
            self.name = b""
        elif self._kind == _DATA:
            if self._lines:
                self.data.feed(b"\n")
            self._lines += 1
        return end if colon < 0 else end + 1

    def _value(self, piece: bytes, at: int, stop: int) -> None:
        if at >= stop:
            return
        if not self._is_value:
            self._is_value = True
            if piece[at] == 32:
                at += 1
        if self._kind == _DATA:
            self.data.feed(piece[at:stop])
        elif self._kind == _EVENT and len(self.name) <= _MOST_NAME:
            self.name += piece[at : min(stop, at + _MOST_NAME)]
