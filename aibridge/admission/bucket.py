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

Note [Origins]: where nobody verifies tokens, whoever likes can make keys without end, and fill the table with them. So
a key may be added together with its **origin**, the address that it came from: one origin may hold as much of the table
as is still free, and no more. A single one that makes up keys ends with a half of it, `n` of them with an `n + 1`th
each, and there is always as much left for whoever comes from elsewhere (such thresholds are known from buffers that are
shared: Choudhury and Hahne, 1998). Beyond that the keys of an origin that have no entry share one bucket, which is the
origin's own. What a key has added there it takes along into an entry of its own, if that is made for the same origin;
whoever shows one key from several addresses that are over their shares is counted once at each of them, and together
as soon as the key has an entry.
"""

from __future__ import annotations

import math
from array import array

ROUNDING_S = 2e-8
"""
A wait up to this is rounding, not load: without it a client that waits exactly as long as it was told could be refused
again. Monotonic seconds of a year are known to 4e-9.
"""

ENTRY_BYTES = 196
"""
What an entry costs at most, its key not counted: 88 in the dictionary when that has just grown and 44 in the one it
grew out of, 24 for the number, 18 in each of two lists. Measured by a test.
"""

ORIGIN_BYTES = 280
"""The same of what is known of an origin."""

CELLS = 1024


class Origin:
    """
    What the keys of one origin have of a table. See Note [Origins].

    :ivar name: its own.
    :ivar entries: how many they have.
    :ivar used: bytes that those take, and what is known of the origin with them.
    :ivar empty_at: when the bucket will be empty that is shared by those without an entry.
    """

    __slots__ = ("empty_at", "entries", "name", "used")

    def __init__(self, name: str, used: int, empty_at: float) -> None:
        self.name = name
        self.entries = 0
        self.used = used
        self.empty_at = empty_at


Place = str | int | Origin
"""Where something was added: an entry, by its key; a cell, by its number; or what the keys of an origin share."""


class Buckets:
    """
    Leaky buckets by key, at most `size` of them, in at most `memory` bytes. See Note [Forgetting]; what is called
    `origin` is empty where keys are not made up, or else see Note [Origins].

    Rate and burst may differ from call to call (a reload changes them): a bucket that was filled under other terms is
    at most full under the new ones, so a raised limit helps at once.

    :param size: how many keys are remembered.
    :param memory: bytes that they may take, the keys themselves included.
    :param cells: how many buckets there are for all the keys that cannot be remembered.
    :ivar memory: may be changed; nothing is forgotten for it but what is empty.
    """

    __slots__ = ("_cells", "_count", "_empty_at", "_hand", "_keys", "_of", "_origins", "_size", "_used", "memory")

    def __init__(self, size: float = math.inf, memory: float = math.inf, cells: int = CELLS) -> None:
        self.memory = memory
        self._size = size
        self._used = 0
        self._empty_at: dict[str, float] = {}
        # Every key once, in no order, so that empty buckets are found by looking at a few keys at a time.
        self._keys: list[str] = []
        # Of each of them its origin, if it has one.
        self._of: list[Origin | None] = []
        self._origins: dict[str, Origin] = {}
        self._hand = 0
        self._count = cells
        self._cells: array[float] | None = None

    def take(self, key: str, now: float, rate: float, burst: float, cost: float = 1.0, origin: str = "") -> float:
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
        wait = self.wait_for(key, now, rate, burst, cost, origin)
        if not wait:
            self.fill(key, now, cost / rate, origin)
        return wait

    def wait_for(self, key: str, now: float, rate: float, burst: float, cost: float = 1.0, origin: str = "") -> float:
        """
        What `take` would return, without adding anything.
        """
        empty_at = self._empty_at.get(key)
        known = empty_at is not None
        if empty_at is None:
            empty_at = self._shared(key, origin)
        wait = (empty_at if empty_at > now else now) + (cost - burst) / rate - now
        if wait <= ROUNDING_S:
            return 0.0
        # A full bucket has room for `cost` after `cost / rate`; that much more than it was not filled at this rate. A
        # cell is others' too, who may have filled it at theirs.
        if known and wait - 1e-6 > cost / rate:
            self._empty_at[key] = now + burst / rate
            return cost / rate
        return wait

    def fill(self, key: str, now: float, seconds: float, origin: str = "") -> Place:
        """
        Add what takes `seconds` to leak, whether or not it fits.

        :return: where it was added.
        """
        empty_at = self._empty_at.get(key)
        if empty_at is None:
            empty_at = self._shared(key, origin)
            if not self._enter(key, now, origin):
                return self._fill_shared(key, now, seconds, origin)
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
        elif isinstance(place, Origin):
            place.empty_at = empty_at
        elif self._cells is not None:
            self._cells[place] = empty_at

    def take_back(self, key: str, now: float, since: float, seconds: float, origin: str = "") -> None:
        """
        Take out what was added to the bucket of `key` at `since` and takes `seconds` to leak, if it is not to count.

        All that has leaked in the meantime may have been of it, and is not taken out again: others that were let in
        have had that room. See Note [Low marks] in `aibridge.admission.charge` for what could be, and what it costs.
        """
        seconds -= now - since
        if seconds > 0:
            # One that was forgotten since had been empty, and so this would have leaked.
            self.put_back(key if key in self._empty_at else self._shared_place(key, origin), now, seconds)

    def empty_at(self, place: Place) -> float:
        """
        When a place will be empty; some time in the past if it is not there.
        """
        if isinstance(place, str):
            return self._empty_at.get(place, -math.inf)
        if isinstance(place, Origin):
            return place.empty_at
        return -math.inf if self._cells is None else self._cells[place]

    def seconds_left(self, key: str, now: float, origin: str = "") -> float:
        """
        After how many seconds the bucket that counts for `key` is empty.
        """
        empty_at = self._empty_at.get(key)
        if empty_at is None:
            empty_at = self._shared(key, origin)
        return empty_at - now if empty_at > now else 0.0

    def level(self, key: str, now: float, rate: float, origin: str = "") -> float:
        """
        How full the bucket is now, in requests.
        """
        return self.seconds_left(key, now, origin) * rate

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
        for origin in self._origins.values():
            if origin.empty_at > now:
                origin.empty_at = now + (origin.empty_at - now) * factor
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

    def _shared(self, key: str, origin: str) -> float:
        """
        When the bucket is empty that counts for a key without an entry.
        """
        if origin:
            known = self._origins.get(origin)
            if known is not None:
                return known.empty_at
        return -math.inf if self._cells is None else self._cells[hash(origin or key) % self._count]

    def _shared_place(self, key: str, origin: str) -> Place:
        known = self._origins.get(origin) if origin else None
        return hash(origin or key) % self._count if known is None else known

    def _fill_shared(self, key: str, now: float, seconds: float, origin: str) -> Place:
        place = self._shared_place(key, origin)
        if isinstance(place, Origin):
            place.empty_at = max(now, place.empty_at) + seconds
        elif isinstance(place, int):
            self._fill_cell(place, max(now, self._shared(key, origin)) + seconds)
        return place

    def _fill_cell(self, cell: int, empty_at: float) -> None:
        if self._cells is None:
            self._cells = array("d", [-math.inf]) * self._count
        self._cells[cell] = max(self._cells[cell], empty_at)

    def _enter(self, key: str, now: float, origin: str) -> bool:
        """
        Make room for an entry, which the caller adds then.

        :return: whether there was any.
        """
        # Two looks for each new key: the empty ones never are many more than the others, and nobody waits for a sweep.
        self._forget(now, 2)
        needed = _bytes_of(key)
        if not self._has_room(needed, origin):
            self._forget(now, 16)
            if not self._has_room(needed, origin):
                return False
        of = None
        # A table without bounds has room for everybody.
        if origin and (self.memory < math.inf or self._size < math.inf):
            of = self._origins.get(origin)
            if of is None:
                of = self._origins[origin] = Origin(origin, _bytes_of_origin(origin), self._shared(key, origin))
                self._used += of.used
            of.entries += 1
            of.used += needed
        self._keys.append(key)
        self._of.append(of)
        self._used += needed
        return True

    def _has_room(self, needed: int, origin: str) -> bool:
        entries, used = len(self._keys), self._used + needed
        if not origin:
            return entries < self._size and used <= self.memory
        known = self._origins.get(origin)
        if known is None:
            return entries < self._size and used + _bytes_of_origin(origin) <= self.memory
        return entries + known.entries < self._size and used + known.used <= self.memory

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
            freed = _bytes_of(key)
            self._used -= freed
            of, self._of[self._hand] = self._of[self._hand], self._of[-1]
            self._of.pop()
            keys[self._hand] = keys[-1]
            keys.pop()
            if of is not None:
                self._release(of, freed, now)

    def _release(self, origin: Origin, freed: int, now: float) -> None:
        """
        It has one entry less. After the last one what its keys have shared goes on in a cell.
        """
        origin.entries -= 1
        origin.used -= freed
        if not origin.entries:
            del self._origins[origin.name]
            self._used -= origin.used
            if origin.empty_at > now:
                self._fill_cell(hash(origin.name) % self._count, origin.empty_at)


def _bytes_of(key: str) -> int:
    # Not `sys.getsizeof`, which changes its mind when a text is encoded: what is counted has to be uncounted.
    return ENTRY_BYTES + _bytes_of_text(key)


def _bytes_of_origin(name: str) -> int:
    return ORIGIN_BYTES + _bytes_of_text(name)


def _bytes_of_text(text: str) -> int:
    return 64 + len(text) if text.isascii() else 80 + 4 * len(text)


def whole_seconds(wait: float) -> int:
    """
    A wait as ``Retry-After`` can say it (RFC 9110, 10.2.3): whole seconds, rounded up, at least 1.

    Never 0, which some SDKs take for an absent header. Not rounded up for what the buckets take for rounding.
    """
    return max(1, math.ceil(wait - ROUNDING_S / 2))
