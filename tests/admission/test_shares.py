"""
How many permits there are of each limit, and for whom.
"""

from __future__ import annotations

import pytest

from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Pool


def pool(limit: int, *, terms: SeatTerms, in_use: int = 0, interactive: int = 0, waiting: int = 0) -> Pool[object]:
    """
    A limit with so many permits out, and so many interactive requests that wait.
    """
    made: Pool[object] = Pool(terms, limit)
    made.in_use, made.interactive, made.interactive_waiting = in_use, interactive, waiting
    made.waiting = waiting
    return made


@pytest.mark.parametrize(
    ("in_use", "interactive", "queue", "for_interactive", "for_others"),
    [
        (0, 0, 0, True, True),
        (6, 0, 0, True, True),
        (7, 0, 0, True, False),  # the three others are kept
        (7, 1, 0, True, True),
        (9, 2, 0, True, False),
        (9, 3, 0, True, True),
        (10, 3, 0, False, False),
        (10, 10, 0, False, False),
        (8, 0, 2, True, True),  # two of the three are lent
        (9, 0, 2, True, False),
        (9, 0, 3, True, True),
        (11, 0, 0, False, False),  # the limit was lowered
    ],
)
def test_room(in_use: int, interactive: int, queue: int, for_interactive: bool, for_others: bool) -> None:
    """
    Of ten permits three are kept: who may have the next one.
    """
    terms = SeatTerms(interactive_share=0.3, max_concurrency=10, queue_size=queue)
    made = pool(10, terms=terms, in_use=in_use, interactive=interactive)
    assert (made.has_room(True), made.has_room(False)) == (for_interactive, for_others)


def test_within_the_share() -> None:
    """
    As long as those in flight, those that wait and those to come are no more than are kept.
    """
    terms = SeatTerms(interactive_share=0.5)
    made = pool(10, terms=terms, in_use=9, interactive=2, waiting=2)
    assert made.in_share()
    assert made.in_share(1)
    assert not made.in_share(2)
    assert not pool(10, terms=SeatTerms(), in_use=9).in_share(1)


def test_no_limit() -> None:
    """
    There is always room, and everyone is within the share of it.
    """
    made = pool(0, terms=SeatTerms(interactive_share=0.5), in_use=10**6)
    assert not made.limited
    assert made.has_room(True)
    assert made.has_room(False)
    assert made.in_share(10**6)


def test_another_limit() -> None:
    """
    What is out stays out, and the new limit counts from then on.
    """
    made = pool(10, terms=SeatTerms(), in_use=5)
    made.adopt(SeatTerms(), 5)
    assert (made.in_use, made.has_room(True)) == (5, False)
    made.adopt(SeatTerms(), 0)
    assert made.has_room(False)
    made.adopt(SeatTerms(interactive_share=0.5), 8)
    assert (made.kept, made.open, made.has_room(False)) == (4, 4, False)


def test_when_one_that_is_sent_away_may_come_back() -> None:
    """
    How long exchanges last, times who is ahead, by how many are served at once (of those that one may have); and then
    its turn among those sent away.
    """
    terms = SeatTerms(interactive_share=0.5)
    made = pool(10, terms=terms, waiting=4)
    made.forecast.ended(2.0)
    assert made.retry_s(True, 100.0) == pytest.approx(1 + 0.6)
    assert made.retry_s(True, 100.0) == pytest.approx(1 + 1.2)
    assert made.retry_s(False, 101.0) == pytest.approx(2 + 1.4)
    assert pool(10, terms=SeatTerms(interactive_share=1.0)).retry_s(False, 0.0) == 4


def test_idle() -> None:
    """
    A limit that nobody uses, waits for or runs beside.
    """
    made = pool(10, terms=SeatTerms())
    assert made.is_idle
    for name in ("in_use", "waiting", "beside"):
        setattr(made, name, 1)
        assert not made.is_idle
        setattr(made, name, 0)
