"""
How a daemon of this package starts, reloads, drains and stops, whatever it serves.

Note [Stop order]: readiness goes first, so that load balancers look elsewhere. The listener stays open and tells those
who still come; what is running may finish. When the last of it has ended, or the drain time is up, what remains is
ended honestly; then the listeners close, and when everybody has what was written to them, whatever else there is to
close. A second signal skips the waiting for what is running.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from prometheus_client import Counter
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger

from aibridge.daemon.config import ConfigErrors
from aibridge.daemon.listeners import Listeners, StartError
from aibridge.daemon.notify import Notifier
from aibridge.daemon.process import Warned
from aibridge.daemon.settings import DaemonSettings, ListenSettings
from aibridge.interfaces import IIdentity
from aibridge.relay.vanished import notice_vanished
from aibridge.web.proxied import ProxiedFactory
from aibridge.web.settings import HttpSettings

TICK_S = 5.0
FAREWELL_S = 5.0
LOOK_S = 0.02
"""How long connections that are being closed may take to deliver what was written last, and how often that is looked
at."""


class Configured(Protocol):
    """
    As much of a daemon's settings as its life depends on.
    """

    @property
    def listen(self) -> ListenSettings:
        """
        Where it is found.
        """

    @property
    def daemon(self) -> DaemonSettings:
        """
        How the process lives.
        """

    @property
    def http(self) -> HttpSettings:
        """
        The limits of its clients' connections.
        """

    def restart_needed(self, new: Any) -> list[str]:
        """
        The options that have changed and keep their value until a restart.
        """


class Usable(Warned, Protocol):
    """
    A configuration that can be used.
    """

    @property
    def settings(self) -> Configured:
        """
        What it says.
        """


Configuration = TypeVar("Configuration", bound=Usable)


class DaemonService(Service, Generic[Configuration]):
    """
    Everything that a daemon runs. What it serves is its subclass's.

    :param reactor: of the daemon.
    :param loaded: the configuration to start with.
    :param load: reads the configuration anew; raises `ConfigErrors`.
    :param reloads: counts them by their outcome.
    :cvar command: how it is called, before what it prints when it cannot start.
    :cvar running_are: what is running, in words.
    :ivar site: who clients come to.
    :ivar admin_site: who admins come to.
    """

    _log = Logger()
    command: ClassVar[str]
    running_are: ClassVar[str]
    site: Any
    admin_site: Any

    def __init__(
        self,
        reactor: Any,
        loaded: Configuration,
        notifier: Notifier,
        *,
        load: Callable[[], Configuration],
        reloads: Counter,
    ) -> None:
        self.loaded = loaded
        self.api = Listeners(reactor)
        self.admin = Listeners(reactor)
        self._reactor = reactor
        self._notifier = notifier
        self._load = load
        self._reloads = reloads
        self._ready = False
        self._drained: Deferred[None] | None = None

    # -- what a subclass says ------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """
        Nothing begins any more.
        """
        raise NotImplementedError

    @property
    def busy_with(self) -> int:
        """
        How much is running that a drain waits for.
        """
        raise NotImplementedError

    @property
    def identity(self) -> IIdentity:
        """
        Who verifies tokens under the configuration in force.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """
        Close what `listen` has opened before it failed.
        """
        raise NotImplementedError

    def adopt(self, loaded: Configuration) -> None:
        """
        Bring a configuration into force, all of it in one turn, or raise and change nothing.
        """
        raise NotImplementedError

    def in_force(self) -> None:
        """
        `loaded` holds from now on; say so to whom it concerns.
        """
        raise NotImplementedError

    def begin_drain(self, emptied: Callable[[], None]) -> None:
        """
        Let nothing begin any more, and close what is idle.

        :param emptied: to be called when the last of what is running has ended.
        """
        raise NotImplementedError

    def drain_tick(self) -> None:
        """
        A drain goes on.
        """

    def end_running(self) -> None:
        """
        End what is still running, honestly.
        """
        raise NotImplementedError

    def close_idle(self) -> None:
        """
        Close the client connections on which nothing is running.
        """
        raise NotImplementedError

    @property
    def connections(self) -> int:
        """
        Client connections that are open.
        """
        raise NotImplementedError

    async def finish(self) -> None:
        """
        Nobody listens any more, and no client is connected: close the rest.
        """
        raise NotImplementedError

    # -- start ---------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """
        Open every listener, and start whatever may fail to.

        :raises StartError: or OSError, or ValueError: something that is needed cannot be had.
        """
        listen = self.loaded.settings.listen
        self.identity.start()
        self.admin.open(listen.admin, self.admin_site)
        factory: Any = self.site
        if listen.proxy_protocol_from:
            factory = ProxiedFactory(self.site, listen.proxy_protocol_from, self._reactor)
        self.api.open(listen.endpoints, factory)
        self.site.accept_from(self.api.ports)
        for port in (*self.api.ports, *self.admin.ports):
            notice_vanished(getattr(port, "socket", None), self.loaded.settings.http.dead_peer_timeout)

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are given up.

        :raises SystemExit: something that is needed cannot be had; nothing is left half started.
        """
        super().privilegedStartService()
        try:
            self.listen()
        except (StartError, OSError, ValueError) as error:
            self.admin.close()
            self.abandon()
            raise SystemExit(f"{self.command}: {error}") from error

    def startService(self) -> None:
        """
        Take requests.
        """
        super().startService()
        self._ready = True
        self.in_force()
        for address in self.api.addresses():
            self._log.info("Listening on {address}.", address=address)
        for address in self.admin.addresses():
            self._log.info("Admin pages on {address}.", address=address)
        self._notifier.ready(self._status())

    def unready(self) -> str:
        """
        Why nothing new is taken, or an empty text.
        """
        if self.draining:
            return "draining"
        return "" if self._ready else "starting"

    def _status(self) -> str:
        return f"{self.busy_with} {self.running_are} running"

    # -- reload --------------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """
        Read the configuration again. A good one holds for what begins from now on; a bad one changes nothing. Neither
        touches what is running.

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
            self._reloads.labels("success").inc()
            self._notifier.ready(self._status())
            return True
        self._reloads.labels("failure").inc()
        self._notifier.ready("Running on the old configuration: the new one has errors")
        return False

    def _reload(self) -> None:
        loaded = self._load()
        for name in self.loaded.settings.restart_needed(loaded.settings):
            self._log.warn("{name} has changed and takes effect at the next restart.", name=name)
        for problem in loaded.warnings:
            self._log.warn("{problem}", problem=str(problem))
        self.adopt(loaded)
        self.loaded = loaded
        self.in_force()

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
        self.begin_drain(self.hurry)
        await self._drain(self.loaded.settings.daemon.drain_timeout)
        self.end_running()
        await DeferredList([*self.api.close(), *self.admin.close()])
        await self._farewell()
        await self.finish()
        self._log.info("Stopped.")

    async def _farewell(self) -> None:
        # A process that ends takes with it what its transports have not sent.
        until = self._reactor.seconds() + FAREWELL_S
        self.close_idle()
        while self.connections and self._reactor.seconds() < until:
            await deferLater(self._reactor, LOOK_S)

    async def _drain(self, timeout_s: float) -> None:
        if not self.busy_with or not timeout_s:
            return
        drained = self._drained = Deferred[None]()
        until = self._reactor.seconds() + timeout_s
        self._log.info(
            "Draining: {count} {what} have up to {timeout:g} s to end. A second signal ends them at once.",
            count=self.busy_with,
            what=self.running_are,
            timeout=timeout_s,
        )
        tick = None

        def ticked() -> None:
            nonlocal tick
            left = until - self._reactor.seconds()
            if left <= 0:
                self._log.warn(
                    "The drain time is up; {count} {what} are ended.", count=self.busy_with, what=self.running_are
                )
                self.hurry()
                return
            self._notifier.stopping(f"Draining: {self._status()}", min(left, 2 * TICK_S) + TICK_S)
            tick = self._reactor.callLater(min(left, TICK_S), ticked)
            self.drain_tick()

        ticked()
        await drained
        if tick is not None and tick.active():
            tick.cancel()
