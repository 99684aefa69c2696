"""
What is counted, on an injected registry.

The names are those of Coder's AI Bridge with the prefix ``aibridge_``, and those it lacks. Labels come from the
configuration and from verified tokens; the one thing that clients choose, the model, is bounded by `Names`. What is
counted for each request is a `Tally` or a `Spread`; the rest are the client library's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from aibridge.log import Completion
from aibridge.tally import OTHER as OTHER
from aibridge.tally import Spread, Tallies, Tally

if TYPE_CHECKING:
    from aibridge.dialects.usage import Report

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
SECONDS = (0.5, 2, 5, 15, 30, 60, 120, 300, 600)
FIRST_BYTE_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAIT_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LAG_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
TURN_S = (0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
ADDED_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)


def lags(prefix: str) -> Spread:
    """
    How late what was due came.
    """
    return Spread(f"{prefix}reactor_lag_seconds", "How late the reactor came to what was due, ten a second.", (), LAG_S)


def long_turns(prefix: str) -> Spread:
    """
    How much processor time single turns took.
    """
    words = "Processor time of those turns of the reactor that took 10 ms or more."
    return Spread(f"{prefix}reactor_long_turn_seconds", words, (), TURN_S)


FOLDS = (("initiator_id", "client"), ("model",))
"""Which labels give way first, where there are too many series."""


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
        self._by_principal = True
        self._folded = Tally(
            "aibridge_folded_total",
            "Times that something was counted under other, because there are as many series as there may be.",
            ("metric",),
        )
        self._interceptions = Tally(
            "aibridge_interceptions_total",
            "Bridged exchanges that reached a provider, by how they ended.",
            ("provider", "model", "status", "route", "method", "initiator_id", "client"),
            folds=FOLDS,
            folded=self._fold,
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
            "Requests that the bridge answered itself, by who refused, why, by which limit, and whom.",
            ("reason", "kind", "policy", "class"),
        )
        self._waits = Spread(
            "aibridge_queue_wait_seconds",
            "How long requests waited for a permit that could not be had at once, by how that ended.",
            ("class", "outcome"),
            WAIT_S,
        )
        self._tokens = Tally(
            "aibridge_tokens_total",
            "Tokens, as providers reported them.",
            ("provider", "model", "type", "initiator_id", "client"),
            folds=FOLDS,
            folded=self._fold,
        )
        self._unread = Tally(
            "aibridge_unread_answers_total",
            "Answers of which something could not be read; they crossed all the same.",
            ("provider", "why"),
        )
        self._calls = Tally(
            "aibridge_upstream_calls_total",
            "Calls that were made to providers, further keys and retries included.",
            ("provider",),
        )
        self._rests = Tally(
            "aibridge_key_pool_state_transitions_total",
            "Provider keys that went to rest, by why.",
            ("provider", "reason"),
        )
        self._trips = Tally(
            "aibridge_circuit_breaker_trips_total", "Circuit breakers that opened.", ("provider", "endpoint", "model")
        )
        self._rejects = Tally(
            "aibridge_circuit_breaker_rejects_total",
            "Requests that an open breaker refused, or would have in shadow.",
            ("provider", "endpoint", "model"),
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
        self._lags = lags("aibridge_")
        self._long_turns = long_turns("aibridge_")
        registry.register(
            Tallies(
                (
                    self._interceptions,
                    self._durations,
                    self._inflight,
                    self._passthroughs,
                    self._refusals,
                    self._waits,
                    self._tokens,
                    self._unread,
                    self._calls,
                    self._rests,
                    self._trips,
                    self._rejects,
                    self._upstream_errors,
                    self._first_bytes,
                    self._added,
                    self._bytes,
                    self._folded,
                    self._lags,
                    self._long_turns,
                )
            )
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

    def bound(self, *, by_principal: bool, series: int) -> None:
        """
        How much is told apart from now on; the series that there are stay.

        :param by_principal: principals are.
        :param series: most of each metric that has a label for them.
        """
        self._by_principal = by_principal
        self._interceptions.most = self._tokens.most = series

    def _fold(self, metric: str) -> None:
        self._folded.add((metric,))

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

    def refused(self, reason: str, kind: str, policy: str = "", class_: str = "") -> None:
        """
        The bridge answered a request itself.

        :param policy: by which of several limits, if by one of them.
        :param class_: of the principal, if that is known.
        """
        self._refusals.add((reason, kind, policy, class_))

    def queued(self, class_: str, outcome: str, seconds: float) -> None:
        """
        A request has waited for a permit.

        :param outcome: ``admitted``, or the `kind` of what ended it.
        """
        self._waits.observe((class_, outcome), seconds)

    def rested(self, provider: str, cause: int) -> None:
        """
        A key went to rest.

        :param cause: the status for which it did: 429 or 401.
        """
        self._rests.add((provider, "rate_limited" if cause == 429 else "unauthorized"))

    def tripped(self, provider: str, endpoint: str, model: str) -> None:
        """
        A breaker opened.
        """
        self._trips.add((provider, endpoint, self.models.known(model)))

    def rejected(self, provider: str, endpoint: str, model: str) -> None:
        """
        A breaker refused a request, or would have.
        """
        self._rejects.add((provider, endpoint, self.models.known(model)))

    def upstream_failed(self, provider: str, kind: str) -> None:
        """
        An upstream call failed.
        """
        self._upstream_errors.add((provider, kind))

    def completed(
        self, c: Completion, *, bridged: bool, agent: str, initiator: str, report: Report | None = None
    ) -> None:
        """
        An exchange that had been handed to a provider has ended.

        :param bridged: it was on a route whose spending is counted.
        :param agent: the client program, out of a closed set.
        :param initiator: the principal's name, if it was verified.
        :param report: what its answer told about itself, if it was read.
        """
        provider = c.provider
        if c.attempts:
            self._calls.add((provider,), c.attempts)
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
        principal = self._principal(initiator)
        self._interceptions.add((provider, model, status, c.route, method, principal, agent))
        self._durations.observe((provider, model), c.duration_s)
        if report is not None:
            self._reported(report, (provider, model), (principal, agent))

    def _principal(self, initiator: str) -> str:
        if not self._by_principal:
            # To Prometheus a label without a value is none.
            return ""
        principal = self.principals.learn(initiator)
        if principal == OTHER:
            self._fold("aibridge_interceptions_total")
        return principal

    def _reported(self, report: Report, what: tuple[str, str], who: tuple[str, str]) -> None:
        usage = report.usage
        if report.unread is not None:
            self._unread.add((what[0], report.unread.value))
        if usage is None:
            return
        tokens = self._tokens
        (provider, model), (principal, agent) = what, who
        if usage.input:
            tokens.add((provider, model, "input", principal, agent), usage.input)
        if usage.output:
            tokens.add((provider, model, "output", principal, agent), usage.output)
        if usage.cache_read:
            tokens.add((provider, model, "cache_read_input_tokens", principal, agent), usage.cache_read)
        if usage.cache_write:
            tokens.add((provider, model, "cache_write_input_tokens", principal, agent), usage.cache_write)
        for kind, count in usage.extras.items():
            if count:
                tokens.add((provider, model, kind, principal, agent), count)
