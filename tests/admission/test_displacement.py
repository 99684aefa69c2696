"""
Which request of a principal makes room.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from aibridge.admission.displacement import in_share, victim
from aibridge.admission.lanes import Flow, Party
from aibridge.admission.permit import WAITING, Claim, Waiter
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Pool
from aibridge.model import Class

TERMS = SeatTerms(max_concurrency=4, providers={"x": 2, "y": 2}, queue_size=9, interactive_share=0.5)


class Waiting:
    """
    A principal with requests that wait for these providers, in this order; and how many wait for each in all.
    """

    def __init__(
        self, providers: str, class_: Class = Class.DEFAULT, in_all: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self.everyone: Pool[Waiter] = Pool(TERMS, 4)
        self.pools: dict[str, Pool[Waiter]] = {name: Pool(TERMS, 2) for name in "xyz"}
        self.party: Party[Waiter] = Party("a", class_, 0)
        issuer = Seats(TERMS, lambda: 0.0, lambda: 0.0)
        self.names: dict[Waiter, str] = {}
        for number, name in enumerate(providers, 1):
            pool = self.pools[name]
            waiter = Waiter(issuer, Claim("a", class_, name), class_, pool, 0.0, WAITING)
            lane = pool.line.lanes[waiter.interactive]
            flow = self.party.flows.get(lane)
            if flow is None:
                flow = self.party.flows[lane] = Flow(self.party, lane)
            flow.items[waiter] = number
            self.names[waiter] = f"{name}{number}"
            for each in (pool, self.everyone):
                each.waiting += 1
                each.interactive_waiting += waiter.interactive
        for name, count in in_all.items():
            self.pools[name].waiting = count

    def displaced(self, *, is_ready: bool = True, spare_for: str = "") -> str:
        """
        The one that makes room: provider and number.
        """
        pool = self.pools[spare_for] if spare_for else None
        found = victim(self.party, is_ready, self.everyone, pool)
        return "" if found is None else self.names[found]


@pytest.mark.parametrize(
    ("providers", "in_all", "spare_for", "displaced"),
    [
        ("xxy", {}, "", "y3"),
        ("yxx", {}, "", "x3"),
        ("xxy", {}, "x", "x2"),
        ("xxy", {"y": 2}, "x", "y3"),
        ("xxy", {}, "y", "y3"),
        ("xy", {}, "z", ""),
        ("xy", {}, "x", "x1"),
        ("x", {"x": 2}, "z", "x1"),
    ],
)
def test_the_newest_but_not_the_last_for_a_provider(
    providers: str, in_all: dict[str, int], spare_for: str, displaced: str
) -> None:
    """
    The last that waits for a provider is spared where the place is wanted for another.
    """
    assert Waiting(providers, in_all=in_all).displaced(spare_for=spare_for) == displaced


def test_within_the_share() -> None:
    """
    Not displaced, unless its principal blocks itself; beyond the share of a provider like anybody else.
    """
    assert Waiting("x", Class.INTERACTIVE).displaced() == ""
    assert Waiting("x", Class.INTERACTIVE).displaced(is_ready=False) == "x1"
    assert Waiting("xx", Class.INTERACTIVE).displaced() == "x2"


def test_in_share() -> None:
    """
    Of both limits, where there is one at all.
    """
    everyone, pool, free = Pool[Waiter](TERMS, 4), Pool[Waiter](TERMS, 2), Pool[Waiter](TERMS, 0)
    assert in_share(everyone, pool, 1)
    assert not in_share(everyone, pool, 2)
    assert in_share(everyone, free, 2)
    assert not in_share(free, free, 0)
