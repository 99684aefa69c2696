"""
How the bridge slows down before its provider has to refuse.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.pace import (
    APART_S,
    BEHIND_S,
    HOLD_S,
    MOST_APART_S,
    MOST_HOLD_S,
    OPEN_AT,
    PROBE_S,
    Mark,
    Pace,
)
from aibridge.dialects.limits import UNKNOWN, Allowance, Limits

EPSILON = 1e-6


def sent(pace: Pace, now: float, tokens: int = 0) -> Mark:
    """
    A request that is let through.
    """
    assert pace.wait(now, tokens) == 0
    return pace.mark


def flood(pace: Pace, now: float) -> int:
    """
    How many are let through at once.
    """
    count = 0
    while count < 10000 and pace.wait(now) == 0:
        count += 1
    return count


# -- told to wait ------------------------------------------------------------------------------------------------


def test_nobody_waits_for_a_silent_provider() -> None:
    """
    Until it has spoken of limits, everybody goes, and errors of other kinds change nothing.
    """
    pace = Pace()
    for status in (200, 400, 401, 500, 503, 529):
        pace.heard(UNKNOWN, status, 0, sent(pace, 0))
    assert flood(pace, 0) == 10000


@pytest.mark.parametrize(
    ("status", "told", "hold"),
    [
        (429, 20.0, 20),
        (503, 20.0, 20),
        (529, 20.0, 20),
        (429, None, HOLD_S),
        (429, 1e6, MOST_HOLD_S),
        (503, None, 0),
        (529, None, 0),
        (500, 20.0, 0),
        (200, 20.0, 0),
    ],
)
def test_hold(status: int, told: float | None, hold: float) -> None:
    """
    Nobody is sent until the provider said, and then one.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=told), status, 100, sent(pace, 100))
    assert pace.wait(100) == hold
    if hold:
        assert pace.wait(100 + hold / 2) == hold / 2
        assert flood(pace, 100 + hold) == 1


def test_the_longest_hold_counts() -> None:
    """
    Of several the last to end.
    """
    pace = Pace()
    mark = sent(pace, 0)
    for wait in (5.0, 30.0, 10.0):
        pace.heard(Limits(retry_after_s=wait), 429, 0, mark)
    assert pace.wait(0) == 30


def test_slow_start() -> None:
    """
    Each good answer to one sent since doubles how many may have been; then everybody goes.
    """
    pace = Pace()
    assert not pace.is_careful
    pace.heard(Limits(retry_after_s=1.0), 429, 0, sent(pace, 0))
    counts = []
    for _ in range(5):
        counts.append(flood(pace, 1))
        pace.heard(UNKNOWN, 200, 1, pace.mark)
    assert counts == [1, 1, 2, 4, 8]
    assert pace.is_careful
    pace.heard(UNKNOWN, 200, 1, pace.mark)
    assert not pace.is_careful
    assert flood(pace, 1) == 10000


def test_old_answers_start_nothing() -> None:
    """
    What was sent before the provider said "wait" may be answered well, and that says nothing of now; nor do 503s.
    """
    pace = Pace()
    old = [sent(pace, 0) for _ in range(5)]
    pace.heard(Limits(retry_after_s=1.0), 429, 0, sent(pace, 0))
    probe = sent(pace, 1)
    for mark in old:
        pace.heard(UNKNOWN, 200, 1, mark)
    pace.heard(UNKNOWN, 503, 1, probe)
    assert pace.wait(1) == PROBE_S


def test_a_probe_that_is_not_answered() -> None:
    """
    Another is sent after a while, and so on: one at a time.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=1.0), 429, 0, sent(pace, 0))
    assert [flood(pace, 1 + second * PROBE_S) for second in range(4)] == [1, 1, 1, 1]


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from(["ask", "ask", "ask", "answer"]), st.floats(0, 0.5)), max_size=150),
)
def test_no_herd(hold: float, steps: list[tuple[str, float]]) -> None:
    """
    k answers and s seconds after the hold: at most ``2 ** k + s / PROBE_S`` requests, until the provider is known well.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=hold), 429, 0, sent(pace, 0))
    now = hold + EPSILON
    began, answers, count = now, 0, 0
    waiting: deque[Mark] = deque()
    for what, step in steps:
        now += step
        if what == "ask":
            if pace.wait(now) == 0:
                waiting.append(pace.mark)
                count += 1
        elif waiting:
            pace.heard(UNKNOWN, 200, now, waiting.popleft())
            answers += 1
            if 2**answers >= OPEN_AT:
                return
        assert count <= 2**answers + (now - began) / PROBE_S


# -- told what is left -------------------------------------------------------------------------------------------


