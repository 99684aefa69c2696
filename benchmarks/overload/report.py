"""
The figures as tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measurements.measurement import Column
from benchmarks.overload.promises import OFF, ON, SHARE_OFF, SHARE_ON, promise_rows, promises
from benchmarks.overload.scenes import EARLY_MS, LOADS, Size, load_name
from benchmarks.results import Results
from benchmarks.table import NOTHING, as_text


@dataclass(frozen=True)
class Row:
    """
    A row: a scene on some terms.
    """

    label: str
    scene: str
    terms: str


@dataclass(frozen=True)
class Table:
    """
    Medians over the rounds.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def cells(self, results: Results) -> list[list[str]]:
        """
        A title row, and a row for each scene that was measured.
        """
        table = [["", *(column.title for column in self.columns)]]
        for row in self.rows:
            if row.terms not in results.measurements.get(row.scene, {}):
                continue
            values = [(results.median(row.scene, row.terms, column.metric), column.form) for column in self.columns]
            table.append([row.label, *(NOTHING if value is None else format(value, form) for value, form in values)])
        return table


def _loads(terms: str, *more: Column) -> Table:
    return Table(
        f"What is offered, in capacities: {terms}",
        tuple(Row(f"{times:g}", load_name(times), terms) for times in LOADS),
        (
            Column("requests/s", "asked_per_s", ",.0f"),
            Column("goodput", "goodput", ".1%"),
            Column("admitted p50 ms", "admitted_p50_ms", ".1f"),
            Column("p99", "admitted_p99_ms", ".1f"),
            Column("refused on arrival", "refused", ".1%"),
            Column("p50 ms", "refused_p50_ms", ".2f"),
            Column("p99", "refused_p99_ms", ".2f"),
            *more,
            Column("least of 20 ÷ mean", "least_share", ".2f"),
            Column("most", "most_share", ".2f"),
            Column("core busy", "busy", ".0%"),
            Column("MiB", "mib", ".1f"),
        ),
    )


TABLES = (
    _loads(OFF),
    _loads(
        ON,
        Column("displaced", "displaced", ".1%"),
        Column("p50 ms", "displaced_p50_ms", ".1f"),
        Column("p99", "displaced_p99_ms", ".1f"),
        Column("both p99", "sent_away_p99_ms", ".1f"),
    ),
    Table(
        "Ten, and one who asks for fifty times as much as each of them",
        (Row(OFF, "fair", OFF), Row(ON, "fair", ON)),
        (
            Column("asked by the ten", "ten_asked", ",.0f"),
            Column("lost", "ten_lost", ",.0f"),
            Column("wait p50 ms", "ten_wait_p50_ms", ".1f"),
            Column("p99", "ten_wait_p99_ms", ".1f"),
            Column("the ten's share of answers", "ten_share", ".1%"),
            Column("the one's", "crowd_share", ".1%"),
            Column("served of the ten", "ten_served", ".1%"),
            Column("of the one", "crowd_served", ".1%"),
            Column("goodput", "goodput", ".1%"),
        ),
    ),
    Table(
        "Classes at three times the capacity, interactive within its share",
        (Row("queue off", "classes", SHARE_OFF), Row("queue on", "classes", SHARE_ON)),
        (
            Column("asked by interactive", "interactive_asked", ",.0f"),
            Column("refused", "interactive_lost", ",.0f"),
            Column("wait p50 ms", "interactive_wait_p50_ms", ".1f"),
            Column("p99", "interactive_wait_p99_ms", ".1f"),
            Column("served of default", "default_served", ".1%"),
            Column("of batch", "batch_served", ".1%"),
            Column("goodput", "goodput", ".1%"),
        ),
    ),
    Table(
        "Clients that are told to wait",
        (Row("bucket", "waits", "bucket"),),
        (
            Column("told ms", "told_ms", ",.0f"),
            Column("came exactly then", "exact_asked", ",.0f"),
            Column("admitted", "exact_admitted", ".1%"),
            *(
                column
                for early_ms in EARLY_MS
                for column in (
                    Column(f"{early_ms / 1000:g} s early", f"early_{early_ms}_asked", ",.0f"),
                    Column("refused", f"early_{early_ms}_refused", ".1%"),
                )
            ),
        ),
    ),
)


def measured(results: Results, tables: Sequence[Table] = TABLES) -> list[tuple[str, list[list[str]]]]:
    """
    Title and cells of the tables of which something was measured.
    """
    found = [(table.title, table.cells(results)) for table in tables]
    return [(title, cells) for title, cells in found if len(cells) > 1]


def size_of(results: Results) -> Size:
    """
    How large all was.
    """
    return Size(permits=results.settings["permits"], service_ms=results.settings["service_ms"])


def report(results: Results) -> str:
    """
    All tables and the promises, for a terminal.
    """
    parts = [f"{title}\n{as_text(cells)}" for title, cells in measured(results)]
    others = results.disturbance()
    if others is not None:
        parts.append(f"Other work on the bridge's core, in the median: {others:.0%}")
    parts.extend(f"FAILED {failure}" for failure in results.failures)
    parts.append(as_text(promise_rows(promises(results, size_of(results)))))
    return "\n\n".join(parts)
