"""
The gate's timer.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.permit import AT_ONCE, Claim, Permit
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Obstacle
from aibridge.errors import AtCapacity
from aibridge.identity.anyone import Anyone
from aibridge.identity.parties import EACH
from aibridge.model import Class
from aibridge.web.turns import Turns


class NextTurns(Clock):
    """
    A clock on which what is to be done in the next turn takes a thousandth of a second until then.
    """

    def callLater(self, delay: float, *rest: Any, **more: Any) -> IDelayedCall:
        """
        As `Clock` does, which would do it in the same one.
        """
        return super().callLater(delay or 0.001, *rest, **more)


class TurnsTests(SynchronousTestCase):
    """
    `Turns`, of a gate with one permit.
    """

    def setUp(self) -> None:
        """
        Nobody is in.
        """
        self.clock = Clock()
        terms = SeatTerms(max_concurrency=1, queue_size=3, queue_timeout_s=10.0)
        self.turns = Turns(self.clock, Seats(terms, self.clock.seconds, lambda: 0.0))

    def enter(self, name: str = "a") -> Any:
        """
        Ask for a permit.
        """
        claim = Claim(name, Class.DEFAULT, "p")
        now = self.clock.seconds()
        return self.turns.seats.at_once(claim, now) or self.turns.wait(claim, now)

    def test_at_once(self) -> None:
        """
        Who finds a permit needs no timer.
        """
        self.assertIsInstance(self.enter(), Permit)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each_has_its_own_time(self) -> None:
        """
        On one timer; when nobody waits any more there is none.
        """
        self.enter()
        first = self.enter("b")
        self.clock.advance(4)
        second = self.enter("c")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(6)
        self.failureResultOf(first, AtCapacity)
        self.assertNoResult(second)
        self.clock.advance(4)
        self.failureResultOf(second, AtCapacity)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_admitted_in_time(self) -> None:
        """
        Who was let in is not sent away.
        """
        first = self.enter()
        second: Deferred[Permit] = self.enter("b")
        first.give_back(self.clock.seconds())
        permit = self.successResultOf(second)
        self.clock.advance(60)
        self.assertEqual(self.turns.seats.in_use, 1)
        permit.give_back(self.clock.seconds())

    def test_other_terms_hold_for_those_who_wait(self) -> None:
        """
        A shorter time, at once.
        """
        self.enter()
        waiting = self.enter("b")
        self.turns.adopt(SeatTerms(max_concurrency=1, queue_size=3, queue_timeout_s=1.0), self.clock.seconds())
        self.clock.advance(1)
        self.failureResultOf(waiting, AtCapacity)

    def test_in_shadow(self) -> None:
        """
        Who only would have waited is counted when his time is up; nobody is sent away.
        """
        self.turns.adopt(attrs.evolve(self.turns.seats.terms, shadow=True), self.clock.seconds())
        permits = [self.enter(name) for name in "abc"]
        self.clock.advance(10)
        seats = self.turns.seats
        self.assertEqual((seats.would_have_refused[Obstacle.TIMEOUT], seats.waiting, seats.in_use), (2, 0, 3))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for permit in permits:
            permit.give_back(10.0)
        self.assertEqual(seats.in_use, 0)

    def test_no_place(self) -> None:
        """
        A full gate without a queue refuses at once.
        """
        self.turns.adopt(SeatTerms(max_concurrency=1), self.clock.seconds())
        self.enter()
        self.assertIsInstance(self.enter(), AtCapacity)

    def test_a_crowd_is_let_in_bit_by_bit(self) -> None:
        """
        Where a limit is raised, some go in each turn; who leaves before he is told gives his permit back, and those
        that come straight back are followed by others.
        """
        terms = SeatTerms(max_concurrency=1, queue_size=1000, queue_timeout_s=10.0)
        self.clock = clock = NextTurns()
        self.turns = Turns(clock, Seats(terms, clock.seconds, lambda: 0.0))
        self.enter()
        crowd = [self.enter(f"p{number}") for number in range(3 * AT_ONCE)]
        told: list[object] = []
        for each in crowd:
            each.addBoth(told.append)
        self.turns.adopt(attrs.evolve(terms, max_concurrency=3 * AT_ONCE), 0.0)
        self.assertEqual(len(told), AT_ONCE)
        self.assertEqual(self.turns.seats.in_use, 3 * AT_ONCE)
        crowd[-2].cancel()
        self.assertIsInstance(told.pop(), Failure)
        for permit in told:
            assert isinstance(permit, Permit)
            permit.give_back(0.0)
        self.assertEqual(len(told), AT_ONCE)
        clock.advance(0.001)
        self.assertEqual(len(told), 2 * AT_ONCE)
        clock.advance(0.001)
        self.assertEqual(len(told), 3 * AT_ONCE - 1)
        self.assertEqual(self.turns.seats.in_use, 2 * AT_ONCE)
        clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MadeUpTests(SynchronousTestCase):
    """
    Those who are somebody else with each request, where nobody verifies who they are.
    """

    def test_they_have_few_turns(self) -> None:
        """
        However many of them wait: whoever comes from another address has his turn after one of each party, and room to
        wait for it in a queue that they have filled.
        """
        clock, anyone = Clock(), Anyone()
        terms = SeatTerms(max_concurrency=1, queue_size=500, queue_timeout_s=10.0)
        turns = Turns(clock, Seats(terms, clock.seconds, lambda: 0.0))

        def enter(key: bytes, host: str) -> Any:
            claim = Claim(anyone.identify(key, host, 0.0).party, Class.DEFAULT, "p")
            return turns.seats.at_once(claim, 0.0) or turns.wait(claim, 0.0)

        permit = enter(b"first", "192.0.2.1")
        flood = [enter(b"made up %d" % number, "192.0.2.1") for number in range(600)]
        told: list[object] = []
        for answer in flood:
            if isinstance(answer, Deferred):
                answer.addBoth(told.append)
        served: list[Permit] = []
        newcomer = enter(b"new", "192.0.2.2")
        self.assertIsInstance(newcomer, Deferred)
        newcomer.addCallback(served.append)
        for _ in range(EACH + 2):
            permit.give_back(0.0)
            if served:
                break
            permit = next(each for each in reversed(told) if isinstance(each, Permit))
        self.assertEqual(len(served), 1)
