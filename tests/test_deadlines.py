"""
Many deadlines on one timer: each passes when it is due, and one delayed call does for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.deadlines import AT_ONCE, Deadlines


class Boom(Exception):
    """
    What a callback raises.
    """


class DeadlinesTests(SynchronousTestCase):
    """
    `Deadlines` on a clock that the test moves.
    """

    def setUp(self) -> None:
        """
        Deadlines of ten seconds that remember what passed, and when.
        """
        self.clock = Clock()
        self.passed: list[tuple[str, float]] = []
        self.then: Callable[[str], None] = lambda item: None
        self.deadlines = Deadlines(self.clock, 10, self.expired)

    def expired(self, item: str) -> None:
        """
        Remember it, and do what the test wants.
        """
        self.passed.append((item, self.clock.seconds()))
        self.then(item)

    def advance(self, seconds: int) -> None:
        """
        Second by second.
        """
        for _ in range(seconds):
            self.clock.advance(1)

    def test_the_first_is_the_next_to_pass(self) -> None:
        """
        A deadline that was started again is no longer it.
        """
        self.assertIsNone(self.deadlines.first())
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.assertEqual(self.deadlines.first(), "a")
        self.deadlines.start("a")
        self.assertEqual(self.deadlines.first(), "b")
        self.deadlines.cancel("b")
        self.assertEqual(self.deadlines.first(), "a")

    def test_passes_when_due(self) -> None:
        """
        Not before its time, and then once.
        """
        self.deadlines.start("a")
        self.advance(9)
        self.assertEqual(self.passed, [])
        self.advance(20)
        self.assertEqual(self.passed, [("a", 10)])

    def test_passes_in_order(self) -> None:
        """
        Each at its own time, in the order in which they were started.
        """
        for item in "abc":
            self.deadlines.start(item)
            self.advance(2)
        self.advance(20)
        self.assertEqual(self.passed, [("a", 10), ("b", 12), ("c", 14)])

    def test_all_that_are_due_pass_at_once(self) -> None:
        """
        A reactor that was held up makes up for it in one turn.
        """
        for item in "abc":
            self.deadlines.start(item)
            self.advance(1)
        self.clock.advance(100)
        self.assertEqual(self.passed, [("a", 103), ("b", 103), ("c", 103)])

    def test_restart_gives_full_time(self) -> None:
        """
        Starting again moves an item behind those that were started meanwhile.
        """
        self.deadlines.start("a")
        self.advance(1)
        self.deadlines.start("b")
        self.advance(4)
        self.deadlines.start("a")
        self.advance(20)
        self.assertEqual(self.passed, [("b", 11), ("a", 15)])

    def test_cancelled_items_do_not_pass(self) -> None:
        """
        Only the others do; cancelling what is not there is no error.
        """
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.deadlines.cancel("a")
        self.deadlines.cancel("a")
        self.deadlines.cancel("never started")
        self.advance(20)
        self.assertEqual(self.passed, [("b", 10)])

    def test_membership(self) -> None:
        """
        It knows which items wait, and how many.
        """
        self.deadlines.start("a")
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.assertEqual((len(self.deadlines), "a" in self.deadlines, "c" in self.deadlines), (2, True, False))
        self.advance(10)
        self.assertEqual((len(self.deadlines), "a" in self.deadlines), (0, False))

    def test_one_timer(self) -> None:
        """
        A thousand items need one delayed call, and none is left when they have passed.
        """
        for item in range(1000):
            self.deadlines.start(str(item))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.advance(10)
        self.assertEqual(len(self.passed), 1000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_start_of_itself_when_it_passes(self) -> None:
        """
        An item that is started again as it passes does not hold up those behind it.
        """
        self.then = lambda item: self.deadlines.start("a") if item == "a" else None
        self.deadlines.start("a")
        self.advance(1)
        self.deadlines.start("b")
        self.advance(20)
        self.assertEqual(self.passed, [("a", 10), ("b", 11), ("a", 20)])

    def test_cancel_of_another_when_it_passes(self) -> None:
        """
        What a callback cancels does not pass, even if it was due in the same turn.
        """
        self.then = lambda item: self.deadlines.cancel("b")
        for item in "abc":
            self.deadlines.start(item)
        self.advance(10)
        self.assertEqual(self.passed, [("a", 10), ("c", 10)])

    def test_callback_that_raises(self) -> None:
        """
        The reactor hears of it, and the others pass all the same.
        """

        def raise_for_a(item: str) -> None:
            if item == "a":
                raise Boom

        self.then = raise_for_a
        for item in "ab":
            self.deadlines.start(item)
        self.advance(1)
        self.deadlines.start("c")
        self.advance(8)
        self.assertRaises(Boom, self.clock.advance, 1)
        self.clock.advance(0)
        self.assertEqual(self.passed, [("a", 10), ("b", 10)])
        self.advance(1)
        self.assertEqual(self.passed[2:], [("c", 11)])

    def test_stop_forgets_everything(self) -> None:
        """
        No item, no timer; and it can be used again.
        """
        self.deadlines.start("a")
        self.deadlines.stop()
        self.deadlines.stop()
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))
        self.advance(3)
        self.deadlines.start("b")
        self.advance(20)
        self.assertEqual(self.passed, [("b", 13)])

    def test_stop_when_one_passes(self) -> None:
        """
        Nothing passes after it, and what is started after it has one timer.
        """

        def stop_and_start(item: str) -> None:
            self.deadlines.stop()
            self.deadlines.start("z")

        self.then = stop_and_start
        for item in "abc":
            self.deadlines.start(item)
        self.advance(10)
        self.assertEqual((self.passed, len(self.clock.getDelayedCalls())), ([("a", 10)], 1))
        self.then = lambda item: self.deadlines.stop()
        self.advance(10)
        self.assertEqual((self.passed[1:], self.clock.getDelayedCalls()), ([("z", 20)], []))

    def test_zero_is_no_deadline(self) -> None:
        """
        Nothing ever expires, nothing is kept.
        """
        self.deadlines.seconds = 0
        self.deadlines.start("a")
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))

    def test_zero_from_now_on(self) -> None:
        """
        An item that is started again when there is no deadline any more has none; the others keep theirs.
        """
        self.deadlines.start("a")
        self.deadlines.start("b")
        self.deadlines.seconds = 0
        self.deadlines.start("a")
        self.advance(20)
        self.assertEqual(self.passed, [("b", 10)])

    def test_longer_from_now_on(self) -> None:
        """
        A change holds for what is started after it.
        """
        self.deadlines.start("a")
        self.deadlines.seconds = 30
        self.deadlines.start("b")
        self.advance(40)
        self.assertEqual(self.passed, [("a", 10), ("b", 30)])

    def test_shorter_does_not_overtake(self) -> None:
        """
        An item that was given less time passes with those that were started before it.
        """
        self.deadlines.start("a")
        self.deadlines.seconds = 2
        self.deadlines.start("b")
        self.advance(10)
        self.assertEqual(self.passed, [("a", 10), ("b", 10)])

    def test_fractions(self) -> None:
        """
        Times that binary fractions cannot hold make it neither early nor endless.
        """
        deadlines = Deadlines(self.clock, 0.1, self.expired)
        for _ in range(100):
            deadlines.start("a")
            self.clock.advance(0.07)
            deadlines.start("b")
            self.clock.advance(0.7)
        self.assertEqual(len(self.passed), 200)


ITEMS = st.sampled_from("abcdef")
LENGTH = 10


def test_a_crowd_passes_bit_by_bit() -> None:
    """
    So many in each turn, in their order, and those that are cancelled in between not at all.
    """
    passed: list[int] = []
    turns: list[tuple[float, Callable[[], None]]] = []

    class Turns(Clock):
        def callLater(self, delay: float, callable: Any, *args: object, **kw: object) -> Any:
            turns.append((delay, callable))
            return callable

    clock = Turns()
    deadlines = Deadlines[int](clock, 5.0, passed.append)
    for number in range(2 * AT_ONCE + 7):
        deadlines.start(number)
    clock.rightNow = 5.0
    counts = []
    while turns:
        delay, step = turns.pop()
        step()
        assert delay in (0.0, 5.0)
        counts.append(len(passed))
        deadlines.cancel(AT_ONCE + 1)
    assert counts == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 6]
    assert passed == [number for number in range(2 * AT_ONCE + 7) if number != AT_ONCE + 1]


class DeadlinesMachine(RuleBasedStateMachine):
    """
    Any sequence of starts, cancellations, stops and passing time, with callbacks that do the same and raise, compared
    with a plain list that is searched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.passed: list[tuple[str, float]] = []
        self.expected: list[tuple[str, float]] = []
        self.due: dict[str, float] = {}
        self.reactions: dict[str, tuple[str, str]] = {}
        self.deadlines = Deadlines(self.clock, LENGTH, self._expired)

    @initialize(
        reactions=st.dictionaries(ITEMS, st.tuples(st.sampled_from(["start", "cancel", "stop", "raise"]), ITEMS))
    )
    def react(self, reactions: dict[str, tuple[str, str]]) -> None:
        """
        What the callback does for each item, beside remembering it.
        """
        self.reactions = reactions

    def _expired(self, item: str) -> None:
        self.passed.append((item, self.clock.seconds()))
        match self.reactions.get(item):
            case ("start", other):
                self.deadlines.start(other)
            case ("cancel", other):
                self.deadlines.cancel(other)
            case ("stop", other):
                self.deadlines.stop()
                self.deadlines.start(other)
            case ("raise", _):
                raise Boom

    def _model_start(self, item: str) -> None:
        self.due.pop(item, None)
        self.due[item] = self.clock.seconds() + LENGTH

    @rule(item=ITEMS)
    def start(self, item: str) -> None:
        """
        An item is given its full time.
        """
        self.deadlines.start(item)
        self._model_start(item)

    @rule(item=ITEMS)
    def cancel(self, item: str) -> None:
        """
        An item is forgotten.
        """
        self.deadlines.cancel(item)
        self.due.pop(item, None)

    @rule()
    def stop(self) -> None:
        """
        All are forgotten.
        """
        self.deadlines.stop()
        self.due.clear()

    @rule(seconds=st.integers(0, 2 * LENGTH))
    def advance(self, seconds: int) -> None:
        """
        Time passes at once, as when the reactor was held up.
        """
        while True:
            try:
                self.clock.advance(seconds)
                break
            except Boom:
                seconds = 0
        now = self.clock.seconds()
        while late := [item for item, at in self.due.items() if at <= now]:
            item = late[0]
            del self.due[item]
            self.expected.append((item, now))
            match self.reactions.get(item):
                case ("start", other):
                    self._model_start(other)
                case ("cancel", other):
                    self.due.pop(other, None)
                case ("stop", other):
                    self.due.clear()
                    self._model_start(other)
                case _:
                    pass

    @invariant()
    def same(self) -> None:
        """
        The same has passed, the same waits, on at most one timer, which is not later than the first that is due.
        """
        assert self.passed == self.expected
        assert sorted(self.due) == [item for item in "abcdef" if item in self.deadlines]
        assert len(self.deadlines) == len(self.due)
        calls = self.clock.getDelayedCalls()
        assert len(calls) <= 1
        if self.due:
            assert calls[0].getTime() <= min(self.due.values())


DeadlinesMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
DeadlinesMachineTests = DeadlinesMachine.TestCase
