"""
The figures and pictures in ``docs/overload.md``.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.documents import filled
from benchmarks.overload.plots import drawn
from benchmarks.overload.promises import promise_rows, promises
from benchmarks.overload.report import measured, size_of
from benchmarks.results import Results
from benchmarks.table import as_markdown

COMMAND = "python -m benchmarks.overload --write-docs"
PICTURES = "overload"
"""The directory of the pictures, beside the page."""

ALTERNATIVES = {
    "goodput.svg": "Goodput against what is offered, with the queue off and on",
    "latency.svg": "How long those who are admitted and those who are refused are kept, against what is offered",
    "shares.svg": "What part of what each group asked for was served",
}


def section(results: Results) -> str:
    """
    What belongs between the marks.
    """
    machine, settings, size = results.machine, results.settings, size_of(results)
    alone = settings["alone"]
    parts = [
        f"{machine['date']}: {machine['cores']} cores ({machine['cpu']}), {machine['system']}, Linux "
        f"{machine['kernel']}; aibridge {results.versions['aibridge']}. {size.permits} permits and {size.service_ms} "
        f"ms: a capacity of {size.capacity:,.0f} answers/s; a queue of {size.queue}, where it is on. "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s, medians. Load and upstream alone, at ten times "
        f"that: p50 {alone['p50_ms']:.1f} ms, p99 {alone['p99_ms']:.1f} ms. Other work on the bridge's core: "
        f"{results.disturbance() or 0:.0%}.",
        "### What has to hold",
        as_markdown(promise_rows(promises(results, size))),
        *(f"![{words}]({PICTURES}/{name})" for name, words in ALTERNATIVES.items()),
    ]
    for title, cells in measured(results):
        parts += [f"### {title}", as_markdown(cells)]
    # A failure's further lines are a program's output.
    parts.extend(f"Not measured: {failure.splitlines()[0]}." for failure in results.failures)
    return "\n\n".join(parts)


def write(results: Results, docs: Path) -> None:
    """
    Write both.

    :param docs: the directory of the page.
    """
    page, pictures = docs / "overload.md", docs / PICTURES
    page.write_text(filled(page.read_text(), section(results), COMMAND))
    pictures.mkdir(exist_ok=True)
    for name, picture in drawn(results).items():
        (pictures / name).write_text(picture)
