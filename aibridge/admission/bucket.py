"""
Leaky buckets as meters.

A bucket holds `burst` requests and leaks `rate` of them a second. A request fits if the level, once it has been
added, is not above `burst`; then it is added. No sweeper drains the buckets: the level as of a time tells the level
at any later one. What is stored is the time at which the bucket would be empty, one number for each key, so that a
bucket nobody uses is an entry nobody needs (the form is known as GCRA, ITU-T I.371 annex A).
"""

from __future__ import annotations

import math


class Buckets:
    """
    Leaky buckets by key, at most `size` of them.

    Beyond that the one unused for longest goes. With more keys at work at once than `size` allows, a key may come
    back to an empty bucket: `size` has to cover the principals there are, and unverified keys (addresses) belong in
    a table of their own.

    Rate and burst may differ from call to call (a reload changes them): a bucket that was filled under other terms is
    at most full under the new ones, so a raised limit helps at once.

    :param size: how many keys are remembered.
    """

    __slots__ = ("_empty_at", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._empty_at: dict[str, float] = {}

    def take(self, key: str, now: float, rate: float, burst: float, cost: float = 1.0) -> float:
        """
        Add `cost` to the bucket if it fits.

        :param now: monotonic seconds.
        :param rate: what leaks in a second; above 0.
        :param burst: what the bucket holds; at least `cost`.
        :return: 0.0 when it was added; else nothing was, and this many seconds from now it would fit if nobody else
            took the room.
        """
        empty_at = self._empty_at.pop(key, now)
        if empty_at < now:
            empty_at = now
        wait = empty_at + (cost - burst) / rate - now
        # Twenty nanoseconds are rounding, not load: without this a client that waits exactly as long as it was told
        # could be refused again.
        if wait > 2e-8:
            # A full bucket has room for `cost` after `cost / rate`; that much more than it was not filled at this rate.
            if wait - 1e-6 > cost / rate:
                wait, empty_at = cost / rate, now + burst / rate
            self._empty_at[key] = empty_at
            return wait
        self._empty_at[key] = empty_at + cost / rate
        if len(self._empty_at) > self._size:
            del self._empty_at[next(iter(self._empty_at))]
        return 0.0

    def level(self, key: str, now: float, rate: float) -> float:
        """
        How full the bucket is now, in requests.
        """
        return max(0.0, (self._empty_at.get(key, now) - now) * rate)

    def __len__(self) -> int:
        return len(self._empty_at)


def whole_seconds(wait: float) -> int:
    """
    A wait as ``Retry-After`` can say it (RFC 9110, 10.2.3): whole seconds, rounded up, at least 1.

    Never 0, which some SDKs take for an absent header.
    """
    return max(1, math.ceil(wait - 1e-9))