def test_half_at_once_and_the_rest_spread() -> None:
    """
    Of ten for ten seconds: five now, then one a second.
    """
    pace = Pace()
    pace.heard(Limits(requests=Allowance(10, 10.0)), 200, 0, sent(pace, 0))
    assert flood(pace, 0) == 5
    assert pace.wait(0) == pytest.approx(1)
    assert [flood(pace, second) for second in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 1]


def test_used_up() -> None:
    """
    One probe after a tenth of the time, and then nobody until the reset; after it one, since many may be waiting.
    """
    pace = Pace()
    pace.heard(Limits(requests=Allowance(0, 100.0)), 200, 0, sent(pace, 0))
    assert pace.wait(0) == 10
    assert flood(pace, 10) == 1
    assert pace.wait(10) == 90
    assert flood(pace, 99.9) == 0
    assert flood(pace, 100) == 1


def test_the_providers_word_is_when_it_is_probed() -> None:
    """
    With ``retry-after``, one is sent then, although the limit is full again only later.
    """
    pace = Pace()
    limits = Limits(retry_after_s=2.0, requests=Allowance(0, 100.0))
    pace.heard(limits, 429, 0, sent(pace, 0))
    assert pace.wait(0) == 2
    assert flood(pace, 2) == 1
    assert pace.wait(2) == 98


def test_what_was_sent_since_is_counted() -> None:
    """
    The answer to the first of five tells of seven left: three are, for four were sent after it.
    """
    pace = Pace()
    marks = [sent(pace, 0) for _ in range(5)]
    pace.heard(Limits(requests=Allowance(7, 100.0)), 200, 0, marks[0])
    assert sum(flood(pace, 10 * step) for step in range(10)) == 3 + 1
    assert pace.wait(99) > 0


def test_old_reports_are_out_of_date() -> None:
    """
    What answers an earlier request than the last report did says nothing of limits.
    """
    pace = Pace()
    old, new = sent(pace, 0), sent(pace, 0)
    pace.heard(Limits(requests=Allowance(0, 60.0)), 200, 1, new)
    pace.heard(Limits(requests=Allowance(50, 60.0)), 200, 1, old)
    assert pace.wait(1) > 0


def test_nothing_to_wait_for() -> None:
    """
    A limit that is whole again keeps nobody.
    """
    pace = Pace()
    pace.heard(Limits(requests=Allowance(0, 60.0)), 200, 0, sent(pace, 0))
    pace.heard(Limits(requests=Allowance(100, 0.0)), 200, 0, pace.mark)
    assert flood(pace, 0) == 10000


@pytest.mark.parametrize(
    ("limits", "input_", "output", "waits"),
    [
        (Limits(tokens=Allowance(100, 60.0)), 60, 41, True),
        (Limits(tokens=Allowance(100, 60.0)), 60, 40, False),
        (Limits(input_tokens=Allowance(100, 60.0)), 101, 0, True),
        (Limits(input_tokens=Allowance(100, 60.0)), 100, 900, False),
        (Limits(output_tokens=Allowance(100, 60.0)), 0, 101, True),
        (Limits(output_tokens=Allowance(100, 60.0)), 900, 100, False),
        (Limits(tokens=Allowance(0, 60.0)), 0, 0, False),
        (Limits(tokens=Allowance(100, 60.0), requests=Allowance(0, 60.0)), 1, 1, True),
    ],
)
def test_tokens(limits: Limits, input_: int, output: int, waits: bool) -> None:
    """
    Each limit counts its own; a request that costs none of a limit does not wait for it.
    """
    pace = Pace()
    pace.heard(limits, 200, 0, sent(pace, 0))
    assert (pace.wait(0, input_, output) > 0) is waits


def test_what_costs_nothing_delays_no_probe() -> None:
    """
    Requests without tokens pass by a limit of tokens that is used up, and the probe of it is sent in its time.
    """
    pace = Pace()
    pace.heard(Limits(tokens=Allowance(0, 60.0)), 200, 0, sent(pace, 0))
    for second in range(6):
        sent(pace, second)
    sent(pace, 6, tokens=10)
    assert pace.wait(6, 10) == 54


def test_a_request_of_more_than_there_is() -> None:
    """
    An estimate above the whole limit is no reason to wait for ever.
    """
    pace = Pace()
    now = 0.0
    pace.heard(Limits(tokens=Allowance(100, 60.0)), 200, now, sent(pace, now))
    while wait := pace.wait(now, 10**6):
        now += wait
    assert now <= 60


# -- against providers -------------------------------------------------------------------------------------------


