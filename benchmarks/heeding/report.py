"""
The figures as one table, for a terminal and for ``docs/limits.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aibridge.providers.counting import ANTHROPIC, AZURE, CEREBRAS, GROQ, MISTRAL, OPENAI, Counting, Output
from benchmarks.documents import filled
from benchmarks.heeding.bars import Row
from benchmarks.table import as_markdown, as_text

COMMAND = "python -m benchmarks.heeding --write-docs"

TITLES = (
    "scene",
    "served without heeding",
    "served heeding",
    "ratio",
    "refused by the provider, without",
    "refused by it, heeding",
    "refused by the bridge",
    "bar",
)


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """
    A title row, and a row for each scene.
    """
    return [
        list(TITLES),
        *(
            [
                row.scene.name,
                f"{row.without.share(*row.served):.1%}",
                f"{row.heeding.share(*row.served):.1%}",
                f"{row.ratio:.3f}",
                str(row.without.refused),
                str(row.heeding.refused),
                str(row.heeding.refused_by_bridge),
                "missed" if row.missed else "met",
            ]
            for row in rows
        ),
    ]


VENDORS: tuple[Counting, ...] = (OPENAI, AZURE, ANTHROPIC, CEREBRAS, GROQ, MISTRAL)
"""Of whom it is known how they count."""

OUTPUT = {
    Output.PRODUCED: "as it is written",
    Output.MAXIMUM: "as the request allows, when it comes",
    Output.LARGER: "as the request allows, or its input if that is more, for both",
}


def vendors() -> list[list[str]]:
    """
    How vendors count tokens, by what the bridge reserves.
    """
    return [
        ["vendor", "output counts", "input from its cache counts", "source"],
        *(
            [one.vendor, OUTPUT[one.output], "yes" if one.counts_cached else "no", f"[page]({one.source})"]
            for one in VENDORS
        ),
    ]


def report(rows: Sequence[Row]) -> str:
    """
    The table, and which bars are missed.
    """
    missed = [f"{row.scene.name}: {bar}" for row in rows for bar in row.missed]
    return "\n".join([as_text(cells(rows)), "", *(missed or ["every bar is met"])])


def write(rows: Sequence[Row], page: Path) -> None:
    """
    Write the table into the page, between its marks.
    """
    parts = ["How vendors count tokens:", as_markdown(vendors()), "What is served:", as_markdown(cells(rows))]
    page.write_text(filled(page.read_text(), "\n\n".join(parts), COMMAND))
