"""
Which look-up goes next.
"""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.identity.lookupqueue import Asker, Lane, LookupQueue

NEW = Lane.UNKNOWN
KNOWN = Lane.LATELY_GOOD


@attrs.define(eq=False)
class One:
    """
    One look-up.
    """

    name: str
    asker: Asker


def queue(**options: int) -> LookupQueue[One]:
    """
    Four at once, one kept for each lane, two for each group, ten may wait.
    """
    return LookupQueue(lambda one: one.asker, **{"most": 4, "kept": 1, "each": 2, "waiting": 10, **options})


def one(name: str, lane: Lane = NEW) -> One:
    """
    A look-up for a group and a part, which its name begins with: ``A`` or ``A/1``.
    """
    group, _, part = name.partition("/")
    return One(name, Asker(lane, group, part))


def entered(found: LookupQueue[One], names: str, lane: Lane = NEW) -> list[One]:
    """
    Let some wait.
    """
    made = [one(name, lane) for name in names.split()]
    for each in made:
        assert found.enter(each) is None
    return made


def started(found: LookupQueue[One]) -> list[One]:
    """
    Those that may go now.
    """
    gone = []
    while (each := found.start()) is not None:
        gone.append(each)
    return gone


def names(ones: list[One]) -> str:
    """
    Whose they are.
    """
    return " ".join(each.name for each in ones)


@pytest.mark.parametrize(
    ("waiting", "gone"),
    [
        ("A A A A", "A A"),
        ("A A A B C", "A B C"),
        ("A A B B C C D D", "A B C"),
        ("A/1 A/1 A/2", "A/1 A/2"),
        ("A/1 A/1 A/1 A/2 B/1", "A/1 B/1 A/2"),
    ],
)
def test_turns_and_shares(waiting: str, gone: str) -> None:
    """
    One of each group at a time, and of each part in it, up to a share for each and to what is left of all.
    """
    found = queue()
    entered(found, waiting)
    assert names(started(found)) == gone
    assert found.at_once == len(gone.split())


def test_what_is_kept() -> None:
    """
    Each lane leaves something to the other, and tokens that were good lately go first.
    """
    found = queue(each=4)
    entered(found, "A A A A A")
    assert names(started(found)) == "A A A"
    entered(found, "K K", KNOWN)
    assert names(started(found)) == "K"
    found = queue(each=4)
    entered(found, "A A A A A")
    entered(found, "K K K K K", KNOWN)
    assert names(started(found)) == "K K K A"


def test_an_end_makes_room() -> None:
    """
    For whoever comes next.
    """
    found = queue()
    entered(found, "A A A B B B C")
    first = started(found)
    assert names(first) == "A B C"
    found.ended(first[2])
    assert names(started(found)) == "A"
    found.ended(first[0])
    assert names(started(found)) == "B"
    assert len(found) == 2


def test_those_that_may_not() -> None:
    """
    A group that may not go on is passed over, and keeps its turn.
    """
    found = queue()
    entered(found, "A B")
    gone = found.start(lambda each: each.name != "A")
    assert gone is not None
    assert gone.name == "B"
    assert names(started(found)) == "A"


def test_too_many_wait() -> None:
    """
    The last one goes of whoever has most, which may be the one that has just come.
    """
    found = queue(waiting=4)
    made = entered(found, "A/1 A/2 A/2 B")
    newcomer = one("C")
    assert found.enter(newcomer) is made[2]
    greedy = [one("B") for _ in range(2)]
    assert found.enter(greedy[0]) in (greedy[0], made[1], made[0])
    assert len(found) == 4


def test_leaving() -> None:
    """
    One that waits can leave, and is not started.
    """
    found = queue()
    made = entered(found, "A A B")
    found.leave(made[0])
    assert list(found.waiting()) == [made[1], made[2]]
    assert started(found) == [made[1], made[2]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "enter", "start", "end", "leave"]), st.integers(0, 7), st.sampled_from(Lane)
        ),
        max_size=120,
    )
)
def test_bounds_hold_and_room_is_used(steps: list[tuple[str, int, Lane]]) -> None:
    """
    Whatever happens: no bound is passed, nobody is lost, and none waits that could go.
    """
    found = queue(waiting=5)
    waiting: list[One] = []
    away: list[One] = []
    for step, number, lane in steps:
        if step == "enter":
            each = one("ABCD"[number % 4] + f"/{number // 4}", lane)
            waiting.append(each)
            victim = found.enter(each)
            if victim is not None:
                counts = Counter(each.asker.group for each in waiting if each.asker.lane is lane)
                assert counts[victim.asker.group] == max(counts.values())
                parts = Counter(each.name for each in waiting if each.asker.group == victim.asker.group)
                assert victim.asker.lane is lane and victim.name in parts
                waiting.remove(victim)
        elif step == "start":
            for each in started(found):
                waiting.remove(each)
                away.append(each)
            groups = Counter((each.asker.lane, each.asker.group) for each in away)
            lanes = Counter(each.asker.lane for each in away)
            for each in waiting:
                asker = each.asker
                assert len(away) == 4 or lanes[asker.lane] == 3 or groups[asker.lane, asker.group] == 2
        elif step == "end" and away:
            found.ended(away.pop(number % len(away)))
        elif step == "leave" and waiting:
            found.leave(waiting.pop(number % len(waiting)))
        lanes = Counter(each.asker.lane for each in away)
        groups = Counter((each.asker.lane, each.asker.group) for each in away)
        assert found.at_once == len(away) <= 4
        assert all(count <= 3 for count in lanes.values())
        assert all(count <= 2 for count in groups.values())
        assert all(found.started_for(each.asker) == groups[each.asker.lane, each.asker.group] for each in away)
        assert sorted(map(id, found.waiting())) == sorted(map(id, waiting))
        assert all(sum(each.asker.lane is lane for each in waiting) <= 5 for lane in Lane)


@given(st.integers(1, 40), st.integers(1, 8))
def test_a_newcomer_waits_for_one_turn_of_each(others: int, each: int) -> None:
    """
    However many look-ups each of them has.
    """
    found = queue(waiting=10000, each=each)
    for number in range(others):
        for _ in range(20):
            found.enter(one(f"other{number}"))
    away = started(found)
    newcomer = one("newcomer")
    found.enter(newcomer)
    ended = 0
    while newcomer not in away:
        found.ended(away.pop(0))
        ended += 1
        away += started(found)
    assert ended <= others + 1
