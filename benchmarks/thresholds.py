"""
What has to be reached: ratios within one run, and a few sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Results
from benchmarks.table import number

MARGIN = 0.15
"""The machine moves nginx itself by so much."""

SUBJECT = "aibridge"
PROXY = "aibridge-proxy"


@dataclass(frozen=True)
class Threshold:
    """
    One row of the table.

    :ivar references: the cheapest of those that were measured is divided by; none: the value itself counts.
    :ivar stock: what stock Twisted and treq reach, in words.
    :ivar subject: whose value it is.
    """

    label: str
    measurement: str
    metric: str
    references: tuple[str, ...]
    must: float
    aim: float
    stock: str
    subject: str = SUBJECT


@dataclass(frozen=True)
class Verdict:
    """
    How it stands with a threshold.

    :ivar value: None if it could not be compared; `remark` says why.
    """

    threshold: Threshold
    value: float | None
    remark: str

    @property
    def is_kept(self) -> bool | None:
        """
        Within the margin; None if it could not be compared.
        """
        return None if self.value is None else self.value <= self.threshold.must * (1 + MARGIN)


THRESHOLDS = (
    Threshold("CPU per relayed request ÷ nginx", "relay", "cpu_us", ("nginx",), 7, 4, "21 to 25"),
    Threshold("CPU per relayed request ÷ plain Site and treq", "relay", "cpu_us", ("plain",), 0.3, 0.15, "1"),
    Threshold("CPU per relayed request ÷ LiteLLM", "relay", "cpu_us", ("litellm",), 1 / 80, 1 / 150, "0.038"),
    Threshold("CPU per server-sent event ÷ nginx", "sse", "cpu_us", ("nginx",), 2.2, 1.8, "2.3 to 2.8"),
    Threshold("CPU per refusal with 429 ÷ nginx limit_req", "refusal-429", "cpu_us", ("nginx",), 5, 2.5, "13"),
    Threshold("CPU per refusal with 503 ÷ nginx limit_req", "refusal-503", "cpu_us", ("nginx",), 5, 2.5, "13"),
    Threshold("memory per idle stream at 5,000, KiB", "memory", "kib_at_5000", (), 14, 8, "13"),
    Threshold("CPU per answer of 200 kB ÷ Go or HAProxy", "large", "cpu_us", ("go", "haproxy"), 2, 1.2, "4.7"),
    Threshold("memory per stalled reader, MiB", "stalled", "mib", (), 1, 0.25, "without bound"),
    Threshold("CPU per tunnelled byte ÷ HAProxy", "tunnel", "cpu_us_per_mib", ("haproxy-tcp",), 2, 1.2, "-", PROXY),
    Threshold("memory per idle tunnel at 5,000, KiB", "tunnel-memory", "kib_at_5000", (), 16, 8, "-", PROXY),
)


def judged(results: Results, thresholds: Sequence[Threshold] = THRESHOLDS) -> list[Verdict]:
    """
    A verdict for each threshold.
    """
    return [_verdict(results, threshold) for threshold in thresholds]


def _verdict(results: Results, threshold: Threshold) -> Verdict:
    own = results.median(threshold.measurement, threshold.subject, threshold.metric)
    if own is None:
        return Verdict(threshold, None, f"{threshold.subject} was not measured")
    if not threshold.references:
        return Verdict(threshold, own, "")
    found = {name: results.median(threshold.measurement, name, threshold.metric) for name in threshold.references}
    there = {name: value for name, value in found.items() if value}
    if not there:
        return Verdict(threshold, None, f"{' and '.join(threshold.references)} not measured")
    cheapest = min(there, key=lambda name: there[name])
    return Verdict(threshold, own / there[cheapest], cheapest if len(threshold.references) > 1 else "")


def verdict_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """
    As a table.
    """
    table = [["figure", "stock", "must", "aim", "found", ""]]
    for verdict in verdicts:
        threshold = verdict.threshold
        found = "-" if verdict.value is None else number(verdict.value)
        row = [threshold.label, threshold.stock, number(threshold.must), number(threshold.aim), found]
        table.append([*row, _words(verdict)])
    return table


def _words(verdict: Verdict) -> str:
    threshold, value = verdict.threshold, verdict.value
    if value is None:
        words = "not compared"
    elif value <= threshold.aim:
        words = "aim reached"
    elif value <= threshold.must:
        words = "kept"
    elif verdict.is_kept:
        words = "kept within the margin"
    else:
        words = "MISSED"
    return f"{words} ({verdict.remark})" if verdict.remark else words


def complaints(results: Results, verdicts: Sequence[Verdict]) -> list[str]:
    """
    Why the check fails, a line each; none if it does not.

    A reference that is not installed is no reason, but something has to have been compared.
    """
    lines = [
        f"{verdict.threshold.label}: {number(verdict.value)} is more than {number(verdict.threshold.must)} "
        f"and a margin of {MARGIN:.0%}"
        for verdict in verdicts
        if verdict.value is not None and not verdict.is_kept
    ]
    lines.extend(f"measured with errors: {failure}" for failure in results.failures)
    if all(verdict.value is None for verdict in verdicts):
        lines.append("nothing could be compared")
    return lines
