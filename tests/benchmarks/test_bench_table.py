"""
Tests for `benchmarks.table`.
"""

from __future__ import annotations

import pytest

from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.results import Results
from benchmarks.table import as_markdown, as_text, number, report, rows


def results() -> Results:
    """
    A run of two rounds.
    """
    found = Results(absent={"go": "go is not installed"}, failures=["sse, nginx: 1 errors"])
    for own, other in ((40.0, 10.0), (60.0, 10.0)):
        found.add("relay", "nginx", {"cpu_us": other, "rps": 70000.0, "busy": 0.97})
        found.add("relay", "aibridge", {"cpu_us": own, "rps": 20000.0})
    return found


def test_rows() -> None:
    """
    Medians, ratios to the references that were measured, and the first reference's ratios in each round.
    """
    assert rows(MEASUREMENTS["relay"], results()) == [
        ["", "CPU µs", "requests/s", "core busy", "÷ nginx", "÷ nginx, per round"],
        ["nginx", "10.0", "70,000", "97%", "1.00", "1.00 1.00"],
        ["aibridge", "50.0", "20,000", "-", "5.00", "4.00 6.00"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.0125, "0.0125"),
        (0.3, "0.3"),
        (1.0, "1.00"),
        (21.04, "21.0"),
        (99.94, "99.9"),
        (646.7, "647"),
    ],
)
def test_number(value: float, text: str) -> None:
    """
    Three digits that count.
    """
    assert number(value) == text


def test_text() -> None:
    """
    Names to the left, figures to the right, nothing behind the last.
    """
    assert as_text([["", "CPU"], ["nginx", "9"]]) == "       CPU\nnginx    9"


def test_markdown() -> None:
    """
    A rule that aligns alike.
    """
    assert as_markdown([["", "CPU"], ["nginx", "9"]]) == "|  | CPU |\n| --- | ---: |\n| nginx | 9 |"


def test_report_tells_what_is_not_in_it() -> None:
    """
    Tables of what was measured, then what was skipped and what failed.
    """
    text = report(list(MEASUREMENTS.values()), results())
    assert text.startswith(MEASUREMENTS["relay"].title)
    assert MEASUREMENTS["sse"].title not in text
    assert text.endswith("skipped go: go is not installed\n\nFAILED sse, nginx: 1 errors")
