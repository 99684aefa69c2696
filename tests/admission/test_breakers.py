"""
Circuit breakers: what opens them, whom they keep out, how they close, and that made-up names gain nothing.
"""

from __future__ import annotations

import collections
import contextlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge import errors
from aibridge.admission.breaker import HALF_OPEN_WAIT_S, BreakerTerms, State
from aibridge.admission.breakers import MOST_APART, OTHER, Breakers, Name, Pass
from aibridge.model import Dialect

PROVIDER, ENDPOINT = "openai", "/v1/chat/completions"
TERMS = BreakerTerms()


@attrs.define
class Watched:
    """
    Breakers, and what they told.
    """

    breakers: Breakers
    changes: list[tuple[Name, State]] = attrs.Factory(list)
    rejects: list[tuple[Name, bool]] = attrs.Factory(list)

    def admit(self, now: float, model: str = "m", endpoint: str = ENDPOINT) -> Pass:
        """
        Let one call through.
        """
        return self.breakers.admit(PROVIDER, endpoint, model, now)

    def refused(self, now: float, model: str = "m") -> float:
        """
        How long a call is told to wait that is not let through.
        """
        with pytest.raises(errors.BreakerOpen) as caught:
            self.admit(now, model)
        assert caught.value.retry_after_s is not None
        return caught.value.retry_after_s

    def fail(self, now: float, model: str = "m", times: int = 5) -> None:
        """
        Let calls through that fail.
        """
        for _ in range(times):
            self.admit(now, model).failure(now)

    def shared_state(self) -> State:
        """
        How the one stands that models share which have none.
        """
        entry = self.breakers.shared.get((PROVIDER, ENDPOINT, OTHER))
        return State.CLOSED if entry is None else entry.core.state

    def state(self, model: str = "m") -> State:
        """
        How the breaker stands.
        """
        return self.breakers.state(PROVIDER, ENDPOINT, model)


def watched(terms: BreakerTerms = TERMS, size: int = 100) -> Watched:
    """
    Breakers that are watched.
    """
    changes: list[tuple[Name, State]] = []
    rejects: list[tuple[Name, bool]] = []
    breakers = Breakers(
        terms,
        size,
        lambda name, state: changes.append((name, state)),
        lambda name, shadow: rejects.append((name, shadow)),
    )
    return Watched(breakers, changes, rejects)


# -- opening ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(200, State.CLOSED), (404, State.HALF_OPEN), (503, State.OPEN), (errors.ClientLeft(), State.HALF_OPEN)],
)
def test_settling(outcome: errors.BridgeError | int, state: State) -> None:
    """
    An outcome is a success, a failure, or neither.
    """
    fixture = watched(BreakerTerms(max_requests=1))
    fixture.fail(0)
    fixture.admit(30).settle(outcome, Dialect.CHAT, 31)
    assert fixture.state() is state


def test_five_in_a_row_open_it() -> None:
    """
    The fifth does, and what is told is the time that is left.
    """
    fixture = watched()
    fixture.fail(100, times=4)
    assert fixture.state() is State.CLOSED
    fixture.fail(101, times=1)
    assert fixture.state() is State.OPEN
    assert [fixture.refused(now) for now in (101, 111.5, 130.75)] == [30, 19.5, 0.25]
    assert fixture.changes == [((PROVIDER, ENDPOINT, "m"), State.OPEN)]
    assert fixture.rejects == [((PROVIDER, ENDPOINT, "m"), False)] * 3


def test_a_success_breaks_the_row() -> None:
    """
    Four failures, one success, four failures: still closed.
    """
    fixture = watched()
    fixture.fail(0, times=4)
    fixture.admit(0).success(0)
    assert len(fixture.breakers) == 0
    fixture.fail(0, times=4)
    assert fixture.state() is State.CLOSED


