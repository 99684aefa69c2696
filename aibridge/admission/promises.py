"""
Who was told to come back when: room in a bucket that several callers have been sent away to wait for.

The wait that a bucket tells is exact for one caller. Ten who are refused together are all told the same, come back
together, and nine are refused again; a client that comes back twice, as SDKs do, gives up over an overload of three
requests. So those who are known to give up are told to come one after the other: each as if all that were told before
it had come by then. What is kept is, for each bucket, when it would be empty if they did.
"""

from __future__ import annotations

import math
from typing import Final

from aibridge.admission.bucket import ROUNDING_S

MOST_KEYS: Final = 4096
"""Buckets for which promises are remembered. Beyond it callers are told what the bucket alone says."""

MOST_APART_S: Final = 5.0
"""By how much a wait is lengthened at most for those who were told to come before: some never come."""

LATE_S: Final = 0.05
"""How late a caller may come without delaying the next one. A bucket that holds more than one request bears that by
itself; where it has to be empty for each, those who are told to come are so much further apart."""


class Promises:
    """
    The promises of one policy, by the key of the bucket. All times are as the buckets have them.
    """

    __slots__ = ("_empty_at", "_full_until")

    def __init__(self) -> None:
        self._empty_at: dict[str, float] = {}
        # Until then nothing in a full table can be forgotten.
        self._full_until = -math.inf

    def wait_for(self, key: str, now: float, left_s: float, cost_s: float, burst_s: float) -> float:
        """
        Seconds until a request fits if all come who were promised room; 0.0 or less if it does now.

        :param left_s: after how many seconds the bucket is empty as it is.
        :param cost_s: how long the request takes to leak.
        :param burst_s: the same of a full bucket.
        """
        return self._left_s(key, now, left_s, _apart(cost_s, burst_s)) + cost_s - burst_s

    def add(self, key: str, now: float, left_s: float, cost_s: float, burst_s: float, wait_s: float) -> None:
        """
        A caller is told to come in `wait_s`.

        If that is for the sake of another bucket, and this one is empty long before, nobody has to leave room for it.
        """
        apart_s = _apart(cost_s, burst_s)
        left_s = self._left_s(key, now, left_s, apart_s)
        table = self._empty_at
        if wait_s > left_s + ROUNDING_S or (key not in table and len(table) >= MOST_KEYS and not self._has_room(now)):
            return
        table[key] = now + left_s + cost_s + apart_s

    def _left_s(self, key: str, now: float, left_s: float, apart_s: float) -> float:
        promised_s = self._empty_at.get(key, now) - now
        # When all have come, what kept them apart is left over.
        return promised_s if promised_s > left_s + apart_s + ROUNDING_S else left_s

    def _has_room(self, now: float) -> bool:
        """
        Whether one more is allowed in a full table, after those whose time has passed are forgotten.
        """
        if now < self._full_until:
            return False
        table = self._empty_at
        for key in [key for key, empty_at in table.items() if empty_at <= now]:
            del table[key]
        if len(table) < MOST_KEYS:
            return True
        self._full_until = min(table.values())
        return False

    def __len__(self) -> int:
        return len(self._empty_at)


def _apart(cost_s: float, burst_s: float) -> float:
    return max(0.0, LATE_S - (burst_s - cost_s))
