"""
Metrics that are looked up when somebody asks for them, rather than counted as things happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aibridge.admission.breaker import State
from aibridge.daemon.assembly import Upstreams
from aibridge.web.site import BridgeSite
from aibridge.web.terms import Bridge

QUANTILES = (0.5, 0.9, 0.99, 1.0)

Sample = tuple[tuple[str, ...], float]


class Gauges(Collector):
    """
    How things stand: permits, queue, buckets, breakers, keys, connections.

    :param site: whose connections are counted.
    """

    def __init__(self, bridge: Bridge, site: BridgeSite, upstreams: Upstreams) -> None:
        self._bridge = bridge
        self._site = site
        self._upstreams = upstreams

    def collect(self) -> Iterator[Metric]:
        """
        All families, as of now.
        """
        return (family for family in self.parts() if family is not None)

    def parts(self) -> Iterator[Metric | None]:
        """
        The same; None in between where something else may be done first.
        """
        yield from self._gate()
        yield from self._buckets()
        yield from self._breakers()
        yield from self._providers()
        bodies = self._bridge.bodies
        yield _gauge("aibridge_request_bodies_bytes", "Bytes taken by request bodies.", (), [((), bodies.held)])
        yield _gauge("aibridge_request_bodies_limit_bytes", "Bytes that they may take.", (), [((), bodies.most)])
        yield _gauge("aibridge_request_bodies_waiting", "Bodies that wait for room.", (), [((), bodies.waiting)])
        yield _gauge("aibridge_client_connections", "Open client connections.", (), [((), len(self._site.connections))])
        lost = self._bridge.completions.lost
        yield _gauge("aibridge_completions_lost", "Completion lines that could not be written.", (), [((), lost)])

        yield from self._stored()

    def _stored(self) -> Iterator[Metric]:
        ledger = self._bridge.ledger
        known = len(ledger.objects)
        yield _gauge("aibridge_stored_objects", "Stored objects of which it is known who made them.", (), [((), known)])
        lost = 0 if ledger.lost is None else ledger.lost()
        yield _gauge(
            "aibridge_stored_objects_lost", "Changes to them that could not be written down.", (), [((), lost)]
        )
        yield _gauge(
            "aibridge_stored_objects_given_up",
            "Those that had to be forgotten for want of room.",
            (),
            [((), ledger.objects.given_up)],
        )

    def _gate(self) -> Iterator[Metric]:
        seats = self._bridge.turns.seats
        terms = seats.terms
        yield _gauge("aibridge_permits_in_use", "Exchanges that hold a permit of the gate.", (), [((), seats.in_use)])
        yield _gauge(
            "aibridge_permits_limit", "Permits there are; 0 means no limit.", (), [((), terms.max_concurrency)]
        )
        in_use = [((name,), count) for name, count in seats.in_use_by_provider().items()]
        yield _gauge("aibridge_provider_permits_in_use", "The same, by provider.", ("provider",), in_use)
        limits = [((name,), limit) for name, limit in terms.providers.items()]
        yield _gauge("aibridge_provider_permits_limit", "Permits that a provider has.", ("provider",), limits)
        waiting = [((class_.value,), count) for class_, count in seats.waiting_by_class().items()]
        yield _gauge("aibridge_queue_length", "Requests that wait for a permit.", ("class",), waiting)

    def _buckets(self) -> Iterator[Metric | None]:
        bridge = self._bridge
        policies = bridge.terms.policies
        found: list[Sample] = []
        for name, levels in policies.each_levels(bridge.now()):
            levels.sort()
            found.extend(((name, f"{quantile:g}"), _quantile(levels, quantile)) for quantile in QUANTILES)
            yield None
        labels = ("policy", "quantile")
        yield _gauge(
            "aibridge_bucket_level_ratio", "How full the buckets in use are, 1 and more is full.", labels, found
        )
        used = [((), policies.bytes_used)]
        yield _gauge("aibridge_bucket_bytes", "Memory that the buckets of principals take.", (), used)
        shadows = CounterMetricFamily(
            "aibridge_shadow_refusals_total",
            "What limits in shadow would have refused.",
            labels=("reason", "policy"),
        )
        for obstacle, count in bridge.turns.seats.would_have_refused.items():
            if count:
                shadows.add_metric(("gate", obstacle.value), count)
        for name, count in policies.would_have_refused().items():
            shadows.add_metric(("rate", name), count)
        if bridge.breakers.would_have_refused:
            shadows.add_metric(("breaker", ""), bridge.breakers.would_have_refused)
        yield shadows

    def _breakers(self) -> Iterator[Metric]:
        breakers = self._bridge.breakers
        # Those that a reload has switched off keep nobody out.
        tables = (breakers.entries, breakers.shared) if self._bridge.terms.breaks else ()
        states = [
            (name, float(entry.state.value))
            for table in tables
            for name, entry in table.items()
            if entry.state is not State.CLOSED
        ]
        labels = ("provider", "endpoint", "model")
        yield _gauge(
            "aibridge_circuit_breaker_state", "1 while a breaker is open, 0.5 while half open.", labels, states
        )

    def _providers(self) -> Iterator[Metric]:
        bridge = self._bridge
        now = bridge.now()
        keys: list[Sample] = []
        cooling: list[Sample] = []
        budgets: list[Sample] = []
        for name, account in bridge.terms.accounts.items():
            if account.keys is not None:
                keys.extend(((name, state), count) for state, count in account.keys.counts(now).items())
                cooling.append(((name,), account.keys.cooling(now)))
            if account.retries:
                budgets.append(((name,), account.budget.balance(now)))
        yield _gauge("aibridge_key_pool_state", "Provider keys, by how they stand.", ("provider", "state"), keys)
        yield _gauge(
            "aibridge_cooling_models",
            "Models, and routes that name none, that cool down, each counted once for each key.",
            ("provider",),
            cooling,
        )
        yield _gauge("aibridge_retry_budget", "Retries that could be made now.", ("provider",), budgets)
        connections: list[Sample] = []
        for name, agent in self._upstreams.agents().items():
            connections.append(((name, "open"), agent.open_connections))
            connections.append(((name, "idle"), agent.idle_connections))
            connections.append(((name, "waiting"), agent.waiting))
        yield _gauge(
            "aibridge_upstream_connections",
            "Connections to providers, and requests waiting for one.",
            ("provider", "state"),
            connections,
        )


def _gauge(name: str, documentation: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _quantile(values: list[float], part: float) -> float:
    """
    The least value that `part` of all are no more than; 0 where there is none. They are in ascending order.
    """
    if not values:
        return 0.0
    return values[max(0, -(-int(part * 1000 * len(values)) // 1000) - 1)]
