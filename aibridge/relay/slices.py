"""
Work that may take long, done in slices between which everything else goes on.

What somebody sends may cost far more to be read than its bytes do: a few of them can stand for megabytes. Reading is
in nobody's way, and must not be in everybody's either. So it is done in steps of which each is short; what takes more
than a moment goes on in later turns of the reactor, and all who have something left to do share one slice of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

AT_ONCE_S: Final = 0.002
"""What may be done at once. Nearly all takes a hundredth of it."""

TURN_S: Final = 0.004
"""What is done in one turn of the reactor for all that are not done. A turn is to be over within 0.05 s."""

_log = Logger(namespace=__name__)


class Work(Protocol):
    """
    What can be done step by step.
    """

    def go_on(self) -> bool:
        """
        Do the next step, of a millisecond or two at most.

        :return: whether there is more to do.
        """


class Slices:
    """
    Does work as soon as it can be done without keeping others waiting.

    :param clock: its seconds are monotonic.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Work, Callable[[], None]]] = deque()

    def __len__(self) -> int:
        """
        How many have something left to do.
        """
        return len(self._waiting)

    def do(self, work: Work, done: Callable[[], None]) -> bool:
        """
        Do it, at once if that takes but a moment.

        :param done: called later, if there is something left to do now; never, once it was told to `forget`.
        :return: whether it is done; then `done` is not called.
        """
        seconds = self._clock.seconds
        if not self._waiting:
            end = seconds() + AT_ONCE_S
            while work.go_on():
                if seconds() >= end:
                    break
            else:
                return True
            self._clock.callLater(0, self._turn)
        self._waiting.append((work, done))
        return False

    def forget(self, work: Work) -> None:
        """
        Nobody needs it any more.
        """
        for index, (each, _) in enumerate(self._waiting):
            if each is work:
                del self._waiting[index]
                return

    def _turn(self) -> None:
        seconds, waiting = self._clock.seconds, self._waiting
        end = seconds() + TURN_S
        while waiting:
            each = waiting.popleft()
            try:
                if each[0].go_on():
                    waiting.append(each)
                else:
                    each[1]()
            except Exception:
                _log.failure("What is done in slices has failed.")
            if seconds() >= end:
                break
        if waiting:
            self._clock.callLater(0, self._turn)
