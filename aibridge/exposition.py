"""
What a registry has, in Prometheus's text format, a little at a time.

The client library makes all of it in one call. With thousands of principals that takes a second, in which a daemon of
one thread does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@runtime_checkable
class Lines(Protocol):
    """
    A collector that tells its lines itself.
    """

    def lines(self) -> Iterator[str]: ...


@runtime_checkable
class Parts(Protocol):
    """
    A collector that can be interrupted: it has families, and None in between wherever it has worked for a while.
    """

    def parts(self) -> Iterator[Metric | None]: ...


class Registry(CollectorRegistry):
    """
    One that knows its collectors.

    :ivar collectors: in the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """
        There is one more.
        """
        super().register(collector)
        self.collectors.append(collector)


class _Single(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        yield self._family


def pieces(registry: CollectorRegistry) -> Iterator[str]:
    """
    All that a registry has, as of now or later: each family as of one moment. Between two pieces, which may be empty,
    anything may happen.

    :param registry: if it is a `Registry`, no piece takes long.
    """
    collectors: list[Any] = list(registry.collectors) if isinstance(registry, Registry) else [registry]
    for collector in collectors:
        if isinstance(collector, Lines):
            yield from collector.lines()
        else:
            for family in collector.parts() if isinstance(collector, Parts) else collector.collect():
                yield "" if family is None else generate_latest(_Single(family)).decode()
