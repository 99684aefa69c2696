"""
What a scene comes to: from the answers, the figures.

Only requests that became due within the window count for latencies and shares, and only answers that were whole within
it for goodput: what came before it had an empty bridge, what came after it nobody behind it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.overload.callers import BATCH, DEFAULT, INTERACTIVE
from benchmarks.overload.crowd import Answer
from benchmarks.overload.scenes import CROWD, EARLY_MS, TEN, Scene, Size

DISPLACED = 'policy="displaced"'
TIMEOUT = 'policy="timeout"'

Figures = dict[str, float]


@dataclass(frozen=True)
class Window:
    """
    The part of a scene that is looked at, in seconds since its begin.
    """

    begin_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """
        How long it is.
        """
        return self.end_s - self.begin_s

    def due(self, answers: Iterable[Answer]) -> list[Answer]:
        """
        Those that were due within it.
        """
        return [answer for answer in answers if self.begin_s <= answer.due_s < self.end_s]

    def served(self, answers: Iterable[Answer]) -> list[Answer]:
        """
        Those that were served within it.
        """
        return [answer for answer in answers if answer.is_admitted and self.begin_s <= answer.answered_s < self.end_s]


def percentile(values: Iterable[float], part: float) -> float:
    """
    The smallest value that is not exceeded by that part of them (nearest rank); not a number if there are none.
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def is_refused_at_once(answer: Answer) -> bool:
    """
    Whether it was refused when it came, rather than after a time in the queue.
    """
    return answer.is_refused and DISPLACED not in answer.reason and TIMEOUT not in answer.reason


def figures(scene: Scene, answers: Sequence[Answer], window: Window, size: Size) -> Figures:
    """
    Of a scene: those that all have, and its own. One for which there was nothing to look at is left out.
    """
    own = _OWN.get(scene.name, _of_load)
    found = _of_all(answers, window, size) | own(window.due(answers), window.served(answers), size)
    return {name: float(value) for name, value in found.items() if not math.isnan(value)}


def _of_all(answers: Sequence[Answer], window: Window, size: Size) -> Figures:
    due, served = window.due(answers), window.served(answers)
    refused = [answer.took_ms for answer in due if is_refused_at_once(answer)]
    late = [answer.took_ms for answer in due if answer.is_refused and not is_refused_at_once(answer)]
    admitted = [answer.took_ms for answer in due if answer.is_admitted]
    return {
        "asked": len(due),
        "asked_per_s": len(due) / window.seconds,
        "goodput": len(served) / window.seconds / size.capacity,
        "unanswered": sum(answer.status == 0 for answer in answers),
        "admitted_p50_ms": percentile(admitted, 0.5),
        "admitted_p99_ms": percentile(admitted, 0.99),
        "refused": len(refused) / len(due) if due else math.nan,
        "refused_p50_ms": percentile(refused, 0.5),
        "refused_p99_ms": percentile(refused, 0.99),
        "displaced": len(late) / len(due) if due else math.nan,
        "displaced_p50_ms": percentile(late, 0.5),
        "displaced_p99_ms": percentile(late, 0.99),
        "sent_away_p99_ms": percentile([*refused, *late], 0.99),
        "load_late_p99_ms": percentile((answer.late_ms for answer in due), 0.99),
    }


# -- what is particular to a scene --------------------------------------------------------------------------------


def _of_load(due: Sequence[Answer], served: Sequence[Answer], size: Size) -> Figures:
    shares = _shares(served, lambda answer: answer.caller.name)
    callers = {answer.caller.name for answer in due}
    each = 1 / len(callers) if callers else math.nan
    return {
        "least_share": min((shares.get(name, 0.0) for name in callers), default=math.nan) / each,
        "most_share": max((shares.get(name, 0.0) for name in callers), default=math.nan) / each,
    }


def _of_fair(due: Sequence[Answer], served: Sequence[Answer], size: Size) -> Figures:
    ten = [answer for answer in due if answer.caller.group == TEN]
    waits = [answer.took_ms - size.service_ms for answer in ten if answer.is_admitted]
    shares = _shares(served, lambda answer: answer.caller.group)
    found = {
        "ten_asked": float(len(ten)),
        "ten_lost": float(sum(not answer.is_admitted for answer in ten)),
        "ten_wait_p50_ms": percentile(waits, 0.5),
        "ten_wait_p99_ms": percentile(waits, 0.99),
        "ten_share": shares.get(TEN, 0.0),
        "crowd_share": shares.get(CROWD, 0.0),
    }
    return found | _served_of(due, (TEN, CROWD))


def _of_classes(due: Sequence[Answer], served: Sequence[Answer], size: Size) -> Figures:
    people = [answer for answer in due if answer.caller.group == INTERACTIVE]
    waits = [answer.took_ms - size.service_ms for answer in people if answer.is_admitted]
    shares = _shares(served, lambda answer: answer.caller.group)
    found = {
        "interactive_asked": float(len(people)),
        "interactive_lost": float(sum(not answer.is_admitted for answer in people)),
        "interactive_wait_p50_ms": percentile(waits, 0.5),
        "interactive_wait_p99_ms": percentile(waits, 0.99),
    }
    found |= {f"{name}_share": shares.get(name, 0.0) for name in (INTERACTIVE, DEFAULT, BATCH)}
    return found | _served_of(due, (INTERACTIVE, DEFAULT, BATCH))


def _of_waits(due: Sequence[Answer], served: Sequence[Answer], size: Size) -> Figures:
    exact = [answer for answer in due if answer.purpose == "exact"]
    found = {
        "exact_asked": float(len(exact)),
        "exact_admitted": _part(answer.is_admitted for answer in exact),
        "told_ms": percentile((a.retry_ms for a in due if a.purpose == "ask" and a.retry_ms is not None), 0.5),
    }
    for early_ms in EARLY_MS:
        early = [a for a in due if a.purpose == "early" and a.caller.group == f"early-{early_ms}"]
        found[f"early_{early_ms}_asked"] = float(len(early))
        found[f"early_{early_ms}_refused"] = _part(answer.status == 429 for answer in early)
    return found


_OWN: dict[str, Callable[[Sequence[Answer], Sequence[Answer], Size], Figures]] = {
    "fair": _of_fair,
    "classes": _of_classes,
    "waits": _of_waits,
}


def _shares(served: Iterable[Answer], key: Callable[[Answer], str]) -> dict[str, float]:
    counts = Counter(map(key, served))
    return {name: count / counts.total() for name, count in counts.items()}


def _served_of(due: Iterable[Answer], groups: Iterable[str]) -> Figures:
    answers = list(due)
    return {
        f"{group}_served": _part(answer.is_admitted for answer in answers if answer.caller.group == group)
        for group in groups
    }


def _part(truths: Iterable[bool]) -> float:
    found = list(truths)
    return sum(found) / len(found) if found else math.nan
