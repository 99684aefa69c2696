"""
What is counted, on an injected registry.

The names are those of Coder's AI Bridge with the prefix ``aibridge_``, and those it lacks. Labels come from the
configuration and from verified tokens; the one thing that clients choose, the model, is bounded by `Names`. What is
counted for each request is a `Tally` or a `Spread`; the rest are the client library's own.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from aibridge.log import Completion
from aibridge.tally import Spread, Tallies, Tally

OTHER = "other"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
SECONDS = (0.5, 2, 5, 15, 30, 60, 120, 300, 600)
FIRST_BYTE_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ADDED_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)


class Names:
    """
    At most `size` different names; every further one is ``other``.

    :param size: how many are told apart. The first come stay, so that a series never changes its meaning.
    """

    __slots__ = ("_known", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: set[str] = set()

    def known(self, name: str) -> str:
        """
        `name` if it is known; it is not learnt by asking.
        """
        return name if name in self._known else OTHER

    def learn(self, name: str) -> str:
        """
        `name`, if it is known or there is room to know it.
        """
        if name in self._known:
            return name
        if len(self._known) >= self._size or len(name) > 128 or not name.isprintable():
            return OTHER
        self._known.add(name)
        return name


class Metrics:
    """
    Every metric of the bridge.

    :ivar models: learnt from answers that succeeded, so that made-up names never become series.
    """

    def __init__(self, registry: CollectorRegistry, models: int = 200, principals: int = 10000) -> None:
        self.registry = registry
        self.models = Names(models)
        self.principals = Names(principals)
        self._interceptions = Tally(
            "aibridge_interceptions_total",
            "Bridged exchanges that reached a provider, by how they ended.",
            ("provider", "model", "status", "route", "method", "initiator_id", "client"),
        )
        self._durations = Spread(
            "aibridge_interceptions_duration_seconds",
            "From a bridged request's head to the end of its answer.",
            ("provider", "model"),
            SECONDS,
        )
        self._inflight = Tally(
            "aibridge_interceptions_inflight",
            "Bridged exchanges waiting for a provider or being answered by it.",
            ("provider", "model", "route"),
            goes_down=True,
        )
        self._passthroughs = Tally(
            "aibridge_passthrough_total", "Requests on passthrough routes.", ("provider", "route", "method")
        )
        self._refusals = Tally(
            "aibridge_refusals_total",
            "Requests that the bridge answered itself, by who refused and why.",
            ("reason", "kind"),
        )
        self._upstream_errors = Tally(
            "aibridge_upstream_errors_total",
            "Upstream calls that failed, before or within an answer.",
            ("provider", "kind"),
        )
        self._first_bytes = Spread(
            "aibridge_first_byte_seconds",
            "From a request's head to the response head of its provider.",
            ("provider",),
            FIRST_BYTE_S,
        )
        self._added = Spread(
            "aibridge_added_seconds",
            "The bridge's own share of the time to the first byte: all but waiting for the body and for the provider.",
            ("provider",),
            ADDED_S,
        )
        self._bytes = Tally("aibridge_bytes_total", "Body bytes relayed.", ("provider", "direction"))
        registry.register(
            Tallies(
                (
                    self._interceptions,
                    self._durations,
                    self._inflight,
                    self._passthroughs,
                    self._refusals,
                    self._upstream_errors,
                    self._first_bytes,
                    self._added,
                    self._bytes,
                )
            )
        )
        self.permits = Gauge("aibridge_permits_in_use", "Exchanges that hold a permit of the gate.", registry=registry)
        self.permit_limit = Gauge("aibridge_permits_limit", "Permits there are; 0 means no limit.", registry=registry)
        self.connections = Gauge("aibridge_client_connections", "Open client connections.", registry=registry)
        self.upstream_connections = Gauge(
            "aibridge_upstream_connections",
            "Connections to providers, and requests waiting for one.",
            ("provider", "state"),
            registry=registry,
        )
        self.reloads = Counter(
            "aibridge_reloads_total", "Reloads of the configuration.", ("outcome",), registry=registry
        )
        self.reloaded_at = Gauge(
            "aibridge_providers_last_reload_success_timestamp_seconds",
            "When the configuration in force was read, Unix time.",
            registry=registry,
        )
        self.provider_info = Gauge(
            "aibridge_provider_info",
            "1 for each provider that is configured.",
            ("provider_name", "provider_type", "status"),
            registry=registry,
        )
        self.lost_completions = Gauge(
            "aibridge_completions_lost", "Completion lines that could not be written.", registry=registry
        )

    def began(self, provider: str, model: str, route: str) -> tuple[str, str, str]:
        """
        A bridged exchange waits for its provider; what is returned is to be given to `ended`.
        """
        labels = (provider, self.models.known(model), route)
        self._inflight.add(labels)
        return labels

    def ended(self, began: tuple[str, str, str]) -> None:
        """
        The exchange for which `began` was called has ended.
        """
        self._inflight.add(began, -1)

    def refused(self, reason: str, kind: str) -> None:
        """
        The bridge answered a request itself.
        """
        self._refusals.add((reason, kind))

    def upstream_failed(self, provider: str, kind: str) -> None:
        """
        An upstream call failed.
        """
        self._upstream_errors.add((provider, kind))

    def completed(self, c: Completion, *, bridged: bool, agent: str, initiator: str) -> None:
        """
        An exchange that had been handed to a provider has ended.

        :param bridged: it was on a bridged route.
        :param agent: the client program, out of a closed set.
        :param initiator: the principal's name, if it was verified.
        """
        provider = c.provider
        if c.bytes_in:
            self._bytes.add((provider, "to_provider"), c.bytes_in)
        if c.bytes_out:
            self._bytes.add((provider, "to_client"), c.bytes_out)
        if c.upstream_status:
            self._first_bytes.observe((provider,), c.first_byte_s)
            self._added.observe((provider,), c.added_s)
        method = c.method if c.method in METHODS else OTHER
        if not bridged:
            self._passthroughs.add((provider, c.route, method))
            return
        whole = c.cause == "completed"
        succeeded = whole and 200 <= c.upstream_status < 300
        model = self.models.learn(c.model) if succeeded else self.models.known(c.model)
        status = "completed" if whole and c.upstream_status < 400 else "failed"
        principal = self.principals.learn(initiator)
        self._interceptions.add((provider, model, status, c.route, method, principal, agent))
        self._durations.observe((provider, model), c.duration_s)
