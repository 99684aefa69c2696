"""
Request ids.
"""

from __future__ import annotations

from random import Random

from aibridge.web.ids import Ids


def test_all_are_different() -> None:
    """
    And of one form, over several draws.
    """
    ids = Ids(Random(1).getrandbits)
    made = [ids.new() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(len(one) == 24 and set(one) <= set("0123456789abcdef") for one in made)


def test_small_numbers() -> None:
    """
    Bits that begin with zeros make ids that do.
    """
    ids = Ids(lambda bits: 1)
    assert [ids.new() for _ in range(64)] == ["0" * 23 + "1"] + ["0" * 24] * 63


def test_it_asks_for_many_at_once() -> None:
    """
    Each draw is a system call.
    """
    asked: list[int] = []

    def random(bits: int) -> int:
        asked.append(bits)
        return 0

    ids = Ids(random)
    for _ in range(65):
        ids.new()
    assert asked == [96 * 64] * 2