def test_what_says_nothing_breaks_no_row() -> None:
    """
    A 400 among failures is not a sign of health.
    """
    fixture = watched()
    fixture.fail(0, times=4)
    fixture.admit(0).ignore(0)
    fixture.fail(0, times=1)
    assert fixture.state() is State.OPEN


@pytest.mark.parametrize(("interval", "state"), [(10.0, State.CLOSED), (10.4, State.OPEN), (0.0, State.OPEN)])
def test_failures_far_apart(interval: float, state: State) -> None:
    """
    Five have to fall into the interval, wherever that begins; 0 means that they may be any time apart.
    """
    fixture = watched(BreakerTerms(interval_s=interval))
    for number in range(5):
        fixture.fail(2.6 * number, times=1)
    assert fixture.state() is state


def test_endpoints_and_models_are_apart() -> None:
    """
    One that is open keeps no other out.
    """
    fixture = watched()
    fixture.fail(0)
    fixture.refused(1)
    fixture.admit(1, "n")
    fixture.admit(1, "m", "/v1/responses")
    fixture.breakers.admit("other-provider", ENDPOINT, "m", 1)


def test_only_the_first_word_counts() -> None:
    """
    A pass that is told twice has failed once.
    """
    fixture = watched()
    pass_ = fixture.admit(0)
    for _ in range(10):
        pass_.failure(0)
        pass_.success(0)
        pass_.ignore(0)
    fixture.fail(0, times=3)
    assert fixture.state() is State.CLOSED
    fixture.fail(0, times=1)
    assert fixture.state() is State.OPEN


# -- closing -----------------------------------------------------------------------------------------------------


