"""
Who makes room.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aibridge.web.crowding import LOOKS, Crowd


def crowd(*places: str) -> Crowd[int]:
    """
    Connections from these places, numbered from 0 on.
    """
    made: Crowd[int] = Crowd()
    for number, place in enumerate(places):
        made.arrived(number, place)
    return made


def test_those_who_have_most() -> None:
    """
    Make room, their oldest first.
    """
    found = crowd("a", "b", "b", "c", "b")
    assert (found.most, found.places, len(found)) == (3, 3, 5)
    assert found.first_of_most(lambda _: True) == 1
    found.left(1)
    found.left(2)
    found.left(1)
    assert (found.most, found.places, len(found)) == (1, 3, 3)
    assert found.of_place(4) == 1
    assert Crowd[int]().first_of_most(lambda _: True) is None


def test_those_that_cannot() -> None:
    """
    Are passed over, and looked at last the next time.
    """
    found = crowd("a", "a", "a", "b")
    looked: list[int] = []

    def may_go(item: int) -> bool:
        looked.append(item)
        return item == 1

    assert found.first_of_most(may_go) == 1
    assert found.first_of_most(may_go) == 1
    assert looked == [0, 1, 1]
    assert found.first_of_most(lambda _: False) is None


def test_only_so_many_are_looked_at() -> None:
    """
    However many there are; in time it is the turn of all.
    """
    found = crowd(*["a"] * (3 * LOOKS))
    last = 3 * LOOKS - 1
    assert [found.first_of_most(lambda item: item == last) for _ in range(3)] == [None, None, last]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), max_size=60))
def test_it_knows_who_is_there(steps: list[tuple[int, str]]) -> None:
    """
    Whoever comes and leaves, in whatever order.
    """
    found: Crowd[int] = Crowd()
    there: dict[int, str] = {}
    for number, place in steps:
        if number in there:
            found.left(number)
            del there[number]
        else:
            found.arrived(number, place)
            there[number] = place
        counts = Counter(there.values())
        assert len(found) == len(there)
        assert found.places == len(counts)
        assert found.most == max(counts.values(), default=0)
        assert all(found.of_place(each) == counts[there[each]] for each in there)
        victim = found.first_of_most(lambda _: True)
        assert victim is None if not there else counts[there[victim]] == found.most  # type: ignore[index]  # it is there
