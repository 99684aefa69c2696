"""
Long work is done a little in each turn, fairly, and what is short at once.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from aibridge.relay.slices import AT_ONCE_S, TURN_S, Slices


class Steps:
    """
    So many steps, each of so many seconds.
    """

    def __init__(self, clock: Clock, steps: int, step_s: float = 0.0) -> None:
        self.left = steps
        self.done = 0
        self._clock = clock
        self._step_s = step_s

    def go_on(self) -> bool:
        """
        Do one.
        """
        self._clock.rightNow += self._step_s
        self.left -= 1
        return self.left > 0

    def end(self) -> None:
        """
        It is done.
        """
        self.done += 1


def turn(clock: Clock) -> None:
    """
    One turn of the reactor; `Clock.advance` makes as many as the time has passed that they take.
    """
    clock.calls.pop(0).func()


def test_what_is_short_is_done_at_once() -> None:
    """
    In however many steps.
    """
    clock = Clock()
    slices, work = Slices(clock), Steps(clock, 1000)
    assert slices.do(work, work.end)
    assert (work.left, work.done, len(slices), clock.getDelayedCalls()) == (0, 0, 0, [])


def test_what_is_long_is_done_in_many_turns() -> None:
    """
    None of which takes longer than a slice and a step, however many have something to do; each gets as much as others.
    """
    clock = Clock()
    slices = Slices(clock)
    works = [Steps(clock, 50, 0.001) for _ in range(20)]
    began = clock.seconds()
    for work in works:
        assert not slices.do(work, work.end)
    assert clock.seconds() - began <= AT_ONCE_S + 0.001
    turns = 0
    while clock.getDelayedCalls():
        began = clock.seconds()
        turn(clock)
        turns += 1
        assert clock.seconds() - began <= TURN_S + 0.001
        lefts = [work.left for work in works[1:]]
        assert max(lefts) - min(lefts) <= 1
    assert [work.done for work in works] == [1] * 20
    assert turns >= 20 * 50 * 0.001 / (TURN_S + 0.001) - 5


def test_what_is_forgotten_is_not_done() -> None:
    """
    Nor told to be.
    """
    clock = Clock()
    slices = Slices(clock)
    works = [Steps(clock, 50, 0.001) for _ in range(2)]
    for work in works:
        slices.do(work, work.end)
    slices.forget(works[0])
    slices.forget(works[0])
    while clock.getDelayedCalls():
        turn(clock)
    assert [work.done for work in works] == [0, 1]
    assert works[0].left > 0


def test_a_failure_is_nobody_elses() -> None:
    """
    Work that raises ends; the others go on.
    """
    clock = Clock()
    slices = Slices(clock)
    works = [Steps(clock, 20, 0.001) for _ in range(2)]

    def fail() -> None:
        raise RuntimeError("no")

    ends: list[Callable[[], None]] = [fail, works[1].end]
    for work, end in zip(works, ends, strict=True):
        slices.do(work, end)
    while clock.getDelayedCalls():
        clock.advance(0)
    assert works[1].done == 1
