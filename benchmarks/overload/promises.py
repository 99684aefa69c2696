"""
What has to hold in an overload.

These are no ratios to another gateway, and there is no margin: each is what somebody relies on who sets up the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.overload.scenes import EARLY_MS, LOADS, Size, load_name
from benchmarks.results import Results
from benchmarks.table import NOTHING, number

OFF, ON = "queue off", "queue on"
SHARE_OFF, SHARE_ON = "share, queue off", "share, queue on"
BUCKET = "bucket"

MOST_LOAD = load_name(max(LOADS))


@dataclass(frozen=True)
class Promise:
    """
    A figure, and what it has to be.

    :ivar found: None if it was not measured.
    :ivar bound: the least or the most that it may be.
    :ivar is_least: which of the two.
    :ivar unit: behind both.
    """

    label: str
    found: float | None
    bound: float
    is_least: bool
    unit: str = ""

    @property
    def is_kept(self) -> bool | None:
        """
        Whether it is; None if that is not known.
        """
        if self.found is None:
            return None
        return self.found >= self.bound if self.is_least else self.found <= self.bound


def promises(results: Results, size: Size) -> list[Promise]:
    """
    All of them, with what was found.
    """
    tenth, two = size.service_ms / 10, 2 * size.service_ms
    return [
        *(_least(f"goodput at 10 times ÷ the best, {terms}", _kept_up(results, terms), 0.95) for terms in (OFF, ON)),
        _most("refusals, p99, queue off", _worst(results, OFF, "refused_p99_ms"), tenth, "ms"),
        _most("refusals on arrival, p99, queue on", _worst(results, ON, "refused_p99_ms"), tenth, "ms"),
        _most("requests that the ten lose", _sum(results, "fair", ON, "ten_lost"), 0),
        _most("wait of the ten, p99", results.median("fair", ON, "ten_wait_p99_ms"), two, "ms"),
        *(
            _most(
                f"interactive within its share that is refused, {terms.removeprefix('share, ')}",
                _sum(results, "classes", terms, "interactive_lost"),
                0,
            )
            for terms in (SHARE_OFF, SHARE_ON)
        ),
        _least("admitted after exactly the wait that was told", _part(results, "exact_admitted"), 1),
        *(
            _least(f"refused {early_ms / 1000:g} s before it", _part(results, f"early_{early_ms}_refused"), 1)
            for early_ms in EARLY_MS
        ),
        *(
            _most(f"memory, last round at 10 times ÷ first, {terms}", _growth(results, terms), 1.05)
            for terms in (OFF, ON)
        ),
        _most("requests without an answer", _everywhere(results, "unanswered"), 0),
        _most("permits, places and calls still held afterwards", _everywhere(results, "left"), 0),
    ]


def promise_rows(made: Sequence[Promise]) -> list[list[str]]:
    """
    As a table.
    """
    table = [["promise", "bound", "found", ""]]
    for promise in made:
        bound = f"{'≥' if promise.is_least else '≤'} {_number(promise.bound, promise.unit)}"
        found = NOTHING if promise.found is None else _number(promise.found, promise.unit)
        words = {True: "kept", False: "BROKEN", None: "not measured"}[promise.is_kept]
        table.append([promise.label, bound, found, words])
    return table


def broken(made: Sequence[Promise], results: Results) -> list[str]:
    """
    Why the bench fails, a line each; none if it does not.
    """
    lines = [f"{promise.label}: broken" for promise in made if promise.is_kept is False]
    lines.extend(f"not measured: {failure}" for failure in results.failures)
    if all(promise.is_kept is None for promise in made):
        lines.append("nothing was measured")
    return lines


# -- where the figures are ----------------------------------------------------------------------------------------


def _kept_up(results: Results, terms: str) -> float | None:
    found = [results.median(load_name(times), terms, "goodput") for times in LOADS]
    known = [value for value in found if value is not None]
    last = results.median(MOST_LOAD, terms, "goodput")
    return None if last is None else last / max(known)


def _worst(results: Results, terms: str, metric: str) -> float | None:
    found = [results.median(load_name(times), terms, metric) for times in LOADS if times > 1]
    return max((value for value in found if value is not None), default=None)


def _sum(results: Results, scene: str, terms: str, metric: str) -> float | None:
    values = results.values(scene, terms, metric)
    return sum(values) if values else None


def _part(results: Results, metric: str) -> float | None:
    return min(results.values("waits", BUCKET, metric), default=None)


def _growth(results: Results, terms: str) -> float | None:
    values = results.values(MOST_LOAD, terms, "mib")
    return values[-1] / values[0] if len(values) > 1 else None


def _everywhere(results: Results, metric: str) -> float | None:
    found = [sum(samples.get(metric, [])) for each in results.measurements.values() for samples in each.values()]
    return sum(found) if found else None


def _least(label: str, found: float | None, bound: float) -> Promise:
    return Promise(label, found, bound, True)


def _most(label: str, found: float | None, bound: float, unit: str = "") -> Promise:
    return Promise(label, found, bound, False, unit)


def _number(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}".rstrip() if value == int(value) else f"{number(value)} {unit}".rstrip()
