"""
Tests for `benchmarks.heeding.bars`, `benchmarks.heeding.report` and `benchmarks.heeding.command`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aibridge.providers.counting import BY_HOST, BY_TYPE
from benchmarks.documents import begin_of, filled
from benchmarks.heeding.bars import Bar, Row, played
from benchmarks.heeding.callers import Fate
from benchmarks.heeding.command import PAGE, everything, main
from benchmarks.heeding.mistakes import AMPLE
from benchmarks.heeding.report import COMMAND, VENDORS, report, write
from benchmarks.heeding.scene import Outcome, Scene


def row(name: str, served: int, *bars: Bar) -> Row:
    """
    What came of a scene in which 10 were asked for.
    """
    scene = Scene(name, AMPLE, (), 1.0)
    heeding = Outcome({"alice": Fate(10, served, {(200, ""): served, (429, "provider"): 10 - served})}, 3, 10)
    return Row(scene, (), Outcome({"alice": Fate(10, 8)}, 2, 10), heeding, bars)


@pytest.mark.parametrize(
    ("found", "bound", "is_least", "is_met"),
    [(0.99, 0.99, True, True), (0.98, 0.99, True, False), (0, 0, False, True), (1, 0, False, False)],
)
def test_bar(found: float, bound: float, is_least: bool, is_met: bool) -> None:
    """
    The bound itself is enough.
    """
    assert Bar("x", found, bound, is_least).is_met is is_met


def test_report() -> None:
    """
    A row for each scene, and each bar that is missed by name.
    """
    good, bad = row("good", 8, Bar("served", 0.8, 0.5)), row("bad", 4, Bar("served", 0.4, 0.5))
    text = report([good, bad])
    assert [line.split() for line in text.splitlines()[1:3]] == [
        ["good", "80.0%", "80.0%", "1.000", "2", "3", "2", "met"],
        ["bad", "80.0%", "40.0%", "0.500", "2", "3", "6", "missed"],
    ]
    assert "bad: served: 0.400, has to be at least 0.5" in text
    assert "every bar is met" in report([good])


def test_the_page(tmp_path: Path) -> None:
    """
    The table goes between the marks, which the page has.
    """
    assert filled(PAGE.read_text(), "new", COMMAND)
    page = tmp_path / "limits.md"
    page.write_text(f"before\n{begin_of(COMMAND)}\n<!-- end of it -->\nafter\n")
    write([row("good", 8)], page)
    text = page.read_text()
    assert "| good | 80.0% |" in text
    assert all(one.source.startswith("https://") and f"| {one.vendor} | " in text for one in VENDORS)
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_no_vendor_is_left_out() -> None:
    """
    Whoever has a rule is in the table.
    """
    assert set(VENDORS) == {*BY_HOST.values(), *BY_TYPE.values()}


def test_names_are_names() -> None:
    """
    No two scenes have the same one.
    """
    names = Counter(name for name, _ in everything(1.0))
    assert len(names) > 60
    assert max(names.values()) == 1


def test_one_after_the_other() -> None:
    """
    And each is told when it is done.
    """
    said: list[str] = []
    rows = played([lambda: row("good", 8), lambda: row("bad", 4, Bar("x", 0, 1))], said.append)
    assert [one.scene.name for one in rows] == ["good", "bad"]
    assert said == ["good: met", "bad: missed"]


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """
    It plays what is asked for; what has no name is an error.
    """
    assert main(["--only", "silent, requests, bucket, below", "--seconds", "20"]) == 0
    assert "every bar is met" in capsys.readouterr().out
    assert main(["--only", "nobody knows this"]) == 1
    assert "nobody knows this" in capsys.readouterr().err
