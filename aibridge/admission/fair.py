"""
A queue that is fair between principals, whatever their number and whatever each of them asks for.

Note [Turns]: what the gate has to divide is not requests but permits, and a permit is held for as long as an exchange
takes: one caller's take a second, another's a minute. So the next permit goes to the principal that is furthest below
what the others have, that is, to the one that holds the fewest for the weight of its class; and among those that hold
equally many it goes round, one request each. This is deficit round robin (M. Shreedhar and G. Varghese, SIGCOMM '95)
with the deficit in permits. If it were counted in requests, a caller with exchanges sixty times as long would, at
equal turns, come to hold sixty times as many permits.

The turns are kept by **tags**: a principal that comes new, or was served and has more waiting, is given the tag of the
last one served plus one step, which is 1 over the weight of its class. The lowest tag is next, so that one of twice the
weight has two turns for one, and they are spread: not two in a row for which everybody else waits (self-clocked fair
queueing, S. J. Golestani, INFOCOM '94). Nobody starves: a principal that holds some will hold none once they have
ended, and then only those are before it that came before it.

Note [Lanes]: not every request may go at every time: a provider may be full while another has room. A line in which
those who may go have to be searched for is slow just when the daemon is busy. So it is cut into **lanes**: a principal
stands in the lane of its first request, and whoever takes one says from which. A principal that is itself not ready
(it has as many in flight as it may) steps aside when it comes to the front, and back to its place when it is asked
again; having waited meanwhile, it is owed its turn.

A lane is a heap; who leaves it from within is struck off, and taken out when half of it is struck off. Every operation
costs the logarithm of how many principals wait, at most.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from aibridge.model import Class

Item = TypeVar("Item")

Turn = tuple[float, float, int]
"""Permits held for the weight, the tag, and the order in which equal tags were given: the lowest is next."""

LAST: Final[Turn] = (math.inf, math.inf, 0)
"""After everybody's."""


class Lane(Generic[Item]):
    """
    A part of the line: principals whose first request needs the same thing. Only `FairQueue` looks inside.

    :ivar heap: turn, number of the entry, and whose it is; an entry whose number is not the principal's is struck off.
    :ivar standing: how many are not.
    """

    __slots__ = ("heap", "standing")

    def __init__(self) -> None:
        self.heap: list[tuple[Turn, int, Flow[Item]]] = []
        self.standing = 0

    def tidy(self) -> None:
        """
        Take out what is struck off, once it is as much as the rest.
        """
        if not self.standing:
            self.heap.clear()
        elif len(self.heap) > 2 * self.standing + 16:
            self.heap = [entry for entry in self.heap if entry[2].number == entry[1]]
            heapq.heapify(self.heap)


class Flow(Generic[Item]):
    """
    The requests of one principal that wait, in the order in which they came.

    :ivar class_: that of the principal when it began to wait; it holds until none of its requests waits.
    :ivar items: request → the lane that it needs.
    :ivar tag: see Note [Turns].
    :ivar order: in which it was given.
    :ivar turn: as of when it took its place in the line.
    :ivar lane: where it stands, or None while it has stepped aside.
    :ivar number: of its entry there.
    """

    __slots__ = ("class_", "items", "key", "lane", "number", "order", "tag", "turn")

    def __init__(self, key: str, class_: Class) -> None:
        self.key = key
        self.class_ = class_
        self.items: OrderedDict[Item, Lane[Item]] = OrderedDict()
        self.tag = 0.0
        self.turn: Turn = (0.0, 0.0, 0)
        self.number = self.order = 0
        self.lane: Lane[Item] | None = None

    def __len__(self) -> int:
        return len(self.items)

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


