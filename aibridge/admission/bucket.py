"""
Leaky buckets as meters.

A bucket holds `burst` requests and leaks `rate` of them a second. A request fits if the level, once it has been
added, is not above `burst`; then it is added. No sweeper drains the buckets: the level as of a time tells the level
at any later one. What is stored is the time at which the bucket would be empty, one number for each key, so that a
bucket nobody uses is an entry nobody needs (the form is known as GCRA, ITU-T I.371 annex A).

Note [Forgetting]: a table that is bounded has to forget, and whoever is forgotten starts with an empty bucket. So the
only buckets that are forgotten are those that are empty now: to their owners nothing changes. When a table is full of
others, keys that have no entry share **cells**, buckets each of which stands for every key that hashes to it. A key
without an entry never has more in its own bucket, if it had one, than is in its cell, since everything it adds goes
there; and a key that gets an entry later takes the level of its cell along. So no key is ever let past its limit,
whatever the number of keys; those who come while a table is full of busy ones may be refused for what others did.
"""

from __future__ import annotations

import math
from array import array

ROUNDING_S = 2e-8
"""
A wait up to this is rounding, not load: without it a client that waits exactly as long as it was told could be refused
again. Monotonic seconds of a year are known to 4e-9.
"""

ENTRY_BYTES = 176
"""
What an entry costs at most, its key not counted: 88 in the dictionary when that has just grown and 44 in the one it
grew out of, 24 for the number, 18 in the list of keys. Measured by a test.
"""

CELLS = 1024

Place = str | int
"""Where something was added: an entry, by its key, or a cell, by its number."""


