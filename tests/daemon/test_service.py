"""
The service: start, reload, drain and stop, without a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.settings import AdmissionSettings
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.config import ConfigErrors, Loaded
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.notify import Notifier
from aibridge.daemon.service import BridgeService
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings
from aibridge.web.settings import HttpSettings
from fakes import KnowsOne, bridge

DEMO = ProviderSettings(name="demo", type="demo")


class Told(Notifier):
    """
    Remembers what systemd would be told.
    """

    def __init__(self) -> None:
        super().__init__({})
        self.lines: list[str] = []

    def tell(self, *lines: str) -> bool:
        """
        Remember it.
        """
        self.lines += lines
        return True


class Identity(KnowsOne):
    """
    Remembers whether it runs.
    """

    running = False
    broken = False

    def start(self) -> None:
        """
        Start, if it can.
        """
        if self.broken:
            raise ValueError("no tokens")
        self.running = True

    def stop(self) -> None:
        """
        Stop.
        """
        self.running = False


class Reactor(MemoryReactorClock):
    """
    One on which a port may be taken.
    """

    taken = -1

    def listenTCP(self, port: int, *arguments: Any, **keywords: Any) -> Any:
        """
        Refuse the taken one.
        """
        if port == self.taken:
            raise CannotListenError("127.0.0.1", port, OSError(98, "Address already in use"))
        return super().listenTCP(port, *arguments, **keywords)


class Running:
    """
    As much of an exchange as a drain sees.
    """

    def __init__(self, service: BridgeService) -> None:
        self.cause: Exception | None = None
        self._bridge = service.bridge
        self._bridge.exchanges.add(self)  # type: ignore[arg-type]  # it stands for one

    def cut(self, error: Exception) -> None:
        """
        End.
        """
        self.cause = error
        self._bridge.exchanges.discard(self)


class ServiceTests(SynchronousTestCase):
    """
    One service on a reactor in memory.
    """

    def setUp(self) -> None:
        """
        A service that was not started.
        """
        self.reactor = Reactor()
        self.told = Told()
        self.identities: list[Identity] = []
        self.fixture = bridge(identity=self.identity(None))
        self.next: Callable[[], Loaded] = lambda: self.loaded()
        self.greeted: list[BridgeService] = []
        self.in_force: list[Loaded] = []
        upstreams = Upstreams(self.reactor)
        demo = DemoListener(self.reactor, lambda: 0.0, HttpSettings())
        self.service = BridgeService(
            self.reactor,
            self.loaded(),
            self.fixture.bridge,
            upstreams,
            Shop(upstreams, demo.url, lambda *_: None),
            demo,
            self.told,
            load=lambda: self.next(),
            make_identity=self.identity,
            on_change=self.in_force.append,
            banner=self.greeted.append,
        )

    def identity(self, _: Loaded | None) -> Identity:
        """
        One more.
        """
        made = Identity()
        self.identities.append(made)
        return made

    def loaded(self, **changes: Any) -> Loaded:
        """
        A configuration.
        """
        return Loaded(settings=attrs.evolve(Settings(provider=(DEMO,)), **changes), secrets={}, origins={})

    def start(self) -> None:
        """
        Start it as twistd does.
        """
        self.service.privilegedStartService()
        self.service.startService()

    def test_start(self) -> None:
        """
        It listens, follows its tokens, and says so.
        """
        self.assertEqual(self.service.unready(), "starting")
        self.start()
        self.assertEqual(self.service.unready(), "")
        self.assertEqual([call[0] for call in self.reactor.tcpServers], [4001, 4000])
        self.assertTrue(self.identities[0].running)
        self.assertIn("READY=1", self.told.lines)
        self.assertEqual(self.greeted, [self.service])

    def test_port_taken(self) -> None:
        """
        A port that is taken ends the start with one sentence.
        """
        self.reactor.taken = 4000
        error = self.assertRaises(SystemExit, self.service.privilegedStartService)
        self.assertIn("cannot listen on tcp:port=4000", str(error))
        self.assertEqual(self.service.admin.ports, [])

    def test_no_identity(self) -> None:
        """
        So do tokens that cannot be used, before anything listens.
        """
        self.identities[0].broken = True
        self.assertRaises(SystemExit, self.service.privilegedStartService)
        self.assertEqual(self.reactor.tcpServers, [])

    def test_reload(self) -> None:
        """
        A good configuration is in force afterwards; the gate is the same.
        """
        self.start()
        seats = self.fixture.bridge.turns.seats
        other = ProviderSettings(name="other", type="openai")
        self.next = lambda: self.loaded(provider=(DEMO, other), admission=AdmissionSettings(max_concurrency=9))
        self.assertTrue(self.service.reload())
        self.assertEqual(set(self.fixture.bridge.terms.routes.providers), {"demo", "other"})
        self.assertIs(self.fixture.bridge.turns.seats, seats)
        self.assertEqual(seats.terms.max_concurrency, 9)
        self.assertEqual([identity.running for identity in self.identities], [False, True])
        self.assertEqual(len(self.in_force), 2)
        self.assertEqual(self.told.lines.count("READY=1"), 2)
        registry = self.fixture.bridge.metrics.registry
        self.assertEqual(registry.get_sample_value("aibridge_reloads_total", {"outcome": "success"}), 1)

    def test_bad_reload(self) -> None:
        """
        A bad one changes nothing.
        """
        self.start()
        terms = self.fixture.bridge.terms

        def bad() -> Loaded:
            raise ConfigErrors([], [])

        self.next = bad
        self.assertFalse(self.service.reload())
        self.assertIs(self.fixture.bridge.terms, terms)
        self.assertTrue(self.identities[0].running)

    def test_reload_with_bad_tokens(self) -> None:
        """
        Neither does one whose tokens cannot be used.
        """
        self.start()
        terms = self.fixture.bridge.terms
        Identity.broken = True
        self.addCleanup(setattr, Identity, "broken", False)
        self.assertFalse(self.service.reload())
        self.assertIs(self.fixture.bridge.terms, terms)

    def test_stop_idle(self) -> None:
        """
        Without exchanges it stops at once.
        """
        self.start()
        stopped = self.service.stopService()
        self.reactor.advance(5)
        self.successResultOf(stopped)
        self.assertEqual((self.service.unready(), self.identities[0].running), ("draining", False))

    def test_drain(self) -> None:
        """
        It waits for the last exchange, asking the manager for patience, and listens meanwhile.
        """
        self.start()
        running = Running(self.service)
        stopped = self.service.stopService()
        self.assertEqual((self.service.unready(), self.fixture.bridge.draining), ("draining", True))
        self.reactor.pump([5.0] * 10)
        self.assertNoResult(stopped)
        self.assertEqual(len(self.service.api.ports), 1)
        self.assertTrue(any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in self.told.lines))
        self.fixture.bridge.exchanges.clear()
        assert self.fixture.bridge.emptied is not None
        self.fixture.bridge.emptied()
        self.reactor.advance(5)
        self.successResultOf(stopped)
        self.assertIsNone(running.cause)

    def test_drain_timeout(self) -> None:
        """
        What still runs when the time is up is ended.
        """
        self.start()
        running = Running(self.service)
        stopped = self.service.stopService()
        self.reactor.pump([5.0] * 121)
        self.successResultOf(stopped)
        self.assertIsInstance(running.cause, errors.Draining)

    def test_hurry(self) -> None:
        """
        A second signal ends it at once; a third is no harm.
        """
        self.start()
        running = Running(self.service)
        stopped = self.service.stopService()
        self.service.hurry()
        self.service.hurry()
        self.reactor.advance(5)
        self.successResultOf(stopped)
        self.assertIsInstance(running.cause, errors.Draining)
