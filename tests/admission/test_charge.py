"""
Charges of tokens: an estimate at first, then what was used, and nobody else the worse or the better for it.
"""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.bucket import Buckets
from aibridge.admission.charge import MOST_MARKS, MOST_TOKENS, Charge, Charges

RATE = 2.0
"""Tokens per second in the laws below; of two, so that times and levels are easy to tell apart."""

STARTS = st.sampled_from([0.0, 1234.5, 1e7])
STEPS = st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0, 20.0]) | st.floats(0, 10)
TOKENS = st.sampled_from([0.0, 1.0, 5.0, 10.0]) | st.floats(0, 30)


class History:
    """
    A bucket that remembers everything that was added, and works its level out anew each time it is asked.
    """

    def __init__(self) -> None:
        self.added: list[list[float]] = []

    def add(self, now: float, tokens: float) -> list[float]:
        """
        :return: what can be changed later, as its second part.
        """
        self.added.append([now, tokens])
        return self.added[-1]

    def level(self, now: float, rate: float = RATE) -> float:
        """
        What is there of all that was added.
        """
        level, before = 0.0, 0.0
        for at, tokens in self.added:
            level = max(0.0, level - rate * (at - before)) + tokens
            before = at
        return max(0.0, level - rate * (now - before))


@attrs.define
class Running:
    """
    A request that is not settled.

    :ivar left: how many others begin before it ends.
    :ivar added: what the history has of it.
    """

    key: str
    left: int
    charge: Charge
    added: list[float]
    used: float

    def settle(self, history: History, now: float) -> None:
        """
        Settle it, in the bucket and in the history: what was used beyond the estimate is added now.
        """
        self.charge.settle(self.used, now)
        if self.used > self.added[1]:
            history.add(now, self.used - self.added[1])
        else:
            self.added[1] = self.used


def ended(running: list[Running]) -> list[Running]:
    """
    Those that end now; they are taken out of those that run.
    """
    ending = [one for one in running if not one.left]
    running[:] = [one for one in running if one.left]
    for one in running:
        one.left -= 1
    return ending


def charges(rate: float = RATE, size: float = 10, cells: int = 1) -> Charges:
    """
    Buckets of tokens, empty.
    """
    return Charges(Buckets(size, cells=cells), rate)


def test_an_estimate_that_was_right() -> None:
    """
    Nothing changes when it is settled.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 8)
    assert made.tokens_left("a", 1) == 6
    charge.settle(8, 1)
    assert made.tokens_left("a", 1) == 6
    assert len(made) == 0


def test_an_estimate_that_was_too_large() -> None:
    """
    What was not used is put back at once, as if it had never been there.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 10)
    assert made.wait_for("a", 1, 10, 6) == 2
    charge.settle(3, 1)
    assert made.tokens_left("a", 1) == 1
    assert made.wait_for("a", 1, 10, 6) == 0


def test_an_estimate_that_was_too_small() -> None:
    """
    What was used beyond it is a debt, and others wait for exactly as long as it takes to leak.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 4)
    charge.settle(30, 0)
    assert made.tokens_left("a", 0) == 30
    assert made.wait_for("a", 0, 10, 1) == 10.5
    assert made.wait_for("a", 10.5, 10, 1) == 0
    assert made.wait_for("a", 9.5, 10, 1) == 1


def test_only_the_first_settling_counts() -> None:
    """
    An exchange that ends twice pays once.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 5)
    for used in (7, 0, 100):
        charge.settle(used, 0)
    assert made.tokens_left("a", 0) == 7


def test_what_has_leaked_is_not_put_back() -> None:
    """
    A bucket that was empty meanwhile has forgotten the charge: what is in it is others'.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 10)
    made.charge("a", 6, 10, 3).settle(3, 6)
    charge.settle(0, 6)
    assert made.tokens_left("a", 6) == 3


def test_what_has_leaked_in_part() -> None:
    """
    Of 10 tokens 8 have leaked, then 5 of others came: without the 10 there would be 5, and that is what is left.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 10)
    made.charge("a", 4, 10, 5).settle(5, 4)
    assert made.tokens_left("a", 4) == 7
    charge.settle(0, 4)
    assert made.tokens_left("a", 4) == 5