def test_three_probes_close_it() -> None:
    """
    Three are let through, the fourth is not; when all have succeeded everybody may pass, and nothing is remembered.
    """
    fixture = watched()
    fixture.fail(0)
    probes = [fixture.admit(30) for _ in range(3)]
    assert fixture.refused(30) == HALF_OPEN_WAIT_S
    for probe in probes[:2]:
        probe.success(31)
    assert fixture.refused(31) == HALF_OPEN_WAIT_S
    probes[2].success(32)
    assert [state for _, state in fixture.changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert len(fixture.breakers) == 0
    fixture.fail(32, times=4)
    assert fixture.state() is State.CLOSED


def test_one_failed_probe_opens_it() -> None:
    """
    For the whole time again; what the other probes say is past.
    """
    fixture = watched()
    fixture.fail(0)
    first, second, third = (fixture.admit(30) for _ in range(3))
    first.success(31)
    second.failure(32)
    third.success(33)
    assert fixture.refused(40) == 22
    assert [state for _, state in fixture.changes] == [State.OPEN, State.HALF_OPEN, State.OPEN]


def test_a_probe_that_says_nothing_is_given_back() -> None:
    """
    Another may be sent for it.
    """
    fixture = watched()
    fixture.fail(0)
    probes = [fixture.admit(30) for _ in range(3)]
    probes[0].ignore(31)
    probes[0].ignore(31)
    fixture.admit(31)
    fixture.refused(31)


def test_what_was_sent_before_says_nothing() -> None:
    """
    Calls that were let through before it opened neither keep it open nor close it.
    """
    fixture = watched()
    old = [fixture.admit(0) for _ in range(6)]
    fixture.fail(0)
    old[0].success(1)
    old[1].failure(1)
    old[2].ignore(1)
    assert fixture.refused(1) == 29
    probe = fixture.admit(30)
    for pass_ in old[3:5]:
        pass_.success(30)
    old[5].failure(30)
    assert fixture.state() is State.HALF_OPEN
    probe.success(30)
    assert fixture.state() is State.HALF_OPEN


def test_probes_that_do_not_end() -> None:
    """
    Where all are still out after the time for which it was open, others may try; the late ones no longer count.
    """
    fixture = watched()
    fixture.fail(0)
    late = [fixture.admit(30) for _ in range(3)]
    fixture.refused(59.9)
    fresh = [fixture.admit(60) for _ in range(3)]
    fixture.refused(60)
    for probe in late:
        probe.failure(61)
    assert fixture.state() is State.HALF_OPEN
    for probe in fresh:
        probe.success(62)
    assert fixture.state() is State.CLOSED


def test_new_terms() -> None:
    """
    They hold at once for what is closed, and for what is open when it has closed.
    """
    fixture = watched()
    fixture.fail(0)
    fixture.fail(0, "n", times=2)
    fixture.breakers.terms = BreakerTerms(failure_threshold=3, timeout_s=5, max_requests=1)
    assert fixture.refused(10) == 20
    fixture.fail(0, "n", times=1)
    assert fixture.refused(1, "n") == 4
    for _ in range(3):
        fixture.admit(30).success(30)
    assert fixture.state() is State.CLOSED
    fixture.fail(30, times=3)
    assert fixture.refused(31) == 4


def test_shadow() -> None:
    """
    It opens, counts and closes as ever, and refuses nobody; those it would have refused are no probes.
    """
    fixture = watched(BreakerTerms(shadow=True))
    fixture.fail(0)
    for now in (1, 2):
        fixture.admit(now).success(now)
    assert fixture.rejects == [((PROVIDER, ENDPOINT, "m"), True)] * 2
    assert fixture.breakers.would_have_refused == 2
    assert fixture.state() is State.OPEN
    probes = [fixture.admit(30) for _ in range(3)]
    fixture.admit(30).failure(30)
    for probe in probes:
        probe.success(30)
    assert [state for _, state in fixture.changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]


# -- the table ---------------------------------------------------------------------------------------------------


def test_success_takes_no_room() -> None:
    """
    A million made-up names that do not fail leave nothing behind.
    """
    fixture = watched()
    for number in range(1000):
        pass_ = fixture.admit(0, f"made-up-{number}")
        pass_.settle(404 if number % 2 else 200, Dialect.CHAT, 0)
    assert len(fixture.breakers) == 0


def test_the_closed_give_way_first() -> None:
    """
    The oldest of them; one that is open stays.
    """
    fixture = watched(size=3)
    fixture.fail(0, "open")
    fixture.fail(1, "first", times=4)
    fixture.fail(2, "second", times=4)
    fixture.fail(3, "third", times=4)
    assert len(fixture.breakers) == 3
    fixture.fail(4, "second", times=1)
    assert fixture.state("second") is State.OPEN
    fixture.fail(4, "first", times=1)
    assert fixture.state("first") is State.CLOSED
    assert fixture.state("open") is State.OPEN


def test_the_rest_share_one() -> None:
    """
    When all are open, what has none shares one for its provider and endpoint, and a success of any of them breaks its
    row of failures.
    """
    fixture = watched(size=2)
    fixture.fail(0, "a")
    fixture.fail(0, "b")
    for number in range(4):
        fixture.fail(0, f"made-up-{number}", times=1)
    fixture.admit(0, "good").success(0)
    for number in range(5):
        assert fixture.shared_state() is State.CLOSED
        fixture.fail(0, f"made-up-{number}", times=1)
    assert fixture.shared_state() is State.OPEN
    assert fixture.refused(10, "never-seen") == 20
    assert fixture.rejects == [((PROVIDER, ENDPOINT, OTHER), False)]
    fixture.admit(10, "never-seen", "/v1/responses")
    assert fixture.state("a") is fixture.state("b") is State.OPEN
    for _ in range(3):
        fixture.admit(30, "never-seen").success(30)
    assert fixture.shared_state() is State.CLOSED


def test_those_that_nobody_asks_for_give_way() -> None:
    """
    An open one whose time is over refuses nobody: it gives way when there is no closed one, and is told as closed.
    """
    fixture = watched(size=2)
    fixture.fail(0, "a")
    fixture.fail(20, "b")
    fixture.fail(20, "c", times=1)
    assert set(fixture.breakers.shared) == {(PROVIDER, ENDPOINT, OTHER)}
    fixture.fail(40, "c", times=1)
    assert set(fixture.breakers.entries) == {(PROVIDER, ENDPOINT, "b"), (PROVIDER, ENDPOINT, "c")}
    assert fixture.changes[-1] == ((PROVIDER, ENDPOINT, "a"), State.CLOSED)


def test_one_with_probes_out_stays() -> None:
    """
    Its probes are awaited.
    """
    fixture = watched(size=1)
    fixture.fail(0, "a")
    probe = fixture.admit(30, "a")
    fixture.fail(30, "b", times=1)
    assert fixture.state("a") is State.HALF_OPEN
    probe.ignore(31)
    fixture.fail(32, "b", times=1)
    assert set(fixture.breakers.entries) == {(PROVIDER, ENDPOINT, "b")}


@given(st.lists(st.tuples(st.text(max_size=2), st.sampled_from([200, 404, 503]), st.floats(0, 20)), max_size=200))
def test_any_names_stay_within_the_size(calls: list[tuple[str, int, float]]) -> None:
    """
    Whatever they are and however they end: as many as there may be, and the shared one.
    """
    fixture = watched(BreakerTerms(failure_threshold=1), size=3)
    now = 0.0
    for model, status, step in calls:
        now += step
        was = {name: entry.core.until for name, entry in fixture.breakers.entries.items()}
        try:
            fixture.admit(now, model).settle(status, Dialect.CHAT, now)
        except errors.BreakerOpen as error:
            assert error.retry_after_s is not None
            assert 0 < error.retry_after_s <= 30 + 1e-9
        assert len(fixture.breakers) <= 4
        # Nobody's failures free one that is refusing.
        assert all(name in fixture.breakers.entries for name, until in was.items() if now < until)


# -- the law -----------------------------------------------------------------------------------------------------


class Model:
    """
    The same in plain words, for one name.
    """

    def __init__(self, terms: BreakerTerms) -> None:
        self.terms = terms
        self.state = State.CLOSED
        self.row: list[float] = []
        self.until = 0.0
        self.round = 0
        self.out: set[int] = set()
        self.good = 0
        self.last = 0.0

    def admit(self, number: int, now: float) -> tuple[float, int]:
        """
        Wait and round of a call.
        """
        if self.state is State.CLOSED:
            return 0.0, 0
        most = self.terms.max_requests
        full = len(self.out) + self.good >= most
        if self.state is State.OPEN and now < self.until:
            return self.until - now, 0
        if self.state is State.OPEN or (full and now >= self.last + self.terms.timeout_s):
            self.state, self.good, self.out = State.HALF_OPEN, 0, set()
            self.round += 1
        elif full:
            return HALF_OPEN_WAIT_S, 0
        self.out.add(number)
        self.last = now
        return 0.0, self.round

    def settle(self, number: int, round_: int, word: str, now: float) -> None:
        """
        A call has ended.
        """
        if self.state is State.CLOSED and word == "failure" and not round_:
            self.row = [at for at in (*self.row, now) if now - at <= self.terms.interval_s]
            if len(self.row) == self.terms.failure_threshold:
                self.trip(now)
        elif self.state is State.CLOSED and word == "success":
            self.row = []
        elif self.state is State.HALF_OPEN and round_ == self.round:
            self.out.discard(number)
            if word == "failure":
                self.trip(now)
            elif word == "success":
                self.good += 1
                if self.good == self.terms.max_requests:
                    self.state, self.row = State.CLOSED, []

    def trip(self, now: float) -> None:
        """
        Open.
        """
        self.state, self.until, self.row, self.out = State.OPEN, now + self.terms.timeout_s, [], set()


STEPS = st.tuples(
    st.sampled_from([0.0, 0.0, 1.0, 4.0, 31.0]),
    st.sampled_from(["admit", "admit", "success", "failure", "failure", "ignore"]),
    st.integers(0, 7),
)


@given(st.lists(STEPS, max_size=120), st.integers(1, 3), st.integers(1, 3))
def test_it_does_what_the_model_does(steps: list[tuple[float, str, int]], threshold: int, most: int) -> None:
    """
    Whatever is admitted, ends and waits in whatever order.
    """
    terms = BreakerTerms(failure_threshold=threshold, max_requests=most)
    fixture, model = watched(terms), Model(terms)
    passes: list[tuple[Pass, int, int]] = []
    now = 0.0
    for number, (step, word, which) in enumerate(steps):
        now += step
        if word == "admit":
            wait, round_ = model.admit(number, now)
            if wait:
                assert fixture.refused(now) == wait
            else:
                passes.append((fixture.admit(now), number, round_))
        elif passes:
            pass_, its_number, round_ = passes.pop(which % len(passes))
            getattr(pass_, word)(now)
            model.settle(its_number, round_, word, now)
        assert fixture.state() is model.state


# -- of principals -----------------------------------------------------------------------------------------------


def asked(breakers: Breakers, principal: str, now: float) -> Pass:
    """
    A call of this principal that is let through.
    """
    return breakers.admit(PROVIDER, ENDPOINT, "m", now, principal)


def fails(breakers: Breakers, principal: str, now: float, times: int = 1) -> None:
    """
    Calls of this principal that are let through and fail.
    """
    for _ in range(times):
        asked(breakers, principal, now).failure(now)


def kept_out(breakers: Breakers, now: float, *principals: str) -> list[str]:
    """
    Who of these is refused.
    """
    refused = []
    for principal in principals:
        try:
            asked(breakers, principal, now).ignore(now)
        except errors.BreakerOpen:
            refused.append(principal)
    return refused


def tried(*principals: str) -> Breakers:
    """
    Breakers of which one was opened for all, by the failures of these, and may be tried from 30 s on.
    """
    breakers = Breakers(TERMS)
    for principal in principals:
        fails(breakers, principal, 0.0, 5)
    assert kept_out(breakers, 29.0, "alice", "bob", "eve") == ["alice", "bob", "eve"]
    return breakers


def test_ones_own_failures() -> None:
    """
    Keep out whoever they happen to, and nobody else, even where a few of another's are among them.
    """
    breakers = Breakers(TERMS)
    fails(breakers, "bob", 0.0, 4)
    fails(breakers, "alice", 1.0)
    assert kept_out(breakers, 1.0, "alice", "bob", "eve") == []
    fails(breakers, "bob", 1.0)
    assert kept_out(breakers, 5.0, "alice", "bob", "eve") == ["bob"]
    assert breakers.state(PROVIDER, ENDPOINT, "m") is State.OPEN
    for _ in range(100):
        asked(breakers, "alice", 5.0).success(5.0)
        fails(breakers, "alice", 6.0, 4)
    assert kept_out(breakers, 6.0, "alice", "bob", "eve") == ["bob"]


def test_failures_of_others_than_the_chief_one() -> None:
    """
    Five of them open it for all, whoever they happened to; and then nobody is apart.
    """
    breakers = Breakers(TERMS)
    fails(breakers, "bob", 0.0, 5)
    fails(breakers, "alice", 1.0, 4)
    assert kept_out(breakers, 1.0, "alice", "bob", "eve") == ["bob"]
    fails(breakers, "carol", 2.0)
    assert kept_out(breakers, 3.0, "alice", "bob", "eve") == ["alice", "bob", "eve"]
    (entry,) = breakers.entries.values()
    assert (entry.state, entry.until, entry.apart) == (State.OPEN, 32.0, {})


def test_ones_own_breaker_closes_like_any() -> None:
    """
    By as many probes of his, and opens again by one; others' go on meanwhile.
    """
    breakers = Breakers(TERMS)
    fails(breakers, "bob", 0.0, 5)
    fails(breakers, "bob", 30.0)
    asked(breakers, "alice", 30.0).success(30.0)
    assert kept_out(breakers, 59.0, "alice", "bob") == ["bob"]
    (entry,) = breakers.entries.values()
    assert entry.until == 60.0
    probes = [asked(breakers, "bob", 60.0) for _ in range(3)]
    assert kept_out(breakers, 60.0, "alice", "bob") == ["bob"]
    assert breakers.state(PROVIDER, ENDPOINT, "m") is State.HALF_OPEN
    for probe in probes:
        probe.success(61.0)
    assert len(breakers) == 0


def test_a_round_that_one_fails() -> None:
    """
    Opens it again for him; others' probes close it for all others, and his late ones say nothing.
    """
    breakers = tried("bob", "alice")
    probes = [asked(breakers, "bob", 30.0) for _ in range(3)]
    probes[0].failure(31.0)
    probes[1].failure(31.0)
    assert kept_out(breakers, 31.0, "alice", "bob", "eve") == ["bob"]
    for _ in range(3):
        asked(breakers, "alice", 32.0).success(32.0)
    probes[2].success(32.0)
    (entry,) = breakers.entries.values()
    assert (entry.core.state, list(entry.apart)) == (State.CLOSED, ["bob"])
    assert kept_out(breakers, 60.0, "alice", "bob", "eve") == ["bob"]
    assert kept_out(breakers, 61.0, "alice", "bob", "eve") == []


def test_a_round_that_two_fail() -> None:
    """
    Opens it again for all.
    """
    breakers = tried("bob", "alice")
    fails(breakers, "bob", 30.0)
    fails(breakers, "eve", 31.0)
    assert kept_out(breakers, 60.0, "alice", "bob", "eve", "") == ["alice", "bob", "eve", ""]
    assert kept_out(breakers, 61.0, "alice", "bob", "eve", "") == []


def test_failures_of_two_rounds() -> None:
    """
    One principal's probe that failed longer ago than he was kept out for does not make another's everybody's.
    """
    breakers = tried("bob", "alice")
    fails(breakers, "bob", 30.0)
    fails(breakers, "eve", 61.0)
    assert kept_out(breakers, 62.0, "alice", "bob", "eve") == ["eve"]


def test_probes_are_not_all_ones() -> None:
    """
    While all that are out are one principal's, another may send one.
    """
    breakers = tried("bob", "alice")
    for _ in range(3):
        asked(breakers, "bob", 30.0)
    assert kept_out(breakers, 30.0, "alice", "bob", "eve") == ["bob"]
    others = asked(breakers, "alice", 30.0)
    assert kept_out(breakers, 30.0, "alice", "bob", "eve") == ["alice", "bob", "eve"]
    others.success(31.0)
    for _ in range(2):
        asked(breakers, "alice", 31.0).success(31.0)
    assert len(breakers) == 0


def test_few_are_apart() -> None:
    """
    Beyond, the oldest gives way.
    """
    breakers = Breakers(TERMS)
    for number in range(MOST_APART + 1):
        fails(breakers, f"bob-{number}", 0.1 * number, 5)
        asked(breakers, "alice", 0.1 * number).success(0.1 * number)
    (entry,) = breakers.entries.values()
    assert list(entry.apart) == [f"bob-{number}" for number in range(1, MOST_APART + 1)]
    assert kept_out(breakers, 2.0, "bob-0", "bob-1", "alice") == ["bob-1"]


def test_one_that_keeps_out_somebody_stays() -> None:
    """
    It gives way no sooner than one that is open for all, and is told as closed then.
    """
    fixture = watched(size=1)
    fails(fixture.breakers, "bob", 0.0, 5)
    fixture.fail(29, "n", times=1)
    assert fixture.state() is State.OPEN
    fixture.fail(31, "n", times=1)
    assert fixture.state() is State.CLOSED
    assert [state for _, state in fixture.changes] == [State.OPEN, State.CLOSED]


CALLS = st.tuples(
    st.sampled_from([0.0, 0.1, 1.0, 4.0, 31.0]),
    st.sampled_from(["admit", "admit", "success", "failure", "failure", "failure", "ignore", "begun"]),
    st.sampled_from(["bob", "bob", "bob", "alice", "carol", "dave"]),
    st.integers(0, 7),
)


@given(st.lists(CALLS, max_size=150), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.0, 10.0]))
def test_nobody_pays_for_another(
    calls: list[tuple[float, str, str, int]], threshold: int, most: int, interval: float
) -> None:
    """
    Whatever becomes of bob's calls: while those of others fail less often than the threshold within any interval, who
    fails not at all is never refused.
    """
    breakers = Breakers(BreakerTerms(failure_threshold=threshold, max_requests=most, interval_s=interval))
    out: dict[str, list[Pass]] = {}
    others: list[float] = []
    now = 0.0
    for step, word, who, which in calls:
        now += step
        if word == "admit":
            try:
                out.setdefault(who, []).append(asked(breakers, who, now))
            except errors.BreakerOpen:
                assert who != "alice"
        elif out.get(who):
            if word == "failure" and who != "bob":
                others = [at for at in others if not interval or now - at <= interval]
                word = "ignore" if who == "alice" or len(others) >= threshold - 1 else word
                others += [now] * (word == "failure")
            pass_ = out[who][which % len(out[who])]
            getattr(pass_, word)(now)
            if word != "begun":
                out[who].remove(pass_)


