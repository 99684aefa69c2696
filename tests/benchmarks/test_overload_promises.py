"""
Tests for `benchmarks.overload.promises` and `benchmarks.overload.report`.
"""

from __future__ import annotations

import pytest

from benchmarks.overload.promises import Promise, broken, promise_rows, promises
from benchmarks.overload.report import TABLES, measured, report, size_of
from benchmarks.overload.scenes import Size, all_scenes
from benchmarks.results import OTHERS, Results

SIZE = Size()

GOOD = {
    "goodput": 0.98,
    "refused_p99_ms": 1.0,
    "ten_lost": 0.0,
    "ten_wait_p99_ms": 40.0,
    "interactive_lost": 0.0,
    "exact_admitted": 1.0,
    "early_1000_refused": 1.0,
    "early_100_refused": 1.0,
    "mib": 50.0,
    "unanswered": 0.0,
    "left": 0.0,
    OTHERS: 0.01,
}


def good() -> Results:
    """
    Two rounds in which everything holds.
    """
    results = Results(settings={"permits": SIZE.permits, "service_ms": SIZE.service_ms})
    for _ in range(2):
        for scene in all_scenes(SIZE):
            results.add(scene.name, scene.terms.name, GOOD)
    return results


def with_last(scene: str, terms: str, **values: float) -> Results:
    """
    The same, but for some figures of a scene in the last round.
    """
    results = good()
    for metric, value in values.items():
        results.measurements[scene][terms][metric][-1] = value
    return results


def test_everything_holds() -> None:
    """
    Then nothing is complained about.
    """
    made = promises(good(), SIZE)
    assert [promise.label for promise in made if promise.is_kept is not True] == []
    assert broken(made, good()) == []


@pytest.mark.parametrize(
    ("scene", "terms", "metric", "value", "label"),
    [
        ("load-10", "queue off", "goodput", 0.8, "goodput at 10 times ÷ the best, queue off"),
        ("load-10", "queue on", "goodput", 0.8, "goodput at 10 times ÷ the best, queue on"),
        ("load-2", "queue off", "refused_p99_ms", 9.5, "refusals, p99, queue off"),
        ("load-5", "queue on", "refused_p99_ms", 9.5, "refusals on arrival, p99, queue on"),
        ("fair", "queue on", "ten_lost", 1.0, "requests that the ten lose"),
        ("fair", "queue on", "ten_wait_p99_ms", 161.0, "wait of the ten, p99"),
        ("classes", "share, queue off", "interactive_lost", 1.0,
         "interactive within its share that is refused, queue off"),
        ("classes", "share, queue on", "interactive_lost", 1.0,
         "interactive within its share that is refused, queue on"),
        ("waits", "bucket", "exact_admitted", 0.99, "admitted after exactly the wait that was told"),
        ("waits", "bucket", "early_1000_refused", 0.99, "refused 1 s before it"),
        ("waits", "bucket", "early_100_refused", 0.99, "refused 0.1 s before it"),
        ("load-10", "queue off", "mib", 53.0, "memory, last round at 10 times ÷ first, queue off"),
        ("load-0.5", "queue on", "unanswered", 1.0, "requests without an answer"),
        ("fair", "queue off", "left", 1.0, "permits, places and calls still held afterwards"),
    ],
)  # fmt: skip
def test_one_does_not(scene: str, terms: str, metric: str, value: float, label: str) -> None:
    """
    It is the one that is named, and no other. Where medians are meant, half of the rounds decide; where it is each
    single request, one does.
    """
    results = with_last(scene, terms, **{metric: value})
    made = promises(results, SIZE)
    assert [promise.label for promise in made if not promise.is_kept] == [label]
    assert broken(made, results) == [f"{label}: broken"]


def test_the_ten_may_lose_without_a_queue() -> None:
    """
    Nothing is promised there.
    """
    assert broken(promises(with_last("fair", "queue off", ten_lost=100.0), SIZE), good()) == []


def test_the_load_without_an_overload_promises_no_quick_refusal() -> None:
    """
    Nobody has to be refused there; a handful of samples makes no percentile.
    """
    assert broken(promises(with_last("load-0.5", "queue off", refused_p99_ms=50.0), SIZE), good()) == []


def test_what_was_not_measured_is_not_broken() -> None:
    """
    But something has to have been, and failures are complaints.
    """
    results = Results(settings={"permits": 32, "service_ms": 50})
    assert broken(promises(results, SIZE), results) == ["nothing was measured"]
    results.add("fair", "queue on", GOOD)
    results.failures.append("waits, bucket: the load generator was late each time")
    made = promises(results, SIZE)
    assert {promise.is_kept for promise in made} == {True, None}
    assert broken(made, results) == ["not measured: waits, bucket: the load generator was late each time"]


def test_one_round_says_nothing_about_growth() -> None:
    """
    There is no last one to compare the first with.
    """
    results = Results()
    results.add("load-10", "queue on", GOOD)
    (growth,) = [made for made in promises(results, SIZE) if made.label.endswith("÷ first, queue on")]
    assert growth.is_kept is None


def test_rows() -> None:
    """
    Bound, what was found, and how it stands, with units.
    """
    rows = promise_rows(
        [
            Promise("a", 0.983, 0.95, True),
            Promise("b", 5.33, 5.0, False, "ms"),
            Promise("c", None, 0.0, False),
        ]
    )
    assert rows[1:] == [
        ["a", "≥ 0.95", "0.983", "kept"],
        ["b", "≤ 5 ms", "5.33 ms", "BROKEN"],
        ["c", "≤ 0", "-", "not measured"],
    ]


def test_tables_show_scenes_that_there_are() -> None:
    """
    Every row is one, and every scene is in a row.
    """
    shown = {(row.scene, row.terms) for table in TABLES for row in table.rows}
    assert shown == {(scene.name, scene.terms.name) for scene in all_scenes(SIZE)}


def test_tables() -> None:
    """
    Medians; what was not measured is left out, as a row or as a figure.
    """
    results = Results(settings={"permits": 32, "service_ms": 50})
    for goodput in (0.9, 0.95, 0.7):
        results.add("fair", "queue on", {"goodput": goodput, "ten_asked": 1200.0})
    ((title, cells),) = measured(results)
    assert title.startswith("Ten")
    assert [row[0] for row in cells[1:]] == ["queue on"]
    assert cells[1][1:3] == ["1,200", "-"]
    assert cells[1][-1] == "90.0%"


def test_report() -> None:
    """
    For a terminal: tables, promises, failures, and what else was going on.
    """
    results = good()
    results.failures.append("fair, queue on: it ended")
    text = report(results)
    for part in ("queue off", "98.0%", "kept", "FAILED fair, queue on: it ended", "in the median: 1%"):
        assert part in text
    assert size_of(results) == SIZE
