"""
What is reserved for an exchange, and how far what is used can be beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.policies import Admission, Policies
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.reservation import MOST_OUTPUT, NOTHING, OVERSHOOT, Reservation, reserved
from aibridge.model import Principal

ADA = Principal(id="ada", name="ada")


def test_the_sum() -> None:
    """
    Input and output together; cached input is a part of the input.
    """
    assert Reservation(700, 100, 50, 900, 950).expected == 750
    assert NOTHING.expected == 0


@pytest.mark.parametrize(
    ("expected", "beyond", "burst", "overshoot", "tokens"),
    [
        (500, 0, 10000, 16, 500),
        (500, 1600, 10000, 16, 600),
        (500, 127500, 10000, 16, 1125),
        (500, 127500, 10000, 1, 10500),
        (500, 7500, 10000, 1, 8000),
        (0, 0, 10000, 16, 0),
    ],
)
def test_what_is_reserved(expected: float, beyond: float, burst: float, overshoot: float, tokens: float) -> None:
    """
    What is expected and a part of what may be used beyond that, but no more than such a part of the bucket.
    """
    assert reserved(expected, beyond, burst, overshoot) == tokens


@given(
    st.floats(0, 1e7),
    st.floats(0, 1e7),
    st.floats(1, 1e7),
    st.floats(1, 1000),
)
def test_no_request_uses_more_than_so_many_times_what_is_reserved(
    expected: float, beyond: float, burst: float, overshoot: float
) -> None:
    """
    As many as is configured, and where one request may use more than a full bucket, that many times more.
    """
    most = expected + beyond
    charged = min(reserved(expected, beyond, burst, overshoot), burst)
    assert most <= overshoot * max(1.0, most / burst) * charged * (1 + 1e-9)


@dataclass
class Play:
    """
    One bucket, and all that was let into it.
    """

    policies: Policies
    burst: float
    rate: float
    now: float = 0.0
    open: list[tuple[Admission, float, float]] = field(default_factory=list)
    log: list[tuple[float, float]] = field(default_factory=list)
    """When each was let in, and what it has used at most, whenever that is."""

    def ask(self, expected: float, beyond: float, part: float) -> None:
        """
        A request that will use some part of what it may.
        """
        found = self.policies.check(ADA, "p", self.now, expected, beyond)
        if isinstance(found, Admission):
            used = part * (expected + beyond)
            self.open.append((found, used, expected))
            self.log.append((self.now, used))

    def end(self, which: int) -> None:
        """
        One of those that are running ends.
        """
        if self.open:
            admission, used, _ = self.open.pop(which % len(self.open))
            admission.settle(used, 0.0, self.now)

    @property
    def level(self) -> float:
        """
        Tokens in the bucket.
        """
        (state,) = self.policies.states(ADA, "p", self.now)
        return state.level


def play(burst: float, rate: float, overshoot: float) -> Play:
    """
    A bucket of that size.
    """
    policy = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=rate * 60, burst=burst)
    return Play(Policies([policy], overshoot=overshoot), burst, rate)


MOST = 2000.0
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.floats(1, 400), st.floats(0, MOST - 400), st.sampled_from((0.0, 0.01, 0.5, 1.0))),
    st.tuples(st.just("end"), st.integers(0, 100)),
    st.tuples(st.just("wait"), st.floats(0, 30)),
)


@given(
    burst=st.sampled_from((300.0, 1000.0, 5000.0)),
    rate=st.sampled_from((1.0, 20.0)),
    overshoot=st.sampled_from((1.0, 4.0, 16.0)),
    steps=st.lists(STEPS, max_size=120),
)
def test_the_bound(burst: float, rate: float, overshoot: float, steps: list[tuple[object, ...]]) -> None:
    """
    Whatever is expected, allowed and used, by however many at once: in any stretch of time what is used by those that
    were let in is at most so many times what the limit allows in it, and the debt is no more than the rest of that.
    """
    made = play(burst, rate, overshoot)
    for kind, *arguments in steps:
        if kind == "ask":
            made.ask(*map(float, arguments))  # type: ignore[arg-type]  # they are numbers, see STEPS
        elif kind == "end":
            made.end(int(arguments[0]))  # type: ignore[call-overload]  # as above
        else:
            made.now += float(arguments[0])  # type: ignore[arg-type]  # as above
    times = overshoot * max(1.0, MOST / burst)
    while made.open:
        made.end(0)
    begins = sorted({at for at, _ in made.log})
    for begin in begins:
        used = sum(used for at, used in made.log if at >= begin)
        last = max(at for at, _ in made.log)
        assert used <= times * (burst + rate * (last - begin)) * (1 + 1e-6) + 1e-3
    elapsed = made.now - (begins[0] if begins else 0.0)
    assert made.level <= times * (burst + rate * elapsed) * (1 + 1e-6) + 1e-3


def test_somebody_who_taught_small_answers_and_sends_giants() -> None:
    """
    All that he can have at once is so many times the bucket, and then he waits until it is paid.
    """
    made = play(400_000.0, 400_000 / 60, OVERSHOOT)
    for _ in range(10_000):
        made.ask(10.0, 127_990.0, 1.0)
    count = len(made.open)
    assert count == 49
    while made.open:
        made.end(0)
    assert 10 * 400_000 < made.level <= OVERSHOOT * 400_000
    made.ask(10.0, 127_990.0, 1.0)
    assert not made.open
    made.now += (made.level - 400_000) / made.rate - 1
    made.ask(10.0, 0.0, 1.0)
    assert not made.open
    made.now += 1.1
    made.ask(10.0, 0.0, 1.0)
    assert len(made.open) == 1


@pytest.mark.parametrize(("limit", "agents"), [(400_000, 8), (400_000, 39), (80_000, 8), (60_000, 8)])
def test_agents_that_allow_much(limit: float, agents: int) -> None:
    """
    Fit at once, before anything is known of them, although each allows more than a third of what there is, or all.
    """
    made = play(limit, limit / 60, OVERSHOOT)
    for _ in range(agents):
        made.ask(1024.0 + 1000.0, MOST_OUTPUT - 1024.0, 0.01)
    assert len(made.open) == agents
