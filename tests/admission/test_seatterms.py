"""
What holds at the gate.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.seatterms import WEIGHTS, SeatTerms
from aibridge.model import Class


def test_the_defaults_limit_nothing() -> None:
    """
    No limit, no queue, nothing kept.
    """
    terms = SeatTerms()
    assert (terms.max_concurrency, dict(terms.providers), terms.queue_size, terms.shadow) == (0, {}, 0, False)
    assert terms.kept(100) == terms.lent(100) == 0
    assert WEIGHTS[Class.INTERACTIVE] > WEIGHTS[Class.DEFAULT] > WEIGHTS[Class.BATCH] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_concurrency": -1},
        {"queue_size": -1},
        {"queue_timeout_s": 0.0},
        {"interactive_share": -0.1},
        {"interactive_share": 1.1},
        {"max_retry_after_s": 0.0},
        {"providers": {"p": -1}},
        {"weights": {Class.BATCH: 1.0}},
        {"weights": {**WEIGHTS, Class.BATCH: 0.0}},
    ],
)
def test_terms_that_make_no_sense(wrong: dict[str, Any]) -> None:
    """
    They are refused where they are made, not where they would do harm.
    """
    with pytest.raises(ValueError):
        SeatTerms(**wrong)


@pytest.mark.parametrize(
    ("limit", "share", "queue", "kept", "lent"),
    [
        (0, 0.5, 10, 0, 0),
        (10, 0.0, 10, 0, 0),
        (10, 0.3, 0, 3, 0),
        (10, 0.3, 2, 3, 2),
        (10, 0.3, 3, 3, 3),
        (10, 0.3, 1000, 3, 3),
        (10, 1.0, 5, 10, 5),
        (1, 0.9, 0, 0, 0),
        (100, 0.29, 0, 29, 0),
        (7, 0.5, 100, 3, 3),
    ],
)
def test_what_is_kept_and_what_of_it_is_lent(limit: int, share: float, queue: int, kept: int, lent: int) -> None:
    """
    Whole permits, rounded down; and as many of them lent as can be waited for in the queue.
    """
    terms = SeatTerms(max_concurrency=limit, interactive_share=share, queue_size=queue)
    assert (terms.kept(limit), terms.lent(limit)) == (kept, lent)


@given(
    limits=st.lists(st.integers(0, 200), min_size=1, max_size=5),
    share=st.floats(0, 1),
    queue=st.integers(0, 500),
)
def test_no_more_is_lent_than_the_queue_holds(limits: list[int], share: float, queue: int) -> None:
    """
    Over all limits together, and of none more than is kept.
    """
    terms = SeatTerms(
        max_concurrency=limits[0],
        providers={str(number): limit for number, limit in enumerate(limits[1:])},
        queue_size=queue,
        interactive_share=share,
    )
    assert sum(map(terms.lent, limits)) <= queue
    for limit in limits:
        assert 0 <= terms.lent(limit) <= terms.kept(limit) <= limit
