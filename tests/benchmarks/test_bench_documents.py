"""
Tests for `benchmarks.documents`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.documents import BEGIN, END, begin_of, filled, section
from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.results import Results

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "performance.md"


def test_what_is_between_the_marks_is_replaced() -> None:
    """
    The rest stays, and doing it again changes nothing.
    """
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"
    once = filled(page, "new\n")
    assert once == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest\n"
    assert filled(once, "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"])
def test_marks_are_needed_once(page: str) -> None:
    """
    A page without them is not guessed at.
    """
    with pytest.raises(ValueError, match="mark"):
        filled(page, "new")


def test_each_command_has_its_marks() -> None:
    """
    One does not write where another does.
    """
    page = f"{begin_of('other')}\nold\n{END}\n"
    assert filled(page, "new", "other") == f"{begin_of('other')}\n\nnew\n\n{END}\n"
    with pytest.raises(ValueError, match="mark"):
        filled(page, "new")


def test_the_page_has_the_marks() -> None:
    """
    So that the command can write into it.
    """
    assert filled(PAGE.read_text(), "new")


def test_section() -> None:
    """
    It names machine, versions, verdicts, figures and what is missing; of a failure only the first line, as the rest
    is a program's output.
    """
    results = Results(
        machine={
            "date": "2026-11-24",
            "cpu": "EPYC",
            "cores": 2,
            "kernel": "6.1",
            "system": "Debian 12",
            "python": "3.11.2",
            "congestion_control": "cubic",
        },
        versions={"nginx": "1.22.1"},
        settings={"rounds": 3, "seconds": 2.0, "alone_rps": 80000.0},
        failures=["sse, go: it ended:\n    secret output"],
        absent={"litellm": "somewhere else"},
    )
    results.add("relay", "nginx", {"cpu_us": 13.5})
    text = section(list(MEASUREMENTS.values()), results)
    for part in ("EPYC", "cubic", "80,000", "| nginx | 1.22.1 |", "not compared", "| nginx | 13.5 |", "sse, go"):
        assert part in text
    assert "secret" not in text
    assert "somewhere" not in text