@attrs.define
class Provider:
    """
    A provider of `limit` requests in `period_s`: a window that begins anew, or a bucket that fills steadily.
    """

    limit: int
    period_s: float
    window: bool
    left: float = attrs.Factory(lambda self: float(self.limit), takes_self=True)
    as_of: float = 0.0

    def ask(self, now: float) -> tuple[int, Limits]:
        """
        Take or refuse a request, and say what is left.
        """
        rate = self.limit / self.period_s
        if not self.window:
            self.left = min(self.limit, self.left + (now - self.as_of) * rate)
        elif now // self.period_s > self.as_of // self.period_s:
            self.left = self.limit
        self.as_of = now
        ends = self.period_s - now % self.period_s
        if self.left < 1 - 1e-9:
            wait = ends if self.window else (1 - self.left) / rate
            return 429, Limits(retry_after_s=wait, requests=Allowance(0, ends if self.window else wait))
        self.left -= 1
        reset = ends if self.window else (self.limit - self.left) / rate
        return 200, Limits(requests=Allowance(math.floor(self.left), reset))


@attrs.define
class Outcome:
    """
    How a run went.

    :ivar granted: requests that were let through while a report said that there is room.
    :ivar broken: those of them that the provider refused.
    :ivar probes: most that were let through by one report that said there is none.
    """

    served: int = 0
    refused: int = 0
    granted: int = 0
    broken: int = 0
    probes: int = 0


def run(provider: Provider, asks: list[float], delay: float, slowest: float, seed: int) -> Outcome:
    """
    Requests are asked for at these times, and dropped where they would have to wait; they reach the provider after
    `delay`, and are answered within `slowest` more, in any order.
    """
    pace, chance, outcome = Pace(), random.Random(seed), Outcome()
    numbers = itertools.count()
    events: list[tuple[float, int, Callable[[float], None]]] = []
    # What a report allows is reckoned here anew, in the plainest way.
    left, until, probes, newest = 0, -1.0, 0, 0

    def later(at: float, step: Callable[[float], None]) -> None:
        heapq.heappush(events, (at, next(numbers), step))

    def ask(now: float) -> None:
        nonlocal left, probes
        if pace.wait(now):
            return
        granted = now < until and left >= 1
        outcome.granted += granted
        left -= 1
        if now < until and not granted:
            probes += 1
            outcome.probes = max(outcome.probes, probes)
        later(now + delay, partial(arrive, pace.mark, granted))

    def arrive(mark: Mark, granted: bool, now: float) -> None:
        status, limits = provider.ask(now)
        outcome.served += status == 200
        outcome.refused += status == 429
        outcome.broken += granted and status == 429
        later(now + slowest * chance.random(), partial(answer, mark, status, limits))

    def answer(mark: Mark, status: int, limits: Limits, now: float) -> None:
        nonlocal left, until, probes, newest
        pace.heard(limits, status, now, mark)
        allowance = limits.requests
        if mark[0] >= newest and allowance is not None:
            newest = mark[0]
            left, until, probes = allowance.remaining - (pace.mark[0] - newest), now + allowance.reset_s, 0

    for at in asks:
        later(at, ask)
    while events:
        now, _, step = heapq.heappop(events)
        step(now)
    return outcome


@given(
    st.integers(1, 40),
    st.sampled_from([1.0, 10.0, 60.0]),
    st.booleans(),
    st.lists(st.floats(0, 2), min_size=1, max_size=150),
    st.sampled_from([0.0, 0.01, 0.5]),
    st.sampled_from([0.0, 0.1, 3.0]),
    st.integers(0, 9),
)
def test_no_promise_is_broken(
    limit: int, period: float, window: bool, gaps: list[float], delay: float, slowest: float, seed: int
) -> None:
    """
    What is let through on a provider's word it does not refuse, however late and disordered its answers are; beyond
    its word there is one probe for each report.
    """
    asks, now = [], 0.0
    for gap in gaps:
        # Most come in crowds.
        now += max(0.0, gap - 1) * period / 10
        asks.append(now)
    outcome = run(Provider(limit, period, window), asks, delay, slowest, seed)
    assert outcome.broken == 0
    assert outcome.probes <= 1


@pytest.mark.parametrize("window", [True, False])
@pytest.mark.parametrize("slowest", [0.1, 5.0])
def test_a_thousand_agents(window: bool, slowest: float) -> None:
    """
    Agents that ask for a hundred times what there is get most of it, and the provider refuses next to nothing.
    """
    provider = Provider(limit=60, period_s=60.0, window=window)
    minutes = 20
    asks = [step * 0.01 for step in range(6000 * minutes)]
    # They do not come all at once for the first time: nobody could know better.
    outcome = run(provider, asks[:1] + asks[1000:], 0.02, slowest, 1)
    assert outcome.broken == 0
    assert outcome.served >= 0.85 * 60 * minutes
    assert outcome.refused <= 0.1 * outcome.served


WAITS = st.lists(
    st.tuples(
        st.sampled_from([200, 200, 429, 503]),
        st.none() | st.floats(0, 100),
        st.none() | st.tuples(st.integers(0, 20), st.floats(0, 500)),
        st.floats(0, 30),
    ),
    max_size=40,
)


