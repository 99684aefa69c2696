"""
How vendors count: what is left of a limit, and when there is more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

REQUESTS = "requests"
INPUT = "input tokens"
OUTPUT = "output tokens"
TOTAL = "tokens"

BUCKET = "bucket"
"""It fills steadily; when full, it holds what a period gives."""
FIXED = "fixed window"
"""All of it is there again when a period begins."""
SLIDING = "sliding window"
"""What was used a period ago is there again."""


@dataclass(frozen=True)
class Quota:
    """
    One limit of a vendor.

    :ivar counts: `REQUESTS`, `INPUT`, `OUTPUT` or `TOTAL`.
    :ivar shape: `BUCKET`, `FIXED` or `SLIDING`.
    :ivar reserves: output counts as allowed, by ``max_tokens``, when the request comes; else as it is produced.
    :ivar returns: of what was reserved, what was not produced is put back at the end.
    :ivar told: answers say how it stands.
    """

    counts: str
    amount: float
    shape: str = BUCKET
    period_s: float = 60.0
    reserves: bool = False
    returns: bool = False
    told: bool = True

    def level(self) -> Level:
        """
        It, of which nothing was used.
        """
        return _LEVELS[self.shape](self)


class Level:
    """
    How a quota stands.
    """

    def __init__(self, quota: Quota) -> None:
        self.quota = quota

    def left(self, now: float) -> float:
        """
        How much may be used now; below 0 if more was used than there is.
        """
        raise NotImplementedError

    def full_in(self, now: float) -> float:
        """
        After how many seconds all of it is there, if nothing is used.
        """
        raise NotImplementedError

    def wait_for(self, amount: float, now: float) -> float:
        """
        After how many seconds so much may be used, or all of it where that is less.
        """
        raise NotImplementedError

    def use(self, amount: float, now: float) -> None:
        """
        So much is used, whether or not it is there; a negative amount is put back.
        """
        raise NotImplementedError


class Bucket(Level):
    """
    A token bucket.
    """

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self._rate = quota.amount / quota.period_s
        self._left, self._at = quota.amount, 0.0

    def left(self, now: float) -> float:
        """
        What it holds.
        """
        self._left = min(self.quota.amount, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left

    def full_in(self, now: float) -> float:
        """
        Until it is full.
        """
        return (self.quota.amount - self.left(now)) / self._rate

    def wait_for(self, amount: float, now: float) -> float:
        """
        Until it holds so much.
        """
        return max(0.0, min(amount, self.quota.amount) - self.left(now)) / self._rate

    def use(self, amount: float, now: float) -> None:
        """
        It may hold less than nothing then.
        """
        self._left = min(self.quota.amount, self.left(now) - amount)


class Fixed(Level):
    """
    A window that begins anew.
    """

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self._window, self._used = 0.0, 0.0

    def left(self, now: float) -> float:
        """
        What is left of this window.
        """
        window = now // self.quota.period_s
        if window != self._window:
            self._window, self._used = window, 0.0
        return self.quota.amount - self._used

    def full_in(self, now: float) -> float:
        """
        Until the next window.
        """
        untouched = self.left(now) >= self.quota.amount
        return 0.0 if untouched else self._next(now)

    def wait_for(self, amount: float, now: float) -> float:
        """
        Likewise.
        """
        return 0.0 if self.left(now) >= min(amount, self.quota.amount) else self._next(now)

    def use(self, amount: float, now: float) -> None:
        """
        Of this window.
        """
        self.left(now)
        self._used = max(0.0, self._used + amount)

    def _next(self, now: float) -> float:
        return self.quota.period_s - now % self.quota.period_s


class Sliding(Level):
    """
    A window that ends now.
    """

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self._uses: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def left(self, now: float) -> float:
        """
        All but what was used within the last period.
        """
        uses = self._uses
        while uses and uses[0][0] <= now - self.quota.period_s:
            self._used -= uses.popleft()[1]
        if not uses:
            self._used = 0.0
        return self.quota.amount - self._used

    def full_in(self, now: float) -> float:
        """
        Until the last use is a period ago.
        """
        self.left(now)
        return self._uses[-1][0] + self.quota.period_s - now if self._uses else 0.0

    def wait_for(self, amount: float, now: float) -> float:
        """
        Until enough uses are a period ago.
        """
        lacking = min(amount, self.quota.amount) - self.left(now)
        if lacking <= 0:
            return 0.0
        for at, used in self._uses:
            lacking -= used
            if lacking <= 1e-9:
                return at + self.quota.period_s - now
        return self.full_in(now)

    def use(self, amount: float, now: float) -> None:
        """
        Remember it for a period.
        """
        self._uses.append((now, amount))
        self._used += amount


_LEVELS: dict[str, type[Level]] = {BUCKET: Bucket, FIXED: Fixed, SLIDING: Sliding}
