"""
What is scraped is what the client library would say, in small pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aibridge.exposition import Registry, pieces
from aibridge.tally import AT_ONCE, Spread, Tallies, Tally

SERIES = 1000


def filled(registry: CollectorRegistry) -> CollectorRegistry:
    """
    A registry with all kinds of collectors.
    """
    tally, spread = Tally("x_total", "X\n\\.", ("b", "a")), Spread("y", "Y.", ("name",), (0.5, 2))
    gauge = Tally("g", "G.", (), goes_down=True)
    gauge.add((), 1e9)
    for number in range(SERIES):
        tally.add((f'"{number}\\\n', "é"), number / 3)
        spread.observe((str(number),), number)
    registry.register(Tallies([tally, spread, gauge]))
    Counter("c_total", "C.", ("name",), registry=registry).labels("n").inc(3)
    Gauge("h", "H.", registry=registry).set(float("inf"))
    Histogram("i", "I.", registry=registry).observe(2)
    return registry


def without_times(text: str) -> list[str]:
    """
    Lines without the times of creation, which differ.
    """
    return [line for line in text.splitlines() if "_created" not in line]


def test_the_same_as_the_librarys() -> None:
    """
    Byte for byte, from both kinds of registries.
    """
    expected = without_times(generate_latest(filled(CollectorRegistry())).decode())
    for registry in (CollectorRegistry(), Registry()):
        assert without_times("".join(pieces(filled(registry)))) == expected


def test_no_piece_is_long() -> None:
    """
    However many series there are.
    """
    registry = filled(Registry())
    longest = max(len(piece.splitlines()) for piece in pieces(registry))
    assert longest <= AT_ONCE


def test_what_is_counted_meanwhile_is_in_nobodys_way() -> None:
    """
    Series that come while the page is made are in the next one.
    """
    registry = Registry()
    tally, spread = Tally("x_total", "X.", ("name",)), Spread("y", "Y.", ("name",), (1,))
    registry.register(Tallies([tally, spread]))
    for number in range(3 * AT_ONCE):
        tally.add((str(number),))
        spread.observe((str(number),), 0.5)
    made = ""
    for number, piece in enumerate(pieces(registry)):
        made += piece
        tally.add((f"new {number}",))
        spread.observe((f"new {number}",), 0.5)
    assert made.count("x_total{") == 3 * AT_ONCE
    assert 'y_count{name="149"} 1.0' in made
    assert 'x_total{name="new 0"} 1.0' in "".join(pieces(registry))


def test_a_collector_that_can_be_interrupted() -> None:
    """
    It has an empty piece wherever it may be.
    """

    class Slow(Collector):
        def collect(self) -> Iterator[Metric]:
            raise AssertionError("not in one go")

        def describe(self) -> Iterator[Metric]:
            return iter(())

        def parts(self) -> Iterator[Metric | None]:
            yield None
            yield GaugeMetricFamily("z", "Z.", value=1)
            yield None

    registry = Registry()
    registry.register(Slow())
    assert list(pieces(registry)) == ["", "# HELP z Z.\n# TYPE z gauge\nz 1.0\n", ""]
