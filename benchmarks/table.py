"""
Tables: of one measurement, as text for a terminal and as Markdown for the documentation.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measurements.measurement import Measurement
from benchmarks.results import Results

NOTHING = "-"


def rows(measurement: Measurement, results: Results) -> list[list[str]]:
    """
    A title row and one row for each target: medians, ratios to the references, and ratios in each round.
    """
    head = measurement.columns[0].metric
    targets = list(results.measurements.get(measurement.name, {}))
    references = [name for name in measurement.references if name in targets]
    title = ["", *(column.title for column in measurement.columns), *(f"÷ {name}" for name in references)]
    if references:
        title.append(f"÷ {references[0]}, per round")
    table = [title]
    for target in targets:
        row = [target]
        for column in measurement.columns:
            value = results.median(measurement.name, target, column.metric)
            row.append(NOTHING if value is None else format(value, column.form))
        for name in references:
            ratio = results.ratio(measurement.name, head, target, name)
            row.append(NOTHING if ratio is None else number(ratio))
        if references:
            row.append(" ".join(map(number, results.ratios(measurement.name, head, target, references[0]))))
        table.append(row)
    return table


def number(value: float) -> str:
    """
    Three digits that count, and no exponent.
    """
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def as_text(table: Sequence[Sequence[str]]) -> str:
    """
    Columns side by side; the first to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """
    A Markdown table; the columns after the first to the right.
    """
    rule = ["---"] + ["---:"] * (len(table[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (table[0], rule, *table[1:]))


def report(measurements: Sequence[Measurement], results: Results) -> str:
    """
    All tables, for a terminal, and what is not in them.
    """
    parts = [
        f"{measurement.title}\n{as_text(rows(measurement, results))}"
        for measurement in measurements
        if results.measurements.get(measurement.name)
    ]
    others = results.disturbance()
    if others is not None:
        parts.append(f"Other work on the targets' core, in the median: {others:.0%}")
    parts.extend(f"skipped {target}: {why}" for target, why in results.absent.items())
    parts.extend(f"FAILED {failure}" for failure in results.failures)
    return "\n\n".join(parts)
