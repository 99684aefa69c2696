"""
Who was told to come back when: room in a bucket that several callers have been sent away to wait for.

The wait that a bucket tells is exact for one caller. Ten who are refused together are all told the same, come back
together, and nine are refused again; a client that comes back twice, as SDKs do, gives up over an overload of three
requests. So those who are known to give up are told to come one after the other: each as if all that were told before
it had come by then. What is kept is, for each bucket, when it would be empty if they did.
"""

from __future__ import annotations

from typing import Final

MOST_KEYS: Final = 4096
"""Buckets for which promises are remembered. Beyond it callers are told what the bucket alone says."""

MOST_APART_S: Final = 5.0
"""By how much a wait is lengthened at most for those who were told to come before: some never come."""


class Promises:
    """
    The promises of one policy, by the key of the bucket. All times are as the buckets have them.
    """

    __slots__ = ("_empty_at",)

    def __init__(self) -> None:
        self._empty_at: dict[str, float] = {}

    def wait_for(self, key: str, now: float, left_s: float, cost_s: float, burst_s: float) -> float:
        """
        Seconds until a request fits if all come who were promised room; 0.0 or less if it does now.

        :param left_s: after how many seconds the bucket is empty as it is.
        :param cost_s: how long the request takes to leak.
        :param burst_s: the same of a full bucket.
        """
        return max(left_s, self._empty_at.get(key, now) - now) + cost_s - burst_s

    def add(self, key: str, now: float, left_s: float, cost_s: float, wait_s: float) -> None:
        """
        A caller is told to come in `wait_s`.
        """
        table = self._empty_at
        before = table.get(key)
        if before is None:
            if len(table) >= MOST_KEYS:
                self._forget(now)
            if len(table) >= MOST_KEYS:
                return
            before = now
        table[key] = max(now + left_s, now + wait_s, before) + cost_s

    def _forget(self, now: float) -> None:
        for key in [key for key, empty_at in self._empty_at.items() if empty_at <= now]:
            del self._empty_at[key]

    def __len__(self) -> int:
        return len(self._empty_at)
