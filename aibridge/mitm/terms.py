"""
What holds for the connections and requests that begin now, and what they all share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.interfaces import IReactorTime

from aibridge.interfaces import IIdentity
from aibridge.mitm.dial import Dialer, Route
from aibridge.mitm.hosts import Hosts
from aibridge.mitm.leaves import Leaves
from aibridge.mitm.lines import Line
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.places import Places
from aibridge.mitm.tunnel import Tunnels
from aibridge.relay.outage import Outage
from aibridge.web.account import Client
from aibridge.web.completions import Completions

if TYPE_CHECKING:
    from aibridge.mitm.asking import Asking
    from aibridge.mitm.forwarding import Forwarding
    from aibridge.mitm.sessions import Layers

OPEN = "open"
OFF = "off"


@attrs.frozen(kw_only=True, eq=False)
class ProxyTerms:
    """
    One reading of the configuration. What has begun keeps the terms it began with; a reload makes new ones.

    :ivar client: asks the bridge, `bridge_url` is where that is, without a slash at its end, and `outage` whether it is
        away.
    :ivar leaves: certificates of intercepted hosts.
    :ivar tunnel: one of `aibridge.mitm.settings.TUNNELS`, and `ports` those that may be tunnelled to.
    :ivar route: how tunnels get out.
    :ivar max_body: bytes of an intercepted request.
    """

    hosts: Hosts
    identity: IIdentity
    client: Client
    bridge_url: bytes
    outage: Outage
    leaves: Leaves
    tunnel: str
    ports: frozenset[int]
    route: Route
    max_body: int


@attrs.define(kw_only=True, eq=False)
class Proxy:
    """
    What all share for as long as the daemon runs.

    :ivar terms: for what begins from now on.
    :ivar now: monotonic seconds.
    :ivar wall_clock: Unix seconds.
    :ivar new_id: makes ids of connections; `new_request_id` those of intercepted requests.
    :ivar site: serves the requests of intercepted connections, which come to it through `layers`.
    :ivar places: for tunnels.
    :ivar connecting: requests at the proxy's own door that are neither refused nor what they asked for yet.
    :ivar draining: nothing begins any more.
    :ivar emptied: called when the last of what is running has ended while it is set.
    """

    terms: ProxyTerms
    clock: IReactorTime
    wall_clock: Callable[[], float]
    new_id: Callable[[], str]
    new_request_id: Callable[[], str]
    metrics: ProxyMetrics
    completions: Completions[Line]
    dialer: Dialer
    tunnels: Tunnels
    places: Places
    site: Any = None
    layers: Layers = attrs.field(default=None)
    draining: bool = False
    connecting: set[Asking] = attrs.Factory(set)
    forwardings: set[Forwarding] = attrs.Factory(set)
    emptied: Callable[[], None] | None = None
    now: Callable[[], float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.now = self.clock.seconds

    @property
    def running(self) -> int:
        """
        What a drain waits for: connections being made, tunnels, and intercepted requests.
        """
        return len(self.connecting) + len(self.tunnels.all) + len(self.forwardings)

    def ended(self) -> None:
        """
        Something of it has ended.
        """
        if self.emptied is not None and not self.running:
            self.emptied()