@given(st.lists(st.tuples(CALLS, st.booleans()), max_size=150), st.integers(1, 3))
def test_one_keeps_none_from_closing_it(calls: list[tuple[tuple[float, str, str, int], bool]], most: int) -> None:
    """
    Whatever becomes of bob's calls: who asks for one thing after another and does not fail is not refused from when it
    may be tried, and his successes close it for all but bob.
    """
    breakers = Breakers(BreakerTerms(max_requests=most))
    fails(breakers, "", 0.0, 5)
    out: list[Pass] = []
    now, successes = 30.0, 0
    for (step, word, _, which), is_alice in calls:
        now += step
        if is_alice:
            asked(breakers, "alice", now).success(now)
            successes += 1
        elif word == "admit":
            with contextlib.suppress(errors.BreakerOpen):
                out.append(asked(breakers, "bob", now))
        elif out:
            getattr(out.pop(which % len(out)), word)(now)
        for entry in breakers.entries.values():
            assert entry.core.state is not State.OPEN or not successes
            assert successes < 2 * most or entry.core.state is State.CLOSED


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", ""]), max_size=100), st.integers(1, 8))
def test_what_is_down_opens_soon(calls: list[str], threshold: int) -> None:
    """
    Whoever asks for it: of those whose calls all fail each is let through as often as the threshold says at most, and
    all together twice as often; and it is open for all once as many as that came from others than the chief one.
    """
    breakers = Breakers(BreakerTerms(failure_threshold=threshold))
    let = collections.Counter[str]()
    for who in calls:
        with contextlib.suppress(errors.BreakerOpen):
            fails(breakers, who, 0.0)
            let[who] += 1
    assert max(let.values(), default=0) <= threshold
    assert let.total() <= 2 * threshold
    if len(calls) - max((calls.count(who) for who in "abcdef"), default=0) >= threshold:
        assert kept_out(breakers, 0.0, "new") == ["new"]


def test_failures_of_long_ago_are_nobodys() -> None:
    """
    Another's, which are too far back to be counted, do not make one's own failures everybody's.
    """
    breakers = Breakers(TERMS)
    breakers.admit(PROVIDER, ENDPOINT, "m", 0.0, "alice").failure(0.0)
    for now in range(100, 105):
        breakers.admit(PROVIDER, ENDPOINT, "m", float(now), "bob").failure(float(now))
    breakers.admit(PROVIDER, ENDPOINT, "m", 105.0, "alice").success(105.0)
    with pytest.raises(errors.BreakerOpen):
        breakers.admit(PROVIDER, ENDPOINT, "m", 105.0, "bob")
