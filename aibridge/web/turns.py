"""
The gate at work: `aibridge.admission.seats`, and the timer that it needs for those who wait.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from aibridge.admission.permit import Claim, Permit
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.errors import AtCapacity


class Turns:
    """
    Lets exchanges in, and sends away those that have waited for too long.

    :ivar seats: the gate itself.
    """

    __slots__ = ("_call", "_clock", "seats")

    def __init__(self, clock: IReactorTime, seats: Seats) -> None:
        self.seats = seats
        self._clock = clock
        self._call: IDelayedCall | None = None
        answers = seats.answers
        answers.later = lambda: clock.callLater(0, answers.go_on)

    def wait(self, claim: Claim, now: float) -> Permit | Deferred[Permit] | AtCapacity:
        """
        Wait for a permit, as `Seats.wait` has it.
        """
        entered = self.seats.wait(claim, now)
        # In shadow one has a permit already, and its place in the queue all the same.
        if self._call is None and not isinstance(entered, AtCapacity):
            self._watch(now)
        return entered

    def adopt(self, terms: SeatTerms, now: float) -> None:
        """
        Other terms, which hold for those who wait as well.
        """
        self.seats.adopt(terms, now)
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._watch(now)

    def _watch(self, now: float) -> None:
        due = self.seats.next_expiry()
        if due is not None:
            self._call = self._clock.callLater(max(0.0, due - now), self._expire)

    def _expire(self) -> None:
        self._call = None
        now = self._clock.seconds()
        self.seats.expire(now)
        self._watch(now)
