"""
Tests for `benchmarks.overload.scenes` and `benchmarks.overload.callers`.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from benchmarks.overload.callers import BATCH, INTERACTIVE, Obedient, Steady
from benchmarks.overload.scenes import (
    CROWD,
    CROWD_TIMES,
    LOADS,
    TEN,
    Scene,
    Size,
    all_scenes,
    classes,
    fair,
    loads,
    off_and_on,
    waits,
)

SIZE = Size(permits=32, service_ms=50)


def rate(scene: Scene, group: str = "") -> float:
    """
    What a group asks for per second, or everybody.
    """
    return sum(caller.rate for caller in scene.callers if isinstance(caller, Steady) and group in caller.group)


def test_capacity() -> None:
    """
    Permits, divided by the time for which each is out.
    """
    assert SIZE.capacity == 640
    assert Size(permits=200, service_ms=10_000).capacity == 20


@pytest.mark.parametrize("scene", all_scenes(SIZE), ids=lambda scene: f"{scene.name}, {scene.terms.name}")
def test_what_is_offered(scene: Scene) -> None:
    """
    The callers' rates add up to it; those who wait for most of the time are not counted.
    """
    assert rate(scene) == pytest.approx(scene.offered * SIZE.capacity)


def test_loads_differ_in_their_rate_alone() -> None:
    """
    The same principals, who are alike, at each load.
    """
    off, on = off_and_on(SIZE)
    scenes = loads(SIZE, on)
    assert [scene.offered for scene in scenes] == list(LOADS)
    for scene in scenes:
        assert [caller.name for caller in scene.callers] == [caller.name for caller in scenes[0].callers]
        assert len({caller.rate for caller in scene.callers if isinstance(caller, Steady)}) == 1
        assert scene.terms == on
    assert (off.queue, on.queue) == (0, 64)


def test_one_asks_for_fifty_times_as_much() -> None:
    """
    As each of ten, who could all be served.
    """
    scene = fair(SIZE, off_and_on(SIZE)[1])
    ten = [caller for caller in scene.callers if caller.group == TEN]
    assert len(ten) == 10
    assert rate(scene, TEN) < SIZE.capacity
    assert rate(scene, CROWD) == pytest.approx(CROWD_TIMES * rate(scene, TEN) / 10)


@pytest.mark.parametrize("permits", [32, 64, 100])
def test_interactive_stays_within_its_share(permits: int) -> None:
    """
    However its requests fall, there are never more under way than are kept.
    """
    size = Size(permits=permits)
    scene = classes(size, size.queue)
    people = [caller for caller in scene.callers if caller.class_ == INTERACTIVE]
    assert 0 < sum(caller.most for caller in people if isinstance(caller, Steady)) <= size.kept
    assert {caller.class_ for caller in scene.callers} == {INTERACTIVE, "default", BATCH}
    assert scene.terms.interactive_share * permits >= size.kept


def test_the_gate_is_wide_where_waits_are_looked_at() -> None:
    """
    It is the bucket alone that refuses.
    """
    scene = waits(SIZE)
    assert scene.terms.permits >= 4 * SIZE.permits
    assert scene.terms.rate_limit > 0
    limited = {caller.limited for caller in scene.callers if isinstance(caller, Obedient)}
    assert limited == {True}
    assert not any(caller.limited for caller in scene.callers if isinstance(caller, Steady))


def test_names_tell_principals_apart() -> None:
    """
    Within a scene; and a name means the same token wherever it occurs on the same terms.
    """
    tokens = defaultdict(set)
    for scene in all_scenes(SIZE):
        assert len({caller.name for caller in scene.callers}) == len(scene.callers)
        for caller in scene.callers:
            tokens[scene.terms, caller.name].add(tuple(caller.token_arguments()))
    assert all(len(found) == 1 for found in tokens.values())


def test_scenes_are_told_apart() -> None:
    """
    By name and terms.
    """
    found = [(scene.name, scene.terms.name) for scene in all_scenes(SIZE)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("caller", "line", "arguments"),
    [
        (Steady("a", "g", rate=12.5, most=3), "steady 12.500000 3 7", "--name a --class default --rate-limit 0"),
        (Steady("a", "g", BATCH, rate=1), "steady 1.000000 0 7", "--name a --class batch --rate-limit 0"),
        (Obedient("a", "g", early_ms=100), "obedient 100", "--name a --class default"),
    ],
)
def test_how_a_caller_is_told(caller: Steady | Obedient, line: str, arguments: str) -> None:
    """
    To the load generator, and to the command that makes its token.
    """
    assert caller.line(7) == line
    assert " ".join(caller.token_arguments()) == arguments
