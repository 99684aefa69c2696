"""
Work that is done in portions, one portion for each of those who have some, round and round.

Whoever has much to do would keep the reactor from all others for as long as it takes. Portions of some hundred
microseconds, of which one is done in a turn whatever the number of those who wait, keep it free; and after each of them
the reactor has as long for everything else, so that all of them together take half of its time and no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_log = Logger(namespace=__name__)

LONGEST_REST_S: Final = 0.02
"""However long a portion took, and whatever the clock says of it, the next one is not put off for longer."""


class Rounds:
    """
    Portions of work that wait for their turn.

    :param clock: what turns.
    """

    __slots__ = ("_clock", "_is_due", "_waiting")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def add(self, portion: Callable[[], None]) -> None:
        """
        Call `portion` in a later turn, after those that were added before it.
        """
        self._waiting.append(portion)
        self._come()

    def __len__(self) -> int:
        return len(self._waiting)

    def _come(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        began = self._clock.seconds()
        portion = self._waiting.popleft()
        try:
            portion()
        except Exception:
            _log.failure("A portion of work failed.")
        rest = min(max(self._clock.seconds() - began, 0.0), LONGEST_REST_S)
        # Also where none waits yet: those that are added meanwhile are to come after the rest.
        self._clock.callLater(rest, self._rested)

    def _rested(self) -> None:
        if self._waiting:
            self._turn()
        else:
            self._is_due = False
