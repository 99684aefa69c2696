"""
When it is worth asking again: the ``Retry-After`` of a refusal for want of permits.

It is a forecast, not a promise: how long exchanges took lately, times how many come before the next one, divided by
how many are served at once. What it must be is never silly: not so soon that a crowd returns into the same crush, not
so late that an SDK gives up or sleeps for good, and not the same moment for everyone.

Note [The crowd outside]: those who were sent away come back, and a forecast that forgets them sends them all to the
same second, in which all but a few are refused again; an SDK gives up at the third time. So each one that is sent
away is told to come after those before it, at a third of the pace at which permits come back; two thirds are left to
those who come new.
"""

from __future__ import annotations

import math
from typing import Final

UNKNOWN_S: Final = 1.0
"""How long an exchange is taken to last before the first one has ended."""

_WEIGHT: Final = 1 / 32
"""What one more exchange counts in the mean: some thirty of them make it up."""

_PACE: Final = 1 / 3
"""See Note [The crowd outside]."""

_CROWD_S: Final = 20.0
"""By how much those sent away before lengthen the wait at most: some never come back, and some do not listen and are
sent away again and again."""

_SPREAD: Final = 0.25
"""At most this part of the wait is added to it, so that those refused together do not return together."""


class Forecast:
    """
    What one limit knows of how soon its permits come back.

    :ivar mean_s: how long exchanges took lately, an exponentially weighted mean; None before the first has ended.
    """

    __slots__ = ("_through_at", "mean_s")

    def __init__(self) -> None:
        self.mean_s: float | None = None
        # When the crowd outside is through.
        self._through_at = -math.inf

    def ended(self, service_s: float) -> None:
        """
        An exchange held its permit for so long.
        """
        mean = self.mean_s
        self.mean_s = service_s if mean is None else mean + (service_s - mean) * _WEIGHT

    def wait_s(self, ahead: int, permits: int) -> float:
        """
        Seconds until one who asks now may expect a permit.

        :param ahead: how many wait already.
        :param permits: how many are out at once when all are; at least 1.
        """
        mean = UNKNOWN_S if self.mean_s is None else self.mean_s
        return mean * (ahead + 1) / permits

    def sent_away_s(self, permits: int, now: float) -> float:
        """
        One more is sent away: seconds until its turn among those who come back.
        """
        step = self.wait_s(0, permits) / _PACE
        self._through_at = min(max(self._through_at, now) + step, now + _CROWD_S)
        return self._through_at - now


def retry_after(wait_s: float, chance: float, most_s: float) -> float:
    """
    The seconds that a refused client is told: whole ones, rounded up, at least 1; then a little more, by chance; never
    more than `most_s`.

    Under the cap, too, the answers differ: there the spread is taken off its end.

    :param wait_s: the forecast.
    :param chance: a random number, from 0 to 1.
    """
    told = max(1.0, math.ceil(wait_s - 1e-9)) if wait_s < most_s else most_s
    told = min(told, most_s / (1 + _SPREAD))
    return min(most_s, told * (1 + _SPREAD * chance))
