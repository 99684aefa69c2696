"""
Who gets the next permit; what follows from it over many steps is in `test_seats_walk`.
"""

from __future__ import annotations

from aibridge.admission.choice import next_flow
from aibridge.admission.permit import Claim
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.model import Class


def gate(terms: SeatTerms, in_flight: str, waiting: str) -> Seats:
    """
    A gate at which so many are in flight, and others wait: principal and provider, one letter each.
    """
    seats = Seats(SeatTerms(max_concurrency=len(in_flight.split()), queue_size=99), lambda: 0.0, lambda: 0.0)
    for asked in (*in_flight.split(), *waiting.split()):
        principal, provider = asked[0], asked[1]
        class_ = Class.INTERACTIVE if principal == "i" else Class.DEFAULT
        seats.enter(Claim(principal, class_, provider), 0.0)
    seats.terms = terms
    seats._all.adopt(terms, terms.max_concurrency)
    for name, pool in seats._pools.items():
        pool.adopt(terms, terms.providers.get(name, 0))
    return seats


def chosen(terms: SeatTerms, in_flight: str, waiting: str) -> str:
    """
    Who is next, and for which provider.
    """
    seats = gate(terms, in_flight, waiting)
    flow = next_flow(seats._queue, seats._all, seats._pools)
    if flow is None:
        return ""
    return flow.party.key + next(name for name, pool in seats._pools.items() if pool is flow.first.pool)


def test_nobody_can_go() -> None:
    """
    Every provider that is waited for is full, or the daemon is.
    """
    assert chosen(SeatTerms(max_concurrency=2), "ax ax", "bx by") == ""
    assert chosen(SeatTerms(max_concurrency=9, providers={"x": 1, "y": 1}), "ax ay", "bx by") == ""


def test_a_full_provider_is_passed_over() -> None:
    """
    However long somebody waits for it.
    """
    assert chosen(SeatTerms(max_concurrency=9, providers={"x": 1}), "ax", "bx cy") == "cy"


def test_what_is_scarce() -> None:
    """
    With one permit of the daemon left and two that could go, all that is held counts; with enough for both, what is
    held of the provider.
    """
    in_flight, waiting = "ax ax bx by by by", "bx ax"
    assert chosen(SeatTerms(max_concurrency=7, providers={"x": 9}), in_flight, waiting) == "ax"
    assert chosen(SeatTerms(max_concurrency=9, providers={"x": 4}), in_flight, waiting) == "bx"


def test_the_kept_share_comes_first() -> None:
    """
    Until it has what is kept for it.
    """
    terms = SeatTerms(max_concurrency=4, interactive_share=0.5, queue_size=9)
    assert chosen(terms, "ax ax ax", "bx ix") == "ix"
    terms = SeatTerms(max_concurrency=4, interactive_share=0.25, queue_size=9)
    assert chosen(terms, "ix ax ax", "bx ix") == "bx"
