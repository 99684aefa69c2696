"""
Which look-up goes next, of many that cannot all be on their way at once. Pure.

Note [Lanes]: there is a lane for tokens that were good lately, and one for those that nobody knows. Each may take all
places but those that are kept for the other, so that no number of unknown tokens, and no deployment that is slow to
refuse them, delays those who have been here; nor the other way round.

Note [Turns]: within a lane look-ups take turns by who asks for them: in that of unknown tokens by site and then by
address, as addresses of one site cost nothing; in the other one by principal. Each has a share of what may be on its
way at once. So a newcomer waits for one turn of each of the others that are there, however many each of them has asked
for. When too many wait, the last one goes of whoever has most waiting.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

MOST_AT_ONCE: Final = 64
"""Look-ups on their way at once."""

KEPT: Final = 16
"""Of them for each lane, whatever the other one wants."""

MOST_EACH: Final = 8
"""Of them for whoever they are for: a site, or a principal."""

MOST_WAITING: Final = 1024
"""In each lane."""


class Lane(enum.Enum):
    """
    What is known of a token before it is looked up.
    """

    LATELY_GOOD = enum.auto()
    UNKNOWN = enum.auto()


class Asker:
    """
    For whom a look-up is made.

    :ivar lane: see Note [Lanes].
    :ivar group: who takes turns with others, and has a share.
    :ivar part: who takes turns within the group.
    """

    __slots__ = ("group", "lane", "part")

    def __init__(self, lane: Lane, group: str, part: str = "") -> None:
        self.lane = lane
        self.group = group
        self.part = part


Item = TypeVar("Item")


class _Counts:
    """
    How many each has, and who has most. Each operation takes constant time.
    """

    __slots__ = ("_by_count", "_counts", "_most")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._by_count: dict[int, dict[str, None]] = {0: {}}
        self._most = 0

    def change(self, key: str, step: int) -> None:
        """
        It has one more, or one less.
        """
        before = self._counts.pop(key, 0)
        count = before + step
        if before:
            keys = self._by_count[before]
            del keys[key]
            if not keys:
                del self._by_count[before]
        if count:
            self._counts[key] = count
            self._by_count.setdefault(count, {})[key] = None
        self._most = max(self._most, count)
        while self._most and self._most not in self._by_count:
            self._most -= 1

    def most(self) -> str:
        """
        Whoever has most; there has to be somebody.
        """
        return next(iter(self._by_count[self._most]))


class _Group(Generic[Item]):
    """
    Those of one group that wait, by part in the order of their turns. No part is empty.
    """

    __slots__ = ("counts", "parts")

    def __init__(self) -> None:
        self.parts: dict[str, deque[Item]] = {}
        self.counts = _Counts()

    @property
    def first(self) -> Item:
        """
        Whose turn it is.
        """
        return next(iter(self.parts.values()))[0]


class _Line(Generic[Item]):
    """
    One lane: those who wait, by group in the order of their turns, and how many of each group are on their way.
    """

    __slots__ = ("at_once", "counts", "groups", "started", "waiting")

    def __init__(self) -> None:
        self.groups: dict[str, _Group[Item]] = {}
        self.counts = _Counts()
        self.started: dict[str, int] = {}
        self.at_once = 0
        self.waiting = 0

    def add(self, item: Item, asker: Asker) -> None:
        group = self.groups.setdefault(asker.group, _Group())
        group.parts.setdefault(asker.part, deque()).append(item)
        self._count(asker.group, asker.part, 1)

    def remove(self, item: Item, asker: Asker) -> None:
        self.groups[asker.group].parts[asker.part].remove(item)
        self._count(asker.group, asker.part, -1)

    def take(self, name: str) -> Item:
        """
        The next one of a group, whose turn is over then.
        """
        group = self.groups.pop(name)
        self.groups[name] = group
        part = next(iter(group.parts))
        line = group.parts.pop(part)
        group.parts[part] = line
        item = line.popleft()
        self._count(name, part, -1)
        return item

    def last_of_most(self) -> Item:
        """
        The last one of whoever has most waiting.
        """
        group = self.groups[self.counts.most()]
        return group.parts[group.counts.most()][-1]

    def _count(self, name: str, part: str, step: int) -> None:
        self.waiting += step
        self.counts.change(name, step)
        group = self.groups[name]
        group.counts.change(part, step)
        if not group.parts[part]:
            del group.parts[part]
            if not group.parts:
                del self.groups[name]


class LookupQueue(Generic[Item]):
    """
    Look-ups that wait, and how many are on their way. See Note [Lanes] and Note [Turns].

    :param asker_of: for whom an item is looked up; always the same for one item.
    """

    __slots__ = ("_asker_of", "_each", "_kept", "_lines", "_most", "_most_waiting")

    def __init__(
        self,
        asker_of: Callable[[Item], Asker],
        most: int = MOST_AT_ONCE,
        kept: int = KEPT,
        each: int = MOST_EACH,
        waiting: int = MOST_WAITING,
    ) -> None:
        self._asker_of = asker_of
        self._most = most
        self._kept = kept
        self._each = each
        self._most_waiting = waiting
        self._lines: dict[Lane, _Line[Item]] = {lane: _Line() for lane in Lane}

    @property
    def at_once(self) -> int:
        """
        How many are on their way.
        """
        return sum(line.at_once for line in self._lines.values())

    def started_for(self, asker: Asker) -> int:
        """
        How many of them are for this group.
        """
        return self._lines[asker.lane].started.get(asker.group, 0)

    def enter(self, item: Item) -> Item | None:
        """
        Let one wait.

        :return: who does not wait any more instead, since there are too many: perhaps this one.
        """
        asker = self._asker_of(item)
        line = self._lines[asker.lane]
        line.add(item, asker)
        if line.waiting <= self._most_waiting:
            return None
        victim = line.last_of_most()
        self.leave(victim)
        return victim

    def leave(self, item: Item) -> None:
        """
        One that waits does so no more.
        """
        asker = self._asker_of(item)
        self._lines[asker.lane].remove(item, asker)

    def start(self, may: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """
        The one that goes next, which is on its way now; None if nobody may.

        :param may: whether a group may go on with this one; asked of the first of each.
        """
        total = self.at_once
        if total >= self._most:
            return None
        for line in self._lines.values():
            if not line.waiting or line.at_once >= self._most - self._kept:
                continue
            for name, group in line.groups.items():
                if line.started.get(name, 0) < self._each and may(group.first):
                    line.started[name] = line.started.get(name, 0) + 1
                    line.at_once += 1
                    return line.take(name)
        return None

    def ended(self, item: Item) -> None:
        """
        One that was on its way has its answer, or none.
        """
        asker = self._asker_of(item)
        line = self._lines[asker.lane]
        line.at_once -= 1
        left = line.started.pop(asker.group) - 1
        if left:
            line.started[asker.group] = left

    def waiting(self) -> Iterator[Item]:
        """
        All that wait, as of now.
        """
        for line in self._lines.values():
            for group in list(line.groups.values()):
                for items in list(group.parts.values()):
                    yield from list(items)

    def __len__(self) -> int:
        return sum(line.waiting for line in self._lines.values())
