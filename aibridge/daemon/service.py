"""
The bridge as a daemon: what it listens with, what a reload brings into force, and what its stop waits for.

Its running exchanges are what a drain waits for; who still comes is answered 503. Then the idle connections on both
sides are closed, and the log of completions is written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred

from aibridge.admission.configured import breaker_terms, seat_terms
from aibridge.admission.report import report
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.config import Loaded
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.gauges import Gauges
from aibridge.daemon.journal import Journal
from aibridge.daemon.lifecycle import DaemonService
from aibridge.daemon.limiting import limiters
from aibridge.daemon.notify import Notifier
from aibridge.errors import Draining
from aibridge.interfaces import IIdentity
from aibridge.web.admin import ADMIN_MAX_BODY, admin_resource
from aibridge.web.bridge import BridgeResource
from aibridge.web.site import BridgeSite
from aibridge.web.terms import Bridge


class BridgeService(DaemonService[Loaded]):
    """
    Everything that ``twistd aibridge`` runs.

    :param bridge: made for the configuration; its terms are replaced when that is read again.
    :param make_identity: who answers for tokens under a configuration.
    :param journal: of stored objects, if there is one.
    :param on_change: told of every configuration that comes into force: log level, completion log.
    :param banner: called with this service once it listens.
    """

    name = command = "aibridge"
    running_are = "exchanges"

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        bridge: Bridge,
        upstreams: Upstreams,
        shop: Shop,
        demo: DemoListener,
        notifier: Notifier,
        *,
        load: Callable[[], Loaded],
        make_identity: Callable[[Loaded], IIdentity],
        on_change: Callable[[Loaded], None],
        banner: Callable[[BridgeService], None],
        journal: Journal | None = None,
    ) -> None:
        super().__init__(reactor, loaded, notifier, load=load, reloads=bridge.metrics.reloads)
        self.bridge = bridge
        self._upstreams = upstreams
        self._shop = shop
        self._demo = demo
        self._make_identity = make_identity
        self._on_change = on_change
        self._banner = banner
        self._journal = journal
        http = loaded.settings.http
        # Connections to the simulated provider end in this process too.
        each = 3 if any(provider.type == "demo" for provider in loaded.settings.provider) else 2
        root = BridgeResource(bridge)
        self.site: Any = BridgeSite(root, http, reactor, new_id=bridge.new_id, descriptors_each=each)
        bridge.metrics.registry.register(Gauges(bridge, self.site, upstreams))
        admin = admin_resource(bridge.metrics.registry, self.unready, report=self._report)
        self.admin_site = BridgeSite(admin, http, reactor)
        self.admin_site.max_body = ADMIN_MAX_BODY

    # -- start ---------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> IIdentity:
        """
        That of the terms.
        """
        return self.bridge.terms.identity

    def abandon(self) -> None:
        """
        The simulated provider's.
        """
        self._demo.close()

    def startService(self) -> None:
        """
        Take requests, and greet.
        """
        # Only now, as a thread does not outlive becoming a daemon.
        self._remember()
        super().startService()
        self._banner(self)

    def _remember(self) -> None:
        if self._journal is None:
            self._log.info("Without daemon.state_dir a restart forgets who made which stored object.")
            return
        try:
            self._journal.start()
        except OSError as error:
            self._log.error("Who made which stored object is not kept over a restart: {error}.", error=error)

    @property
    def busy_with(self) -> int:
        """
        Exchanges.
        """
        return len(self.bridge.exchanges)

    @property
    def draining(self) -> bool:
        """
        No exchange begins any more.
        """
        return self.bridge.draining

    def _report(self, name: str | None) -> dict[str, Any]:
        bridge = self.bridge
        principal = None
        if name is not None:
            principal = bridge.terms.identity.principal_named(name)
            if principal is None:
                raise LookupError(name)
        accounts = bridge.terms.accounts
        told = limiters(
            self.loaded,
            bridge.turns.seats,
            bridge.terms.policies,
            bridge.breakers if bridge.terms.breaks else None,
            {name: account.keys for name, account in accounts.items() if account.keys is not None},
            {name: account.budget for name, account in accounts.items() if account.retries},
            bridge.learned,
        )
        return report(told, principal, bridge.now())

    # -- reload --------------------------------------------------------------------------------------------------

    def adopt(self, loaded: Loaded) -> None:
        """
        New exchanges begin under it; the running ones, and the levels of the buckets, are left as they are.
        """
        prepared = self._upstreams.prepare(loaded.settings, loaded.proxies)
        identity = self._make_identity(loaded)
        old = self.bridge.terms.identity
        if identity is not old:
            identity.start()
        # From here on nothing can fail: all of it comes into force, in one turn.
        bridge, settings = self.bridge, loaded.settings
        now = bridge.now()
        bridge.terms = self._shop.terms(settings, loaded.secrets, identity, prepared, now)
        bridge.bodies.adopt(settings.http.bodies, settings.http.max_bodies_wait)
        bridge.turns.adopt(seat_terms(settings.admission, settings.provider), now)
        bridge.breakers.terms = breaker_terms(settings.breaker) or bridge.breakers.terms
        if identity is not old:
            old.stop()

    def in_force(self) -> None:
        """
        Metrics tell which providers there are.
        """
        metrics = self.bridge.metrics
        metrics.reloaded_at.set(self.bridge.wall_clock())
        told_apart = self.loaded.settings.metrics
        metrics.bound(by_principal=told_apart.by_principal, series=told_apart.max_series)
        metrics.provider_info.clear()
        for provider in self.loaded.settings.provider:
            metrics.provider_info.labels(provider.name, provider.type, "enabled").set(1)
        self._on_change(self.loaded)

    # -- stop ----------------------------------------------------------------------------------------------------

    def begin_drain(self, emptied: Callable[[], None]) -> None:
        """
        Newcomers are answered 503.
        """
        self.bridge.draining = self.site.draining = True
        self.bridge.emptied = emptied
        self.site.close_idle()

    def end_running(self) -> None:
        """
        Each with the dialect's error event.
        """
        self.bridge.emptied = None
        for exchange in list(self.bridge.exchanges):
            exchange.cut(Draining())

    def close_idle(self) -> None:
        """
        Those of both listeners.
        """
        self.site.close_idle()
        self.admin_site.close_idle()

    @property
    def connections(self) -> int:
        """
        Those of clients.
        """
        return len(self.site.connections)

    async def finish(self) -> None:
        """
        Connections to providers, whatever verifies tokens, and the log.
        """
        self._demo.close()
        self._upstreams.close()
        await maybeDeferred(self.bridge.terms.identity.stop)
        self.bridge.completions.flush()
        if self._journal is not None:
            self._journal.stop()