class FairQueue(Generic[Item]):
    """
    Waiting requests, by principal.

    :param weights: how many permits a principal of each class gets, compared with the others; above 0.
    :param held: how many permits a principal has.
    :param ready: whether this request's principal may have one more; asked when its turn comes.
    """

    __slots__ = ("_by_length", "_flows", "_held", "_last", "_length", "_number", "_ready", "_weights")

    def __init__(
        self, weights: Mapping[Class, float], held: Callable[[str], int], ready: Callable[[Item], bool]
    ) -> None:
        self._weights = weights
        self._held = held
        self._ready = ready
        self._flows: dict[str, Flow[Item]] = {}
        self._by_length: dict[Class, _ByLength[Item]] = {class_: _ByLength() for class_ in Class}
        self._length = 0
        self._number = 0
        # The highest tag that was served; nobody's is higher by more than a step.
        self._last = 0.0

    def weigh(self, weights: Mapping[Class, float]) -> None:
        """
        Other weights, for each principal from when it next takes a place in the line.
        """
        self._weights = weights

    def push(self, key: str, class_: Class, item: Item, lane: Lane[Item]) -> None:
        """
        Let a request of this principal wait behind its others.

        :param class_: counts when none of its others waits, see `Flow.class_`.
        """
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = Flow(key, class_)
            flow.items[item] = lane
            self._next_tag(flow)
            self._stand(flow)
        else:
            flow.items[item] = lane
        self._by_length[flow.class_].grew(flow)
        self._length += 1

    def front(self, lane: Lane[Item]) -> Flow[Item] | None:
        """
        The principal whose turn it is in this lane: the first that is ready.
        """
        while lane.standing:
            _, number, flow = lane.heap[0]
            if flow.number == number:
                if self._ready(flow.first):
                    return flow
                self._step_out(flow)
            else:
                heapq.heappop(lane.heap)
        return None

    def take(self, flow: Flow[Item]) -> Item:
        """
        Take the first request of a principal at the `front` of a lane. The permit for it counts as held already.
        """
        self._last = max(self._last, flow.tag)
        item, _ = flow.items.popitem(last=False)
        self._shrank(flow)
        if flow.items:
            self._next_tag(flow)
            self._stand(flow)
        return item

    def remove(self, key: str, item: Item) -> None:
        """
        Forget a request that waits, wherever in the queue it is.
        """
        flow = self._flows[key]
        was_first = flow.first == item
        del flow.items[item]
        self._shrank(flow)
        if was_first and flow.items:
            self._stand(flow)

    def reconsider(self, key: str) -> None:
        """
        This principal holds another number of permits than before.
        """
        flow = self._flows.get(key)
        if flow is not None:
            self._stand(flow)

    def flow(self, key: str) -> Flow[Item] | None:
        """
        The requests of this principal, or None if none waits.
        """
        return self._flows.get(key)

    def longest(self, class_: Class) -> Flow[Item] | None:
        """
        The principal of this class that has most requests waiting; of several, the one that came to have them last.
        """
        return self._by_length[class_].longest()

    def whose_room(
        self, class_: Class, own: int, is_safe: bool, are_safe: Callable[[Flow[Item]], bool]
    ) -> Flow[Item] | None:
        """
        The principal whose newest request gives up its place to one more: one of `batch` while there is any, else the
        one that has most waiting for its weight.

        :param own: how many of the principal that asks would wait, the one that it asks for included.
        :param is_safe: what it asks for is not to be refused.
        :param are_safe: whether the newest of another principal's is not to be displaced.
        :return: None if it is the one that asks.
        """
        batch = self.longest(Class.BATCH)
        if class_ is Class.BATCH:
            return batch if batch is not None and len(batch) > own else None
        if batch is not None:
            return batch
        most, found = 0.0 if is_safe else own / self._weights[class_], None
        for other in (Class.DEFAULT, Class.INTERACTIVE):
            flow = self.longest(other)
            if flow is not None and len(flow) / self._weights[other] > most and not are_safe(flow):
                most, found = len(flow) / self._weights[other], flow
        return found

    def waiting(self, class_: Class) -> int:
        """
        How many requests of this class wait.
        """
        return self._by_length[class_].total

    def __iter__(self) -> Iterator[str]:
        """
        The principals that wait.
        """
        return iter(self._flows)

    def __contains__(self, key: str) -> bool:
        return key in self._flows

    def __len__(self) -> int:
        return self._length

    def _next_tag(self, flow: Flow[Item]) -> None:
        self._number += 1
        flow.tag, flow.order = self._last + 1 / self._weights[flow.class_], self._number

    def _stand(self, flow: Flow[Item]) -> None:
        self._step_out(flow)
        self._number += 1
        flow.number = self._number
        flow.turn = self._held(flow.key) / self._weights[flow.class_], flow.tag, flow.order
        flow.lane = lane = flow.items[flow.first]
        lane.standing += 1
        heapq.heappush(lane.heap, (flow.turn, flow.number, flow))

    def _step_out(self, flow: Flow[Item]) -> None:
        lane = flow.lane
        if lane is not None:
            flow.lane = None
            flow.number = 0
            lane.standing -= 1
            lane.tidy()

    def _shrank(self, flow: Flow[Item]) -> None:
        self._by_length[flow.class_].shrank(flow)
        self._length -= 1
        if not flow.items:
            self._step_out(flow)
            del self._flows[flow.key]
            if not self._flows:
                self._last = 0.0


class _ByLength(Generic[Item]):
    """
    The principals of a class by how many of their requests wait. Since that changes by one at a time, the longest is
    always at hand.

    :ivar total: how many requests wait in all.
    """

    __slots__ = ("_buckets", "total")

    def __init__(self) -> None:
        # At index n those with n requests; the last one is never empty, except at 0, where nobody is.
        self._buckets: list[OrderedDict[Flow[Item], None]] = [OrderedDict()]
        self.total = 0

    def grew(self, flow: Flow[Item]) -> None:
        """
        It has one request more than before.
        """
        length, buckets = len(flow.items), self._buckets
        if length == len(buckets):
            buckets.append(OrderedDict())
        if length > 1:
            del buckets[length - 1][flow]
        buckets[length][flow] = None
        self.total += 1

    def shrank(self, flow: Flow[Item]) -> None:
        """
        It has one request fewer than before.
        """
        length, buckets = len(flow.items), self._buckets
        del buckets[length + 1][flow]
        if length:
            buckets[length][flow] = None
        if not buckets[-1]:
            buckets.pop()
        self.total -= 1

    def longest(self) -> Flow[Item] | None:
        """
        The one with most requests, or None if there is none.
        """
        return next(reversed(self._buckets[-1])) if len(self._buckets) > 1 else None
