"""
The figures as pictures: SVG that can be read on a light and on a dark page, and that is the same bytes for the same
results.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.overload.promises import OFF, ON, SHARE_OFF, SHARE_ON
from benchmarks.overload.report import size_of
from benchmarks.overload.scenes import LOADS, load_name
from benchmarks.results import Results

INK = "#808080"
"""As far from white as from black."""

BLUE, ORANGE, GREEN, RED = "#3b82f6", "#e8750a", "#16a34a", "#dc4c4c"

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "aibridge",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
}

_WHO = (("ten", "the ten"), ("crowd", "the one, who asks for 50 times as much"))
_CLASSES = (("interactive", "interactive, within its share"), ("default", "default"), ("batch", "batch"))

Draw = Callable[[Results], Figure]


def drawn(results: Results) -> dict[str, str]:
    """
    Name of the file → picture.
    """
    pictures = {}
    for name, draw in _PICTURES.items():
        with matplotlib.rc_context(_STYLE):
            out = io.StringIO()
            metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            draw(results).savefig(out, format="svg", transparent=True, metadata=metadata)
        pictures[name] = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    return pictures


def _goodput(results: Results) -> Figure:
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(LOADS, [100 * min(1, times) for times in LOADS], color=INK, linestyle=":", label="what could be")
    for terms, colour in ((OFF, ORANGE), (ON, BLUE)):
        axes.plot(LOADS, _values(results, terms, "goodput", 100), color=colour, marker="o", label=terms)
    _offered(axes)
    axes.set_ylabel("answers, % of the capacity")
    axes.set_ylim(0, 110)
    axes.legend(loc="lower right")
    return figure


def _latency(results: Results) -> Figure:
    service = size_of(results).service_ms
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    for axes, terms in zip(figure.subplots(1, 2, sharey=True), (OFF, ON), strict=True):
        for metric, label, colour, dashes in (
            ("admitted_p99_ms", "admitted, p99", BLUE, "-"),
            ("admitted_p50_ms", "admitted, p50", BLUE, "--"),
            ("refused_p99_ms", "refused on arrival, p99", RED, "-"),
            ("refused_p50_ms", "refused on arrival, p50", RED, "--"),
        ):
            axes.plot(LOADS, _values(results, terms, metric), color=colour, linestyle=dashes, marker="o", label=label)
        for level, label in ((service, "service time"), (service / 10, "a tenth of it")):
            axes.axhline(level, color=INK, linestyle=":", linewidth=1)
            axes.annotate(label, (LOADS[0], level), xytext=(0, -9), textcoords="offset points", fontsize=8)
        axes.set_yscale("log")
        axes.set_ylim(0.05, 1000)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_title(terms)
        _offered(axes)
    figure.axes[0].set_ylabel("ms, from when it was due")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _shares(results: Results) -> Figure:
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, results, "fair", (OFF, ON), _WHO)
    left.set_title("ten and one")
    _bars(right, results, "classes", (SHARE_OFF, SHARE_ON), _CLASSES)
    right.set_title("classes at three times the capacity")
    left.set_ylabel("served, % of what was asked for")
    return figure


def _bars(axes: Any, results: Results, scene: str, terms: Sequence[str], groups: Sequence[tuple[str, str]]) -> None:
    width = 0.8 / len(groups)
    for place, ((group, label), colour) in enumerate(zip(groups, (BLUE, ORANGE, GREEN), strict=False)):
        at = [x + (place - (len(groups) - 1) / 2) * width for x in range(len(terms))]
        found = [results.median(scene, each, f"{group}_served") for each in terms]
        heights = [0.0 if value is None else 100 * value for value in found]
        bars = axes.bar(at, heights, width * 0.9, color=colour, label=label)
        axes.bar_label(bars, fmt="%.0f", padding=1, fontsize=8)
    axes.set_xticks(range(len(terms)), [each.removeprefix("share, ") for each in terms])
    axes.set_ylim(0, 150)
    axes.set_yticks(range(0, 101, 25))
    axes.legend(loc="upper left", fontsize=8, borderaxespad=0)


def _values(results: Results, terms: str, metric: str, times: float = 1.0) -> list[float]:
    found = [results.median(load_name(load), terms, metric) for load in LOADS]
    return [math.nan if value is None else times * value for value in found]


def _offered(axes: Any) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(LOADS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.set_xlabel("offered, in capacities")
    axes.grid(visible=True, axis="y")


def _plain(value: float, _: object = None) -> str:
    return f"{value:g}"


_PICTURES: dict[str, Draw] = {"goodput.svg": _goodput, "latency.svg": _latency, "shares.svg": _shares}
