"""
How many permits there are, and for whom.

Note [The kept share]: a request of the class `interactive` is **within its share** of a limit while those of its class
that are in flight or wait, itself included, are no more than the permits kept for them. The promise is that such a
request always gets a permit: at once, or, where there is a queue, as one of the next that come back.

A permit that is out cannot be called back. So what is kept may be lent to others only as far as whoever it is kept for
can wait for it instead: all of it if the queue is long enough, nothing if there is none. Lent to its end, and with
`lent` interactive requests waiting at most, each finds a place in the queue, because the sum of what all limits lend is
no more than the queue holds, and anybody else in it makes room. (Nobody does for a principal that fills the queue with
requests of its own.) And a permit that comes back goes to those within their share first, so that they wait for one
exchange to end, not for a turn. Beyond their share interactive requests take turns like others, with their weight.
"""

from __future__ import annotations

import enum
from typing import Final, Generic, TypeVar

from aibridge.admission.forecast import Forecast
from aibridge.admission.lanes import Line
from aibridge.admission.seatterms import SeatTerms

Item = TypeVar("Item")

_UNLIMITED: Final = 1 << 62


class Obstacle(enum.Enum):
    """
    What stood in the way of a refused request, as it is told.
    """

    DAEMON = "daemon"
    """All permits are out, or all but those kept for `interactive`."""
    PROVIDER = "provider"
    """All permits of its provider are, or all but those kept."""
    PRINCIPAL = "principal"
    """Its principal has as many in flight as it may."""
    QUEUE = "queue"
    """And the queue is full."""
    DISPLACED = "displaced"
    """It waited, and had to make room in the queue for another."""
    TIMEOUT = "timeout"
    """It waited, and for too long."""


class Pool(Generic[Item]):
    """
    The permits of one limit: a provider's, or the daemon's. Plain numbers; `Seats` alone changes them.

    :ivar limited: whether there is a limit at all.
    :ivar limit: most permits out.
    :ivar kept: of these, how many are kept for `interactive`.
    :ivar open: most permits that others have.
    :ivar in_use: permits that are out.
    :ivar interactive: of these, how many `interactive` has.
    :ivar beside: exchanges that run without a permit, because the limits are in shadow.
    :ivar waiting: requests in the queue that need one.
    :ivar interactive_waiting: of these, those of `interactive`.
    :ivar line: where those requests stand, at their provider's; its lanes are for others, and for `interactive`.
    :ivar held: how many of a provider's permits each principal has.
    """

    __slots__ = (
        "beside",
        "forecast",
        "held",
        "in_use",
        "interactive",
        "interactive_waiting",
        "kept",
        "limit",
        "limited",
        "line",
        "open",
        "waiting",
    )

    def __init__(self, terms: SeatTerms, limit: int) -> None:
        self.in_use = self.interactive = self.beside = self.waiting = self.interactive_waiting = 0
        self.forecast = Forecast()
        self.line: Line[Item] = Line()
        self.held = self.line.held
        self.adopt(terms, limit)

    def adopt(self, terms: SeatTerms, limit: int) -> None:
        """
        Another limit; what is out stays out.
        """
        self.limited = limit > 0
        if self.limited:
            self.limit, self.kept = limit, terms.kept(limit)
            self.open = limit - self.kept + terms.lent(limit)
        else:
            self.limit = self.kept = self.open = _UNLIMITED

    def has_room(self, interactive: bool) -> bool:
        """
        Whether one more permit may go out, to one of `interactive` or to another.
        """
        return self.in_use < self.limit and (interactive or self.in_use - self.interactive < self.open)

    def in_share(self, more: int = 0) -> bool:
        """
        Whether `interactive`, with so many more requests than there are, is within its share.
        """
        return self.interactive + self.interactive_waiting + more <= self.kept

    def retry_s(self, interactive: bool, now: float) -> float:
        """
        When one who is sent away now, for want of a permit of this limit, may expect one; it counts as sent away.
        """
        permits = max(1, self.limit if interactive else min(self.limit, self.open))
        return self.forecast.wait_s(self.waiting, permits) + self.forecast.sent_away_s(permits, now)

    @property
    def is_idle(self) -> bool:
        """
        Whether nobody would miss it.
        """
        return not (self.in_use or self.beside or self.waiting)
