"""
How many permits there are, and for whom.

Note [The kept share]: a request of the class `interactive` is **within its share** of a limit while those of its class
that are in flight or wait, itself included, are no more than the permits kept for them. The promise is that such a
request always gets a permit: at once, or, where there is a queue, as one of the next that come back.

A permit that is out cannot be called back. So what is kept may be lent to others only as far as whoever it is kept for
can wait for it instead: all of it if the queue is long enough, nothing if there is none. Lent to its end, and with
`lent` interactive requests waiting at most, each finds a place in the queue, because the sum of what all limits lend is
no more than the queue holds, and anybody else in it makes room. And a permit that comes back goes to those within
their share first, so that they wait for one exchange to end, not for a turn. Beyond their share interactive requests
take turns like others, with their weight.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import attrs

from aibridge.admission.fair import Lane
from aibridge.admission.forecast import Forecast
from aibridge.model import Class

Item = TypeVar("Item")

WEIGHTS: Final[Mapping[Class, float]] = MappingProxyType({Class.INTERACTIVE: 4.0, Class.DEFAULT: 2.0, Class.BATCH: 1.0})

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


@attrs.frozen(kw_only=True)
class SeatTerms:
    """
    What holds at the gate; replaced as a whole by a reload.

    :ivar max_concurrency: most permits out at once; 0 is no limit.
    :ivar providers: the same for each provider; one that is not named has no limit.
    :ivar queue_size: most requests that wait; 0: none does, and a full gate refuses at once.
    :ivar queue_timeout_s: how long one may wait.
    :ivar interactive_share: part of each limit that is kept for the class `interactive`, rounded down to whole
        permits; see Note [The kept share].
    :ivar weights: how much of what there is a principal of each class gets; all classes, all above 0.
    :ivar max_retry_after_s: the longest wait that a refused client is told.
    :ivar shadow: nobody waits and nobody is refused, but those who would have been are counted.
    """

    max_concurrency: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    providers: Mapping[str, int] = attrs.field(factory=dict)
    queue_size: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    queue_timeout_s: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    interactive_share: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    weights: Mapping[Class, float] = attrs.field(default=WEIGHTS)
    max_retry_after_s: float = attrs.field(default=45.0, validator=attrs.validators.gt(0))
    shadow: bool = False

    @providers.validator
    def _no_provider_below_zero(self, _: object, value: Mapping[str, int]) -> None:
        if any(limit < 0 for limit in value.values()):
            raise ValueError("a provider's limit is below 0")

    @weights.validator
    def _all_classes_weigh(self, _: object, value: Mapping[Class, float]) -> None:
        if set(value) != set(Class) or not all(weight > 0 for weight in value.values()):
            raise ValueError("each class has a weight above 0")

    def kept(self, limit: int) -> int:
        """
        Permits of a limit that are kept for `interactive`.
        """
        # A share such as 0.29 of 100 is 28.999999999999996 in floating point.
        return math.floor(limit * self.interactive_share + 1e-9)

    def lent(self, limit: int) -> int:
        """
        Those of them that others may have while they are idle; see Note [The kept share].
        """
        kept = self.kept(limit)
        if not kept:
            return 0
        all_kept = sum(map(self.kept, (self.max_concurrency, *self.providers.values())))
        return min(kept, self.queue_size * kept // max(kept, all_kept))


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
    :ivar lanes: where those requests stand, see `aibridge.admission.fair`: others, and those of `interactive`.
    """

    __slots__ = (
        "beside",
        "forecast",
        "in_use",
        "interactive",
        "interactive_waiting",
        "kept",
        "lanes",
        "limit",
        "limited",
        "open",
        "waiting",
    )

    def __init__(self, terms: SeatTerms, limit: int) -> None:
        self.in_use = self.interactive = self.beside = self.waiting = self.interactive_waiting = 0
        self.forecast = Forecast()
        self.lanes: tuple[Lane[Item], Lane[Item]] = (Lane(), Lane())
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
