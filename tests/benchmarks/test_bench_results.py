"""
Tests for `benchmarks.results`.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import OTHERS, Results


def results() -> Results:
    """
    Two targets over three rounds.
    """
    found = Results(machine={"cores": 2}, versions={"nginx": "1.22.1"}, absent={"go": "go is not installed"})
    for own, other, disturbed in ((40.0, 10.0, 0.1), (90.0, 20.0, 0.3), (50.0, 10.0, 0.2)):
        found.add("relay", "aibridge", {"cpu_us": own, OTHERS: disturbed})
        found.add("relay", "nginx", {"cpu_us": other})
    return found


def test_medians() -> None:
    """
    One round that was disturbed does not move them.
    """
    assert results().median("relay", "aibridge", "cpu_us") == 50.0
    assert results().values("relay", "nginx", "cpu_us") == [10.0, 20.0, 10.0]


def test_ratio_is_of_medians() -> None:
    """
    And those of the rounds are of each round's own values.
    """
    assert results().ratio("relay", "cpu_us", "aibridge", "nginx") == 5.0
    assert results().ratios("relay", "cpu_us", "aibridge", "nginx") == [4.0, 4.5, 5.0]


def test_what_was_not_measured_is_none() -> None:
    """
    For targets, metrics and measurements alike, and for a ratio to them.
    """
    found = results()
    assert found.median("sse", "aibridge", "cpu_us") is None
    assert found.median("relay", "go", "cpu_us") is None
    assert found.median("relay", "nginx", "rps") is None
    assert found.ratio("relay", "cpu_us", "aibridge", "go") is None
    assert found.ratios("relay", "cpu_us", "aibridge", "go") == []


def test_nothing_is_divided_by_nothing() -> None:
    """
    A reference of 0 gives no ratio.
    """
    found = results()
    found.add("stalled", "aibridge", {"mib": 1.0})
    found.add("stalled", "nginx", {"mib": 0.0})
    assert found.ratio("stalled", "mib", "aibridge", "nginx") is None
    assert found.ratios("stalled", "mib", "aibridge", "nginx") == []


def test_disturbance() -> None:
    """
    It is the median over all samples; without samples there is none.
    """
    assert results().disturbance() == 0.2
    assert Results().disturbance() is None


def test_saved_and_read_again(tmp_path: Path) -> None:
    """
    Nothing is lost, and the directory need not be there.
    """
    path = tmp_path / "results" / "latest.json"
    results().save(path)
    assert Results.from_json(path.read_text()) == results()
