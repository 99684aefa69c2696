"""
Charges of tokens: an estimate at first, corrected by what was used.

What a request will use is known when its answer ends. Until then its bucket holds an estimate. The correction has to
leave the bucket as if the right amount had been added at first; but what has leaked since cannot be taken out, and
what others have added must not be.

Note [Low marks]: say that a charge was `d` too large, and that the least level its bucket has had since is `m`. Had
the charge been right, every level since would have been lower by `d`, except that none falls below 0: where the level
came down to less than `d`, only that much of the leak was owed to the excess, and what others added later stands on
the floor and not on it. So the level now would be lower by the lesser of `d` and `m`, and that is what is put back.
The level is least just before something is added, and now; a bucket with open charges therefore keeps the levels
before each addition, without those that a later one undercut, since the least level since any addition is the first
that is left after it. Once something is put back, the levels since are that much lower too.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from aibridge.admission.bucket import ROUNDING_S, Buckets, Place

MOST_MARKS = 256

MOST_TOKENS = 100_000_000
"""No request uses more; a provider that tells a number beyond it must not close a bucket for a year."""


class _LowMarks:
    """
    The least levels of one bucket since each of its open charges, in seconds of leak. See Note [Low marks].

    :ivar open: charges that are not settled.
    """

    __slots__ = ("_levels", "_numbers", "_seen", "open")

    def __init__(self) -> None:
        self.open = 0
        self._seen = 0
        self._numbers: list[int] = []
        self._levels: list[float] = []

    def add(self, level: float) -> int:
        """
        Something is added to a bucket that was at `level`.

        :return: the number of what is added.
        """
        numbers, levels = self._numbers, self._levels
        while levels and levels[-1] >= level:
            numbers.pop()
            levels.pop()
        numbers.append(self._seen)
        levels.append(level)
        if len(levels) > MOST_MARKS:
            # Of two neighbours the lower level stands for both: less may be put back, never more.
            self._numbers, self._levels = numbers[1::2] + numbers[-1:], levels[:-1:2] + levels[-1:]
        self._seen += 1
        return self._seen - 1

    def put_back(self, number: int, excess: float, level: float) -> float:
        """
        How much can be put back for something that was added, and take note that it is.

        :param excess: by how much it was too large.
        :param level: of the bucket now.
        """
        numbers, levels = self._numbers, self._levels
        since = bisect_left(numbers, number + 1)
        after = levels[since:]
        back = min(excess, level, after[0]) if after else min(excess, level)
        if after and back > 0:
            after = [mark - back for mark in after]
            levels[since:] = after
            before = since
            while before and levels[before - 1] >= after[0]:
                before -= 1
            del numbers[before:since], levels[before:since]
        return back

    def stretch(self, factor: float) -> None:
        """
        Follow `Buckets.stretch`.
        """
        self._levels = [level * factor for level in self._levels]

    def __len__(self) -> int:
        return len(self._levels)


class Charges:
    """
    Leaky buckets of tokens by key, whose additions can be corrected once.

    :param buckets: where the levels are kept; nobody else fills them.
    :param rate: tokens that leak in a second.
    """

    __slots__ = ("_buckets", "_marks", "_rate")

    def __init__(self, buckets: Buckets, rate: float) -> None:
        self._buckets = buckets
        self._rate = rate
        self._marks: dict[Place, _LowMarks] = {}

    @property
    def rate(self) -> float:
        """
        Tokens that leak in a second.
        """
        return self._rate

    def set_rate(self, rate: float, now: float) -> None:
        """
        Let another number of tokens leak from now on; the levels, debts among them, stay what they are.
        """
        if rate != self._rate:
            factor = self._rate / rate
            self._buckets.stretch(now, factor)
            for marks in self._marks.values():
                marks.stretch(factor)
            self._rate = rate

    def wait_for(self, key: str, now: float, burst: float, tokens: float, origin: str = "") -> float:
        """
        Seconds until so many tokens fit; 0.0 if they do now.

        More than the bucket holds fit when it is empty: a request that is estimated to need more than anybody may use
        at once has to wait for the longest, but not for ever.
        """
        needed = tokens if tokens < burst else burst
        wait = self._buckets.seconds_left(key, now, origin) + (needed - burst) / self._rate
        return wait if wait > ROUNDING_S else 0.0

    def charge(self, key: str, now: float, burst: float, tokens: float, origin: str = "") -> Charge:
        """
        Add an estimate, but no more than fills an empty bucket.

        A client chooses what it asks for, and must not close a bucket that others share, for as long as it likes, by
        asking for a thousand times what there is. What it uses beyond is added when it is known.
        """
        if tokens > burst:
            tokens = burst
        place, level = self._fill(key, now, tokens, origin)
        marks = self._marks.get(place)
        if marks is None:
            marks = self._marks[place] = _LowMarks()
        marks.open += 1
        return Charge(self, key, origin, place, marks, marks.add(level), tokens)

    def tokens_left(self, key: str, now: float) -> float:
        """
        How many tokens are in the bucket that counts for `key`.
        """
        return self._buckets.seconds_left(key, now) * self._rate

    def correct(self, charge: Charge, used: float, now: float) -> None:
        """
        Correct a charge that is open; for `Charge` alone, which sees to it that this is done once.
        """
        marks, place = charge.marks, charge.place
        excess = charge.tokens - used
        if excess > 0:
            left = max(0.0, self._buckets.empty_at(place) - now)
            back = marks.put_back(charge.number, excess / self._rate, left)
            self._buckets.put_back(place, now, back)
        elif excess < 0:
            beyond, level = self._fill(charge.key, now, -excess, charge.origin)
            others = self._marks.get(beyond)
            if others is not None:
                others.add(level)
        marks.open -= 1
        if not marks.open:
            del self._marks[place]

    def __len__(self) -> int:
        """
        How many buckets have open charges.
        """
        return len(self._marks)

    def _fill(self, key: str, now: float, tokens: float, origin: str) -> tuple[Place, float]:
        """
        Where it was added, and the level before, in seconds.
        """
        buckets = self._buckets
        level = buckets.seconds_left(key, now, origin)
        known = buckets.empty_at(key)
        place = buckets.fill(key, now, tokens / self._rate, origin)
        if place is key and known == -math.inf:
            # An entry that is new begins where its cell stands. For charges that were made before the last one of this
            # key was forgotten, it has been empty meanwhile.
            level = 0.0
        return place, level


class Charge:
    """
    What one request was charged in one bucket, open until it is settled.

    :ivar tokens: that it was charged at first.
    """

    __slots__ = ("_charges", "_is_open", "key", "marks", "number", "origin", "place", "tokens")

    def __init__(
        self, charges: Charges, key: str, origin: str, place: Place, marks: _LowMarks, number: int, tokens: float
    ) -> None:
        self._charges = charges
        self._is_open = True
        self.key = key
        self.origin = origin
        self.place = place
        self.marks = marks
        self.number = number
        self.tokens = tokens

    def settle(self, used: float, now: float) -> None:
        """
        Charge what was used instead of what was charged at first. Only the first call counts.

        What was used beyond is added, whether or not it fits: the bucket is in debt then, and later requests wait until
        that has leaked. What was charged in excess is put back as far as it has not leaked, and is not what others have
        added since.
        """
        if self._is_open:
            self._is_open = False
            self._charges.correct(self, min(max(0.0, used), MOST_TOKENS), now)
