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

from aibridge.admission.cooldown import EARLY_S, FIRST_S, MOST_S, PROBE_S
from aibridge.admission.pace import (
    APART_S,
    BEHIND_S,
    HOLD_S,
    LEAST_WAIT_S,
    MOST_BEHIND_S,
    OPEN_AT,
    UNPROVEN_FIRST_S,
    Pace,
    Ticket,
)
from aibridge.admission.verdict import judge
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import UNKNOWN, Allowance, Limits

EPSILON = 1e-6


BOB, ALICE, EVE = "bob", "alice", "eve"


def sent(pace: Pace, now: float, tokens: int = 0, principal: str = BOB) -> Ticket:
    """
    A request that is let through.
    """
    assert pace.wait(now, principal, tokens) == 0
    return pace.send(now, principal, tokens)


def heard(pace: Pace, limits: Limits, status: int, now: float, ticket: Ticket) -> None:
    """
    An answer whose body says nothing.
    """
    pace.heard(limits, judge(status, limits, NOTHING), status, now, ticket)


def used_up(pace: Pace, now: float, wait: float = HOLD_S) -> None:
    """
    An answer says that a limit is used up, and for how long.
    """
    limits = Limits(retry_after_s=wait, requests=Allowance(0, wait + EPSILON))
    heard(pace, limits, 429, now, sent(pace, now))


def flood(pace: Pace, now: float, principal: str = EVE) -> int:
    """
    How many are let through at once.
    """
    count = 0
    while count < 10000 and pace.wait(now, principal) == 0:
        pace.send(now, principal)
        count += 1
    return count


# -- told to wait ------------------------------------------------------------------------------------------------


def test_nobody_waits_for_a_silent_provider() -> None:
    """
    Until it has spoken of limits, everybody goes, and errors of other kinds change nothing.
    """
    pace = Pace()
    for status in (200, 400, 401, 403, 404, 500, 503, 529):
        for principal in (BOB, ALICE):
            heard(pace, UNKNOWN, status, 0, sent(pace, 0, principal=principal))
    assert flood(pace, 0) == 10000


@pytest.mark.parametrize("told", [20.0, None, 1e6])
@pytest.mark.parametrize("status", [429, 503, 529, 500, 400])
def test_many_are_told_to_wait(status: int, told: float | None) -> None:
    """
    They may all make the same mistake: nobody else waits, however often they repeat it.
    """
    pace = Pace()
    for now in range(100, 120):
        for who in (BOB, ALICE, "carol"):
            if not pace.wait(now, who):
                heard(pace, Limits(retry_after_s=told), status, now, sent(pace, now, principal=who))
        assert pace.wait(now, EVE) == 0
        assert (pace.wait(now, BOB) > 0) is (status != 400 and told is not None)
    assert flood(pace, 120) == 10000


def test_one_is_refused_and_another_served() -> None:
    """
    With the same word that a limit is used up: from then on whoever is refused waits alone.
    """
    pace = Pace()
    used_up(pace, 0, 20.0)
    assert pace.wait(0, ALICE) > 0
    for _ in range(OPEN_AT):
        heard(pace, UNKNOWN, 200, 1, sent(pace, 1, principal=ALICE))
    for now in (2, 40, 80):
        used_up(pace, now, 20.0)
        assert pace.wait(now, BOB) > 0
        assert flood(pace, now, ALICE) == 10000


def test_the_answers_own_word_is_enough() -> None:
    """
    That a limit is used up holds for all, from one answer: as long as it says, else until the reset.
    """
    for retry, hold in ((20.0, 20.0), (None, 60.0)):
        pace = Pace()
        heard(pace, Limits(retry_after_s=retry, requests=Allowance(0, 60.0)), 429, 0, sent(pace, 0))
        assert pace.wait(0, ALICE) == hold
        assert flood(pace, hold, ALICE) == 1


def test_who_alone_is_told_to_wait() -> None:
    """
    Waits alone.
    """
    pace = Pace()
    heard(pace, Limits(retry_after_s=20.0), 429, 0, sent(pace, 0))
    assert pace.wait(0, BOB) == pytest.approx(20, abs=2 * EARLY_S)
    assert flood(pace, 0, ALICE) == 10000


