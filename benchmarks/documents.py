"""
The figures in ``docs/performance.md``: written between two marks, from the results of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measurements.measurement import Measurement
from benchmarks.results import Results
from benchmarks.table import as_markdown, rows
from benchmarks.thresholds import judged, verdict_rows

COMMAND = "python -m benchmarks --write-docs"
END = "<!-- end of it -->"


def begin_of(command: str) -> str:
    """
    The mark behind which a command writes.
    """
    return f"<!-- begin of what `{command}` writes -->"


BEGIN = begin_of(COMMAND)


def filled(page: str, content: str, command: str = COMMAND) -> str:
    """
    The page with this content between the marks.

    :param command: what writes there.
    :raises ValueError: the marks are not there, once each.
    """
    mark = begin_of(command)
    before, begin, rest = page.partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end or mark in after or END in after:
        raise ValueError("the page has to have each mark once")
    return f"{before}{mark}\n\n{content.strip()}\n\n{END}{after}"


def section(measurements: Sequence[Measurement], results: Results) -> str:
    """
    What belongs between the marks.
    """
    machine, settings = results.machine, results.settings
    parts = [
        f"{machine['date']}: {machine['cores']} cores ({machine['cpu']}), {machine['system']}, Linux "
        f"{machine['kernel']}, congestion control {machine['congestion_control']}; {settings['rounds']} rounds of "
        f"{settings['seconds']:g} s, medians. Load and mock alone: {settings['alone_rps']:,.0f} requests/s. "
        f"Other work on the targets' core: {results.disturbance() or 0:.0%}.",
        as_markdown([["target", "version"], *([name, version] for name, version in results.versions.items())]),
        "### What has to be reached",
        as_markdown(verdict_rows(judged(results))),
    ]
    for measurement in measurements:
        if results.measurements.get(measurement.name):
            parts += [f"### {measurement.title}", as_markdown(rows(measurement, results))]
    # A failure's further lines are a program's output.
    parts.extend(f"Not measured: {failure.splitlines()[0]}." for failure in results.failures)
    parts.extend(f"Not there: {target}." for target in results.absent)
    return "\n\n".join(parts)
