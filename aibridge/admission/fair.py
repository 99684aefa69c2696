"""
A queue that is fair between principals, whatever their number and whatever each of them asks for.

Note [Turns]: what the gate has to divide is not requests but permits, and a permit is held for as long as an exchange
takes: one caller's take a second, another's a minute. So the next permit goes to the principal that is furthest below
what the others have, that is, to the one that holds the fewest for the weight of its class; and among those that hold
equally many it goes round, one request each. This is deficit round robin (M. Shreedhar and G. Varghese, SIGCOMM '95)
with the deficit in permits. If it were counted in requests, a caller with exchanges sixty times as long would, at
equal turns, come to hold sixty times as many permits.

Which permits count depends on what those who wait compete for. Where the daemon's are fewer than could go out, it is
all that a principal holds. Where only a provider's are, it is what it holds of that provider: what it has elsewhere
takes nothing from those who wait here. So everybody has two turns, one in each order.

The turns are kept by **tags**: who comes new, or was served and has more waiting, is given the tag of the last one
served plus one step, which is 1 over the weight of its class. The lowest tag is next, so that one of twice the weight
has two turns for one, and they are spread: not two in a row for which everybody else waits (self-clocked fair queueing,
S. J. Golestani, INFOCOM '94). Nobody starves: a principal that holds some will hold none once they have ended, and then
only those are before it that came before it.

In which lanes they stand meanwhile is told in `aibridge.admission.lanes`.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from aibridge.admission.lanes import Flow, Lane, Party
from aibridge.model import Class

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """
    Waiting requests, by principal and provider.

    :param weights: how many permits a principal of each class gets, compared with the others; above 0.
    :param held: how many permits a principal has in all. Whenever that changes for one that waits, `reconsider` has
        to be called.
    """

    __slots__ = ("_by_length", "_held", "_last", "_length", "_number", "_parties", "_weights")

    def __init__(self, weights: Mapping[Class, float], held: Callable[[str], int]) -> None:
        self._weights = weights
        self._held = held
        self._parties: dict[str, Party[Item]] = {}
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

    def push(self, key: str, class_: Class, most: int, item: Item, lane: Lane[Item]) -> None:
        """
        Let a request of this principal wait behind its others that need this lane.

        :param class_: counts when none of its others waits, see `Party.class_`.
        :param most: as `Party.most`.
        """
        party = self._parties.get(key)
        if party is None:
            party = self._parties[key] = Party(key, class_, most)
            self._next_tag(party)
        flow = party.flows.get(lane)
        if flow is None:
            flow = party.flows[lane] = Flow(party, lane)
            self._next_tag_there(flow)
        elif flow.number:
            lane.ready += 1
        self._number += 1
        flow.items[item] = self._number
        party.length += 1
        self._length += 1
        self._by_length[party.class_].grew(party)
        if party.most != most:
            party.most = most
            self._stand(party)
        elif len(flow.items) == 1:
            self._stand_there(flow)

    def front(self, lane: Lane[Item], by_all: bool) -> Flow[Item] | None:
        """
        The flow whose turn it is in this lane, in the order of all permits or of the provider's.
        """
        heap = lane.by_all if by_all else lane.by_own
        while lane.standing:
            _, number, flow = heap[0]
            if flow.number == number:
                return flow
            heapq.heappop(heap)
        return None

    def take(self, flow: Flow[Item]) -> Item:
        """
        Take the first request of a flow at the `front` of a lane. The permit for it counts as held already.
        """
        party, line = flow.party, flow.lane.line
        self._last, line.last = max(self._last, party.tag), max(line.last, flow.tag)
        item = flow.first
        self._drop(flow, item)
        if flow.items:
            self._next_tag_there(flow)
        if party.flows:
            self._next_tag(party)
            self._stand(party)
        return item

    def remove(self, key: str, item: Item, lane: Lane[Item]) -> None:
        """
        Forget a request that waits, wherever in the queue it is.
        """
        self._drop(self._parties[key].flows[lane], item)

    def reconsider(self, key: str) -> None:
        """
        This principal holds another number of permits than before.
        """
        party = self._parties.get(key)
        if party is not None:
            self._stand(party)

    def allow(self, key: str, most: int) -> bool:
        """
        This principal, if it waits, may have so many permits; 0 is no limit.

        :return: whether that is news.
        """
        party = self._parties.get(key)
        if party is None or party.most == most:
            return False
        party.most = most
        self._stand(party)
        return True

    def party(self, key: str) -> Party[Item] | None:
        """
        This principal, or None if it has no request that waits.
        """
        return self._parties.get(key)

    def whose_room(
        self, class_: Class, key: str, is_safe: bool, victim: Callable[[Party[Item]], Item | None]
    ) -> Item | None:
        """
        The request that gives up its place to one more: of one of `batch` while there is any, else of the principal
        that has most waiting for its weight. It is never one of the principal's own.

        :param key: of the principal that asks.
        :param is_safe: what it asks for is not to be refused.
        :param victim: which request of a principal may be displaced, or None if none may.
        :return: None if there is none; then it is the one that asks.
        """
        party = self._parties.get(key)
        own = 1 if party is None else party.length + 1
        least = own if class_ is Class.BATCH else 0
        found, _ = self._victim(Class.BATCH, key, least, victim)
        if found is not None or class_ is Class.BATCH:
            return found
        most = 0.0 if is_safe else own / self._weights[class_]
        for other in (Class.DEFAULT, Class.INTERACTIVE):
            weight = self._weights[other]
            item, length = self._victim(other, key, most * weight, victim)
            if item is not None:
                most, found = length / weight, item
        return found

    def _victim(
        self, class_: Class, key: str, more_than: float, victim: Callable[[Party[Item]], Item | None]
    ) -> tuple[Item | None, int]:
        for party in self._by_length[class_].from_longest():
            if party.length <= more_than:
                break
            if party.key != key:
                item = victim(party)
                if item is not None:
                    return item, party.length
        return None, 0

    def waiting(self, class_: Class) -> int:
        """
        How many requests of this class wait.
        """
        return self._by_length[class_].total

    def __iter__(self) -> Iterator[str]:
        """
        The principals that wait.
        """
        return iter(self._parties)

    def __contains__(self, key: str) -> bool:
        return key in self._parties

    def __len__(self) -> int:
        return self._length

    def _next_tag(self, party: Party[Item]) -> None:
        self._number += 1
        party.tag, party.order = self._last + 1 / self._weights[party.class_], self._number

    def _next_tag_there(self, flow: Flow[Item]) -> None:
        self._number += 1
        flow.tag, flow.order = flow.lane.line.last + 1 / self._weights[flow.party.class_], self._number

    def _stand(self, party: Party[Item]) -> None:
        for flow in party.flows.values():
            self._stand_there(flow)

    def _stand_there(self, flow: Flow[Item]) -> None:
        self._step_out(flow)
        party, lane = flow.party, flow.lane
        held, weight = self._held(party.key), self._weights[party.class_]
        if party.most and held >= party.most:
            return
        self._number += 1
        flow.number = self._number
        party.turn = held / weight, party.tag, party.order
        flow.turn = lane.line.held.get(party.key, 0) / weight, flow.tag, flow.order
        lane.standing += 1
        lane.ready += len(flow.items)
        heapq.heappush(lane.by_all, (party.turn, flow.number, flow))
        heapq.heappush(lane.by_own, (flow.turn, flow.number, flow))

    def _step_out(self, flow: Flow[Item]) -> None:
        if flow.number:
            flow.number = 0
            lane = flow.lane
            lane.standing -= 1
            lane.ready -= len(flow.items)
            lane.tidy()

    def _drop(self, flow: Flow[Item], item: Item) -> None:
        party, lane = flow.party, flow.lane
        if len(flow.items) == 1:
            self._step_out(flow)
            del party.flows[lane]
        elif flow.number:
            lane.ready -= 1
        del flow.items[item]
        party.length -= 1
        self._length -= 1
        self._by_length[party.class_].shrank(party)
        if not party.flows:
            del self._parties[party.key]
            if not self._parties:
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
        self._buckets: list[OrderedDict[Party[Item], None]] = [OrderedDict()]
        self.total = 0

    def grew(self, party: Party[Item]) -> None:
        """
        It has one request more than before.
        """
        length, buckets = party.length, self._buckets
        if length == len(buckets):
            buckets.append(OrderedDict())
        if length > 1:
            del buckets[length - 1][party]
        buckets[length][party] = None
        self.total += 1

    def shrank(self, party: Party[Item]) -> None:
        """
        It has one request fewer than before.
        """
        length, buckets = party.length, self._buckets
        del buckets[length + 1][party]
        if length:
            buckets[length][party] = None
        if not buckets[-1]:
            buckets.pop()
        self.total -= 1

    def from_longest(self) -> Iterator[Party[Item]]:
        """
        The one with most requests first; of several with equally many, the one that came to have them last.
        """
        for bucket in reversed(self._buckets):
            yield from reversed(bucket)