def test_slow_start() -> None:
    """
    Each good answer to one sent since doubles how many may have been; then everybody goes.
    """
    pace = Pace()
    used_up(pace, 0, 1.0)
    counts = []
    for _ in range(6):
        now = 1.0
        if pace.wait(now, EVE):
            break
        ticket = pace.send(now, EVE)
        counts.append(1 + flood(pace, now))
        heard(pace, UNKNOWN, 200, now, ticket)
    assert counts == [1, 1, 2, 4, 8, 16]
    assert flood(pace, 1) == 10000


def test_old_answers_start_nothing() -> None:
    """
    What was sent before the provider said "wait" may be answered well, and that says nothing of now; nor do 503s.
    """
    pace = Pace()
    old = [sent(pace, 0) for _ in range(5)]
    used_up(pace, 0, 0.9)
    probe = sent(pace, 1, principal=EVE)
    for ticket in old:
        heard(pace, UNKNOWN, 200, 1, ticket)
    heard(pace, UNKNOWN, 503, 1, probe)
    assert pace.wait(1, EVE) == PROBE_S


def test_what_is_wrong_by_itself_takes_no_place() -> None:
    """
    While one is sent after the other, a request that is refused for its own sake is as if it had not been sent.
    """
    pace = Pace()
    used_up(pace, 0, 0.9)
    for status in (400, 404, 429) * 5:
        heard(pace, UNKNOWN, status, 1, sent(pace, 1))
    assert pace.wait(1, ALICE) == 0


def test_a_probe_that_is_not_answered() -> None:
    """
    Another is sent after a while, and so on: one at a time.
    """
    pace = Pace()
    used_up(pace, 0, 0.9)
    assert [flood(pace, 1 + second * PROBE_S) for second in range(4)] == [1, 1, 1, 1]


def test_recovered_before_its_time() -> None:
    """
    The first probe that is answered well ends the wait for all.
    """
    pace = Pace()
    used_up(pace, 0, 300.0)
    assert pace.wait(1.0, EVE) == 0
    probe = pace.send(1.0, EVE)
    assert pace.wait(1.1, ALICE) == pytest.approx(298.9)
    heard(pace, UNKNOWN, 200, 1.2, probe)
    for principal in (BOB, ALICE, EVE):
        heard(pace, UNKNOWN, 200, 1.2, sent(pace, 1.2, principal=principal))


def test_a_bad_request_is_no_way_to_keep_it_closed() -> None:
    """
    Whoever probes with a request that is always refused leaves the others' probes to them.
    """
    pace = Pace()
    used_up(pace, 0, 300.0)
    now, refused = 0.0, 0
    while now < 20.0:
        now += 0.1
        if not pace.wait(now, BOB):
            heard(pace, UNKNOWN, 429, now, pace.send(now, BOB))
            refused += 1
    assert 3 <= refused <= 5
    heard(pace, UNKNOWN, 200, 20.6, sent(pace, 20.6, principal=ALICE))
    assert pace.wait(20.6, ALICE) == 0


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from(["ask", "ask", "ask", "answer"]), st.floats(0, 0.5)), max_size=150),
)
def test_no_herd(hold: float, steps: list[tuple[str, float]]) -> None:
    """
    k answers and s seconds after it was closed: at most ``2 ** k + s / PROBE_S`` requests, until the provider is known
    well.
    """
    pace = Pace()
    used_up(pace, 0, hold)
    now = hold + EPSILON
    began, answers, count = now, 0, 0
    waiting: deque[Ticket] = deque()
    for what, step in steps:
        now += step
        if what == "ask":
            if pace.wait(now, EVE) == 0:
                waiting.append(pace.send(now, EVE))
                count += 1
        elif waiting:
            heard(pace, UNKNOWN, 200, now, waiting.popleft())
            answers += 1
            if 2**answers >= OPEN_AT:
                return
        assert count <= 2**answers + (now - began) / PROBE_S + EPSILON


@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503, 529]),
            st.none() | st.floats(0, 500),
            st.none() | st.integers(1, 9),
            st.integers(0, 2**53),
            st.floats(0, 2),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_one_never_stops_another(
    steps: list[tuple[int, float | None, int | None, int, float, bool]],
) -> None:
    """
    Whatever one principal asks, at whatever size, and however it is answered, unless the answer says that a limit is
    used up: another may go.
    """
    pace, now = Pace(), 0.0
    for status, retry, left, tokens, step, is_answered in steps:
        now += step
        if not pace.wait(now, BOB, tokens, tokens):
            ticket = pace.send(now, BOB, tokens, tokens)
            # More requests are left than can be under way.
            requests = None if left is None else Allowance(left + 1000, 60.0)
            tokens_left = None if left is None else Allowance(left, 60.0)
            limits = Limits(retry_after_s=retry, requests=requests, tokens=tokens_left, output_tokens=tokens_left)
            if is_answered:
                heard(pace, limits, status, now, ticket)
        assert pace.wait(now, ALICE, 1000, 10**6) == 0