def test_what_was_used_beyond_is_added_when_it_is_known() -> None:
    """
    A long answer keeps on using: what it used beyond the estimate has not leaked before anybody knew of it.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 4)
    charge.settle(9, 100)
    assert made.tokens_left("a", 100) == 5


def test_more_than_the_bucket_holds() -> None:
    """
    A request that is estimated at more than the burst waits until the bucket is empty, and fills it to the brim. The
    rest it pays when it is settled.
    """
    made = charges()
    made.charge("a", 0, 10, 4)
    assert made.wait_for("a", 0, 10, 1000) == 2
    assert made.wait_for("a", 1, 10, 1000) == 1
    assert made.wait_for("a", 2, 10, 1000) == 0
    charge = made.charge("a", 2, 10, 1000)
    assert made.tokens_left("a", 2) == 10
    charge.settle(1000, 3)
    assert made.tokens_left("a", 3) == 998


@pytest.mark.parametrize(
    ("used", "left"), [(-5, 0), (float("nan"), 0), (1e30, MOST_TOKENS), (float("inf"), MOST_TOKENS)]
)
def test_a_usage_that_cannot_be(used: float, left: float) -> None:
    """
    Whatever a provider tells: no less than nothing, and no more than anybody could use.
    """
    made = charges()
    made.charge("a", 0, 10, 10).settle(used, 0)
    assert made.tokens_left("a", 0) == pytest.approx(left)


def test_another_rate_from_now_on() -> None:
    """
    Debts stay what they are, the waits do not; charges that are open are settled at the new rate.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 10)
    made.charge("a", 0, 10, 6)
    made.set_rate(4.0, 1)
    assert made.rate == 4
    assert made.tokens_left("a", 1) == 14
    assert made.wait_for("a", 1, 10, 2) == 1.5
    charge.settle(3, 1)
    assert made.tokens_left("a", 1) == 7


def test_low_marks_change_with_the_rate() -> None:
    """
    What was the least level before is so many tokens still.
    """
    made = charges()
    charge = made.charge("a", 0, 10, 10)
    made.charge("a", 4, 10, 8)
    made.set_rate(1.0, 4)
    charge.settle(0, 4)
    assert made.tokens_left("a", 4) == 8


def test_what_was_used_beyond_marks_the_level_before() -> None:
    """
    A charge has leaked to the last token when another one is settled at far more: nothing of that is put back.
    """
    made = charges()
    more = made.charge("a", 0, 10, 2)
    less = made.charge("a", 0, 10, 8)
    more.settle(22, 5)
    less.settle(0, 5)
    assert made.tokens_left("a", 5) == 20


def test_one_whose_entry_was_forgotten() -> None:
    """
    An open charge in an entry that has made room for another has leaked; beyond the estimate it is charged where its
    key is then.
    """
    made = charges(size=1)
    less, more = made.charge("a", 0, 10, 2), made.charge("a", 0, 10, 2)
    made.charge("b", 5, 10, 8)
    less.settle(0, 5)
    assert [made.tokens_left(key, 5) for key in "ab"] == [0, 8]
    more.settle(5, 5)
    assert [made.tokens_left(key, 5) for key in "ab"] == [3, 8]


def test_one_whose_entry_is_another_now() -> None:
    """
    A key that was forgotten, and got an entry again that takes along what others have put into its cell: the charge
    from before has leaked for all that.
    """
    made = charges(size=1)
    charge = made.charge("a", 0, 10, 2)
    made.charge("b", 5, 10, 8)
    made.charge("c", 5, 20, 20)
    made.charge("a", 10, 10, 1)
    assert made.tokens_left("a", 10) == 11
    charge.settle(0, 10)
    assert made.tokens_left("a", 10) == 11


def test_one_that_got_an_entry_since() -> None:
    """
    What was charged in a shared cell is put back there, and not in the entry that its key has now.
    """
    made = charges(size=1)
    made.charge("a", 0, 10, 1)
    charge = made.charge("b", 0, 10, 6)
    made.charge("b", 1, 10, 1)
    assert [made.tokens_left(key, 1) for key in "bc"] == [5, 4]
    charge.settle(0, 1)
    assert [made.tokens_left(key, 1) for key in "bc"] == [5, 0]


def test_marks_are_bounded() -> None:
    """
    A bucket that fills for as long as a charge is open keeps a limited number of levels, and puts back no more for
    that than is right.
    """
    made, history = charges(rate=1.0), History()
    first = made.charge("a", 0, 1e9, 100)
    then = history.add(0, 100)
    others = [(made.charge("a", number, 1e9, 1.5), history.add(number, 1.5)) for number in range(1, 5 * MOST_MARKS)]
    marks = first.marks
    assert len(marks) <= MOST_MARKS + 1
    now = 5.0 * MOST_MARKS
    for charge, added in [(first, then), *others[::7]]:
        charge.settle(0.5, now)
        added[1] = 0.5
        assert made.tokens_left("a", now) >= history.level(now, 1.0) - 1e-6