@given(WAITS)
def test_waiting_as_told_is_enough(told: list[tuple[int, float | None, tuple[int, float] | None, float]]) -> None:
    """
    Whatever a provider says: nobody is told to wait for longer than the bound, and whoever comes back as often as told
    gets through within two such times, though nothing more is heard.
    """
    pace = Pace()
    now, mark = 0.0, pace.mark
    for status, retry, left, step in told:
        pace.heard(Limits(retry_after_s=retry, requests=left and Allowance(*left)), status, now, mark)
        now += step
        began = now
        while wait := pace.wait(now):
            assert 0 < wait <= MOST_HOLD_S + EPSILON
            now += wait
            assert now - began <= 2 * MOST_HOLD_S + PROBE_S + EPSILON
        mark = pace.mark


# -- one by one --------------------------------------------------------------------------------------------------


def sent_away(pace: Pace, now: float) -> float:
    """
    When somebody is told to come back who may not go now.
    """
    wait = pace.wait(now)
    assert wait > 0
    return now + pace.sent_away(wait, now)


def test_behind_a_hold() -> None:
    """
    Each comes after the one before, and all of them after whoever asks first; some time on, after those who are still
    to come; and in the end no later than a bound.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=20.0), 429, 0, sent(pace, 0))
    assert [sent_away(pace, 1) for _ in range(3)] == pytest.approx([20 + BEHIND_S + APART_S * n for n in range(3)])
    assert sent_away(pace, 19.5) == pytest.approx(20 + BEHIND_S + APART_S * 3)
    for _ in range(100):
        latest = sent_away(pace, 19.5)
    assert latest == 20 + BEHIND_S + MOST_APART_S
    sent(pace, 20)
    assert sent_away(pace, 20) == pytest.approx(20 + PROBE_S + BEHIND_S + MOST_APART_S)


def test_behind_what_is_left() -> None:
    """
    As far apart as what is left is spread.
    """
    pace = Pace()
    pace.heard(Limits(requests=Allowance(30, 60.0)), 200, 0, sent(pace, 0))
    assert flood(pace, 0) == 15
    assert [sent_away(pace, 0) for _ in range(4)] == pytest.approx([2.0, 4.0, 6.0, 8.0])
    pace.heard(Limits(tokens=Allowance(0, 60.0)), 200, 0, pace.mark)
    assert pace.wait(0, 10) == 6.0
    assert pace.sent_away(6.0, 0) == pytest.approx(8.0 + 2.0)


def test_nobody_is_behind_those_who_have_passed() -> None:
    """
    Once everybody goes again, who was told to come then is no longer waited for.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=5.0), 429, 0, sent(pace, 0))
    told = [sent_away(pace, 0) for _ in range(20)]
    answered = 0
    while pace.is_careful:
        pace.heard(UNKNOWN, 200, 5, sent(pace, 5))
        answered += 1
    assert answered <= OPEN_AT
    pace.heard(Limits(retry_after_s=1.0), 429, 6, sent(pace, 6))
    assert sent_away(pace, 6) == 7 + BEHIND_S < told[-1]


@given(
    st.sampled_from([None, 0.3, 1.0, 20.0]),
    st.lists(st.floats(0, 0.3), min_size=1, max_size=30),
)
def test_who_comes_as_told_goes(retry: float | None, gaps: list[float]) -> None:
    """
    After a hold, with one who asks as soon as may be, all that come as they were told are let through, though no answer
    ever comes.
    """
    pace = Pace()
    pace.heard(Limits(retry_after_s=retry), 429, 0, sent(pace, 0))
    hold = HOLD_S if retry is None else retry
    comes, now = [hold], 0.0
    for gap in gaps:
        now = min(now + gap, hold * 0.99)
        comes.append(sent_away(pace, now))
    assert comes == sorted(comes)
    for due in comes:
        assert pace.wait(due) == 0


# -- telling -----------------------------------------------------------------------------------------------------


def test_what_is_told() -> None:
    """
    How long nobody is sent and what is left by this count, for as long as either holds; looking changes nothing.
    """
    pace = Pace()
    assert pace.told(0) == {}
    limits = Limits(requests=Allowance(10, 30), input_tokens=Allowance(500, 20))
    pace.heard(limits, 200, 0, sent(pace, 0, 7))
    assert pace.told(0) == {"requests_left": 10, "input_tokens_left": 500}
    sent(pace, 0, 7)
    assert pace.told(0) == {"requests_left": 9, "input_tokens_left": 493}
    assert pace.told(20) == {"requests_left": 9}
    pace.heard(Limits(retry_after_s=40), 429, 20, sent(pace, 20))
    assert pace.told(21)["wait_s"] == 39
    assert pace.told(60) == {}
