"""
Who made which stored object.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aibridge.model import Stored
from aibridge.providers.objects import MOST_ID, Objects

FILE, ITEM, RESPONSE = Stored.FILE, Stored.ITEM, Stored.RESPONSE


def owner(objects: Objects, id: str, provider: str = "up", kind: Stored = FILE) -> str:
    """
    Whose it is, or an empty text.
    """
    found = objects.find(provider, kind, id)
    return "" if found is None else found.principal


def test_what_is_learned_is_found() -> None:
    """
    With the key that made it; at another provider, or as another kind, it is another object.
    """
    objects = Objects()
    assert objects.learn("up", FILE, "f1", "alice", "k1") == ("up", "file", "f1", "alice", "k1", 0)
    found = objects.find("up", FILE, "f1")
    assert found is not None
    assert (found.principal, found.key_id, found.refers) == ("alice", "k1", False)
    assert not owner(objects, "f1", provider="other")
    assert not owner(objects, "f1", kind=RESPONSE)


def test_what_is_somebodys_stays_that() -> None:
    """
    Whatever a provider answers to somebody else.
    """
    objects = Objects()
    objects.learn("up", FILE, "f1", "alice", "k1")
    assert objects.learn("up", FILE, "f1", "bob", "k2") is None
    assert owner(objects, "f1") == "alice"


def test_an_item_that_is_somebody_elses() -> None:
    """
    Is known to be, and not used by being asked for; what nobody knows is nobody's.
    """
    objects = Objects(2)
    objects.learn("up", ITEM, "i1", "alice", "k1")
    objects.learn("up", FILE, "f1", "alice", "k1")
    assert objects.is_others_item("up", "bob", "i1")
    assert not objects.is_others_item("up", "alice", "i1")
    assert not objects.is_others_item("up", "bob", "i2")
    assert not objects.is_others_item("up", "bob", "f1")
    assert not objects.is_others_item("other", "bob", "i1")
    objects.learn("up", FILE, "f2", "alice", "k1")
    assert not objects.is_others_item("up", "bob", "i1")


def test_what_is_no_id() -> None:
    """
    Nothing, and what is too long for one; nor does anything belong to nobody.
    """
    objects = Objects()
    assert objects.learn("up", FILE, "", "alice", "k") is None
    assert objects.learn("up", FILE, "x" * (MOST_ID + 1), "alice", "k") is None
    assert objects.learn("up", FILE, "f1", "", "k") is None
    assert len(objects) == 0


def test_forgetting() -> None:
    """
    What is gone is nobody's, once.
    """
    objects = Objects()
    objects.learn("up", FILE, "f1", "alice", "k1")
    assert objects.forget("up", FILE, "f1") == ("up", "file", "f1", "", "", 0)
    assert objects.forget("up", FILE, "f1") is None
    assert not owner(objects, "f1")
    assert objects.learn("up", FILE, "f1", "bob", "k1") is not None


def test_marking() -> None:
    """
    What may name others is marked once, and stays whose it is.
    """
    objects = Objects()
    assert objects.mark("up", FILE, "f1") is None
    objects.learn("up", FILE, "f1", "alice", "k1")
    assert objects.mark("up", FILE, "f1") == ("up", "file", "f1", "alice", "k1", 1)
    assert objects.mark("up", FILE, "f1") is None


def test_the_longest_unused_goes_first() -> None:
    """
    To look for one is to use it.
    """
    objects = Objects(3)
    for id in ("a", "b", "c"):
        objects.learn("up", FILE, id, "alice", "k")
    owner(objects, "a")
    objects.learn("up", FILE, "d", "alice", "k")
    assert [id for id in "abcd" if owner(objects, id)] == ["a", "c", "d"]
    assert objects.given_up == 1


def test_nobody_makes_others_objects_be_forgotten() -> None:
    """
    Whoever makes thousands gives up his own; whoever has few keeps them, and a newcomer finds room.
    """
    objects = Objects(100)
    for number in range(10):
        objects.learn("up", FILE, f"alice-{number}", "alice", "k")
    for number in range(5000):
        objects.learn("up", FILE, f"bob-{number}", "bob", "k")
    assert len(objects) == 100
    for number in range(10):
        assert owner(objects, f"alice-{number}") == "alice"
        objects.learn("up", FILE, f"carol-{number}", "carol", "k")
    assert all(owner(objects, f"carol-{number}") for number in range(10))
    assert all(owner(objects, f"alice-{number}") for number in range(10))


changes = st.lists(
    st.tuples(
        st.sampled_from(["learn", "forget", "find", "mark"]),
        st.sampled_from(["f1", "f2", "f3", "f4", "f5", "f6"]),
        st.sampled_from(["alice", "bob", "carol"]),
    ),
    max_size=60,
)


@given(changes, st.integers(2, 6))
def test_what_is_written_down_makes_the_same(steps: list[tuple[str, str, str]], most: int) -> None:
    """
    Whatever happens, there are no more than may be, the lines of a table make one like it, and, where there was room
    for all, so do those of its changes.
    """
    objects, told = Objects(most), []
    for step, id, principal in steps:
        line = None
        if step == "learn":
            line = objects.learn("up", FILE, id, principal, f"key-of-{principal}")
        elif step == "forget":
            line = objects.forget("up", FILE, id)
        elif step == "mark":
            line = objects.mark("up", FILE, id)
        else:
            objects.find("up", FILE, id)
        if line is not None:
            told.append(line)
        assert len(objects) <= most
    copy = Objects(most)
    for line in objects.lines():
        copy.take(line)
    assert sorted(copy.lines()) == sorted(objects.lines())
    if not objects.given_up:
        replayed = Objects(most)
        for line in told:
            replayed.take(line)
        assert sorted(replayed.lines()) == sorted(objects.lines())
