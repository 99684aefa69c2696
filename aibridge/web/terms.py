"""
What holds for the exchanges that begin now, and what they all share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from aibridge.admission.bucket import Buckets
from aibridge.admission.gate import Gate
from aibridge.interfaces import IIdentity
from aibridge.log import Completion
from aibridge.metrics import Metrics
from aibridge.providers.routes import Routes
from aibridge.web.completions import Completions

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aibridge.web.exchange import Exchange


class Client(Protocol):
    """
    What asks a provider: `aibridge.relay.client.RelayClient`.
    """

    def request(
        self, method: bytes, url: bytes, *, headers: list[tuple[bytes, bytes]], data: Any
    ) -> Deferred[IResponse]: ...


@attrs.frozen(kw_only=True, eq=False)
class Terms:
    """
    One reading of the configuration. An exchange keeps the terms it began with; a reload makes new ones.

    :ivar clients: provider name → client.
    :ivar max_body: bytes.
    :ivar rate_limit: requests per second and principal; 0 is no limit.
    :ivar rate_burst: requests that may come at once.
    :ivar count_passthrough: passthrough requests count towards the rate.
    :ivar max_retry_after_s: the longest wait that a client is told.
    """

    routes: Routes
    identity: IIdentity
    clients: Mapping[str, Client]
    max_body: int
    rate_limit: float = 0.0
    rate_burst: float = 1.0
    count_passthrough: bool = False
    max_retry_after_s: float = 45.0


@attrs.define(kw_only=True, eq=False)
class Bridge:
    """
    What all exchanges share for as long as the daemon runs.

    :ivar terms: for exchanges that begin from now on.
    :ivar now: monotonic seconds.
    :ivar wall_clock: Unix seconds, for the log alone.
    :ivar new_id: makes request ids.
    :ivar draining: no exchange begins any more.
    :ivar exchanges: those that are running.
    :ivar emptied: called when the last of them has ended while `draining`.
    """

    terms: Terms
    clock: IReactorTime
    wall_clock: Callable[[], float]
    new_id: Callable[[], str]
    gate: Gate
    buckets: Buckets
    metrics: Metrics
    completions: Completions[Completion]
    draining: bool = False
    exchanges: set[Exchange] = attrs.Factory(set)
    emptied: Callable[[], None] | None = None
    now: Callable[[], float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.now = self.clock.seconds
