"""
The daemon as a Twisted service: how it starts, reloads, drains and stops.

Note [Stop order]: readiness goes first, so that load balancers look elsewhere. The listener stays open and answers
503 to new exchanges while the running ones finish; whoever still comes is told instead of being left alone. When the
last has ended, or the drain time is up, what remains is ended honestly; then the listeners close, then the idle
connections on both sides, then the log of completions is written out. A second signal skips the waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from aibridge.admission.configured import breaker_terms, seat_terms
from aibridge.admission.report import report
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.config import ConfigErrors, Loaded
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.gauges import Gauges
from aibridge.daemon.limiting import limiters
from aibridge.daemon.listeners import Listeners, StartError
from aibridge.daemon.notify import Notifier
from aibridge.errors import Draining
from aibridge.interfaces import IIdentity
from aibridge.web.admin import admin_resource
from aibridge.web.bridge import BridgeResource
from aibridge.web.proxied import ProxiedFactory
from aibridge.web.site import BridgeSite
from aibridge.web.terms import Bridge

TICK_S = 5.0


class BridgeService(Service):
    """
    Everything that ``twistd aibridge`` runs.

    :param reactor: of the daemon.
    :param loaded: the configuration to start with.
    :param bridge: made for it; its terms are replaced when the configuration is read again.
    :param load: reads the configuration anew; raises `ConfigErrors`.
    :param make_identity: who answers for tokens under a configuration.
    :param on_change: told of every configuration that comes into force: log level, completion log.
    :param banner: called with this service once it listens.
    """

    _log = Logger()
    name = "aibridge"

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
    ) -> None:
        self.loaded = loaded
        self.bridge = bridge
        self.api = Listeners(reactor)
        self.admin = Listeners(reactor)
        self._reactor = reactor
        self._upstreams = upstreams
        self._shop = shop
        self._demo = demo
        self._notifier = notifier
        self._load = load
        self._make_identity = make_identity
        self._on_change = on_change
        self._banner = banner
        self._ready = False
        self._drained: Deferred[None] | None = None
        http = loaded.settings.http
        # Connections to the simulated provider end in this process too.
        each = 3 if any(provider.type == "demo" for provider in loaded.settings.provider) else 2
        root = BridgeResource(bridge)
        self.site: Any = BridgeSite(root, http, reactor, new_id=bridge.new_id, descriptors_each=each)
        bridge.metrics.registry.register(Gauges(bridge, self.site, upstreams))
        admin = admin_resource(bridge.metrics.registry, self.unready, report=self._report)
        self.admin_site = BridgeSite(admin, http, reactor)

    # -- start ---------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are given up.

        :raises StartError: something that is needed cannot be had; nothing is left half started.
        """
        super().privilegedStartService()
        listen = self.loaded.settings.listen
        try:
            self.bridge.terms.identity.start()
            self.admin.open(listen.admin, self.admin_site)
            factory: Any = self.site
            if listen.proxy_protocol_from:
                factory = ProxiedFactory(self.site, listen.proxy_protocol_from, self._reactor)
            self.api.open(listen.endpoints, factory)
            self.site.accept_from(self.api.ports)
        except (StartError, OSError, ValueError) as error:
            self.admin.close()
            self._demo.close()
            raise SystemExit(f"aibridge: {error}") from error

    def startService(self) -> None:
        """
        Take requests.
        """
        super().startService()
        self._ready = True
        self._in_force()
        for address in self.api.addresses():
            self._log.info("Listening on {address}.", address=address)
        for address in self.admin.addresses():
            self._log.info("Admin pages on {address}.", address=address)
        self._notifier.ready(self._status())
        self._banner(self)

    def unready(self) -> str:
        """
        Why no new exchanges are taken, or an empty text.
        """
        if self.bridge.draining:
            return "draining"
        return "" if self._ready else "starting"

    def _status(self) -> str:
        return f"{len(self.bridge.exchanges)} exchanges running"

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
        )
        return report(told, principal, bridge.now())

    # -- reload --------------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """
        Read the configuration again. A good one holds for exchanges that begin from now on; a bad one changes
        nothing. Neither touches the running ones, nor the levels of the buckets.

        :return: whether it came into force.
        """
        self._notifier.reloading(self._reactor.seconds())
        try:
            self._reload()
        except ConfigErrors as errors:
            for problem in errors.problems:
                self._log.error("{problem}", problem=str(problem))
            self._log.error("The configuration was not reloaded; the old one stays in force.")
        except (OSError, ValueError, StartError) as error:
            self._log.error("The configuration was not reloaded; the old one stays in force. {error}", error=str(error))
        else:
            self._log.info("The configuration was reloaded.")
            self.bridge.metrics.reloads.labels("success").inc()
            self._notifier.ready(self._status())
            return True
        self.bridge.metrics.reloads.labels("failure").inc()
        self._notifier.ready("Running on the old configuration: the new one has errors")
        return False

    def _reload(self) -> None:
        loaded = self._load()
        for name in self.loaded.settings.restart_needed(loaded.settings):
            self._log.warn("{name} has changed and takes effect at the next restart.", name=name)
        for problem in loaded.warnings:
            self._log.warn("{problem}", problem=str(problem))
        prepared = self._upstreams.prepare(loaded.settings)
        identity = self._make_identity(loaded)
        old = self.bridge.terms.identity
        if identity is not old:
            identity.start()
        # From here on nothing can fail: all of it comes into force, in one turn.
        bridge, settings = self.bridge, loaded.settings
        now = bridge.now()
        bridge.terms = self._shop.terms(settings, loaded.secrets, identity, prepared, now)
        bridge.turns.adopt(seat_terms(settings.admission, settings.provider), now)
        bridge.breakers.terms = breaker_terms(settings.breaker) or bridge.breakers.terms
        if identity is not old:
            old.stop()
        self.loaded = loaded
        self._in_force()

    def _in_force(self) -> None:
        metrics = self.bridge.metrics
        metrics.reloaded_at.set(self.bridge.wall_clock())
        metrics.provider_info.clear()
        for provider in self.loaded.settings.provider:
            metrics.provider_info.labels(provider.name, provider.type, "enabled").set(1)
        self._on_change(self.loaded)

    # -- stop ----------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """
        Drain and stop: see Note [Stop order].
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def hurry(self) -> None:
        """
        End what is still draining, now.
        """
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    async def _stop(self) -> None:
        bridge = self.bridge
        bridge.draining = self.site.draining = True
        await self._drain(self.loaded.settings.daemon.drain_timeout)
        for exchange in list(bridge.exchanges):
            exchange.cut(Draining())
        await DeferredList([*self.api.close(), *self.admin.close()])
        self.site.close_idle()
        self.admin_site.close_idle()
        self._demo.close()
        self._upstreams.close()
        await maybeDeferred(bridge.terms.identity.stop)
        bridge.completions.flush()
        self._log.info("Stopped.")

    async def _drain(self, timeout_s: float) -> None:
        bridge = self.bridge
        self.site.close_idle()
        if not bridge.exchanges or not timeout_s:
            return
        drained = self._drained = Deferred[None]()
        bridge.emptied = self.hurry
        until = self._reactor.seconds() + timeout_s
        self._log.info(
            "Draining: {count} exchanges have up to {timeout:g} s to end. A second signal ends them at once.",
            count=len(bridge.exchanges),
            timeout=timeout_s,
        )
        tick = None

        def ticked() -> None:
            nonlocal tick
            left = until - self._reactor.seconds()
            if left <= 0:
                self._log.warn("The drain time is up; {count} exchanges are ended.", count=len(bridge.exchanges))
                self.hurry()
                return
            self._notifier.stopping(f"Draining: {self._status()}", min(left, 2 * TICK_S) + TICK_S)
            tick = self._reactor.callLater(min(left, TICK_S), ticked)

        ticked()
        await drained
        bridge.emptied = None
        if tick is not None and tick.active():
            tick.cancel()
