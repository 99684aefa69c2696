"""
Many deadlines of one length on one timer.

A daemon with ten thousand open exchanges has ten thousand deadlines of each kind, nearly all of which are cancelled
or moved before they pass. One `callLater` for each costs more than relaying the bytes. Since all deadlines of a kind
are equally long, the order in which they were started is the order in which they pass, and a dictionary keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

Item = TypeVar("Item")

AT_ONCE: Final = 100
"""What follows from a deadline that has passed is a connection that is closed, or an answer."""


class Deadlines(Generic[Item]):
    """
    Calls `expired(item)` once `seconds` have passed since `start(item)`, unless it was started again or cancelled.

    Each operation costs constant time, and at most one delayed call is pending whatever the number of items. Where a
    crowd's deadlines pass together, `AT_ONCE` of them are told in each turn, so that what follows holds up nobody. A
    length of 0 means that there is no deadline: nothing ever expires.

    :param clock: the time and the timer; monotonic.
    :param seconds: how long every item has; may be changed, which holds for items started from then on. An item that
        was given less passes no earlier than those started before it.
    :param expired: called in the order in which the deadlines pass; it may start and cancel items.
    """

    __slots__ = ("_call", "_clock", "_due", "_expired", "seconds")

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[Item], None]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._expired = expired
        self._due: dict[Item, float] = {}
        self._call: IDelayedCall | None = None

    def start(self, item: Item) -> None:
        """
        Give `item` its full time from now, whether or not it had some left.
        """
        seconds = self.seconds
        due = self._due
        if item in due:
            del due[item]
        if not seconds:
            return
        due[item] = self._clock.seconds() + seconds
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._pass)

    def cancel(self, item: Item) -> None:
        """
        Forget `item`; it is no error if it was not there.
        """
        due = self._due
        if item in due:
            del due[item]

    def first(self) -> Item | None:
        """
        The item whose deadline passes first, or None if there is none.
        """
        return next(iter(self._due), None)

    def stop(self) -> None:
        """
        Forget everything, and leave no timer behind.
        """
        self._due.clear()
        call = self._call
        if call is not None and call.active():
            self._call = None
            call.cancel()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, item: Item) -> bool:
        return item in self._due

    def _pass(self) -> None:
        # `_call` stays set for as long as the items are told, so that one which is started meanwhile makes no timer of
        # its own: that would be set for its own time, and those due before it would wait for it.
        now = self._clock.seconds()
        due = self._due
        try:
            for _ in range(min(AT_ONCE, len(due))):
                if not due:
                    break
                item, at = next(iter(due.items()))
                if at > now:
                    break
                del due[item]
                self._expired(item)
        finally:
            # A callback that raises must not silence the deadlines behind it.
            self._call = None
            if due:
                at = next(iter(due.values()))
                self._call = self._clock.callLater(max(0.0, at - now), self._pass)
