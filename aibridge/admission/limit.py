"""
What holds for one request under one policy, and how its bucket stands. Plain classes: one `State` is made for every
answer.
"""

from __future__ import annotations


class Limit:
    """
    What holds for a request under one policy. It does not change.

    :ivar rate: requests or tokens per second.
    :ivar burst: what the bucket holds.
    :ivar shadow: it refuses nothing.
    """

    __slots__ = ("burst", "counts_tokens", "name", "rate", "shadow")

    def __init__(self, name: str, counts_tokens: bool, rate: float, burst: float, shadow: bool) -> None:
        self.name = name
        self.counts_tokens = counts_tokens
        self.rate = rate
        self.burst = burst
        self.shadow = shadow


class State:
    """
    How a bucket stands at one moment.

    :ivar remaining: whole requests that would be admitted now, or tokens that one request may be estimated at.
    :ivar empty_in_s: seconds until the bucket is empty, if nothing is added.
    """

    __slots__ = ("empty_in_s", "limit", "remaining")

    def __init__(self, limit: Limit, remaining: int, empty_in_s: float) -> None:
        self.limit = limit
        self.remaining = remaining
        self.empty_in_s = empty_in_s

    @property
    def level(self) -> float:
        """
        How full the bucket is, in requests or tokens; above the burst when it is in debt.
        """
        return self.empty_in_s * self.limit.rate
