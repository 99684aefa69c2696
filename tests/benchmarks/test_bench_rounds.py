"""
Tests for `benchmarks.rounds`.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.rounds import groups, rotated, scratch
from benchmarks.targets.target import Mode


def test_everyone_is_first_once() -> None:
    """
    The order turns with the rounds, and begins anew.
    """
    names = ["nginx", "go", "aibridge"]
    assert [rotated(names, number)[0] for number in range(4)] == ["nginx", "go", "aibridge", "nginx"]
    assert sorted(rotated(names, 1)) == sorted(names)


def test_nobody() -> None:
    """
    All having failed is no error.
    """
    assert rotated([], 2) == []


def test_groups() -> None:
    """
    What shares running targets does the same thing; what wants fresh ones has none to share.
    """
    found = list(groups(list(MEASUREMENTS.values())))
    assert [mode for mode, is_fresh, _ in found if not is_fresh] == list(Mode)
    assert [each.name for _, is_fresh, group in found if is_fresh for each in group] == [
        "memory",
        "stalled",
        "tunnel-memory",
    ]
    assert [each.name for _, _, group in found for each in group] == list(MEASUREMENTS)


def test_scratch_is_gone_afterwards() -> None:
    """
    After errors too.
    """
    kept: list[Path] = []
    try:
        with scratch() as directory:
            kept.append(directory)
            (directory / "file").touch()
            raise BenchError
    except BenchError:
        pass
    assert not kept[0].exists()
