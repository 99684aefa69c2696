"""
The proxy as a daemon: what it listens with, what a reload brings into force, and what its stop waits for.

A drain waits for intercepted requests and for tunnels. Of a tunnel nobody knows whether it is needed still; one that
was silent for `aibridge.daemon.lifecycle.TICK_S` while the proxy drains is ended, as whoever has it will open another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import maybeDeferred

from aibridge.daemon.lifecycle import DaemonService
from aibridge.daemon.notify import Notifier
from aibridge.daemon.proxy.assembly import Assembly
from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.interfaces import IIdentity
from aibridge.mitm.authority import as_pem
from aibridge.mitm.download import Download
from aibridge.mitm.front import Front, Within
from aibridge.mitm.sessions import Layers
from aibridge.mitm.terms import Proxy
from aibridge.web.admin import ADMIN_MAX_BODY, admin_resource
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from aibridge.wire.request import METHODS

DRAINING = "draining"
PROXY_METHODS = METHODS | {b"CONNECT"}

_KEPT_DESCRIPTORS = 64
"""For listeners, logs, look-ups, and what the process itself has open."""


@attrs.frozen
class Shares:
    """
    How the file descriptors are divided.

    :ivar waiting: connections that have not asked for anything yet.
    :ivar intercepted: connections; each may need one more, to the bridge.
    :ivar tunnels: with two each.
    """

    waiting: int
    intercepted: int
    tunnels: int

    @classmethod
    def of(cls, descriptors: int, connections: int, tunnels: int) -> Shares:
        """
        What there may be of each.

        :param connections: configured most of intercepted ones, or 0.
        :param tunnels: configured most of those, or 0.
        """
        free = max(16, descriptors - _KEPT_DESCRIPTORS)
        return cls(waiting=free // 8, intercepted=connections or free // 4, tunnels=tunnels or free * 3 // 16)


class ProxyService(DaemonService[ProxyLoaded]):
    """
    Everything that ``twistd aibridge-proxy`` runs.

    :param proxy: made for the configuration; its terms are replaced when that is read again.
    :param shares: how many connections there may be.
    :param make_identity: who answers for tokens under a configuration.
    :param on_change: told of every configuration that comes into force.
    """

    name = command = "aibridge-proxy"
    running_are = "requests and tunnels"

    def __init__(
        self,
        reactor: Any,
        loaded: ProxyLoaded,
        proxy: Proxy,
        assembly: Assembly,
        shares: Shares,
        notifier: Notifier,
        *,
        load: Callable[[], ProxyLoaded],
        make_identity: Callable[[ProxyLoaded], IIdentity],
        on_change: Callable[[ProxyLoaded], None],
    ) -> None:
        super().__init__(reactor, loaded, notifier, load=load, reloads=proxy.metrics.reloads)
        self.proxy = proxy
        self._assembly = assembly
        self._make_identity = make_identity
        self._on_change = on_change
        http = loaded.settings.http
        self.site = _site(Front(proxy), http, shares.waiting, reactor, proxy.new_id, PROXY_METHODS)
        proxy.site = _site(Within(proxy), http, shares.intercepted, reactor, proxy.new_id, METHODS)
        proxy.layers = Layers(proxy.site, reactor)
        admin = admin_resource(proxy.metrics.registry, self.unready, self._refresh)
        admin.putChild(b"ca-cert.pem", Download(self._certificate))
        self.admin_site = BridgeSite(admin, http, reactor)
        self.admin_site.max_body = ADMIN_MAX_BODY

    def _certificate(self) -> bytes:
        return as_pem([self.proxy.terms.leaves.authority.certificate])

    # -- start ---------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> IIdentity:
        """
        That of the terms.
        """
        return self.proxy.terms.identity

    def abandon(self) -> None:
        """
        There is nothing else.
        """

    @property
    def busy_with(self) -> int:
        """
        What is being connected, tunnels, and intercepted requests.
        """
        return self.proxy.running

    @property
    def draining(self) -> bool:
        """
        Nothing begins any more.
        """
        return self.proxy.draining

    def _refresh(self) -> None:
        proxy = self.proxy
        metrics, terms = proxy.metrics, proxy.terms
        counts = {
            "waiting": len(self.site.connections),
            "mitm": len(proxy.site.connections),
            "tunneled": len(proxy.tunnels.all),
        }
        for kind, count in counts.items():
            metrics.connections.labels(kind).set(count)
        metrics.leaf_entries.set(len(terms.leaves))
        metrics.ca_expires_at.set(terms.leaves.authority.certificate.not_valid_after_utc.timestamp())
        metrics.lost_completions.set(proxy.completions.lost)

    # -- reload --------------------------------------------------------------------------------------------------

    def adopt(self, loaded: ProxyLoaded) -> None:
        """
        New connections and requests begin under it; tunnels and running requests are left as they are.
        """
        proxy = self.proxy
        parts = self._assembly.prepare(loaded)
        identity, old = self._make_identity(loaded), proxy.terms.identity
        if identity is not old:
            identity.start()
        # From here on nothing can fail: all of it comes into force, in one turn.
        proxy.terms = self._assembly.adopt(parts, loaded, identity)
        proxy.dialer.waits.seconds = loaded.settings.proxy.connect_timeout
        if identity is not old:
            old.stop()

    def in_force(self) -> None:
        """
        Metrics tell whose traffic is intercepted.
        """
        metrics = self.proxy.metrics
        metrics.reloaded_at.set(self.proxy.wall_clock())
        metrics.provider_info.clear()
        for place in self.loaded.hosts:
            metrics.provider_info.labels(place.name, place.type).set(1)
        self._on_change(self.loaded)

    # -- stop ----------------------------------------------------------------------------------------------------

    def begin_drain(self, emptied: Callable[[], None]) -> None:
        """
        Newcomers are refused, and each answer closes its connection.
        """
        proxy = self.proxy
        proxy.draining = self.site.draining = proxy.site.draining = True
        proxy.emptied = emptied
        self.site.close_idle()
        proxy.site.close_idle()

    def drain_tick(self) -> None:
        """
        Silent tunnels end.
        """
        self.proxy.tunnels.end_silent(DRAINING)

    def end_running(self) -> None:
        """
        Requests with the dialect's error event, tunnels as they are.
        """
        proxy = self.proxy
        proxy.emptied = None
        for asking in list(proxy.connecting):
            asking.cut()
        for forwarding in list(proxy.forwardings):
            forwarding.cut()
        proxy.tunnels.end_all(DRAINING)

    def close_idle(self) -> None:
        """
        Those that have asked for nothing, intercepted ones, and those of the admin pages.
        """
        for site in (self.site, self.proxy.site, self.admin_site):
            site.close_idle()

    @property
    def connections(self) -> int:
        """
        All of clients, tunnels included.
        """
        proxy = self.proxy
        return len(self.site.connections) + len(proxy.site.connections) + len(proxy.tunnels.all)

    async def finish(self) -> None:
        """
        Connections to the bridge, whatever verifies tokens, and the log.
        """
        proxy = self.proxy
        self._assembly.close()
        await maybeDeferred(proxy.terms.identity.stop)
        proxy.completions.flush()


def _site(
    resource: Any, http: HttpSettings, most: int, reactor: Any, new_id: Callable[[], str], methods: frozenset[bytes]
) -> Any:
    settings = attrs.evolve(http, max_connections=most)
    return BridgeSite(resource, settings, reactor, new_id=new_id, methods=methods)
