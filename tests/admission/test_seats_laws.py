"""
The gate: whatever happens in whatever order, every permit comes back once and no number leaves its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from aibridge.admission.permit import Claim, Permit
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.errors import AtCapacity
from aibridge.model import Class

CLASSES = {"i": Class.INTERACTIVE, "d": Class.DEFAULT, "b": Class.BATCH}


@attrs.define(eq=False)
class Asked:
    """
    One request in the model.

    :ivar act: what its caller does when it is told.
    """

    number: int
    claim: Claim
    act: str
    deferred: Deferred[Permit] | None = None
    permit: Permit | None = None


PRINCIPALS = {"i1": 0, "i2": 2, "d1": 0, "d2": 1, "b1": 1}
PROVIDERS = ("p", "q", "r")
TERMS = st.builds(
    SeatTerms,
    max_concurrency=st.sampled_from([0, 0, 1, 3, 5]),
    providers=st.fixed_dictionaries({}, optional={"p": st.integers(0, 3), "q": st.integers(1, 3)}),
    queue_size=st.sampled_from([0, 2, 4, 8, 8]),
    queue_timeout_s=st.sampled_from([2.0, 10.0]),
    interactive_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    shadow=st.sampled_from([False, False, False, True]),
)


def limit_of(bound: str) -> str:
    """
    Whose limit one of the model's bounds is.
    """
    if bound.startswith("of:"):
        return "principal"
    return "daemon" if bound.endswith(":") else "provider"


class SeatsMachine(RuleBasedStateMachine):
    """
    Any order of coming, going, going again, leaving, time passing and reloads; and callers who do some of it from
    within the callback that tells them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.terms = SeatTerms()
        self.seats = Seats(self.terms, lambda: self.now, lambda: 0.5)
        self.out: list[Asked] = []
        self.waiting: list[Asked] = []
        self.returned: list[Permit] = []
        self.number = 0
        # Whether some number is beyond its bound since the last reload: then nothing is promised.
        self.is_settling = False
        self.is_nested = False
        # Who asks at this moment.
        self.asking = ""
        # What failed where only a Deferred saw it.
        self.broken: list[Failure] = []

    # -- what the model knows ------------------------------------------------------------------------------------

    def count(self, where: list[Asked], provider: str = "", class_: Class | None = None) -> int:
        """
        How many there are.
        """
        return sum(
            (not provider or asked.claim.provider == provider) and class_ in (None, asked.claim.class_)
            for asked in where
        )

    def limits(self) -> dict[str, int]:
        """
        Provider, or nothing for the daemon → limit, where there is one.
        """
        limits = {"": self.terms.max_concurrency, **self.terms.providers}
        return {name: limit for name, limit in limits.items() if limit}

    def open(self, limit: int) -> int:
        """
        Most permits for others than `interactive`.
        """
        return limit - self.terms.kept(limit) + self.terms.lent(limit)

    def counts(self) -> dict[str, int]:
        """
        All numbers that some limit bounds.
        """
        counts = {"waiting": len(self.waiting)}
        for name in ("", *PROVIDERS):
            counts[f"in:{name}"] = self.count(self.out, name)
            counts[f"others:{name}"] = counts[f"in:{name}"] - self.count(self.out, name, Class.INTERACTIVE)
        for name in PRINCIPALS:
            counts[f"of:{name}"] = sum(asked.claim.principal == name for asked in self.out)
        return counts

    def bounds(self) -> dict[str, int]:
        """
        What bounds them.
        """
        bounds = {"waiting": self.terms.queue_size}
        for name, limit in self.limits().items():
            bounds[f"in:{name}"] = limit
            bounds[f"others:{name}"] = self.open(limit)
        return bounds | {f"of:{name}": most for name, most in PRINCIPALS.items() if most}

    def stands_in_the_way(self, claim: Claim) -> set[str]:
        """
        Which limits leave no room for one more like this.
        """
        counts, bounds = self.counts(), self.bounds()
        names = {"in:", f"in:{claim.provider}", f"of:{claim.principal}"}
        if claim.class_ is not Class.INTERACTIVE:
            names |= {"others:", f"others:{claim.provider}"}
        return {name for name in names & bounds.keys() if counts[name] >= bounds[name]}

    def in_share(self, claim: Claim) -> bool:
        """
        Whether one more like this is within the share that is kept for its class.
        """
        limits = {name: limit for name, limit in self.limits().items() if name in ("", claim.provider)}
        return (
            claim.class_ is Class.INTERACTIVE
            and bool(limits)
            and f"of:{claim.principal}" not in self.stands_in_the_way(claim)
            and all(
                self.count(self.out + self.waiting, name, Class.INTERACTIVE) < self.terms.kept(limit)
                for name, limit in limits.items()
            )
        )

    # -- what callers do -----------------------------------------------------------------------------------------

    def told(self, permit: Permit, asked: Asked) -> None:
        """
        One who waited has a permit: nobody of its principal's who came before still waits for the same provider.
        """
        self.waiting.remove(asked)
        for other in self.of_principal(asked.claim):
            assert other.number > asked.number
        asked.permit = permit
        assert permit.waited_s >= 0
        self.out.append(asked)
        self.acts(asked)

    def failed(self, failure: Failure, asked: Asked) -> None:
        """
        It has none, and was told why: its time was up, or it made room, which no interactive request within its share
        has to.
        """
        if asked not in self.waiting:
            failure.trap(CancelledError)
            return
        failure.trap(AtCapacity)
        error, claim = failure.value, asked.claim
        assert isinstance(error, AtCapacity)
        assert error.policy in ("displaced", "timeout")
        assert error.retry_after_s is not None
        assert 1 <= error.retry_after_s <= self.terms.max_retry_after_s
        self.waiting.remove(asked)
        if error.policy == "displaced" and not self.is_nested:
            assert not self.in_share(claim)
            assert claim.principal != self.asking
        self.acts(asked)

    def acts(self, asked: Asked) -> None:
        """
        Do from within a callback what others do from outside.
        """
        act, asked.act = asked.act, ""
        self.is_nested = bool(act)
        if act == "go" and asked.permit is not None:
            self.goes(asked)
        elif act == "come":
            self.comes(asked.claim, "")
        elif act == "cancel" and self.waiting:
            self.cancels(self.waiting[-1])

    def comes(self, claim: Claim, act: str) -> None:
        """
        Somebody asks.
        """
        self.number += 1
        asked = Asked(self.number, claim, act)
        # From within a callback the model does not know yet of those who will be told next.
        knows = not self.is_nested
        in_way, is_first = self.stands_in_the_way(claim), not self.of_principal(claim)
        promised = self.in_share(claim) and not self.is_settling and not self.is_own(claim.principal)
        self.asking = claim.principal
        found = self.seats.enter(claim, self.now)
        self.asking = ""
        if isinstance(found, AtCapacity):
            assert not self.terms.shadow
            if knows:
                assert not promised
                assert in_way or not is_first
                assert self.terms.queue_size or found.policy in {*map(limit_of, in_way), "queue"}
                assert not self.terms.queue_size or found.policy == "queue"
            return
        if isinstance(found, Permit):
            assert self.terms.shadow or not knows or (is_first and not in_way)
            asked.permit = found
            self.out.append(asked)
            return
        assert not self.terms.shadow
        assert not knows or in_way or not is_first
        asked.deferred = found
        self.waiting.append(asked)
        found.addCallbacks(self.told, self.failed, callbackArgs=(asked,), errbackArgs=(asked,))
        found.addErrback(self.broken.append)

    def goes(self, asked: Asked) -> None:
        """
        A permit is given back.
        """
        assert asked.permit is not None
        self.out.remove(asked)
        self.returned.append(asked.permit)
        asked.permit.give_back(self.now)

    def cancels(self, asked: Asked) -> None:
        """
        Somebody leaves while waiting.
        """
        assert asked.deferred is not None
        self.waiting.remove(asked)
        asked.deferred.cancel()

    def of_principal(self, claim: Claim) -> list[Asked]:
        """
        Those of a principal that wait for the same provider, in order.
        """
        wanted = claim.principal, claim.provider
        return [asked for asked in self.waiting if (asked.claim.principal, asked.claim.provider) == wanted]

    def is_own(self, principal: str) -> bool:
        """
        Whether a principal has made the queue full of its own, but for those that are not displaced either.
        """
        others = (asked.claim for asked in self.waiting if asked.claim.principal != principal)
        return all(claim.class_ is Class.INTERACTIVE for claim in others) and bool(self.waiting)

    def step(self, act: Callable[[], None]) -> None:
        """
        Something happens, after which every number is within its bound, or no further beyond it than before.
        """
        before = self.counts()
        self.is_nested = False
        act()
        if not self.terms.shadow:
            after = self.counts()
            for name, bound in self.bounds().items():
                assert after[name] <= max(bound, before[name]), name
            if all(after[name] <= bound for name, bound in self.bounds().items()):
                self.is_settling = False

    @initialize(terms=TERMS)
    def start(self, terms: SeatTerms) -> None:
        """
        The first terms.
        """
        self.terms = terms
        self.seats = Seats(terms, lambda: self.now, lambda: 0.5)

    # -- rules ---------------------------------------------------------------------------------------------------

    @rule(
        principal=st.sampled_from(sorted(PRINCIPALS)),
        providers=st.lists(st.sampled_from(PROVIDERS), min_size=1, max_size=3),
        act=st.sampled_from(["", "", "", "go", "come", "cancel"]),
    )
    def come(self, principal: str, providers: list[str], act: str) -> None:
        """
        Somebody asks, once or more.
        """
        for provider in providers:
            claim = Claim(principal, CLASSES[principal[0]], provider, PRINCIPALS[principal])
            self.step(partial(self.comes, claim, act))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """
        A permit comes back.
        """
        asked = data.draw(st.sampled_from(self.out))
        self.step(lambda: self.goes(asked))

    @precondition(lambda self: self.returned)
    @rule(data=st.data())
    def go_again(self, data: st.DataObject) -> None:
        """
        One comes back that has before.
        """
        self.step(lambda: data.draw(st.sampled_from(self.returned)).give_back(self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """
        Somebody leaves while waiting.
        """
        asked = data.draw(st.sampled_from(self.waiting))
        self.step(lambda: self.cancels(asked))

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        """
        The timer of the edge does its work whenever it is due.
        """
        until = self.now + seconds
        while (due := self.seats.next_expiry()) is not None and due <= until:
            self.now = max(self.now, due)
            self.step(lambda: self.seats.expire(self.now))
            following = self.seats.next_expiry()
            assert following is None or following > self.now
        self.now = until

    @rule(terms=TERMS)
    def reload(self, terms: SeatTerms) -> None:
        """
        Other terms.
        """

        def adopt() -> None:
            self.terms = terms
            self.is_settling = True
            self.seats.adopt(terms, self.now)

        self.step(adopt)

    # -- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def nobody_saw_anything_wrong(self) -> None:
        """
        No callback failed.
        """
        for failure in self.broken:
            failure.raiseException()

    @invariant()
    def the_books_agree(self) -> None:
        """
        What is out is out, once, over providers and over principals.
        """
        by_provider = self.seats.in_use_by_provider()
        assert self.seats.in_use == len(self.out) == sum(by_provider.values())
        for name in PROVIDERS:
            assert by_provider.get(name, 0) == self.count(self.out, name)
        if self.terms.shadow:
            assert not self.waiting
            return
        assert self.seats.waiting == len(self.waiting) == sum(self.seats.waiting_by_class().values())
        for class_, count in self.seats.waiting_by_class().items():
            assert count == self.count(self.waiting, class_=class_)
        counts = self.counts()
        for name in PRINCIPALS:
            assert self.seats.held(name) == counts[f"of:{name}"]
        assert self.seats.principals == len({asked.claim.principal for asked in self.out + self.waiting})

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """
        Something stands in the way of each.
        """
        for asked in self.waiting:
            assert self.stands_in_the_way(asked.claim)

    def teardown(self) -> None:
        """
        When all have gone, nothing is left of them.
        """
        for asked in list(self.waiting):
            if asked in self.waiting:
                self.cancels(asked)
        while self.out:
            self.goes(self.out[-1])
        self.nobody_saw_anything_wrong()
        assert (self.seats.in_use, self.seats.waiting, self.seats.principals) == (0, 0, 0)
        assert self.seats.next_expiry() is None
        assert not any(self.seats.in_use_by_provider().values())


SeatsMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
SeatsMachineTests = SeatsMachine.TestCase


@pytest.mark.parametrize("size", [100, 10000])
def test_a_longer_queue_is_no_slower(size: int) -> None:
    """
    What a hand-over looks at does not grow with those who wait: of ever so many principals who are at their own
    limits, or whose provider is full, none is asked again before something has changed for it.
    """
    asked = 0
    terms = SeatTerms(max_concurrency=size + 2, providers={"p": 1}, queue_size=2 * size + 100)
    seats = Seats(terms, lambda: 0.0, lambda: 0.0)
    for number in range(size):
        for _ in range(2):
            seats.enter(Claim(f"self-blocked {number}", Class.DEFAULT, "q", 1), 0.0)
    permit: Any = seats.enter(Claim("x", Class.DEFAULT, "q"), 0.0)
    seats.enter(Claim("x", Class.DEFAULT, "p"), 0.0)
    for number in range(size):
        seats.enter(Claim(f"for a full provider {number}", Class.DEFAULT, "p"), 0.0)
    waiting = [seats.enter(Claim(f"y{number}", Class.DEFAULT, "q"), 0.0) for number in range(10)]
    permit.give_back(0.0)

    def counted(principal: str) -> int:
        nonlocal asked
        asked += 1
        return seats.held(principal)

    seats._queue._held = counted
    for each in waiting:
        assert isinstance(each, Deferred)
        each.addCallback(lambda permit: permit.give_back(0.0))
    assert seats.in_use == size + 1
    assert asked <= 40
