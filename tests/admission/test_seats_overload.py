"""
The gate under overload, simulated: who waits, who is sent away, and who is not.

Time is a number, chance is seeded, and nothing runs but the gate: the same figures come out every time.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aibridge.admission.permit import Claim, Permit
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import WEIGHTS, SeatTerms
from aibridge.errors import AtCapacity
from aibridge.model import Class

Service = Callable[[random.Random, str], float]


def steady(_: random.Random, __: str) -> float:
    """
    Every exchange takes one second.
    """
    return 1.0


def varied(chance: random.Random, _: str) -> float:
    """
    One second on average; many are short and some are long.
    """
    return chance.expovariate(1.0)


def long_for_the_crowd(_: random.Random, principal: str) -> float:
    """
    One second, and five for one of them.
    """
    return 5.0 if principal == "crowd" else 1.0


@attrs.define
class Tally:
    """
    What became of one principal's requests.
    """

    asked: int = 0
    served: int = 0
    refused: int = 0
    failed: int = 0
    waits: list[float] = attrs.Factory(list)

    def wait_at(self, part: float) -> float:
        """
        A quantile of how long those that were served waited.
        """
        return sorted(self.waits)[int(part * (len(self.waits) - 1))]


class Simulation:
    """
    A gate, and principals whose requests come by chance.

    :param retries: how often one that is sent away comes back, after as long as it was told.
    :ivar ended: called with the claim of each exchange that has ended.
    """

    def __init__(self, terms: SeatTerms, service: Service = steady, *, seed: int = 1, retries: int = 0) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)
        self.seats = Seats(terms, lambda: self.now, self.chance.random)
        self.tallies: dict[str, Tally] = {}
        self.ended: Callable[[Claim], object] = lambda _: None
        self._service = service
        self._retries = retries
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def comes(self, claim: Claim, rate: float, *, start: float = 0.0, until: float) -> None:
        """
        A principal's requests, so many per second on average.
        """
        self.tallies.setdefault(claim.principal, Tally())
        at = start + self.chance.expovariate(rate)
        while at < until:
            self.at(at, self.ask, claim)
            at += self.chance.expovariate(rate)

    def keeps_asking(self, claim: Claim, *, until: float) -> None:
        """
        A client that asks again as soon as it is answered.
        """

        def again(claim: Claim) -> None:
            if self.now < until:
                self.ask(claim)

        self.ended = again
        self.at(0.0, self.ask, claim)

    def run(self) -> None:
        """
        Everything that is going to happen happens.
        """
        while self._events:
            at, _, act, arguments = heapq.heappop(self._events)
            while (due := self.seats.next_expiry()) is not None and due <= at:
                self.now = due
                self.seats.expire(due)
            self.now = at
            act(*arguments)
        assert (self.seats.in_use, self.seats.waiting, self.seats.principals) == (0, 0, 0)

    def ask(self, claim: Claim, attempt: int = 0) -> None:
        """
        A request comes, or comes back.
        """
        tally = self.tallies.setdefault(claim.principal, Tally())
        tally.asked += not attempt
        found = self.seats.enter(claim, self.now)
        if isinstance(found, AtCapacity):
            self._refused(found, claim, attempt)
        elif isinstance(found, Deferred):
            found.addCallbacks(self._admitted, self._sent_away, callbackArgs=(claim,), errbackArgs=(claim, attempt))
        else:
            self._admitted(found, claim)

    def _admitted(self, permit: Permit, claim: Claim) -> None:
        tally = self.tallies[claim.principal]
        tally.served += 1
        tally.waits.append(permit.waited_s)
        self.at(self.now + self._service(self.chance, claim.principal), self._end, permit, claim)

    def _end(self, permit: Permit, claim: Claim) -> None:
        permit.give_back(self.now)
        self.ended(claim)

    def _sent_away(self, failure: Failure, claim: Claim, attempt: int) -> None:
        error = failure.value
        assert isinstance(error, AtCapacity)
        self._refused(error, claim, attempt)

    def _refused(self, error: AtCapacity, claim: Claim, attempt: int) -> None:
        tally = self.tallies[claim.principal]
        tally.refused += 1
        if attempt < self._retries:
            assert error.retry_after_s is not None
            self.at(self.now + error.retry_after_s, self.ask, claim, attempt + 1)
        else:
            tally.failed += 1

    def at(self, when: float, act: Callable[..., None], *arguments: Any) -> None:
        """
        Something is going to happen.
        """
        heapq.heappush(self._events, (when, next(self._numbers), act, arguments))


def ten_and_a_crowd(permits: int, service: Service, load: float) -> tuple[list[Tally], Tally, float]:
    """
    Ten callers who need that part of what there is, and one who asks for fifty times as much as each of them.

    :return: the ten, the one, and what part of the permits was used.
    """
    simulation = Simulation(SeatTerms(max_concurrency=permits, queue_size=64), service)
    each = load * permits / 10
    until = 1000 / permits
    ten = [f"one of ten {number}" for number in range(10)]
    for name in ten:
        simulation.comes(Claim(name, Class.DEFAULT, "p"), each, until=until)
    simulation.comes(Claim("crowd", Class.DEFAULT, "p"), 50 * each, until=until)
    held = [0.0]

    def sample() -> None:
        held.append(simulation.seats.in_use)

    for step in range(1, 100):
        simulation.at(until * step / 100, sample)
    simulation.run()
    return [simulation.tallies[name] for name in ten], simulation.tallies["crowd"], sum(held) / 99 / permits


@pytest.mark.parametrize(("permits", "service"), [(6, steady), (8, steady), (16, steady), (16, varied), (64, varied)])
def test_one_caller_at_fifty_times_the_load_delays_only_itself(permits: int, service: Service) -> None:
    """
    Ten callers need half of what there is. They lose no request and hardly wait, and nothing lies idle.
    """
    ten, crowd, used = ten_and_a_crowd(permits, service, 0.5)
    waits = sorted(wait for tally in ten for wait in tally.waits)
    assert len(waits) > 400
    assert not any(tally.refused for tally in ten)
    assert waits[int(0.99 * len(waits))] < 2
    assert used > 0.97
    assert crowd.refused > 1000


@pytest.mark.parametrize(("permits", "load"), [(8, 0.6), (16, 0.6), (16, 0.7)])
def test_longer_exchanges_get_nobody_more_permits(permits: int, load: float) -> None:
    """
    Neither do the ten lose a request when each of the crowd's exchanges takes five times as long as theirs: what is
    shared out is permits, not turns.
    """
    ten, _, used = ten_and_a_crowd(permits, long_for_the_crowd, load)
    assert not any(tally.refused for tally in ten)
    assert used > 0.97


def test_without_a_queue_a_limit_for_each_principal_does_it() -> None:
    """
    There is no order in which nobody waits; but who may have four permits cannot have all sixteen.
    """
    simulation = Simulation(SeatTerms(max_concurrency=16))
    ten = [f"one of ten {number}" for number in range(10)]
    for name in ten:
        simulation.comes(Claim(name, Class.DEFAULT, "p", 4), 0.3, until=100)
    simulation.comes(Claim("crowd", Class.DEFAULT, "p", 4), 50.0, until=100)
    simulation.run()
    assert sum(simulation.tallies[name].refused for name in ten) == 0


@pytest.mark.parametrize("queue", [0, 3, 50])
@pytest.mark.parametrize("for_provider", [False, True])
def test_at_three_times_the_load_interactive_has_its_share(queue: int, for_provider: bool) -> None:
    """
    Default and batch ask for three times what there is. Every interactive request that comes while its class is within
    its share gets a permit; with a queue, after a short wait for the next one that comes back.
    """
    limits: dict[str, Any] = {"providers": {"p": 12}} if for_provider else {"max_concurrency": 12}
    simulation = Simulation(SeatTerms(queue_size=queue, interactive_share=0.25, **limits), varied)
    interactive = Claim("interactive", Class.INTERACTIVE, "p")
    ended: Counter[str] = Counter()
    simulation.ended = lambda claim: ended.update([claim.principal])
    tally = simulation.tallies[interactive.principal] = Tally()

    def ask_within_the_share() -> None:
        if tally.asked - tally.refused - ended[interactive.principal] < 3:
            simulation.ask(interactive)

    for step in range(1, 1000):
        simulation.at(step / 10, ask_within_the_share)
    for class_ in (Class.DEFAULT, Class.BATCH):
        for number in range(3):
            simulation.comes(Claim(f"{class_} {number}", class_, "p"), 6.0, until=100)
    simulation.run()
    assert tally.asked > 200
    assert (tally.served, tally.refused) == (tally.asked, 0)
    assert tally.wait_at(0.99) < 1
    assert queue or tally.wait_at(1.0) == 0


def test_idle_permits_of_the_share_are_lent() -> None:
    """
    With a queue, nothing lies idle while no interactive request comes; without one, the share does.
    """
    for queue, part in ((0, 0.75), (20, 1.0)):
        simulation = Simulation(SeatTerms(max_concurrency=12, queue_size=queue, interactive_share=0.25))
        simulation.comes(Claim("default", Class.DEFAULT, "p"), 36.0, until=100)
        simulation.run()
        assert simulation.tallies["default"].served == pytest.approx(part * 1200, rel=0.05)


def test_weights_tell_in_overload() -> None:
    """
    With all classes asking for more than there is, each principal holds as many permits as its class weighs.
    """
    simulation = Simulation(SeatTerms(max_concurrency=14, queue_size=100, queue_timeout_s=60.0), varied)
    held: Counter[Class] = Counter()
    for class_ in Class:
        for _ in range(20):
            simulation.keeps_asking(Claim(class_.value, class_, "p"), until=100)

    def sample() -> None:
        for class_ in Class:
            held[class_] += simulation.seats.held(class_.value)

    for step in range(100):
        simulation.at(10.25 + step / 2, sample)
    simulation.run()
    for class_, weight in WEIGHTS.items():
        assert held[class_] / 100 == pytest.approx(2 * weight, rel=0.1)


def test_batch_is_served_where_there_is_room() -> None:
    """
    Clients of all classes that ask again as soon as they are answered, three for each permit: as long as all find room
    in the queue, each of them has its turns, and those of batch no less than what they weigh.
    """
    simulation = Simulation(SeatTerms(max_concurrency=8, queue_size=50, queue_timeout_s=60.0))
    for class_ in Class:
        for number in range(8):
            simulation.keeps_asking(Claim(f"{class_.value} {number}", class_, "p"), until=200)
    simulation.run()
    served = {
        class_: [simulation.tallies[f"{class_.value} {number}"].served for number in range(8)] for class_ in Class
    }
    assert sum(map(sum, served.values())) >= 8 * 200
    assert not any(tally.refused for tally in simulation.tallies.values())
    assert min(served[Class.INTERACTIVE]) > max(served[Class.DEFAULT])
    assert min(served[Class.DEFAULT]) > max(served[Class.BATCH])
    assert min(served[Class.BATCH]) >= 200 * WEIGHTS[Class.BATCH] / sum(WEIGHTS.values())


def test_shadow_counts_what_would_have_been_refused() -> None:
    """
    The same load at the same limits, once for real and once in shadow: the same number.
    """
    counts = []
    for shadow in (False, True):
        terms = SeatTerms(max_concurrency=6, providers={"p": 4}, interactive_share=0.25, shadow=shadow)
        simulation = Simulation(terms)
        for class_ in Class:
            for provider in "pq":
                claim = Claim(class_.value, class_, provider, 3)
                simulation.comes(claim, 3.0, until=50)
        simulation.run()
        refused = sum(tally.refused for tally in simulation.tallies.values())
        assert bool(refused) is not shadow
        counts.append(refused + sum(simulation.seats.would_have_refused.values()))
    assert counts[0] == counts[1] > 100


@pytest.mark.parametrize("times", [2, 3, 5])
def test_sdks_get_through_two_seconds_of_overload(times: int) -> None:
    """
    Clients that come back twice, after as long as they were told, as the SDKs do: a queue for four exchanges a permit
    and the spread of those sent away are enough for none to be lost.
    """
    simulation = Simulation(
        SeatTerms(max_concurrency=10, queue_size=40), lambda chance, name: 0.1 * varied(chance, name), retries=2
    )
    for number in range(10):
        claim = Claim(f"sdk {number}", Class.DEFAULT, "p")
        for start, until, load in ((0.0, 2.0, 0.5), (2.0, 4.0, times), (4.0, 20.0, 0.5)):
            simulation.comes(claim, load * 10, start=start, until=until)
    simulation.run()
    tallies = simulation.tallies.values()
    assert sum(tally.failed for tally in tallies) == 0
    assert sum(tally.served for tally in tallies) == sum(tally.asked for tally in tallies) > 1000
