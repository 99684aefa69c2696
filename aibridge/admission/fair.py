"""
A queue that is fair between principals, whatever their number and whatever each of them asks for.

Note [Turns]: this is deficit round robin (M. Shreedhar and G. Varghese, SIGCOMM '95) with requests for bytes.
Principals that wait stand in a ring. One whose turn it is gets the credit of its class, spends 1 on each request that
is taken, and goes to the end of the ring when less than 1 is left. A principal that comes new stands at the end. So
between two turns of one principal every other that waits has exactly one, and a thousand requests of one delay the
next of another by no more than one turn.

Note [Lanes]: not every request may go at every time: a provider may be full while another has room. A ring in which
those who may go have to be searched for is slow just when the daemon is busy. So the ring is cut into **lanes**: a
principal stands in the lane of its first request, and whoever takes says which lane. The ticket that is drawn at the
end of the ring tells whose turn among several lanes comes first. A principal that is itself not ready (it has as many
in flight as it may) steps aside when it comes to the front, and back to the front when it is asked again: having
waited meanwhile, it is owed its turn.

Every operation takes constant time, that of stepping aside once for each time of stepping back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from aibridge.model import Class

Item = TypeVar("Item")

_ONE: Final = 1 - 1e-9
"""What a request costs, less what rounding may have taken from the credit for it."""


class Lane(Generic[Item]):
    """
    A part of the ring: principals whose first request needs the same thing. Only `FairQueue` looks inside.
    """

    __slots__ = ("flows",)

    def __init__(self) -> None:
        self.flows: OrderedDict[Flow[Item], None] = OrderedDict()


class Flow(Generic[Item]):
    """
    The requests of one principal that wait, in the order in which they came.

    :ivar class_: that of the principal when it began to wait; it holds until none of its requests waits.
    :ivar items: request → the lane that it needs.
    :ivar ticket: its place in the ring; a lower one comes first.
    :ivar credit: see Note [Turns].
    :ivar lane: where it stands, or None while it has stepped aside.
    """

    __slots__ = ("class_", "credit", "items", "key", "lane", "ticket")

    def __init__(self, key: str, class_: Class) -> None:
        self.key = key
        self.class_ = class_
        self.items: OrderedDict[Item, Lane[Item]] = OrderedDict()
        self.ticket = 0
        self.credit = 0.0
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

    :param weights: how much of what there is to have a principal of each class gets, compared with the others; above
        0. The smallest counts as one request a turn.
    :param ready: whether this request's principal may have one more in flight; asked when its turn comes.
    """

    __slots__ = ("_by_length", "_flows", "_length", "_quanta", "_ready", "_ticket")

    def __init__(self, weights: Mapping[Class, float], ready: Callable[[Item], bool]) -> None:
        self._ready = ready
        self._flows: dict[str, Flow[Item]] = {}
        self._by_length: dict[Class, _ByLength[Item]] = {class_: _ByLength() for class_ in Class}
        self._length = 0
        self._ticket = 0
        self.weigh(weights)

    def weigh(self, weights: Mapping[Class, float]) -> None:
        """
        Other weights from the next turn of each principal on.
        """
        least = min(weights.values())
        self._quanta = {class_: weight / least for class_, weight in weights.items()}

    def push(self, key: str, class_: Class, item: Item, lane: Lane[Item]) -> None:
        """
        Let a request of this principal wait behind its others.

        :param class_: counts when none of its others waits, see `Flow.class_`.
        """
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = Flow(key, class_)
            self._stand_last(flow, lane)
        flow.items[item] = lane
        self._by_length[flow.class_].grew(flow)
        self._length += 1

    def front(self, lane: Lane[Item]) -> Flow[Item] | None:
        """
        The principal whose turn it is in this lane: the first that is ready.
        """
        flows = lane.flows
        while flows:
            flow = next(iter(flows))
            if self._ready(flow.first):
                return flow
            del flows[flow]
            flow.lane = None
        return None

    def take(self, flow: Flow[Item]) -> Item:
        """
        Take the first request of a principal at whose `front` it is, and count it as its turn's.
        """
        if flow.credit < _ONE:
            flow.credit += self._quanta[flow.class_]
        flow.credit -= 1
        item, _ = flow.items.popitem(last=False)
        self._shrank(flow)
        if flow.items:
            lane = flow.items[flow.first]
            if flow.credit < _ONE:
                self._stand_last(flow, lane)
            elif lane is not flow.lane:
                self._stand_first(flow, lane)
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
            lane = flow.items[flow.first]
            if flow.lane is None:
                self._stand_first(flow, lane)
            elif flow.lane is not lane:
                self._stand_last(flow, lane)

    def reconsider(self, key: str) -> None:
        """
        This principal may have become ready.
        """
        flow = self._flows.get(key)
        if flow is not None and flow.lane is None:
            self._stand_first(flow, flow.items[flow.first])

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
        most, found = 0.0 if is_safe else own / self._quanta[class_], None
        for other in (Class.DEFAULT, Class.INTERACTIVE):
            flow = self.longest(other)
            if flow is not None and len(flow) / self._quanta[other] > most and not are_safe(flow):
                most, found = len(flow) / self._quanta[other], flow
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

    def _stand_last(self, flow: Flow[Item], lane: Lane[Item]) -> None:
        self._step_out(flow)
        self._ticket += 1
        flow.ticket = self._ticket
        flow.lane = lane
        lane.flows[flow] = None

    def _stand_first(self, flow: Flow[Item], lane: Lane[Item]) -> None:
        self._step_out(flow)
        flow.lane = lane
        lane.flows[flow] = None
        lane.flows.move_to_end(flow, last=False)

    def _step_out(self, flow: Flow[Item]) -> None:
        if flow.lane is not None:
            del flow.lane.flows[flow]
            flow.lane = None

    def _shrank(self, flow: Flow[Item]) -> None:
        self._by_length[flow.class_].shrank(flow)
        self._length -= 1
        if not flow.items:
            self._step_out(flow)
            del self._flows[flow.key]


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
