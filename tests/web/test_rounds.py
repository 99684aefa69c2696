"""
Work in portions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.rounds import AT_ONCE, Rounds


class RoundsTests(SynchronousTestCase):
    """
    Everybody's portion in turn, a few in each turn of the reactor.
    """

    def test_round_and_round(self) -> None:
        """
        Whoever has more comes after all others, and a turn has no more portions for it.
        """
        turns_of_reactor: list[Callable[[], object]] = []

        class Turns(Clock):
            def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
                turns_of_reactor.append(callable)

        done: list[int] = []
        rounds = Rounds(Turns())

        def work(number: int, left: int) -> None:
            done.append(number)
            if left:
                rounds.add(lambda: work(number, left - 1))

        for number in range(AT_ONCE + 2):
            work(number, 2)
        done.clear()
        turns = []
        while turns_of_reactor:
            before = len(done)
            turns_of_reactor.pop()()
            turns.append(len(done) - before)
        self.assertEqual(done, list(range(AT_ONCE + 2)) * 2)
        self.assertEqual((set(turns), len(rounds)), ({AT_ONCE}, 0))

    def test_one_that_fails(self) -> None:
        """
        Does not stop the others.
        """
        clock, done = Clock(), list[int]()
        rounds = Rounds(clock)
        rounds.add(lambda: done.append(1 // 0))
        rounds.add(lambda: done.append(1))
        clock.advance(0)
        self.assertEqual(done, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