# -- told what is left -------------------------------------------------------------------------------------------


def test_as_many_as_are_left() -> None:
    """
    May go at once, as the provider would take them; then nobody, until the reset, but for probes.
    """
    pace = Pace()
    heard(pace, Limits(requests=Allowance(10, 60.0)), 200, 0, sent(pace, 0))
    assert flood(pace, 0) == 10
    assert pace.wait(0, ALICE) == 60
    assert flood(pace, UNPROVEN_FIRST_S) == 1
    assert flood(pace, 60) == 1


def test_used_up() -> None:
    """
    Nobody goes, from one answer; the next that tells of something left opens it, whoever asked.
    """
    pace = Pace()
    first, second = sent(pace, 0), sent(pace, 0)
    heard(pace, Limits(requests=Allowance(0, 100.0)), 200, 0, first)
    assert pace.wait(0, ALICE) == 100
    heard(pace, Limits(requests=Allowance(5, 100.0)), 200, 0, second)
    assert flood(pace, 0) == 5


def test_words_that_are_not_meant() -> None:
    """
    A provider that says that nothing is left, and serves all the same, keeps nobody any more, after one probe; unless
    it refuses one with such words.
    """
    pace = Pace()
    nothing = Limits(requests=Allowance(0, 100.0))
    heard(pace, nothing, 200, 0, sent(pace, 0))
    assert pace.wait(0, ALICE) == 100
    now = UNPROVEN_FIRST_S
    for _ in range(100):
        heard(pace, nothing, 200, now, sent(pace, now))
    heard(pace, nothing, 429, now, sent(pace, now))
    assert pace.wait(now, ALICE) == 100
    heard(pace, nothing, 200, now + FIRST_S, sent(pace, now + FIRST_S))
    assert pace.wait(now + FIRST_S, ALICE) == 100


def test_what_was_sent_since_is_counted() -> None:
    """
    The answer to the first of five tells of seven left: three are, for four were sent after it.
    """
    pace = Pace()
    tickets = [sent(pace, 0) for _ in range(5)]
    heard(pace, Limits(requests=Allowance(7, 100.0)), 200, 0, tickets[0])
    assert flood(pace, 0) == 3


@pytest.mark.parametrize(("later", "left"), [(0.0, 0), (1.0, 2)])
def test_one_that_overtakes_others(later: float, left: int) -> None:
    """
    The answer to the last of several tells of two left, and those before it may not have been counted; unless they were
    sent long ago.
    """
    pace = Pace()
    tickets = [sent(pace, 0) for _ in range(3)]
    heard(pace, Limits(requests=Allowance(2, 100.0)), 200, later, sent(pace, later))
    assert pace.told(later)["requests_left"] == left
    for ticket in tickets:
        heard(pace, UNKNOWN, 200, later, ticket)


def test_what_never_arrived_is_put_back() -> None:
    """
    A request without an answer was not counted by the provider, as far as is known.
    """
    pace = Pace()
    heard(pace, Limits(requests=Allowance(3, 100.0)), 200, 0, sent(pace, 0))
    for _ in range(10):
        pace.unanswered(sent(pace, 0))
    assert flood(pace, 0) == 3


def test_old_reports_are_out_of_date() -> None:
    """
    What answers an earlier request than the last report did says nothing of limits.
    """
    pace = Pace()
    old, new = sent(pace, 0), sent(pace, 0)
    heard(pace, Limits(requests=Allowance(0, 60.0)), 200, 0, new)
    heard(pace, Limits(requests=Allowance(50, 60.0)), 200, 0, old)
    assert pace.wait(0, ALICE) > 0


def test_nothing_to_wait_for() -> None:
    """
    A limit that is whole again keeps nobody.
    """
    pace = Pace()
    first, second = sent(pace, 0), sent(pace, 0)
    heard(pace, Limits(requests=Allowance(0, 60.0)), 200, 0, first)
    heard(pace, Limits(requests=Allowance(100, 0.0)), 200, 0, second)
    assert flood(pace, 0) == 10000


