"""
Tests for `benchmarks.overload.crowd`.
"""

from __future__ import annotations

import pytest

from benchmarks.overload.callers import Steady
from benchmarks.overload.crowd import read_answers

ONE, OTHER = Steady("one", "g"), Steady("other", "g")

TEXT = (
    "0\t-\t1000\t1250\t51000\t200\t-1\t-\n"
    '1\texact\t2000\t2000\t2300\t429\t1950\trate; policy="per-principal"\n'
    "1\t-\t3000\t0\t4000\t0\t-1\tnot connected\n"
    '0\t-\t4000\t4000\t4100\t503\t1200\tgate; policy="queue"\n'
)


def test_lines() -> None:
    """
    Each is a request of one of the callers, in their order.
    """
    answers = read_answers(TEXT, [ONE, OTHER])
    assert [answer.caller for answer in answers] == [ONE, OTHER, OTHER, ONE]
    assert [answer.status for answer in answers] == [200, 429, 0, 503]
    assert [answer.retry_ms for answer in answers] == [None, 1950, None, 1200]
    assert answers[1].purpose == "exact"
    assert answers[3].reason == 'gate; policy="queue"'


def test_what_became_of_them() -> None:
    """
    One is admitted, or refused, or neither.
    """
    answers = read_answers(TEXT, [ONE, OTHER])
    assert [answer.is_admitted for answer in answers] == [True, False, False, False]
    assert [answer.is_refused for answer in answers] == [False, True, False, True]


def test_times_count_from_when_it_was_due() -> None:
    """
    And not from when it was sent.
    """
    first, *_ = read_answers(TEXT, [ONE, OTHER])
    assert first.took_ms == pytest.approx(50.0)
    assert first.late_ms == pytest.approx(0.25)


def test_nothing_was_asked() -> None:
    """
    Then there are no answers.
    """
    assert read_answers("", [ONE]) == []
