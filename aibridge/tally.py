"""
Counts that cost a dictionary look-up each, told to Prometheus when it asks.

The client library's own counters take a lock and walk through four calls for each count, which is right for threads
and a tenth of the cost of a relayed request. The reactor has one thread, so plain numbers do; they are turned into
the library's families when the registry is collected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class Tally:
    """
    A number for each set of labels.

    :ivar names: of the labels, in the order of the tuples that are counted under.
    :param goes_down: it is a gauge; otherwise a counter.
    """

    __slots__ = ("_documentation", "_goes_down", "_name", "_values", "names")

    def __init__(self, name: str, documentation: str, names: Sequence[str], *, goes_down: bool = False) -> None:
        self._name = name
        self._documentation = documentation
        self.names = names
        self._goes_down = goes_down
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """
        Count `amount` more.
        """
        values = self._values
        values[labels] = values.get(labels, 0) + amount

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

    __slots__ = ("_bounds", "_documentation", "_name", "_rows", "_sums", "names")

    def __init__(self, name: str, documentation: str, names: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self.names = names
        self._bounds = bounds
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

    def collect(self) -> Metric:
        """
        All series.
        """
        family = HistogramMetricFamily(self._name, self._documentation, labels=self.names)
        marks = [*(floatToGoString(bound) for bound in self._bounds), "+Inf"]
        for labels, row in self._rows.items():
            below = 0
            buckets = []
            for mark, count in zip(marks, row, strict=True):
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

    def collect(self) -> Iterator[Metric]:
        """
        All families.
        """
        for tally in self._tallies:
            yield tally.collect()
