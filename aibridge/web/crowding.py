"""
Who is there, by where they come from: which connections make room when there are too many. Pure.

Note [Who makes room]: connections cost those who make them nothing, so the oldest idle one may be anybody's; whoever
opens one after the other would in time close those of everybody else. So it is one of the place that has the most, of
those that wait for their client: idle ones, heads and bodies that are not complete. A place is an address, or one /64
of IPv6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

LOOKS: Final = 32
"""Connections of one place that are looked at for one that can make room. Those that cannot are looked at last, next
time."""

Item = TypeVar("Item")


class Crowd(Generic[Item]):
    """
    Connections by place. Each operation costs constant time.
    """

    __slots__ = ("_by_count", "_items", "_most", "_place_of")

    def __init__(self) -> None:
        self._items: dict[str, dict[Item, None]] = {}
        self._place_of: dict[Item, str] = {}
        # How many a place has → the places that have so many.
        self._by_count: dict[int, dict[str, None]] = {}
        self._most = 0

    def arrived(self, item: Item, place: str) -> None:
        """
        There is one more, which was not there.
        """
        items = self._items.setdefault(place, {})
        items[item] = None
        self._place_of[item] = place
        self._move(place, len(items) - 1, len(items))
        self._most = max(self._most, len(items))

    def left(self, item: Item) -> None:
        """
        There is one less; it is no error if it was not there.
        """
        place = self._place_of.pop(item, None)
        if place is None:
            return
        items = self._items[place]
        del items[item]
        self._move(place, len(items) + 1, len(items))
        if not items:
            del self._items[place]
        if self._most not in self._by_count:
            # It was the only place that had so many, and has one less now.
            self._most -= 1

    def of_place(self, item: Item) -> int:
        """
        How many there are where this one comes from, itself included.
        """
        return len(self._items[self._place_of[item]])

    @property
    def places(self) -> int:
        """
        From how many places they come.
        """
        return len(self._items)

    @property
    def most(self) -> int:
        """
        How many those have that have the most.
        """
        return self._most

    def first_of_most(self, may_go: Callable[[Item], bool]) -> Item | None:
        """
        One that can make room, of a place that has the most; None if there is none among those that were looked at.
        """
        if not self._most:
            return None
        items = self._items[next(iter(self._by_count[self._most]))]
        for _ in range(min(LOOKS, len(items))):
            item = next(iter(items))
            if may_go(item):
                return item
            del items[item]
            items[item] = None
        return None

    def __len__(self) -> int:
        return len(self._place_of)

    def _move(self, place: str, before: int, after: int) -> None:
        if before:
            places = self._by_count[before]
            del places[place]
            if not places:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[place] = None
