"""
Counts that cost a dictionary look-up each, told to Prometheus when it asks.

The client library's own counters take a lock and walk through four calls for each count, which is right for threads
and a tenth of the cost of a relayed request. The reactor has one thread, so plain numbers do. Asked for, they are told
as lines of text, a few at a time, or turned into the library's families.

Note [Folding]: every set of labels is a series that lives until the process ends. Where there are as many as there may
be, one that comes new is counted under ``other`` in place of the labels that have most values; so a sum over them stays
right. Where even that makes too many, all labels give way, so that the bound holds whatever the others are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]

OTHER: Final = "other"
"""What stands for all that is not told apart."""

AT_ONCE: Final = 50
"""Lines of text that are told in one piece."""


class Tally:
    """
    A number for each set of labels.

    :param folds: groups of labels that are folded one after the other, see Note [Folding]; the second when there are a
        quarter more series than `most`, and so on; in the end, all labels.
    :param folded: told each time.
    :ivar names: of the labels, in the order of the tuples that are counted under.
    :ivar most: series that are told apart. There are never more than that, a quarter more for each fold, and one.
    :ivar goes_down: it is a gauge; otherwise a counter.
    """

    __slots__ = ("_documentation", "_folded", "_folds", "_goes_down", "_name", "_values", "most", "names")

    def __init__(
        self,
        name: str,
        documentation: str,
        names: Sequence[str],
        *,
        goes_down: bool = False,
        folds: Sequence[Sequence[str]] = (),
        folded: Callable[[str], None] | None = None,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self.names = names
        self._goes_down = goes_down
        self._folds = folds
        self._folded = folded
        self.most = 1 << 62
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """
        Count `amount` more.
        """
        values = self._values
        known = values.get(labels)
        if known is None:
            labels = self._labels_for(labels)
            known = values.get(labels, 0)
        values[labels] = known + amount

    def _labels_for(self, labels: Labels) -> Labels:
        """
        The labels under which one that is not known yet is counted.
        """
        if len(self._values) < self.most or not self._folds:
            return labels
        if self._folded is not None:
            self._folded(self._name)
        room = self.most
        for fold in self._folds:
            labels = tuple(OTHER if name in fold else value for name, value in zip(self.names, labels, strict=True))
            room += self.most // 4
            if labels in self._values or len(self._values) < room:
                return labels
        return (OTHER,) * len(labels)

    def lines(self) -> Iterator[str]:
        """
        All series, as of now, in Prometheus's text format; some lines at a time.
        """
        # Each copy of a reference is cheap, and what is counted meanwhile may not get in the way.
        items = list(self._values.items())
        order, name = _order(self.names), self._name
        yield _head(name, self._documentation, "gauge" if self._goes_down else "counter")
        for start in range(0, len(items), AT_ONCE):
            yield "".join(
                [
                    f"{name}{_labels(order, labels)} {floatToGoString(value)}\n"
                    for labels, value in items[start : start + AT_ONCE]
                ]
            )

    def collect(self) -> Metric:
        """
        All series.
        """
        kind = GaugeMetricFamily if self._goes_down else CounterMetricFamily
        family = kind(self._name, self._documentation, labels=self.names)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class Spread:
    """
    How often values fell into each of some ranges, for each set of labels.

    :param bounds: upper bounds, inclusive, in ascending order; what is above the last one is counted as well.
    """

    __slots__ = ("_bounds", "_documentation", "_marks", "_name", "_rows", "_sums", "names")

    def __init__(self, name: str, documentation: str, names: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self.names = names
        self._bounds = bounds
        self._marks: list[str] = [*(floatToGoString(bound) for bound in bounds), "+Inf"]
        self._rows: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """
        Count one value.
        """
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        row[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def lines(self) -> Iterator[str]:
        """
        All series in Prometheus's text format, those of one set of labels at a time.
        """
        yield _head(self._name, self._documentation, "histogram")
        order, with_bound = _order(self.names), _order((*self.names, "le"))
        for labels in list(self._rows):
            below, told = 0, ""
            for mark, count in zip(self._marks, self._rows[labels], strict=True):
                below += count
                told += f"{self._name}_bucket{_labels(with_bound, (*labels, mark))} {floatToGoString(below)}\n"
            told += f"{self._name}_count{_labels(order, labels)} {floatToGoString(below)}\n"
            yield f"{told}{self._name}_sum{_labels(order, labels)} {floatToGoString(self._sums[labels])}\n"

    def collect(self) -> Metric:
        """
        All series.
        """
        family = HistogramMetricFamily(self._name, self._documentation, labels=self.names)
        for labels, row in self._rows.items():
            below = 0
            buckets = []
            for mark, count in zip(self._marks, row, strict=True):
                below += count
                buckets.append((mark, below))
            family.add_metric(labels, buckets, self._sums[labels])
        return family


class Tallies(Collector):
    """
    Makes several of them known to a registry.
    """

    def __init__(self, tallies: Iterable[Tally | Spread]) -> None:
        self._tallies = tuple(tallies)

    def lines(self) -> Iterator[str]:
        """
        All series in Prometheus's text format; some lines at a time.
        """
        for tally in self._tallies:
            yield from tally.lines()

    def collect(self) -> Iterator[Metric]:
        """
        All families.
        """
        for tally in self._tallies:
            yield tally.collect()


def _head(name: str, documentation: str, kind: str) -> str:
    words = documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n"


def _order(names: Sequence[str]) -> list[tuple[str, int]]:
    """
    Names with the place of each, in the order in which the client library tells them.
    """
    return sorted((name, place) for place, name in enumerate(names))


def _labels(order: Sequence[tuple[str, int]], labels: Labels) -> str:
    if not order:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(labels[place])}"' for name, place in order]) + "}"


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
