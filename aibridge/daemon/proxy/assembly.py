"""
From a configuration to the terms of the proxy: which objects there are, and which survive a reload.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime

from aibridge.daemon.assembly import transport_of
from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.interfaces import IIdentity
from aibridge.mitm.addresses import Guard
from aibridge.mitm.authority import as_pem
from aibridge.mitm.dial import Route
from aibridge.mitm.leaves import Leaves
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.terms import ProxyTerms
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent
from aibridge.relay.client import RelayClient
from aibridge.relay.outage import Outage
from aibridge.relay.proxyurl import ProxyURL
from aibridge.relay.viaproxy import ForwardProxy


@attrs.frozen(eq=False)
class _Parts:
    """
    What is made once for a configuration, and kept for the next one where that has the same for it.
    """

    transport: TransportSettings
    agent: RelayAgent
    leaves_of: tuple[object, ...]
    leaves: Leaves
    upstream_of: tuple[ProxyURL, float] | None
    upstream: ForwardProxy | None


class Assembly:
    """
    Makes terms.

    :param wall_clock: Unix seconds.
    """

    def __init__(self, reactor: IReactorTime, wall_clock: Callable[[], float], metrics: ProxyMetrics) -> None:
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._metrics = metrics
        self._parts: _Parts | None = None
        self._leaving: set[RelayAgent] = set()

    @property
    def agent(self) -> RelayAgent | None:
        """
        What asks the bridge.
        """
        return None if self._parts is None else self._parts.agent

    def adopt(self, parts: _Parts, loaded: ProxyLoaded, identity: IIdentity) -> ProxyTerms:
        """
        The terms that a configuration describes. What nobody needs any more closes when its last call has ended.

        :param parts: made for it by `prepare`.
        """
        settings = loaded.settings
        before, self._parts = self._parts, parts
        if before is not None and before.agent is not parts.agent:
            self._retire(before.agent)
        allowed = [ipaddress.ip_network(text) for text in settings.proxy.allowed_private_cidrs]
        return ProxyTerms(
            hosts=loaded.hosts,
            identity=identity,
            client=RelayClient(parts.agent),
            bridge_url=settings.bridge.url.rstrip("/").encode("ascii"),
            outage=Outage(f"The bridge {settings.bridge.url}"),
            leaves=parts.leaves,
            tunnel=settings.proxy.tunnel,
            ports=frozenset(settings.proxy.ports),
            route=Route(
                guard=Guard(allowed),
                proxy=parts.upstream,
                resolves_here=settings.proxy.upstream_resolve == "here",
            ),
            # None of them is held here; which may be that large is the bridge's to say.
            max_body=max(settings.http.max_body, settings.http.max_upload),
        )

    def close(self) -> None:
        """
        Close the connections to the bridge that are not in use, and the others as soon as they are not.
        """
        if self._parts is not None:
            self._retire(self._parts.agent)

    def prepare(self, loaded: ProxyLoaded) -> _Parts:
        """
        Make what a configuration needs, and change nothing yet.

        :raises ValueError: a certificate file cannot be used.
        """
        settings, before = loaded.settings, self._parts
        reactor: Any = self._reactor
        transport = transport_of(settings.bridge)
        kept = before is not None and before.transport == transport
        agent = before.agent if before is not None and kept else RelayAgent(reactor, transport)
        timeout_s = settings.proxy.connect_timeout
        upstream_of = None if loaded.upstream is None else (loaded.upstream, timeout_s)
        upstream = None
        if before is not None and before.upstream_of == upstream_of:
            upstream = before.upstream
        elif loaded.upstream is not None:
            upstream = ForwardProxy(reactor, loaded.upstream, timeout_s)
        ca = settings.ca
        leaves_of = (as_pem([loaded.authority.certificate, *loaded.authority.chain]), ca.leaf_days, ca.leaf_cache)
        if before is not None and before.leaves_of == leaves_of:
            leaves = before.leaves
        else:
            count = self._metrics.leaf_looked_up
            leaves = Leaves(loaded.authority, ca.leaf_days, ca.leaf_cache, self._wall_clock, count)
        return _Parts(transport, agent, leaves_of, leaves, upstream_of, upstream)

    def _retire(self, agent: RelayAgent) -> None:
        self._leaving.add(agent)
        agent.close().addBoth(lambda _: self._leaving.discard(agent))
