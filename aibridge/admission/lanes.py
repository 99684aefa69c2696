"""
Where those stand who wait.

Note [Lanes]: not every request may go at every time: a provider may be full while another has room. A line in which
those who may go have to be searched for is slow just when the daemon is busy. So it is cut into **lanes**, and the
requests of a principal into **flows**, one for each provider that it waits for: each stands in a lane of its own, in
the order in which its requests came, and none holds up another. A principal that is itself not ready (it has as many
in flight as it may) steps aside with all its flows, and back to its place when it is ready again; having waited
meanwhile, it is owed its turn.

A lane is two heaps, one for each order; who leaves it from within is struck off, and taken out when half of it is
struck off. Every operation costs the logarithm of how many principals wait, times the providers that this one waits
for, at most.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from typing import Final, Generic, TypeVar

from aibridge.model import Class

Item = TypeVar("Item")

Turn = tuple[float, float, int]
"""Permits held for the weight, the tag, and the order in which equal tags were given: the lowest is next."""

LAST: Final[Turn] = (math.inf, math.inf, 0)
"""After everybody's."""


class Line(Generic[Item]):
    """
    Those who wait for one provider.

    :ivar held: how many of its permits each principal has; whoever counts them keeps it.
    :ivar last: the highest tag that was served here.
    :ivar lanes: two, for requests that need different things of it.
    """

    __slots__ = ("held", "lanes", "last")

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.last = 0.0
        self.lanes: tuple[Lane[Item], Lane[Item]] = (Lane(self), Lane(self))


class Lane(Generic[Item]):
    """
    Principals whose requests need the same thing. Only `aibridge.admission.fair` looks inside.

    :ivar by_all: turn in the order of all permits, number of the entry, and whose it is; an entry whose number is not
        the flow's is struck off.
    :ivar by_own: likewise, in the order of the provider's permits.
    :ivar standing: how many flows are not struck off.
    :ivar ready: how many requests these have.
    """

    __slots__ = ("by_all", "by_own", "line", "ready", "standing")

    def __init__(self, line: Line[Item]) -> None:
        self.line = line
        self.by_all: list[tuple[Turn, int, Flow[Item]]] = []
        self.by_own: list[tuple[Turn, int, Flow[Item]]] = []
        self.standing = self.ready = 0

    def tidy(self) -> None:
        """
        Take out what is struck off, once it is as much as the rest.
        """
        self.by_all = _tidied(self.by_all, self.standing)
        self.by_own = _tidied(self.by_own, self.standing)


class Flow(Generic[Item]):
    """
    The requests of one principal for one provider that wait, in the order in which they came.

    :ivar items: request → its number, in the order of all that came.
    :ivar lane: where it stands when its principal is ready.
    :ivar tag: in the order of the provider's permits, and `order`: in which it was given; see Note [Turns] there.
    :ivar turn: as of when it took its place in the line.
    :ivar number: of its entries there, or 0 while it has stepped aside.
    """

    __slots__ = ("items", "lane", "number", "order", "party", "tag", "turn")

    def __init__(self, party: Party[Item], lane: Lane[Item]) -> None:
        self.party = party
        self.lane = lane
        self.items: OrderedDict[Item, int] = OrderedDict()
        self.tag = 0.0
        self.turn: Turn = (0.0, 0.0, 0)
        self.number = self.order = 0

    @property
    def first(self) -> Item:
        """
        The request that waits longest.
        """
        return next(iter(self.items))

    @property
    def newest(self) -> Item:
        """
        The request that came last.
        """
        return next(reversed(self.items))


class Party(Generic[Item]):
    """
    A principal that has requests waiting.

    :ivar class_: that of the principal when it began to wait; it holds until none of its requests waits.
    :ivar most: most permits that it may have, as the last one that came had it; 0 is no limit.
    :ivar flows: by the lane that each stands in.
    :ivar length: how many requests it has in all of them.
    :ivar tag: in the order of all permits, with `order` and `turn` as a flow's.
    """

    __slots__ = ("class_", "flows", "key", "length", "most", "order", "tag", "turn")

    def __init__(self, key: str, class_: Class, most: int) -> None:
        self.key = key
        self.class_ = class_
        self.most = most
        self.flows: dict[Lane[Item], Flow[Item]] = {}
        self.length = self.order = 0
        self.tag = 0.0
        self.turn: Turn = (0.0, 0.0, 0)


def _tidied(heap: list[tuple[Turn, int, Flow[Item]]], standing: int) -> list[tuple[Turn, int, Flow[Item]]]:
    if not standing:
        return []
    if len(heap) > 2 * standing + 16:
        heap = [entry for entry in heap if entry[2].number == entry[1]]
        heapq.heapify(heap)
    return heap
