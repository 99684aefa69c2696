"""
What is sent twice, and how often.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.admission.retries import SAFE_TO_REPEAT, RetryBudget, may_retry
from making import concrete_errors

RULE: list[tuple[errors.BridgeError | int, int, float | None, bool, bool]] = [
    # outcome, bytes sent, retry-after, POST, GET
    (errors.ConnectFailed(), 0, None, True, True),
    (errors.ConnectTimeout(), 0, None, True, True),
    (errors.ResolveFailed(), 0, None, True, True),
    (errors.TLSFailed(), 0, None, False, False),
    (errors.PoolTimeout(), 0, None, False, False),
    (errors.UpstreamReset(), 0, None, True, True),
    (errors.UpstreamReset(), 1, None, False, True),
    (errors.FirstByteTimeout(), 500, None, False, True),
    (errors.SilenceTimeout(), 500, None, False, False),
    (errors.TotalTimeout(), 500, None, False, False),
    (errors.UpstreamTruncated(), 500, None, False, False),
    (errors.UpstreamViolation(), 500, None, False, False),
    (errors.ClientLeft(), 0, None, False, False),
    (errors.BreakerOpen(), 0, None, False, False),
    (429, 500, None, True, True),
    (429, 500, 3.0, True, True),
    (503, 500, 3.0, True, True),
    (503, 500, 0.0, True, True),
    (503, 500, None, False, True),
    (502, 500, None, False, True),
    (504, 500, 3.0, False, True),
    (529, 500, 3.0, False, True),
    (500, 500, 3.0, False, False),
    (408, 500, None, False, False),
    (409, 500, None, False, False),
    (400, 500, None, False, False),
    (401, 500, None, False, False),
    (200, 500, None, False, False),
]


@pytest.mark.parametrize(("outcome", "sent", "told", "post", "get"), RULE)
def test_rule(outcome: errors.BridgeError | int, sent: int, told: float | None, post: bool, get: bool) -> None:
    """
    A POST only where the provider did not act; a GET also where it may have.
    """
    assert may_retry(outcome, b"POST", bytes_sent=sent, started=False, retry_after_s=told) is post
    assert may_retry(outcome, b"GET", bytes_sent=sent, started=False, retry_after_s=told) is get


@given(
    st.sampled_from(concrete_errors()).map(lambda class_: class_()) | st.integers(100, 599),
    st.sampled_from([b"POST", b"GET", b"PATCH", b"DELETE"]),
    st.integers(0, 10**6),
    st.none() | st.floats(0, 100),
)
def test_never(outcome: errors.BridgeError | int, method: bytes, sent: int, told: float | None) -> None:
    """
    Nothing after the first byte; no POST of which bytes were sent, without the provider's word that it did not act.
    """
    assert not may_retry(outcome, method, bytes_sent=sent, started=True, retry_after_s=told)
    if (
        method not in SAFE_TO_REPEAT
        and sent
        and not isinstance(outcome, errors.ResolveFailed | errors.ConnectFailed | errors.ConnectTimeout)
    ):
        allowed = outcome == 429 or (outcome == 503 and told is not None)
        assert may_retry(outcome, method, bytes_sent=sent, started=False, retry_after_s=told) is allowed


def test_floor() -> None:
    """
    Three retries for a beginning; time alone brings no more.
    """
    budget = RetryBudget()
    assert [budget.take(now) for now in (0, 1, 2, 3, 1e6)] == [True, True, True, False, False]


def test_ten_successes_pay_for_one() -> None:
    """
    A tenth each.
    """
    budget = RetryBudget(floor=0)
    for number in range(10):
        assert not budget.take(5)
        budget.succeeded(5)
        assert budget.balance(5) == pytest.approx((number + 1) / 10)
    assert budget.take(5)
    assert not budget.take(5)


def test_old_successes_pay_for_nothing() -> None:
    """
    What is above the floor halves with each half-life; the floor stays.
    """
    budget = RetryBudget(half_life_s=10)
    for _ in range(80):
        budget.succeeded(0)
    assert [budget.balance(now) for now in (0, 10, 20, 1e6)] == pytest.approx([11, 7, 5, 3])


def attempts(outcomes: list[bool], budget: RetryBudget, rate: float, start: float, tries: int = 5) -> int:
    """
    How many requests a provider sees that answers like this, when each failure is repeated up to `tries` times if the
    budget allows; outcomes are for offered requests and their retries, and the last one for ever.
    """
    seen = 0
    for number, good in enumerate(outcomes):
        now = start + number / rate
        seen += 1
        for _ in range(tries):
            if good:
                break
            if not budget.take(now):
                break
            seen += 1
        if good:
            budget.succeeded(now)
    return seen


@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0.01, 1.0, 100.0]))
def test_never_more_than_a_tenth_and_the_floor(outcomes: list[bool], rate: float) -> None:
    """
    Whatever fails, and whenever: n offered requests make at most 1.1 n + 3.
    """
    assert attempts(outcomes, RetryBudget(), rate, 0.0) <= 1.1 * len(outcomes) + 3 + 1e-6


@pytest.mark.parametrize("rate", [0.01, 1.0, 50.0, 1000.0])
@pytest.mark.parametrize("healthy", [0, 1000])
def test_a_provider_that_dies(rate: float, healthy: int) -> None:
    """
    From its death on it sees what is offered, the floor and a tenth of some 14 seconds' successes; of the whole time
    less than 1.2 times what is offered, from 30 requests on.
    """
    budget = RetryBudget()
    before = attempts([True] * healthy, budget, rate, 0.0)
    assert before == healthy
    death = healthy / rate
    balance = budget.balance(death)
    assert balance <= 3 + 0.1 * min(healthy, 14.43 * rate + 1)
    dead = 500
    after = attempts([False] * dead, budget, rate, death)
    assert after <= dead + balance
    assert before + after <= 1.2 * (healthy + dead)


def test_a_provider_that_is_half_dead() -> None:
    """
    Half of all requests failing, for an hour: still a tenth of what succeeds.
    """
    chance = random.Random(7)
    outcomes = [chance.random() < 0.5 for _ in range(36000)]
    seen = attempts(outcomes, RetryBudget(), 10.0, 0.0)
    assert seen <= 36000 + 0.1 * sum(outcomes) + 3 + 1e-6
