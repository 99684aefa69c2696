"""
What the proxy counts, on an injected registry.

The names are those of Coder's AI Bridge Proxy with the prefix ``aibridge_proxy_``, and those it lacks. Every label
comes from the configuration or from a closed set.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from aibridge.metrics import lags, long_turns
from aibridge.tally import Spread, Tallies, Tally

PREFIX = "aibridge_proxy_"


class ProxyMetrics:
    """
    Every metric of the proxy.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._sessions = Tally(
            f"{PREFIX}connect_sessions_total",
            "Connections that clients asked for and got, by what became of them: mitm or tunneled.",
            ("type",),
        )
        self._requests = Tally(f"{PREFIX}mitm_requests_total", "Intercepted requests.", ("provider",))
        self._inflight = Tally(
            f"{PREFIX}inflight_mitm_requests",
            "Intercepted requests waiting for the bridge or being answered by it.",
            ("provider",),
            goes_down=True,
        )
        self._responses = Tally(
            f"{PREFIX}mitm_responses_total", "Answers to intercepted requests.", ("code", "provider")
        )
        self._refusals = Tally(
            f"{PREFIX}refusals_total", "What the proxy refused, by who refused and why.", ("reason", "kind")
        )
        self._bridge_errors = Tally(
            f"{PREFIX}bridge_errors_total", "Requests to the bridge that failed.", ("provider", "kind")
        )
        self._handshakes = Tally(
            f"{PREFIX}tls_failures_total",
            "Handshakes with intercepted clients that failed; tls_untrusted: the client does not trust the authority.",
            ("kind",),
        )
        self._bytes = Tally(f"{PREFIX}tunnel_bytes_total", "Bytes that were tunnelled.", ("direction",))
        self._leaves = Tally(
            f"{PREFIX}leaf_cache_total",
            "How often an intercepted host's certificate was there already (hit), or had to be made (miss).",
            ("outcome",),
        )
        self._lags = lags(PREFIX)
        self._long_turns = long_turns(PREFIX)
        registry.register(Tallies(tuple(each for each in vars(self).values() if isinstance(each, Tally | Spread))))
        self._gauges(registry)

    def _gauges(self, registry: CollectorRegistry) -> None:
        """
        What is looked up when it is asked for, or changes seldom.
        """
        self.leaf_entries = Gauge(
            f"{PREFIX}leaf_cache_entries", "Hosts whose certificates are kept.", registry=registry
        )
        self.ca_expires_at = Gauge(
            f"{PREFIX}ca_expires_timestamp_seconds",
            "When the certificate authority ends, Unix time.",
            registry=registry,
        )
        self.connections = Gauge(
            f"{PREFIX}client_connections",
            "Open client connections: not asked for anything yet (waiting), intercepted (mitm), or tunneled.",
            ("type",),
            registry=registry,
        )
        self.reloads = Counter(
            f"{PREFIX}reloads_total", "Reloads of the configuration.", ("outcome",), registry=registry
        )
        self.reloaded_at = Gauge(
            f"{PREFIX}last_reload_success_timestamp_seconds",
            "When the configuration in force was read, Unix time.",
            registry=registry,
        )
        self.provider_info = Gauge(
            f"{PREFIX}provider_info",
            "1 for each provider whose traffic is intercepted.",
            ("provider_name", "provider_type"),
            registry=registry,
        )
        self.lost_completions = Gauge(
            f"{PREFIX}completions_lost", "Lines of the log that could not be written.", registry=registry
        )

    def lagged(self, seconds: float) -> None:
        """
        The reactor came so much too late to something.
        """
        self._lags.observe((), seconds)

    def turned(self, seconds: float) -> None:
        """
        A turn of the reactor took long.
        """
        self._long_turns.observe((), seconds)

    def session_began(self, kind: str) -> None:
        """
        A client got what it asked for.
        """
        self._sessions.add((kind,))

    def refused(self, reason: str, kind: str) -> None:
        """
        The proxy refused something itself.
        """
        self._refusals.add((reason, kind))

    def handshake_failed(self, kind: str) -> None:
        """
        An intercepted client and the proxy did not agree.
        """
        self._handshakes.add((kind,))

    def tunnelled(self, to_host: int, to_client: int) -> None:
        """
        A tunnel has ended.
        """
        self._bytes.add(("to_host",), to_host)
        self._bytes.add(("to_client",), to_client)

    def leaf_looked_up(self, outcome: str) -> None:
        """
        A host's certificate was asked for: ``hit`` or ``miss``.
        """
        self._leaves.add((outcome,))

    def request_began(self, provider: str) -> None:
        """
        An intercepted request has come.
        """
        self._requests.add((provider,))
        self._inflight.add((provider,))

    def request_ended(self, provider: str) -> None:
        """
        It has ended, whatever way.
        """
        self._inflight.add((provider,), -1)

    def responded(self, code: int, provider: str) -> None:
        """
        An intercepted client was told a status.
        """
        self._responses.add((str(code), provider))

    def bridge_failed(self, provider: str, kind: str) -> None:
        """
        A request to the bridge failed.
        """
        self._bridge_errors.add((provider, kind))
