"""
Tests for `benchmarks.thresholds`.
"""

from __future__ import annotations

import pytest

from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.results import Results
from benchmarks.targets.all import TARGETS
from benchmarks.thresholds import THRESHOLDS, Threshold, complaints, judged, verdict_rows

RELAY = Threshold("relay ÷ nginx", "relay", "cpu_us", ("nginx",), 7, 4, "21")
LARGE = Threshold("large ÷ Go or HAProxy", "large", "cpu_us", ("go", "haproxy"), 2, 1.2, "4.7")
MEMORY = Threshold("memory, KiB", "memory", "kib", (), 14, 8, "13")


def results(**values: float) -> Results:
    """
    One sample for each ``measurement_target``.
    """
    found = Results()
    for name, value in values.items():
        measurement, target = name.split("_")
        found.add(measurement, target, {"cpu_us": value, "kib": value})
    return found


@pytest.mark.parametrize(
    ("own", "words", "is_kept"),
    [
        (40.0, "aim reached", True),
        (41.0, "kept", True),
        (70.0, "kept", True),
        (80.4, "kept within the margin", True),
        (80.6, "MISSED", False),
    ],
)
def test_verdicts(own: float, words: str, is_kept: bool) -> None:
    """
    The margin is 15 % of what must be reached.
    """
    found = results(relay_aibridge=own, relay_nginx=10.0)
    verdicts = judged(found, [RELAY])
    assert verdicts[0].is_kept is is_kept
    assert verdict_rows(verdicts)[1][-1] == words
    assert bool(complaints(found, verdicts)) is not is_kept


def test_cheapest_reference_counts() -> None:
    """
    Where one of several may be compared with, it is the hardest, and it is named.
    """
    found = results(large_aibridge=150.0, large_go=100.0, large_haproxy=75.0)
    (verdict,) = judged(found, [LARGE])
    assert verdict.value == 2.0
    assert verdict.remark == "haproxy"


def test_other_reference_does_too() -> None:
    """
    One of them is enough.
    """
    (verdict,) = judged(results(large_aibridge=150.0, large_go=100.0), [LARGE])
    assert (verdict.value, verdict.remark) == (1.5, "go")


def test_value_itself() -> None:
    """
    Without references nothing is divided.
    """
    (verdict,) = judged(results(memory_aibridge=12.0), [MEMORY])
    assert verdict.value == 12.0


def test_reference_that_is_not_there() -> None:
    """
    It is told, and is no complaint as long as something was compared.
    """
    found = results(relay_aibridge=40.0, memory_aibridge=12.0)
    verdicts = judged(found, [RELAY, MEMORY])
    assert verdicts[0].value is None
    assert verdict_rows(verdicts)[1][-2:] == ["-", "not compared (nginx not measured)"]
    assert complaints(found, verdicts) == []


def test_nothing_compared() -> None:
    """
    A check that compared nothing has not passed.
    """
    found = results(relay_nginx=10.0)
    verdicts = judged(found, [RELAY])
    assert verdicts[0].remark == "aibridge was not measured"
    assert complaints(found, verdicts) == ["nothing could be compared"]


def test_complaint_in_words() -> None:
    """
    One line has what was found, what must be and the margin; failures are complaints as well.
    """
    found = results(relay_aibridge=90.0, relay_nginx=10.0)
    found.failures.append("sse, nginx: 3 errors")
    assert complaints(found, judged(found, [RELAY])) == [
        "relay ÷ nginx: 9.00 is more than 7.00 and a margin of 15%",
        "measured with errors: sse, nginx: 3 errors",
    ]


def test_thresholds_can_be_measured() -> None:
    """
    Each names a measurement, one of its metrics, and targets that it is made with.
    """
    for threshold in THRESHOLDS:
        measurement = MEASUREMENTS[threshold.measurement]
        assert threshold.metric in {column.metric for column in measurement.columns}
        assert {threshold.subject, *threshold.references} <= set(measurement.targets) <= set(TARGETS)
        assert threshold.aim < threshold.must