class Buckets:
    """
    Leaky buckets by key, at most `size` of them, in at most `memory` bytes. See Note [Forgetting].

    Rate and burst may differ from call to call (a reload changes them): a bucket that was filled under other terms is
    at most full under the new ones, so a raised limit helps at once.

    :param size: how many keys are remembered.
    :param memory: bytes that they may take, the keys themselves included.
    :param cells: how many buckets there are for all the keys that cannot be remembered.
    :ivar memory: may be changed; nothing is forgotten for it but what is empty.
    """

    __slots__ = ("_cells", "_count", "_empty_at", "_hand", "_keys", "_size", "_used", "memory")

    def __init__(self, size: float = math.inf, memory: float = math.inf, cells: int = CELLS) -> None:
        self.memory = memory
        self._size = size
        self._used = 0
        self._empty_at: dict[str, float] = {}
        # Every key once, in no order, so that empty buckets are found by looking at a few keys at a time.
        self._keys: list[str] = []
        self._hand = 0
        self._count = cells
        self._cells: array[float] | None = None

    def take(self, key: str, now: float, rate: float, burst: float, cost: float = 1.0) -> float:
        """
        Add `cost` to the bucket if it fits.

        :param now: monotonic seconds.
        :param rate: what leaks in a second; above 0.
        :param burst: what the bucket holds; at least `cost`.
        :return: 0.0 when it was added; else nothing was, and this many seconds from now it would fit if nobody else
            took the room.
        """
        empty_at = self._empty_at.get(key)
        if empty_at is not None:
            if empty_at < now:
                empty_at = now
            if empty_at + (cost - burst) / rate - now <= ROUNDING_S:
                self._empty_at[key] = empty_at + cost / rate
                return 0.0
        wait = self.wait_for(key, now, rate, burst, cost)
        if not wait:
            self.fill(key, now, cost / rate)
        return wait

    def wait_for(self, key: str, now: float, rate: float, burst: float, cost: float = 1.0) -> float:
        """
        What `take` would return, without adding anything.
        """
        empty_at = self._empty_at.get(key)
        known = empty_at is not None
        if empty_at is None:
            empty_at = self._of_cell(key)
        wait = (empty_at if empty_at > now else now) + (cost - burst) / rate - now
        if wait <= ROUNDING_S:
            return 0.0
        # A full bucket has room for `cost` after `cost / rate`; that much more than it was not filled at this rate. A
        # cell is others' too, who may have filled it at theirs.
        if known and wait - 1e-6 > cost / rate:
            self._empty_at[key] = now + burst / rate
            return cost / rate
        return wait

    def fill(self, key: str, now: float, seconds: float) -> Place:
        """
        Add what takes `seconds` to leak, whether or not it fits.

        :return: where it was added.
        """
        empty_at = self._empty_at.get(key)
        if empty_at is None:
            if not self._find_room(key, now):
                return self._fill_cell(key, now, seconds)
            self._keys.append(key)
            self._used += _bytes_of(key)
            empty_at = self._of_cell(key)
        self._empty_at[key] = (empty_at if empty_at > now else now) + seconds
        return key

    def put_back(self, place: Place, now: float, seconds: float) -> None:
        """
        Take out what takes `seconds` to leak, or all there is if that is less.

        :param place: as `fill` told it. An entry that has been forgotten since was empty, and stays so.
        """
        empty_at = self.empty_at(place)
        if empty_at <= now:
            return
        empty_at = max(now, empty_at - seconds)
        if isinstance(place, str):
            self._empty_at[place] = empty_at
        elif self._cells is not None:
            self._cells[place] = empty_at

    def take_back(self, key: str, now: float, since: float, seconds: float) -> None:
        """
        Take out what was added to the bucket of `key` at `since` and takes `seconds` to leak, if it is not to count.

        All that has leaked in the meantime may have been of it, and is not taken out again: others that were let in
        have had that room. See Note [Low marks] in `aibridge.admission.charge` for what could be, and what it costs.
        """
        seconds -= now - since
        if seconds > 0:
            # One that was forgotten since had been empty, and so this would have leaked.
            self.put_back(key if key in self._empty_at else hash(key) % self._count, now, seconds)

    def empty_at(self, place: Place) -> float:
        """
        When an entry or a cell will be empty; some time in the past if it is not there.
        """
        if isinstance(place, str):
            return self._empty_at.get(place, -math.inf)
        return -math.inf if self._cells is None else self._cells[place]

    def seconds_left(self, key: str, now: float) -> float:
        """
        After how many seconds the bucket that counts for `key` is empty.
        """
        empty_at = self._empty_at.get(key)
        if empty_at is None:
            empty_at = self._of_cell(key)
        return empty_at - now if empty_at > now else 0.0

    def level(self, key: str, now: float, rate: float) -> float:
        """
        How full the bucket is now, in requests.
        """
        return self.seconds_left(key, now) * rate

    def sample(self, now: float, most: int) -> list[float]:
        """
        After how many seconds buckets are empty that are not: all of them, or `most` of them, evenly chosen.
        """
        keys, table = self._keys, self._empty_at
        chosen = keys[:: max(1, -(-len(keys) // most))]
        return [table[key] - now for key in chosen if table[key] > now]

    def stretch(self, now: float, factor: float) -> None:
        """
        Let every bucket take `factor` times as long to be empty: the same levels at another rate.

        It costs time for every key, and is for reloads alone.
        """
        table = self._empty_at
        for key, empty_at in table.items():
            if empty_at > now:
                table[key] = now + (empty_at - now) * factor
        if self._cells is not None:
            self._cells = array("d", (now + (at - now) * factor if at > now else at for at in self._cells))

    @property
    def bytes_used(self) -> int:
        """
        Bytes that the entries are counted as, which is no less than they take.
        """
        return self._used

    def __len__(self) -> int:
        return len(self._empty_at)

    def _of_cell(self, key: str) -> float:
        return -math.inf if self._cells is None else self._cells[hash(key) % self._count]

    def _fill_cell(self, key: str, now: float, seconds: float) -> int:
        if self._cells is None:
            self._cells = array("d", [-math.inf]) * self._count
        cell = hash(key) % self._count
        self._cells[cell] = max(now, self._cells[cell]) + seconds
        return cell

    def _find_room(self, key: str, now: float) -> bool:
        # Two looks for each new key: the empty ones never are many more than the others, and nobody waits for a sweep.
        self._forget(now, 2)
        needed = _bytes_of(key)
        if len(self._keys) < self._size and self._used + needed <= self.memory:
            return True
        self._forget(now, 16)
        return len(self._keys) < self._size and self._used + needed <= self.memory

    def _forget(self, now: float, looks: int) -> None:
        """
        Look at the next few keys in turn, and forget those whose buckets are empty.
        """
        keys, table = self._keys, self._empty_at
        for _ in range(looks):
            if self._hand >= len(keys):
                self._hand = 0
                if not keys:
                    return
            key = keys[self._hand]
            if table[key] > now:
                self._hand += 1
                continue
            del table[key]
            self._used -= _bytes_of(key)
            keys[self._hand] = keys[-1]
            keys.pop()


def _bytes_of(key: str) -> int:
    # Not `sys.getsizeof`, which changes its mind when a text is encoded: what is counted has to be uncounted.
    return ENTRY_BYTES + (64 + len(key) if key.isascii() else 80 + 4 * len(key))


def whole_seconds(wait: float) -> int:
    """
    A wait as ``Retry-After`` can say it (RFC 9110, 10.2.3): whole seconds, rounded up, at least 1.

    Never 0, which some SDKs take for an absent header. Not rounded up for what the buckets take for rounding.
    """
    return max(1, math.ceil(wait - ROUNDING_S / 2))
