"""
Leaky buckets: how much is let in, and what those are told who must wait.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aibridge.admission.bucket import Buckets, whole_seconds

STARTS = st.sampled_from([0.0, 0.1, 1234.5, 1e6, 3e7])
"""Monotonic clocks begin anywhere; a machine that runs for a year is at 3e7."""
RATES = st.sampled_from([0.01, 0.5, 1.0, 2.0, 3.0, 10.0, 1000.0]) | st.floats(0.01, 10000)
BURSTS = st.sampled_from([1.0, 2.0, 10.0]) | st.floats(1, 1000)


def waits(count: int, *, rate: float, burst: float, step: float = 0.0) -> list[float]:
    """
    What so many requests are told, one each `step` seconds.
    """
    buckets = Buckets(10)
    return [buckets.take("a", 1000 + step * number, rate, burst) for number in range(count)]


def test_five_at_once_with_a_limit_of_two() -> None:
    """
    The first two are let in, the others are not, and all three are told the same since refused ones do not count.
    """
    assert waits(5, rate=2, burst=2) == [0, 0, 0.5, 0.5, 0.5]


def test_one_at_a_time_with_a_limit_of_one() -> None:
    """
    Twice the rate is let in every other time.
    """
    assert [wait == 0 for wait in waits(6, rate=1, burst=1, step=0.5)] == [True, False, True, False, True, False]


def test_a_steady_client_at_its_limit() -> None:
    """
    Whoever asks exactly as often as allowed is never refused, not at any border of any window.
    """
    assert not any(waits(10000, rate=3, burst=1, step=1 / 3))


def test_fractions_of_a_request_per_second() -> None:
    """
    One in two seconds is a rate like others.
    """
    assert waits(3, rate=0.5, burst=1, step=1) == [0, 1, 0]


def test_a_cost_of_more_than_one() -> None:
    """
    It takes as much room as it says.
    """
    buckets = Buckets(10)
    assert buckets.take("a", 0, 1, 10, cost=8) == 0
    assert buckets.take("a", 0, 1, 10, cost=3) == pytest.approx(1)
    assert buckets.take("a", 0, 1, 10, cost=2) == 0


def test_level() -> None:
    """
    It rises with what is let in and leaks with time, down to nothing.
    """
    buckets = Buckets(10)
    assert buckets.level("a", 5, 2) == 0
    for _ in range(4):
        buckets.take("a", 5, 2, 3)
    assert [buckets.level("a", now, 2) for now in (5, 5.5, 6, 6.5, 100)] == [3, 2, 1, 0, 0]


def test_keys_are_apart() -> None:
    """
    Five tokens with a limit of one: all pass.
    """
    buckets = Buckets(10)
    assert [buckets.take(key, 0, 1, 1) for key in "abcde"] == [0] * 5
    assert all(buckets.take(key, 0, 1, 1) for key in "abcde")


def test_the_table_is_bounded() -> None:
    """
    Beyond its size the one unused for longest goes; being refused is use.
    """
    buckets = Buckets(3)
    for key in "abc":
        buckets.take(key, 0, 1, 1)
    assert buckets.take("a", 0, 1, 1)
    assert buckets.take("d", 0, 1, 1) == 0
    assert len(buckets) == 3
    assert [bool(buckets.level(key, 0, 1)) for key in "abcd"] == [True, False, True, True]


@given(st.lists(st.text(max_size=2)), st.integers(1, 5))
def test_any_keys_stay_within_the_size(keys: list[str], size: int) -> None:
    """
    Whatever they are.
    """
    buckets = Buckets(size)
    for key in keys:
        buckets.take(key, 0, 1, 2)
        assert len(buckets) <= size


@given(
    STARTS,
    RATES,
    BURSTS,
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab"), st.booleans()), min_size=1, max_size=60),
)
def test_never_more_than_burst_and_rate(
    start: float, rate: float, burst: float, asked: list[tuple[float, str, bool]]
) -> None:
    """
    In any window of time, however it is cut and whatever was asked in it: at most the burst, and what has leaked.

    Times go on by a part of what would fill the bucket, or by exactly what the last one was told to wait.
    """
    buckets = Buckets(10)
    now, told = start, 0.0
    admitted: dict[str, list[float]] = {"a": [], "b": []}
    for step, key, patient in asked:
        now += told if patient else step / rate
        told = buckets.take(key, now, rate, burst)
        if not told:
            admitted[key].append(now)
    for times in admitted.values():
        for first, begin in enumerate(times):
            for last in range(first, len(times)):
                allowed = burst + rate * (times[last] - begin)
                assert last - first + 1 <= allowed + 1e-7 * rate + 1e-9 * burst


@given(STARTS, RATES, BURSTS, st.lists(st.floats(0, 1), max_size=20))
def test_waiting_as_told_is_enough_and_needed(start: float, rate: float, burst: float, steps: list[float]) -> None:
    """
    Whoever waits exactly as long as told is let in; one part in a hundred or one second less, and not. Those who come
    too early lose nothing by it.
    """
    buckets = Buckets(10)
    now = start
    for step in steps:
        now += step / rate
        buckets.take("a", now, rate, burst)
    wait = 0.0
    while not wait:
        wait = buckets.take("a", now, rate, burst)
    assert 0 < wait <= 1 / rate + 1e-6
    assert buckets.take("a", now, rate, burst) == wait
    if wait > 1e-5:
        assert buckets.take("a", now + wait * 0.99, rate, burst)
    if wait > 1:
        assert buckets.take("a", now + wait - 1, rate, burst)
    assert buckets.take("a", now + wait, rate, burst) == 0.0


@given(STARTS, RATES, BURSTS, st.integers(1, 30))
def test_retry_after_is_enough(start: float, rate: float, burst: float, count: int) -> None:
    """
    The whole seconds that a client is told let it in, and the bucket is no emptier for having been asked.
    """
    buckets = Buckets(10)
    for _ in range(int(burst) + count):
        wait = buckets.take("a", start, rate, burst)
    assume(wait)
    assert buckets.take("a", start + whole_seconds(wait), rate, burst) == 0.0


@given(STARTS, RATES, BURSTS, RATES, BURSTS)
def test_other_terms_from_now_on(start: float, rate: float, burst: float, new_rate: float, new_burst: float) -> None:
    """
    A bucket that was filled under other limits is at most full under the new ones: nobody waits at a raised rate for
    what a low one would take, nor is let in beyond the new burst.
    """
    buckets = Buckets(10)
    for _ in range(int(burst) + 1):
        buckets.take("a", start, rate, burst)
    count = 0
    while not (wait := buckets.take("a", start, new_rate, new_burst)):
        count += 1
    assert count <= new_burst + 1e-6 * new_rate
    assert wait <= 1 / new_rate + 2e-6
    assert buckets.take("a", start + wait, new_rate, new_burst) == 0.0


def test_a_raised_limit_helps_at_once() -> None:
    """
    After one request of a hundred seconds each, ten a second means a tenth of a second, and fills from there.
    """
    buckets = Buckets(10)
    assert buckets.take("a", 0, 0.01, 1) == 0
    assert buckets.take("a", 0, 0.01, 1) == 100
    assert buckets.take("a", 0, 10, 10) == pytest.approx(0.1)
    assert [bool(buckets.take("a", 0.3, 10, 10)) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (0.0, 1),
        (1e-9, 1),
        (0.2, 1),
        (1.0, 1),
        (1.0 + 1e-12, 1),
        (1.001, 2),
        (2.0, 2),
        (44.5, 45),
        (86400.0, 86400),
    ],
)
def test_whole_seconds(wait: float, told: int) -> None:
    """
    Rounded up, as one second less is too early; never 0, which some SDKs take for no header; not up by rounding alone.
    """
    assert whole_seconds(wait) == told