@pytest.mark.parametrize(
    ("limits", "input_", "output", "waits"),
    [
        (Limits(tokens=Allowance(100, 60.0)), 60, 41, True),
        (Limits(tokens=Allowance(100, 60.0)), 30, 20, False),
        (Limits(input_tokens=Allowance(100, 60.0)), 51, 0, True),
        (Limits(input_tokens=Allowance(100, 60.0)), 50, 900, False),
        (Limits(output_tokens=Allowance(100, 60.0)), 0, 51, True),
        (Limits(output_tokens=Allowance(100, 60.0)), 900, 50, False),
        (Limits(tokens=Allowance(100, 60.0)), 0, 0, False),
    ],
)
def test_ones_own_tokens(limits: Limits, input_: int, output: int, waits: bool) -> None:
    """
    Two requests of one principal at once that are estimated at more than is left go one after the other; another
    principal's goes all the same. When the first is answered, its estimate is put back.
    """
    pace = Pace()
    heard(pace, limits, 200, 0, sent(pace, 0))
    pace.send(0, BOB, input_, output)
    assert pace.wait(0, BOB, input_, output) == (LEAST_WAIT_S if waits else 0)
    assert pace.wait(0, ALICE, input_, output) == 0
    heard(pace, UNKNOWN, 400, 0, Ticket(2, BOB, input_, output))
    assert pace.wait(0, BOB, input_, output) == 0


@pytest.mark.parametrize("status", [200, 400, 413, 429, 500, None])
def test_an_estimate_beyond_all_bounds(status: int | None) -> None:
    """
    Counts for no more than what is left, stops nobody else, and is put back with the answer, or when there is none.
    """
    pace = Pace()
    heard(pace, Limits(tokens=Allowance(150_000, 300.0), requests=Allowance(99, 60.0)), 200, 0, sent(pace, 0))
    ticket = sent(pace, 0, 2**53 - 1)
    assert pace.wait(0, ALICE, 1000, 4000) == 0
    if status is None:
        pace.unanswered(ticket)
    else:
        heard(pace, UNKNOWN, status, 0, ticket)
    assert pace.told(0)["tokens_left"] == 150_000
    assert pace.wait(0, BOB, 2**53 - 1) == pace.wait(0, ALICE, 1000, 4000) == 0


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
    """

    served: int = 0
    refused: int = 0
    granted: int = 0
    broken: int = 0


def run(provider: Provider, asks: list[float], delay: float, slowest: float, seed: int, principals: int = 3) -> Outcome:
    """
    Requests are asked for at these times, and dropped where they would have to wait; they reach the provider after
    `delay`, and are answered within `slowest` more, in any order.
    """
    pace, chance, outcome = Pace(), random.Random(seed), Outcome()
    numbers = itertools.count()
    events: list[tuple[float, int, Callable[[float], None]]] = []
    # What a report allows is reckoned here anew, in the plainest way.
    left, until, newest, last = 0, -1.0, 0, 0

    def later(at: float, step: Callable[[float], None]) -> None:
        heapq.heappush(events, (at, next(numbers), step))

    def ask(now: float) -> None:
        nonlocal left, last
        principal = f"p{chance.randrange(principals)}"
        if pace.wait(now, principal):
            return
        granted = now < until and left >= 1
        outcome.granted += granted
        left -= 1
        ticket = pace.send(now, principal)
        last = ticket.number
        later(now + delay, partial(arrive, ticket, granted))

    def arrive(ticket: Ticket, granted: bool, now: float) -> None:
        status, limits = provider.ask(now)
        outcome.served += status == 200
        outcome.refused += status == 429
        outcome.broken += granted and status == 429
        later(now + slowest * chance.random(), partial(answer, ticket, status, limits))

    def answer(ticket: Ticket, status: int, limits: Limits, now: float) -> None:
        nonlocal left, until, newest
        heard(pace, limits, status, now, ticket)
        allowance = limits.requests
        if ticket.number >= newest and allowance is not None:
            newest = ticket.number
            left, until = allowance.remaining - (last - newest), now + allowance.reset_s

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
    What is let through on a provider's word it does not refuse, however late and disordered its answers are.
    """
    asks, now = [], 0.0
    for gap in gaps:
        # Most come in crowds.
        now += max(0.0, gap - 1) * period / 10
        asks.append(now)
    outcome = run(Provider(limit, period, window), asks, delay, slowest, seed)
    assert outcome.broken == 0


