"""
What is remembered for some time.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aibridge.identity.memory import Memory


def test_for_some_time() -> None:
    """
    A value is good until its time, and gone then.
    """
    memory: Memory[str] = Memory(10)
    memory.put(b"a", "one", 5.0)
    assert memory.get(b"a", 4.9) == "one"
    assert memory.get(b"a", 5.0) is None
    assert len(memory) == 0
    memory.put(b"a", "two", 5.0)
    memory.forget(b"a")
    memory.forget(b"a")
    assert memory.get(b"a", 0.0) is None


def test_the_one_unused_for_longest_goes() -> None:
    """
    Being asked for is being used.
    """
    memory: Memory[int] = Memory(2)
    for number, key in enumerate((b"a", b"b")):
        memory.put(key, number, 5.0)
    memory.get(b"a", 0.0)
    memory.put(b"c", 2, 5.0)
    assert sorted(memory) == [0, 2]


@given(st.lists(st.tuples(st.binary(max_size=1), st.floats(0, 10))), st.integers(1, 3))
def test_any_keys_stay_within_the_size(put: list[tuple[bytes, float]], size: int) -> None:
    """
    Whatever they are, and the last one is there.
    """
    memory: Memory[float] = Memory(size)
    for key, until in put:
        memory.put(key, until, until + 1.0)
        assert memory.get(key, until) == until
        assert len(memory) <= size
