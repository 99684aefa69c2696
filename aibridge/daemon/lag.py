"""
How punctual the reactor is.

Two numbers, since they have different causes. **Lag** is by how much something that was due came too late, whatever
held it up: a turn that took long, or a machine that gave the process no time. The time that a **turn** took counts the
processor alone, so it is the daemon's own doing: whatever else runs on the machine, a turn above a few hundredths of a
second is a mistake of ours.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

EVERY_S = 0.1


class Lag:
    """
    Sets an alarm over and over, and tells how late each was.

    :param observe: told seconds, once for each `EVERY_S`.
    """

    __slots__ = ("_clock", "_due", "_observe")

    def __init__(self, clock: IReactorTime, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._due = 0.0

    def start(self) -> None:
        """
        From now on, for as long as the clock goes.
        """
        self._due = self._clock.seconds() + EVERY_S
        self._clock.callLater(EVERY_S, self._rang)

    def _rang(self) -> None:
        self._observe(max(0.0, self._clock.seconds() - self._due))
        self.start()