@pytest.mark.parametrize("window", [True, False])
@pytest.mark.parametrize("slowest", [0.1, 5.0])
@pytest.mark.parametrize(("principals", "probes"), [(1, 0.1), (20, 0.4)])
def test_a_thousand_agents(window: bool, slowest: float, principals: int, probes: float) -> None:
    """
    Agents that ask for a hundred times what there is get most of it, and the provider refuses next to nothing: some
    probes, of which each principal has his own.
    """
    provider = Provider(limit=60, period_s=60.0, window=window)
    minutes = 20
    asks = [step * 0.01 for step in range(6000 * minutes)]
    # They do not come all at once for the first time: nobody could know better.
    outcome = run(provider, asks[:1] + asks[1000:], 0.02, slowest, 1, principals)
    assert outcome.broken == 0
    assert outcome.served >= 0.85 * 60 * minutes
    assert outcome.refused <= probes * outcome.served


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
    now, ticket = 0.0, pace.send(0.0, BOB)
    for status, retry, left, step in told:
        heard(pace, Limits(retry_after_s=retry, requests=left and Allowance(*left)), status, now, ticket)
        now += step
        began = now
        while wait := pace.wait(now, BOB):
            assert 0 < wait <= MOST_S + EPSILON
            now += wait
            assert now - began <= 2 * MOST_S + PROBE_S + EPSILON
        ticket = pace.send(now, BOB)


# -- one by one --------------------------------------------------------------------------------------------------


def sent_away(pace: Pace, now: float) -> float:
    """
    When somebody is told to come back who may not go now.
    """
    wait = pace.wait(now, EVE)
    assert wait > 0
    return now + pace.sent_away(wait, now)


def test_behind_a_cool_down() -> None:
    """
    Each comes after the one before, and all of them after whoever asks first; some time on, after those who are still
    to come; and in the end no later than a bound.
    """
    pace = Pace()
    used_up(pace, 0, 20.0)
    assert [sent_away(pace, 0.5) for _ in range(3)] == pytest.approx([20 + BEHIND_S + APART_S * n for n in range(3)])
    sent(pace, 19.5, principal=EVE)
    assert sent_away(pace, 19.5) == pytest.approx(20 + BEHIND_S + APART_S * 3)
    for _ in range(100):
        latest = sent_away(pace, 19.5)
    assert latest == 20 + BEHIND_S + MOST_BEHIND_S


def test_nobody_is_behind_those_who_have_passed() -> None:
    """
    Once everybody goes again, who was told to come then is no longer waited for.
    """
    pace = Pace()
    used_up(pace, 0, 0.9)
    told = [sent_away(pace, 0) for _ in range(30)]
    for _ in range(8):
        heard(pace, UNKNOWN, 200, 1, sent(pace, 1, principal=EVE))
    used_up(pace, 2, 0.9)
    assert sent_away(pace, 2) == pytest.approx(2.9 + BEHIND_S)
    assert told[-1] > 2.9 + BEHIND_S


@given(
    st.sampled_from([None, 0.3, 0.9, 20.0]),
    st.lists(st.floats(0, 0.3), min_size=1, max_size=30),
)
def test_who_comes_as_told_goes(retry: float | None, gaps: list[float]) -> None:
    """
    After a cool-down, with one who asks as soon as may be, all that come as they were told are let through, though no
    answer ever comes.
    """
    pace = Pace()
    used_up(pace, 0, HOLD_S if retry is None else retry)
    hold = HOLD_S if retry is None else retry
    comes, now = [hold], 0.0
    for gap in gaps:
        now = min(now + gap, min(hold, FIRST_S) * 0.99)
        comes.append(sent_away(pace, now))
    assert comes == sorted(comes)
    for due in comes:
        sent(pace, due, principal=EVE)


# -- telling -----------------------------------------------------------------------------------------------------


def test_what_is_told() -> None:
    """
    How long it cools down and what is left, for as long as either holds; looking changes nothing.
    """
    pace = Pace()
    assert pace.told(0) == {}
    limits = Limits(requests=Allowance(10, 30), input_tokens=Allowance(500, 20))
    heard(pace, limits, 200, 0, sent(pace, 0, 7))
    assert pace.told(0) == {"requests_left": 10, "input_tokens_left": 500}
    sent(pace, 0, 7)
    assert pace.told(0) == {"requests_left": 9, "input_tokens_left": 493}
    assert pace.told(20) == {"requests_left": 9}
    used_up(pace, 20, 40.0)
    assert pace.told(21)["wait_s"] == 39
    assert pace.told(60.1) == {}
