"""
The memory of request bodies, and everybody's share of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from aibridge.web.bodies import PLACE, WAITS, Bodies, Waiting

MIB = 1 << 20


class Rig:
    """
    Bodies, and who has heard what.
    """

    def __init__(self, most: int = 256 * MIB, patience_s: float = 30.0) -> None:
        self.clock = Clock()
        self.bodies = Bodies(self.clock, most, patience_s)
        self.heard: list[tuple[str, Any]] = []

    def wait(
        self, principal: str, size: int, name: Any = "", then: Callable[[], object] | None = None
    ) -> Waiting | None:
        """
        Wait for room.
        """

        def admitted() -> None:
            self.heard.append(("in", name))
            if then is not None:
                then()

        return self.bodies.wait(principal, size, admitted, lambda: self.heard.append(("out", name)))


def test_one_alone_gets_a_third() -> None:
    """
    Bodies of 32 MiB: three of them in 256 MiB, and there is room for others.
    """
    bodies = Rig().bodies
    assert [bodies.take("a", 32 * MIB) for _ in range(5)] == [True, True, True, False, False]
    assert bodies.held == bodies.held_by("a") == 96 * MIB
    assert bodies.take("b", 32 * MIB)
    bodies.give_back("a", 32 * MIB)
    assert not bodies.take("a", 60 * MIB)
    assert bodies.take("a", 16 * MIB)


def test_there_is_always_something_left() -> None:
    """
    However many take as much as they can, in pieces of whatever size, the next one gets some.
    """
    for size in (64 * 1024, MIB, 32 * MIB):
        bodies = Rig().bodies
        for number in range(20):
            while bodies.take(str(number), size):
                pass
        assert bodies.held < bodies.most
        assert bodies.take("newcomer", (bodies.most - bodies.held) // 2)


def test_the_largest_body_can_always_be_read_by_one_alone() -> None:
    """
    Even where it is larger than its share.
    """
    bodies = Rig(most=MIB).bodies
    assert bodies.take("a", MIB)
    assert not bodies.take("b", 1)
    bodies.give_back("a", MIB)
    assert bodies.held == bodies.held_by("a") == 0


def test_what_is_there_already_is_kept_for_longer() -> None:
    """
    Small bodies, which are in memory, still fit when large ones have to wait.
    """
    bodies = Rig(most=12 * MIB).bodies
    while bodies.take("a", MIB):
        pass
    assert bodies.keep("a", MIB)
    while bodies.keep("a", MIB):
        pass
    assert bodies.keep("b", MIB)


def test_turn_by_turn() -> None:
    """
    The principals in turn, each one's bodies in their order.
    """
    rig = Rig(most=16 * MIB)
    rig.bodies.take("x", 14 * MIB)
    for number in range(3):
        rig.wait("a", 5 * MIB, f"a{number}")
    rig.wait("b", 5 * MIB, "b0")
    rig.wait("c", 5 * MIB, "c0")
    assert rig.bodies.waiting == 5
    assert not rig.bodies.take("a", 1), "it would pass those of its own that wait"
    rig.bodies.give_back("x", 14 * MIB)
    for _, name in rig.heard:
        rig.bodies.give_back(name[0], 5 * MIB)
    assert [name for _, name in rig.heard] == ["a0", "b0", "c0", "a1", "a2"]


def test_it_waits_too_long() -> None:
    """
    Then it is told, and holds nothing.
    """
    rig = Rig(most=MIB)
    rig.bodies.take("x", MIB - 2 * PLACE)
    rig.wait("a", MIB, 1)
    assert rig.bodies.held == MIB - PLACE
    rig.clock.advance(29)
    assert rig.heard == []
    rig.clock.advance(1)
    assert rig.heard == [("out", 1)]
    assert (rig.bodies.held, rig.bodies.waiting, rig.bodies.held_by("a")) == (MIB - 2 * PLACE, 0, 0)


def test_whoever_leaves_hears_nothing() -> None:
    """
    And leaves nothing.
    """
    rig = Rig(most=MIB)
    rig.bodies.take("x", MIB // 2)
    waiting = rig.wait("a", MIB)
    assert waiting is not None
    rig.bodies.leave(waiting)
    rig.bodies.give_back("x", MIB // 2)
    rig.clock.advance(60)
    assert (rig.heard, rig.bodies.held, rig.clock.getDelayedCalls()) == ([], 0, [])


def test_not_everybody_can_wait() -> None:
    """
    What waits takes a part of the memory only; others may still wait.
    """
    rig = Rig(most=64 * MIB)
    rig.bodies.take("x", 20 * MIB)
    many = [rig.wait("a", 60 * MIB) for _ in range(200)]
    places = sum(one is not None for one in many)
    assert places == 64 * MIB // PLACE // WAITS + 1
    assert rig.wait("b", 60 * MIB) is not None


@pytest.mark.parametrize("size", [PLACE + 100, MIB // 2, 4 * MIB])
def test_newcomers_find_room_however_many_have_filled_theirs(size: int) -> None:
    """
    Thirty principals take, keep and wait for whatever they can get: whoever holds nothing is still served at once,
    with a usual body and not only with a small one, and may wait with a large one.
    """
    rig = Rig(most=64 * MIB)
    for _ in range(200):
        for principal in map(str, range(30)):
            if not (rig.bodies.take(principal, size) or rig.bodies.keep(principal, PLACE + 100)):
                rig.wait(principal, size)
    assert rig.bodies.keep("ada", PLACE + 100)
    assert rig.bodies.take("bob", MIB // 2)
    assert rig.wait("eve", 4 * MIB) is not None
    assert rig.bodies.held < rig.bodies.most


def test_told_within_a_turn() -> None:
    """
    Whoever gives back what it was given within the same call does not nest.
    """
    rig = Rig(most=2 * MIB)
    rig.bodies.take("x", MIB)

    def back() -> None:
        rig.bodies.give_back("a", MIB)

    for _ in range(2):
        rig.wait("a", MIB, then=back)
    rig.bodies.give_back("x", MIB)
    assert (len(rig.heard), rig.bodies.held) == (2, 0)


def test_other_bounds() -> None:
    """
    More room is used at once.
    """
    rig = Rig(most=2 * MIB)
    rig.bodies.take("x", 2 * MIB)
    rig.bodies.adopt(64 * MIB, 5.0)
    rig.bodies.take("x", 1)
    assert rig.wait("a", 10 * MIB, 1) is not None
    rig.bodies.adopt(65 * MIB, 5.0)
    assert rig.heard == [("in", 1)]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost(seed: int) -> None:
    """
    However bodies come and go: the sum is right, never too large, and whoever waits is heard of.
    """
    chance = random.Random(seed)
    rig = Rig(most=8 * MIB)
    bodies = rig.bodies
    held: list[tuple[str, int]] = []
    waiting: dict[int, tuple[Waiting, str, int]] = {}
    for step in range(500):
        principal, size = chance.choice("abcde"), chance.randrange(PLACE, 2 * MIB)
        if chance.random() < 0.5:
            if bodies.take(principal, size):
                held.append((principal, size))
            else:
                one = rig.wait(principal, size, step)
                if one is not None:
                    waiting[step] = one, principal, size
        elif held and chance.random() < 0.9:
            bodies.give_back(*held.pop(chance.randrange(len(held))))
        elif waiting:
            bodies.leave(waiting.pop(chance.choice(list(waiting)))[0])
        rig.clock.advance(chance.random())
        for told, name in rig.heard:
            _, principal, size = waiting.pop(name)
            if told == "in":
                held.append((principal, size))
        rig.heard.clear()
        assert bodies.held == sum(size for _, size in held) + PLACE * len(waiting) <= bodies.most + PLACE
        assert bodies.waiting == len(waiting)
    for principal, size in held:
        bodies.give_back(principal, size)
    rig.clock.advance(60)
    assert not waiting or {name for _, name in rig.heard} == set(waiting)
