"""
Work in portions.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.rounds import LONGEST_REST_S, Rounds


class RoundsTests(SynchronousTestCase):
    """
    Everybody's portion in turn, one after the other, and as much time for everything else.
    """

    def setUp(self) -> None:
        """
        A clock that stands still while there is work, unless the work takes time.
        """
        self.clock = Clock()
        self.rounds = Rounds(self.clock)
        self.done: list[int] = []

    def work(self, number: int, left: int, seconds: float = 0.0) -> None:
        """
        Do a portion, which takes so long, and come back for more.
        """
        self.done.append(number)
        self.clock.rightNow += seconds
        if left:
            self.rounds.add(lambda: self.work(number, left - 1, seconds))

    def test_round_and_round(self) -> None:
        """
        Whoever has more comes after all others.
        """
        for number in range(4):
            self.work(number, 2)
        self.done.clear()
        self.clock.advance(0)
        self.assertEqual((self.done, len(self.rounds)), (list(range(4)) * 2, 0))

    def test_half_of_the_time(self) -> None:
        """
        Is for others, however many have work: a portion is followed by a rest of its length.
        """
        for number in range(4):
            self.work(number, 1, 0.001)
        self.done.clear()
        self.clock.advance(0)
        for count in range(1, 5):
            self.assertEqual(self.done, list(range(count)))
            self.clock.advance(0.0009)
            self.assertEqual(self.done, list(range(count)))
            self.clock.advance(0.0002)

    def test_coming_back_does_not_shorten_the_rest(self) -> None:
        """
        Of one that is the only one, and whose next portion is known only later.
        """
        self.rounds.add(lambda: self.work(1, 0, 0.004))
        self.clock.advance(0)
        self.rounds.add(lambda: self.work(2, 0))
        self.clock.advance(0.003)
        self.assertEqual(self.done, [1])
        self.clock.advance(0.001)
        self.assertEqual(self.done, [1, 2])
        self.clock.advance(1)
        self.rounds.add(lambda: self.work(3, 0))
        self.clock.advance(0)
        self.assertEqual(self.done, [1, 2, 3])

    def test_a_clock_that_is_set(self) -> None:
        """
        Forward or back, puts off nothing for long.
        """
        for step in (3600.0, -3600.0):
            self.done.clear()
            self.work(1, 2, step)
            for _ in range(3):
                self.clock.advance(LONGEST_REST_S)
            self.assertEqual(self.done, [1, 1, 1])

    def test_one_that_fails(self) -> None:
        """
        Does not stop the others.
        """
        self.rounds.add(lambda: self.done.append(1 // 0))
        self.rounds.add(lambda: self.done.append(1))
        self.clock.advance(0)
        self.assertEqual(self.done, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
