"""
Tests for `benchmarks.heeding.quotas`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.heeding.quotas import BUCKET, FIXED, REQUESTS, SLIDING, Quota

SHAPES = [BUCKET, FIXED, SLIDING]


@pytest.mark.parametrize(
    ("shape", "left", "full_in", "wait"),
    [(BUCKET, 40, 50 / 1.5, 20), (FIXED, 10, 30, 30), (SLIDING, 10, 40, 40)],
)
def test_shapes(shape: str, left: float, full_in: float, wait: float) -> None:
    """
    A bucket fills steadily, a fixed window is full at its next begin, a sliding one when its uses are a period ago.
    """
    level = Quota(REQUESTS, 90, shape).level()
    level.use(80, 10)
    assert level.left(30) == pytest.approx(left)
    assert level.full_in(30) == pytest.approx(full_in)
    assert level.wait_for(70, 30) == pytest.approx(wait)


@given(
    st.sampled_from(SHAPES),
    st.lists(st.tuples(st.floats(0, 50), st.integers(1, 40)), min_size=1, max_size=30),
    st.integers(1, 200),
)
def test_after_the_wait_it_fits(shape: str, uses: list[tuple[float, int]], amount: int) -> None:
    """
    Whatever was used, after the time that is told so much may be used; and after the time to be full, all of it.
    """
    quota = Quota(REQUESTS, 100, shape)
    level = quota.level()
    now = 0.0
    for gap, used in uses:
        now += gap
        if level.left(now) >= used:
            level.use(used, now)
    wait, full = level.wait_for(amount, now), level.full_in(now)
    assert 0 <= wait <= full + 1e-6
    assert level.left(now + wait + 1e-6) >= min(amount, quota.amount) - 1e-3
    assert level.left(now + full + 1e-6) == pytest.approx(quota.amount, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_never_more_than_there_is(shape: str) -> None:
    """
    What is put back does not make more of it than the limit.
    """
    level = Quota(REQUESTS, 10, shape).level()
    level.use(5, 1)
    level.use(-5, 2)
    assert level.left(2) == 10
