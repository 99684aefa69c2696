"""
One client leaves some tunnels to others.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aibridge.mitm.places import Places


def test_few() -> None:
    """
    Where there are very few, one may have them all.
    """
    places = Places(2)
    assert [places.take("ada") for _ in range(3)] == [True, True, False]
    places.give_back("ada")
    assert places.take("bob")


def test_one_is_greedy() -> None:
    """
    It gets three quarters; each that comes then gets some.
    """
    places = Places(1000)
    assert sum(places.take("ada") for _ in range(5000)) == 750
    assert sum(places.take("bob") for _ in range(100)) == 100
    assert sum(places.take("eve") for _ in range(5000)) > 100
    assert places.take("fay")


@given(st.integers(1, 40), st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_books(most: int, events: list[tuple[bool, str]]) -> None:
    """
    Never more than there are, and all come back; who has none gets one as long as one is left.
    """
    places = Places(most)
    held = dict.fromkeys("abc", 0)
    for takes, who in events:
        if takes:
            room, got = sum(held.values()) < most, places.take(who)
            assert room or not got
            assert got or held[who] or not room
            held[who] += got
        elif held[who]:
            places.give_back(who)
            held[who] -= 1
        assert places.taken == sum(held.values()) <= most
    for who, count in held.items():
        for _ in range(count):
            places.give_back(who)
    assert places.taken == 0
    assert places.take("a")
