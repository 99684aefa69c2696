"""
The gate on random walks, each step compared with what a slow and simple model of it allows.

The walks are the same each time. What comes is drawn so that the gate is full most of the time, over several providers
of which some are full and some are not.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from aibridge.admission.permit import Claim, Permit
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.errors import AtCapacity
from aibridge.model import Class
from gateoracle import Event, Oracle, Request

WALKS = 10_240
PARTS = 8
STEPS = 20

PRINCIPALS: Sequence[tuple[str, Class, int]] = (
    ("i1", Class.INTERACTIVE, 0),
    ("i2", Class.INTERACTIVE, 2),
    ("d1", Class.DEFAULT, 0),
    ("d2", Class.DEFAULT, 0),
    ("d3", Class.DEFAULT, 1),
    ("b1", Class.BATCH, 0),
    ("b2", Class.BATCH, 2),
)
PROVIDERS = ("x", "y", "z")


class Walk:
    """
    A gate, its oracle, and requests that come by chance.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        terms = self.terms()
        self.seats = Seats(terms, lambda: self.now, lambda: 0.5)
        self.oracle = Oracle(terms)
        self.permits: dict[Request, Permit] = {}
        self.deferreds: dict[Request, Deferred[Permit]] = {}
        self.events: list[Event] = []
        self.ended: dict[Request, str] = {}

    def terms(self) -> SeatTerms:
        """
        Some limits.
        """
        choice = self.chance.choice
        return SeatTerms(
            max_concurrency=choice((0, 2, 4, 6, 10)),
            providers={name: limit for name in PROVIDERS if (limit := choice((0, 1, 1, 2, 3)))},
            queue_size=choice((0, 1, 2, 3, 5, 8)),
            queue_timeout_s=choice((3.0, 10.0)),
            interactive_share=choice((0.0, 0.0, 0.5, 1.0)),
        )

    def told(self, permit: Permit, request: Request) -> None:
        """
        It has a permit.
        """
        del self.deferreds[request]
        self.permits[request] = permit
        self.events.append(("admitted", request))

    def sent_away(self, failure: Failure, request: Request) -> None:
        """
        It has none.
        """
        error = failure.value
        policy = error.policy if isinstance(error, AtCapacity) else "cancelled"
        assert isinstance(error, AtCapacity | CancelledError)
        assert request not in self.ended
        self.ended[request] = policy
        self.deferreds.pop(request, None)
        if policy != "cancelled":
            self.events.append((policy, request))

    def step(self) -> None:
        """
        Something happens.
        """
        self.events = []
        what = self.chance.random()
        if what < 0.6:
            self.comes()
        elif what < 0.8 and self.permits:
            request = self.chance.choice(list(self.permits))
            self.ended[request] = "done"
            self.permits.pop(request).give_back(self.now)
            self.oracle.returns(request, self.events)
        elif what < 0.86 and self.deferreds:
            request = self.chance.choice(list(self.deferreds))
            self.deferreds[request].cancel()
            self.oracle.leaves(request, self.events)
        elif what < 0.94:
            self.now += self.chance.choice((0.5, 1.0, 4.0))
            self.seats.expire(self.now)
            self.oracle.time_is(self.now, self.events)
        else:
            terms = self.terms()
            self.seats.adopt(terms, self.now)
            self.oracle.adopts(terms, self.events)
        self.agrees()

    def comes(self) -> None:
        """
        Somebody asks; now and then one whose limit or class was changed meanwhile.
        """
        name, class_, most = self.chance.choice(PRINCIPALS)
        if self.chance.random() < 0.05:
            class_, most = self.chance.choice(list(Class)), self.chance.choice((0, 1, 3))
        request = Request(Claim(name, class_, self.chance.choice(PROVIDERS), most), class_, self.now)
        found = self.seats.enter(request.claim, self.now)
        events = self.events
        if isinstance(found, Permit):
            self.permits[request], outcome = found, "admitted"
        elif isinstance(found, AtCapacity):
            self.ended[request] = found.policy
            outcome = "queue" if found.policy == "queue" and self.oracle.terms.queue_size else "refused"
        else:
            outcome = "waits"
            self.deferreds[request] = found
            found.addCallbacks(self.told, self.sent_away, callbackArgs=(request,), errbackArgs=(request,))
        self.oracle.comes(request, outcome, events)

    def agrees(self) -> None:
        """
        Gate, oracle and callers know of the same requests.
        """
        oracle, seats = self.oracle, self.seats
        assert set(oracle.out) == set(self.permits)
        assert set(oracle.waiting) == set(self.deferreds)
        assert not (oracle.out and any(request in self.ended for request in oracle.out + oracle.waiting))
        assert (seats.in_use, seats.waiting) == (len(oracle.out), len(oracle.waiting))
        by_provider = seats.in_use_by_provider()
        for provider in PROVIDERS:
            assert by_provider.get(provider, 0) == sum(each.provider == provider for each in oracle.out)

    def run(self) -> None:
        """
        Walk, and let everybody go in the end: nothing is left.
        """
        for _ in range(STEPS):
            self.step()
        self.events = []
        for deferred in list(self.deferreds.values()):
            deferred.cancel()
        for permit in list(self.permits.values()):
            permit.give_back(self.now)
        assert (self.seats.in_use, self.seats.waiting, self.seats.principals) == (0, 0, 0)


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_is_right(part: int) -> None:
    """
    Whoever can go does, in turn; who makes room is never the one that asks, and leaves no permit idle; each request
    ends once.
    """
    for seed in range(part, WALKS, PARTS):
        try:
            Walk(seed).run()
        except AssertionError as error:
            error.add_note(f"walk {seed}")
            raise
