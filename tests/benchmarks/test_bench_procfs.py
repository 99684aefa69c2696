"""
Tests for `benchmarks.procfs`.
"""

from __future__ import annotations

import os

import pytest

from benchmarks.procfs import Stat, core_ns, cpu_ns, family, parse_core, parse_pss, parse_stat, pss, tree

STAT = "4242 (nginx: worker (1) x) S 4241 4241 4200 34816 4242 4194560 900 12 3 0 150 250 7 9 20 0 1 0 100 1000 200\n"

SMAPS = """\
559f41c4c000-7ffd1bb2f000 ---p 00000000 00:00 0                          [rollup]
Rss:                1764 kB
Pss:                 310 kB
Pss_Dirty:           112 kB
Private_Dirty:       112 kB
"""

CORES = """\
cpu  300 30 60 9000 50 3 6 9 0 0
cpu0 100 10 20 4000 25 1 2 4 0 0
cpu1 200 20 40 5000 25 2 4 5 0 0
intr 123 0 0
"""


def test_stat_of_a_process_with_a_hard_name() -> None:
    """
    Parentheses and blanks in the name do not shift the fields; the ticks are user and system time, without children's.
    """
    assert parse_stat(STAT) == Stat(pid=4242, name="nginx: worker (1) x", parent=4241, ticks=400)


def test_pss_is_the_line_of_that_name() -> None:
    """
    Not one that begins like it, and in bytes.
    """
    assert parse_pss(SMAPS) == 310 * 1024


def test_no_pss() -> None:
    """
    A rollup without it is an error.
    """
    with pytest.raises(ValueError, match="no Pss"):
        parse_pss("Rss: 4 kB\n")


@pytest.mark.parametrize(("core", "ticks"), [(0, 133), (1, 266)])
def test_what_a_core_has_done(core: int, ticks: int) -> None:
    """
    Idling, waiting and stolen time are not work.
    """
    assert parse_core(CORES, core) == ticks


def test_no_such_core() -> None:
    """
    It is an error, and ``cpu`` itself is none.
    """
    with pytest.raises(ValueError, match="no core 2"):
        parse_core(CORES, 2)


def test_family_has_all_descendants() -> None:
    """
    Children of children too, nobody else, and the root first.
    """
    parents = {1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1, 21: 20}
    found = family(10, parents)
    assert found[0] == 10
    assert sorted(found) == [10, 11, 12, 13]


def test_family_of_one() -> None:
    """
    A process without children is alone.
    """
    assert family(10, {10: 1}) == [10]


def test_this_process() -> None:
    """
    The kernel's own files can be read, and this process has used time and memory.
    """
    own = os.getpid()
    assert own in tree(own)
    assert cpu_ns([own]) > 0
    assert pss([own]) > 1024 * 1024
    assert core_ns(0) > 0
