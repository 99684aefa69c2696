"""
Tests for `aibridge.admission.promises`, alone and as `Policies` uses them.
"""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.policies import Admission, Policies, Refusal
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.promises import LATE_S, MOST_APART_S, MOST_KEYS, Promises
from aibridge.model import Class, Principal

ADA = Principal(id="1", name="ada")


def sent_away(policies: Policies, now: float, principal: Principal = ADA, tokens: float | None = None) -> float:
    """
    Be refused, and told when to come back.
    """
    refusal = policies.check(principal, "p", now, tokens)
    assert isinstance(refusal, Refusal)
    return policies.promise(refusal, principal, "p", now, tokens)


def full(rate: float, burst: int) -> Policies:
    """
    A full bucket for each principal.
    """
    policies = Policies([Policy(scope=Scope.PRINCIPAL, limit=rate, burst=burst)])
    for _ in range(burst):
        assert isinstance(policies.check(ADA, "p", 0.0), Admission)
    return policies


def test_one_after_the_other() -> None:
    """
    The first is told what the bucket says, each further one to come when the one before it has.
    """
    policies = full(4.0, 10)
    assert [sent_away(policies, 0.0) for _ in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert sent_away(policies, 0.125) == pytest.approx(1.125)


def test_others_are_apart() -> None:
    """
    What one principal is told lengthens nobody else's wait.
    """
    policies = full(4.0, 10)
    bob = Principal(id="2", name="bob")
    for _ in range(10):
        policies.check(bob, "p", 0.0)
    assert [sent_away(policies, 0.0) for _ in range(3)] == pytest.approx([0.25, 0.5, 0.75])
    assert sent_away(policies, 0.0, bob) == pytest.approx(0.25)


def test_whoever_comes_alone_is_told_exactly() -> None:
    """
    Once the time of a promise has passed, whether or not it was kept, it lengthens nothing.
    """
    policies = full(1.0, 1)
    for now in (0.0, 1.0, 2.0):
        assert sent_away(policies, now) == pytest.approx(1.0)
        assert isinstance(policies.check(ADA, "p", now + 1.0), Admission)
    policies = full(1.0, 5)
    assert sent_away(policies, 0.0) == pytest.approx(1.0)
    # It did not come; the bucket leaks, and is filled by others.
    for _ in range(5):
        assert isinstance(policies.check(ADA, "p", 20.0), Admission)
    assert sent_away(policies, 20.0) == pytest.approx(1.0)


def test_not_without_end() -> None:
    """
    A crowd of which nobody comes lengthens a wait by so much and no more.
    """
    policies = full(10.0, 10)
    told = [sent_away(policies, 0.0) for _ in range(200)]
    assert max(told) == pytest.approx(0.1 + MOST_APART_S)
    assert sent_away(policies, 0.0) == max(told)


def test_tokens_count_as_they_are_estimated() -> None:
    """
    A large request is waited for longer by those behind it.
    """
    policies = Policies([Policy(scope=Scope.GLOBAL, unit=Unit.TOKENS_PER_MINUTE, limit=6000, burst=1000)])
    assert isinstance(policies.check(ADA, "p", 0.0, 1000.0), Admission)
    told = [sent_away(policies, 0.0, tokens=tokens) for tokens in (100.0, 200.0, 100.0, 5000.0)]
    assert told == pytest.approx([1.0, 3.0, 4.0, min(10.0 + 4.0, 10.0 + MOST_APART_S)])


def test_several_policies() -> None:
    """
    The longest of their waits counts; those that only try something out do not, nor those that do not apply.
    """
    policies = Policies(
        [
            Policy(scope=Scope.PRINCIPAL, limit=1, burst=1),
            Policy(scope=Scope.GLOBAL, limit=2, burst=1),
            Policy(scope=Scope.CLASS, class_=Class.BATCH, limit=0.001, burst=1),
            Policy(scope=Scope.GLOBAL, limit=0.001, burst=1, shadow=True, name="tried-out"),
        ]
    )
    bob = Principal(id="2", name="bob")
    policies.check(ADA, "p", 0.0)
    assert [sent_away(policies, 0.0, who) for who in (bob, ADA, bob)] == pytest.approx(
        [0.5, 1.0 + LATE_S, 1.5 + 2 * LATE_S]
    )


def test_a_long_wait_of_ones_own_is_nobody_elses() -> None:
    """
    Whoever has to wait for a bucket of its own comes when those that it shares have long been empty, so nobody waits
    for it there.
    """
    policies = Policies(
        [Policy(scope=Scope.PRINCIPAL, limit=1, unit=Unit.REQUESTS_PER_MINUTE), Policy(scope=Scope.GLOBAL, limit=2)]
    )
    others = [Principal(id=str(number), name="") for number in range(2, 6)]
    for who in (ADA, others[0]):
        assert isinstance(policies.check(who, "p", 0.0), Admission)
    assert sent_away(policies, 0.0) == pytest.approx(60.0)
    assert [sent_away(policies, 0.0, who) for who in others[1:]] == pytest.approx([0.5, 1.0, 1.5])


def test_a_burst_of_one() -> None:
    """
    Where a bucket has to be empty for the next one, they still come one after the other, at any time of day, and so far
    apart that each may be a little late.
    """
    for start in (0.0, 1e5 + 1 / 3, 3e7 + 1 / 7):
        policies = Policies([Policy(scope=Scope.GLOBAL, limit=3)], now=start)
        for _ in range(3):
            assert isinstance(policies.check(ADA, "p", start), Admission)
        policies = Policies([Policy(scope=Scope.GLOBAL, limit=3, burst=1)], before=policies, now=start)
        waits = [sent_away(policies, start) for _ in range(9)]
        assert waits == pytest.approx([1 / 3 + number * (1 / 3 + LATE_S) for number in range(9)], abs=1e-6)


def test_a_reload_keeps_them() -> None:
    """
    Who comes after it is told to come behind those who were told before.
    """
    before = full(4.0, 10)
    assert [sent_away(before, 0.0) for _ in range(4)][-1] == pytest.approx(1.0)
    after = Policies([Policy(scope=Scope.PRINCIPAL, limit=4.0, burst=10)], before=before, now=0.0)
    assert sent_away(after, 0.0) == pytest.approx(1.25)


def test_the_table_is_bounded() -> None:
    """
    When it is full of promises, further buckets have none; those whose time has passed make room.
    """
    promises = Promises()
    for number in range(MOST_KEYS + 100):
        promises.add(str(number), 0.0, 1.0, 1.0, 2.0, 0.0)
    assert len(promises) == MOST_KEYS
    assert promises.wait_for("none", 0.0, 1.0, 1.0, 1.0) == 1.0
    promises.add("late", 100.0, 1.0, 1.0, 2.0, 0.0)
    assert len(promises) == 1
    assert promises.wait_for("late", 100.0, 1.0, 1.0, 1.0) == 2.0


def test_all_get_through_at_the_third_time() -> None:
    """
    Crowds of callers who come three times at most, and never quite on time, past limits of their own and a common one.
    """
    for principals, calls, rate, burst, all_rate, all_burst in (
        (1, 20, 5, 1, 1000, 1000),
        (1, 20, 5, 10, 1000, 1000),
        (40, 1, 1, 1, 20, 2),
        (4, 5, 2, 2, 6, 5),
    ):
        policies = Policies(
            [
                Policy(scope=Scope.PRINCIPAL, limit=rate, burst=burst),
                Policy(scope=Scope.GLOBAL, limit=all_rate, burst=all_burst),
            ]
        )
        late = random.Random(principals + burst)
        comes = [
            (late.uniform(0, 0.05), number, 1, Principal(id=str(number % principals), name=""))
            for number in range(principals * calls)
        ]
        heapq.heapify(comes)
        while comes:
            now, number, times, who = heapq.heappop(comes)
            refusal = policies.check(who, "p", now)
            if isinstance(refusal, Refusal):
                assert times < 3
                due = now + policies.promise(refusal, who, "p", now) + late.uniform(0, 0.02)
                heapq.heappush(comes, (due, number, times + 1, who))


@given(
    st.floats(0.5, 50),
    st.integers(1, 20),
    st.lists(st.floats(0, 0.2), min_size=1, max_size=30),
)
def test_who_comes_as_told_is_admitted(rate: float, burst: int, pauses: list[float]) -> None:
    """
    However many are sent away and whenever, each finds room when it comes back as it was told, and none is told less
    than the bucket says.
    """
    policies = full(rate, burst)
    now, comes = 0.0, list[float]()
    for pause in pauses:
        now += pause
        for due in sorted(due for due in comes if due <= now):
            comes.remove(due)
            assert isinstance(policies.check(ADA, "p", due), Admission)
        refusal = policies.refuse(ADA, "p", now)
        if refusal is None:
            continue
        wait = policies.promise(refusal, ADA, "p", now)
        assert refusal.wait_s <= wait <= refusal.wait_s + MOST_APART_S
        if wait < refusal.wait_s + MOST_APART_S:
            comes.append(now + wait)
    for due in sorted(comes):
        assert isinstance(policies.check(ADA, "p", due), Admission)
