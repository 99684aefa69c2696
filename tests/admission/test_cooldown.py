"""
When something is left alone, for whom, and how it is found out that it need not be.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.cooldown import (
    EARLY_S,
    FIRST_S,
    HINT_S,
    MOST_APART_S,
    MOST_BETWEEN_S,
    MOST_PRINCIPALS,
    MOST_S,
    CoolDown,
)

BOB, ALICE = "bob", "alice"


def probes(cooldown: CoolDown, principal: str, began: float, ends: float, step: float = 0.1) -> list[float]:
    """
    When one who asks all the time may send.
    """
    times = []
    for count in range(int((ends - began) / step)):
        now = began + count * step
        if not cooldown.wait(principal, now):
            cooldown.sent(principal, now)
            times.append(round(now, 3))
    return times


def test_nobody_waits() -> None:
    """
    Until something is heard.
    """
    cooldown = CoolDown()
    assert cooldown.is_quiet
    assert cooldown.wait(BOB, 0.0) == 0
    assert not cooldown.is_closed(0.0)


def test_one_alone_who_is_told_nothing() -> None:
    """
    Nobody waits, not even he; another key is better for him, for a while.
    """
    cooldown = CoolDown()
    for now in (0.0, 1.0, 2.0):
        cooldown.met(BOB, None, 1, now)
        assert cooldown.wait(BOB, now) == cooldown.wait(ALICE, now) == 0
    assert cooldown.is_hinted(BOB, 2.0 + HINT_S / 2)
    assert not cooldown.is_hinted(BOB, 2.0 + HINT_S)
    assert not cooldown.is_hinted(ALICE, 2.0)


def test_one_alone_who_is_told_how_long() -> None:
    """
    Waits, but for probes; nobody else does.
    """
    cooldown = CoolDown()
    cooldown.met(BOB, 20.0, 1, 0.0)
    assert cooldown.wait(BOB, 0.5) == pytest.approx(19.5, abs=1.01 * EARLY_S)
    assert cooldown.wait(ALICE, 0.5) == 0
    assert probes(cooldown, BOB, 0.0, 20.0) == [1.0, 3.0, 7.0, 15.0]
    for now in (20.0, 20.5, 21.0):
        assert cooldown.wait(BOB, now) == 0
        cooldown.sent(BOB, now)
        assert cooldown.wait(BOB, now) == 0.5
        assert cooldown.wait(ALICE, now) == 0
    cooldown.good(2)
    assert cooldown.wait(BOB, 21.0) == 0


def test_many_meet_the_same() -> None:
    """
    Each waits as long as he was told, up to a bound, and nobody else at all.
    """
    cooldown = CoolDown()
    for number, told in enumerate((None, 7.0, 1e6, -1.0)):
        cooldown.met(f"p{number}", told, number, 0.0)
    assert [cooldown.wait(f"p{number}", 0.0) for number in range(4)] == pytest.approx(
        [0, 7, MOST_S, 0], abs=1.01 * EARLY_S
    )
    assert cooldown.wait(ALICE, 0.0) == 0
    assert not cooldown.is_closed(0.0)


def test_a_timer_that_rings_early() -> None:
    """
    Who comes a millisecond before his time is let through.
    """
    cooldown = CoolDown()
    cooldown.met(BOB, 0.7, 1, 0.0)
    assert cooldown.wait(BOB, 0.699) == 0


def test_a_request_that_was_under_way() -> None:
    """
    Refutes nothing: it was sent before.
    """
    cooldown = CoolDown()
    cooldown.close(20.0, 429, 6, 0.0)
    assert not cooldown.good(6)
    assert cooldown.is_closed(0.0)
    assert cooldown.good(7)
    assert not cooldown.is_closed(0.0)


def test_probes_grow_apart() -> None:
    """
    The first after a second, each further one after twice as long, up to a bound.
    """
    cooldown = CoolDown()
    cooldown.close(300.0, 429, 1, 0.0)
    times = probes(cooldown, BOB, 0.0, 299.0)
    assert times[0] == FIRST_S
    apart = [after - before for before, after in itertools.pairwise(times)]
    assert apart == pytest.approx([min(2.0 * 2**n, MOST_APART_S) for n in range(len(apart))])
    assert max(apart) == MOST_APART_S


def test_each_has_his_own_probes() -> None:
    """
    Whoever uses up his own leaves another's, who comes later, as they are; but never are two sent at once.
    """
    cooldown = CoolDown()
    cooldown.close(300.0, 429, 1, 0.0)
    assert probes(cooldown, BOB, 0.0, 50.0)[-1] < 50.0
    assert cooldown.wait(BOB, 50.0) > 0
    assert cooldown.wait(ALICE, 50.0) == 0
    cooldown.sent(ALICE, 50.0)
    assert cooldown.wait("eve", 50.0) > 0
    assert cooldown.wait("eve", 50.0 + MOST_BETWEEN_S) == 0


def test_a_crowd_of_probers() -> None:
    """
    Those of whom there are too many to be remembered share one place.
    """
    cooldown = CoolDown()
    cooldown.close(300.0, 429, 1, 0.0)
    now = FIRST_S
    for number in range(MOST_PRINCIPALS + 1):
        assert cooldown.wait(f"p{number}", now) == 0
        cooldown.sent(f"p{number}", now)
        now += MOST_BETWEEN_S
    assert probes(cooldown, "another", now, now + 20.0)
    assert len(cooldown._probers) == MOST_PRINCIPALS + 1


def test_never_shortened() -> None:
    """
    Of several, what asks for longest holds; only a good answer ends it sooner.
    """
    cooldown = CoolDown()
    for until in (5.0, 30.0, 10.0):
        cooldown.close(until, 429, 1, 0.0)
    assert cooldown.until == 30.0
    cooldown.open()
    assert cooldown.wait(BOB, 0.0) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["met", "good", "ask"]),
        st.none() | st.floats(0, 400),
        st.floats(0, 3),
    ),
    max_size=60,
)


@given(STEPS)
def test_one_never_closes_it_for_another(steps: list[tuple[str, float | None, float]]) -> None:
    """
    Whatever one alone meets.
    """
    cooldown, now = CoolDown(), 0.0
    for number, (what, wait, step) in enumerate(steps):
        now += step
        if what == "met":
            cooldown.met(BOB, wait, number, now)
        elif what == "good":
            cooldown.good(number)
        elif not cooldown.wait(BOB, now):
            cooldown.sent(BOB, now)
        assert cooldown.wait(ALICE, now) == 0


@given(st.lists(st.tuples(st.text(max_size=3), st.none() | st.floats(0, 9), st.floats(0, 1)), max_size=300))
def test_it_is_bounded(steps: list[tuple[str, float | None, float]]) -> None:
    """
    However many meet something, and probe.
    """
    cooldown, now = CoolDown(), 0.0
    for number, (name, wait, step) in enumerate(steps):
        now += step
        cooldown.met(f"{name}{number}", wait, number, now)
        if not cooldown.wait(name, now):
            cooldown.sent(name, now)
        assert len(cooldown._hints) <= MOST_PRINCIPALS
        assert len(cooldown._probers) <= MOST_PRINCIPALS + 1