@given(STARTS, st.lists(st.tuples(STEPS, STEPS, TOKENS, TOKENS, st.integers(0, 5)), max_size=40))
def test_after_settling_it_is_as_if_the_usage_had_been_charged(
    start: float, requests: list[tuple[float, float, float, float, int]]
) -> None:
    """
    Whatever overlaps with what: once a charge is settled, the bucket is where it would be if what was used had been
    added at first, or, if it was more, what is beyond had been added now. So all that was charged is what was used,
    and no level falls below what the others have put in.
    """
    made, history = charges(), History()
    now = start
    running: list[Running] = []
    for step, pause, estimate, used, length in requests:
        now += step
        charge = made.charge("a", now, 100, estimate)
        running.append(Running("a", length, charge, history.add(now, estimate), used))
        now += pause
        for one in ended(running):
            without = History()
            without.added = [added for added in history.added if added is not one.added]
            one.settle(history, now)
            assert made.tokens_left("a", now) >= without.level(now) - 1e-5
        assert made.tokens_left("a", now) == pytest.approx(history.level(now), abs=1e-5)
    for one in running:
        one.charge.settle(0, now)
    assert len(made) == 0


@given(
    STARTS,
    st.sampled_from([0, 1, 2]),
    st.lists(st.tuples(STEPS, STEPS, st.sampled_from("abcd"), TOKENS, TOKENS, st.integers(0, 5)), max_size=40),
)
def test_no_key_has_less_than_is_its_own(
    start: float, size: int, requests: list[tuple[float, float, str, float, float, int]]
) -> None:
    """
    However small the table, and whoever is forgotten, shares a cell or gets an entry back while charges are open: what
    counts for a key is never less than the key alone has put in.
    """
    made, own = charges(size=size), {key: History() for key in "abcd"}
    now = start
    running: list[Running] = []
    for step, pause, key, estimate, used, length in requests:
        now += step
        charge = made.charge(key, now, 100, estimate)
        running.append(Running(key, length, charge, own[key].add(now, estimate), used))
        now += pause
        for one in ended(running):
            one.settle(own[one.key], now)
        for other, history in own.items():
            assert made.tokens_left(other, now) >= history.level(now) - 1e-5


@given(
    STARTS,
    st.sampled_from([0.5, 1.0, 1000.0, 1e6]) | st.floats(0.1, 1e6),
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 3)), max_size=20),
    st.floats(0, 3),
)
def test_waits_are_exact(
    start: float, rate: float, burst: float, before: list[tuple[float, float, float]], asked: float
) -> None:
    """
    Whoever waits as long as told is let in, and a second less is too early; with debts, with estimates beyond the
    burst, and late in the life of a monotonic clock.
    """
    made = charges(rate=rate)
    now = start
    for step, estimate, used in before:
        now += step * burst / rate
        if not made.wait_for("a", now, burst, estimate * burst):
            made.charge("a", now, burst, estimate * burst).settle(used * burst, now)
    wait = made.wait_for("a", now, burst, asked * burst)
    assert made.wait_for("a", now + wait, burst, asked * burst) == 0
    if wait >= 1:
        assert made.wait_for("a", now + wait - 1, burst, asked * burst) == pytest.approx(1, abs=1e-6)


@given(STARTS, st.lists(st.tuples(STEPS, st.floats(0, 25)), max_size=40))
def test_never_more_than_burst_and_rate(start: float, asked: list[tuple[float, float]]) -> None:
    """
    In any window, estimates that were let in are no more than the burst and what has leaked.
    """
    made, burst, now = charges(), 10.0, start
    let_in: list[tuple[float, float]] = []
    for step, estimate in asked:
        now += step
        if not made.wait_for("a", now, burst, estimate):
            let_in.append((now, made.charge("a", now, burst, estimate).tokens))
    for first, (begin, _) in enumerate(let_in):
        for last in range(first, len(let_in)):
            total = sum(tokens for _, tokens in let_in[first : last + 1])
            assert total <= burst + RATE * (let_in[last][0] - begin) + 1e-5
