"""
What a refused client is told: soon enough, late enough, and not all the same.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.bucket import whole_seconds
from aibridge.admission.forecast import UNKNOWN_S, Forecast, retry_after

CHANCES = st.floats(0, 1)
WAITS = st.floats(0, 1e6)
CAPS = st.floats(1, 3600)


def test_nothing_is_known_yet() -> None:
    """
    Before the first exchange has ended, one is taken to last for a second.
    """
    assert Forecast().wait_s(0, 1) == UNKNOWN_S
    assert Forecast().wait_s(9, 4) == 2.5


def test_the_first_exchange_is_believed() -> None:
    """
    What is known is better than what was assumed.
    """
    forecast = Forecast()
    forecast.ended(20.0)
    assert forecast.wait_s(0, 1) == 20
    assert forecast.wait_s(3, 8) == 10


def test_what_was_lately_counts_most() -> None:
    """
    After a hundred exchanges of another length the old one is all but forgotten; one alone changes little.
    """
    forecast = Forecast()
    forecast.ended(1.0)
    forecast.ended(33.0)
    assert forecast.mean_s == 2
    for _ in range(100):
        forecast.ended(10.0)
    assert forecast.mean_s == pytest.approx(10, abs=0.5)


@given(services=st.lists(st.floats(0, 1e6), min_size=1), ahead=st.integers(0, 1000), permits=st.integers(1, 1000))
def test_a_forecast_lies_within_what_was_seen(services: list[float], ahead: int, permits: int) -> None:
    """
    Whatever the exchanges took, the mean is between the shortest and the longest.
    """
    forecast = Forecast()
    for service in services:
        forecast.ended(service)
    slack = 1e-6 * max(1.0, *services)
    mean = forecast.wait_s(ahead, permits) * permits / (ahead + 1)
    assert min(services) - slack <= mean <= max(services) + slack


def test_those_sent_away_are_sent_one_after_the_other() -> None:
    """
    A third as quickly as permits come back; the crowd dissolves as time passes, and never counts for more than twenty
    seconds.
    """
    forecast = Forecast()
    forecast.ended(1.0)
    assert [forecast.sent_away_s(4, 10.0) for _ in range(3)] == [0.75, 1.5, 2.25]
    assert forecast.sent_away_s(4, 11.0) == 2.0
    assert forecast.sent_away_s(4, 99.0) == 0.75
    assert max(forecast.sent_away_s(4, 99.0) for _ in range(1000)) == 20
    assert forecast.sent_away_s(4, 118.5) == 1.25


@pytest.mark.parametrize(
    ("wait", "chance", "told", "header"),
    [
        (0.0, 0.0, 1.0, 1),
        (0.02, 0.0, 1.0, 1),
        (0.02, 1.0, 1.25, 2),
        (1.0, 0.0, 1.0, 1),
        (1.2, 0.0, 2.0, 2),
        (1.2, 0.5, 2.25, 3),
        (20.0, 1.0, 25.0, 25),
        (36.0, 1.0, 45.0, 45),
        (40.0, 0.0, 36.0, 36),
        (86400.0, 0.0, 36.0, 36),
        (86400.0, 0.5, 40.5, 41),
        (86400.0, 1.0, 45.0, 45),
        (float("inf"), 1.0, 45.0, 45),
    ],
)
def test_what_is_told(wait: float, chance: float, told: float, header: int) -> None:
    """
    Whole seconds and a little more, up to the cap and spread below it; the header rounds up once again.
    """
    assert retry_after(wait, chance, 45.0) == pytest.approx(told)
    assert whole_seconds(retry_after(wait, chance, 45.0)) == header


@given(wait=WAITS, chance=CHANCES, most=CAPS)
def test_never_above_the_cap(wait: float, chance: float, most: float) -> None:
    """
    Not the seconds, and not the header made of them; and never nothing.
    """
    told = retry_after(wait, chance, most)
    assert 0 < told <= most
    assert 1 <= whole_seconds(told) <= max(1, whole_seconds(most))


@given(wait=WAITS, chance=CHANCES, most=CAPS)
def test_never_too_soon(wait: float, chance: float, most: float) -> None:
    """
    Below the cap nobody is told less than the forecast, nor less than a second.
    """
    if wait <= most / 1.25 - 1:
        assert retry_after(wait, chance, most) >= max(1.0, wait - 1e-9)


@given(wait=WAITS, most=CAPS)
def test_those_refused_together_do_not_return_together(wait: float, most: float) -> None:
    """
    From the least to the greatest chance there is a quarter of the wait between them, at the cap as well.
    """
    first, last = retry_after(wait, 0, most), retry_after(wait, 1, most)
    assert last == pytest.approx(1.25 * first)
