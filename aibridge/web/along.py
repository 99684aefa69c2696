"""
A copy of an answer for each of those who read it.
"""

from __future__ import annotations

from aibridge.dialects.decoding import Decoding, TooMuch, Undecodable
from aibridge.dialects.made import Made
from aibridge.relay.pump import Reader


class Along:
    """
    Gives each piece to both.

    :param reader: of what the answer has cost, or None.
    :param made: of the ids in it.
    :param decoding: what undoes the answer's content encoding for it, if there is one.
    """

    __slots__ = ("_decoding", "_is_over", "_made", "_reader", "_reads_on")

    def __init__(self, reader: Reader | None, made: Made, decoding: Decoding | None = None) -> None:
        self._made = made
        self._reader = reader
        self._decoding = decoding
        self._reads_on = False
        self._is_over = False

    def feed(self, data: bytes) -> bool:
        """
        A piece.

        :return: whether there is more to be done, by `go_on`.
        """
        # First, as it can be used as soon as the client has it.
        decoding = self._decoding
        if decoding is None:
            self._made.feed(data)
        elif not self._is_over:
            decoding.give(data)
            self._undo()
        if self._reader is not None:
            self._reads_on = self._reader.feed(data)
        return self._goes_on

    def go_on(self) -> bool:
        """
        Do the next of what is to be done.
        """
        self._undo()
        if self._reads_on and self._reader is not None:
            self._reads_on = self._reader.go_on()
        return self._goes_on

    @property
    def _goes_on(self) -> bool:
        decoding = self._decoding
        return self._reads_on or (decoding is not None and not self._is_over and decoding.is_busy)

    def _undo(self) -> None:
        decoding = self._decoding
        if decoding is None or self._is_over or not decoding.is_busy:
            return
        try:
            data = decoding.run()
        except (Undecodable, TooMuch):
            self._is_over = True
            return
        if data:
            self._made.feed(data)
