"""
Tests for `aibridge.daemon.lifecycle`, of a daemon that serves nothing. The bridge's own life is in the tests of its
service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, Counter
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.config import ConfigErrors, Problem
from aibridge.daemon.lifecycle import FAREWELL_S, LOOK_S, TICK_S, DaemonService
from aibridge.daemon.listeners import StartError
from aibridge.daemon.notify import Notifier
from aibridge.daemon.problems import Kind, Origin
from aibridge.daemon.settings import DaemonSettings, ListenSettings
from aibridge.web.settings import HttpSettings


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


@attrs.frozen
class Settings:
    """
    A daemon's that has nothing to be set.
    """

    daemon: DaemonSettings = attrs.field(factory=DaemonSettings)
    changed: tuple[str, ...] = ()
    listen: ListenSettings = attrs.field(factory=ListenSettings)
    http: HttpSettings = attrs.field(factory=HttpSettings)

    def restart_needed(self, new: Settings) -> list[str]:
        """
        What the new one says.
        """
        return list(new.changed)


@attrs.frozen
class Loaded:
    """
    A configuration.
    """

    settings: Settings = attrs.field(factory=Settings)
    warnings: tuple[Problem, ...] = ()


class Nothing(DaemonService[Loaded]):
    """
    Serves nothing, and says how it was treated.
    """

    command = "nothing"
    running_are = "things"

    def __init__(self, reactor: Any, told: Notifier, load: Callable[[], Loaded]) -> None:
        registry = CollectorRegistry()
        self.reloads = Counter("reloads", "Reloads.", ("outcome",), registry=registry)
        super().__init__(reactor, Loaded(), told, load=load, reloads=self.reloads)
        self.steps: list[str] = []
        self.things = 0
        self.clients = 0
        self.broken: Exception | None = None
        self.drains = False
        self.emptied: Callable[[], None] = lambda: None

    @property
    def busy_with(self) -> int:
        return self.things

    @property
    def draining(self) -> bool:
        return self.drains

    @property
    def connections(self) -> int:
        return self.clients

    def close_idle(self) -> None:
        self.steps.append("close idle")

    def listen(self) -> None:
        self.steps.append("listen")
        if self.broken is not None:
            raise self.broken

    def abandon(self) -> None:
        self.steps.append("abandon")

    def adopt(self, loaded: Loaded) -> None:
        if self.broken is not None:
            raise self.broken
        self.steps.append("adopt")

    def in_force(self) -> None:
        self.steps.append("in force")

    def begin_drain(self, emptied: Callable[[], None]) -> None:
        self.drains = True
        self.emptied = emptied
        self.steps.append("drain")

    def drain_tick(self) -> None:
        self.steps.append("tick")

    def end_running(self) -> None:
        self.steps.append(f"end {self.things}")

    async def finish(self) -> None:
        self.steps.append("finish")


class LifeTests(SynchronousTestCase):
    """
    From start to stop.
    """

    def setUp(self) -> None:
        """
        A daemon that was not started.
        """
        self.reactor = MemoryReactorClock()
        self.told = Told()
        self.next: Callable[[], Loaded] = Loaded
        self.service = Nothing(self.reactor, self.told, lambda: self.next())

    def start(self) -> None:
        """
        Start it.
        """
        self.service.privilegedStartService()
        self.service.startService()

    def outcome(self, name: str) -> float:
        """
        How many reloads have come to this.
        """
        value: float = self.service.reloads.labels(name)._value.get()
        return value

    def test_start(self) -> None:
        """
        It listens first, and is ready when all of it is there.
        """
        self.assertEqual(self.service.unready(), "starting")
        self.start()
        self.assertEqual(self.service.steps, ["listen", "in force"])
        self.assertEqual(self.service.unready(), "")
        self.assertEqual(self.told.lines, ["READY=1", "STATUS=0 things running"])

    def test_start_fails(self) -> None:
        """
        In one line, with nothing left half open.
        """
        for error in (StartError("no port"), OSError("no file"), ValueError("no tokens")):
            self.service.broken = error
            caught = self.assertRaises(SystemExit, self.service.privilegedStartService)
            self.assertEqual(caught.code, f"nothing: {error}")
        self.assertEqual(self.service.steps, ["listen", "abandon"] * 3)

    def test_reload(self) -> None:
        """
        A new configuration holds when all of it does.
        """
        self.start()
        new = Loaded(Settings(changed=("listen.endpoints",)))
        self.next = lambda: new
        self.told.lines.clear()
        self.assertTrue(self.service.reload())
        self.assertIs(self.service.loaded, new)
        self.assertEqual(self.service.steps[2:], ["adopt", "in force"])
        self.assertEqual([line.partition("=")[0] for line in self.told.lines[:2]], ["RELOADING", "MONOTONIC_USEC"])
        self.assertEqual(self.told.lines[-2:], ["READY=1", "STATUS=0 things running"])
        self.assertEqual((self.outcome("success"), self.outcome("failure")), (1, 0))

    def test_reload_of_a_bad_one(self) -> None:
        """
        Whether it cannot be read or cannot be brought into force: nothing changes, and systemd is told.
        """
        self.start()
        old = self.service.loaded
        problem = Problem(origin=Origin(Kind.FILE, "/f"), key="a", found="x", allowed="y")

        def unreadable() -> Loaded:
            raise ConfigErrors([problem])

        self.next = unreadable
        self.assertFalse(self.service.reload())
        self.next = Loaded
        self.service.broken = ValueError("no such certificate")
        self.assertFalse(self.service.reload())
        self.assertIs(self.service.loaded, old)
        self.assertEqual(self.service.steps, ["listen", "in force"])
        self.assertEqual(self.told.lines[-1], "STATUS=Running on the old configuration: the new one has errors")
        self.assertEqual(self.outcome("failure"), 2)

    def test_stop_with_nothing_to_do(self) -> None:
        """
        It does not wait.
        """
        self.start()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.service.steps[2:], ["drain", "end 0", "close idle", "finish"])
        self.assertEqual(self.service.unready(), "draining")

    def test_drain_waits(self) -> None:
        """
        Until the last has ended; meanwhile systemd hears that it goes on.
        """
        self.start()
        self.service.things = 2
        stopped = self.service.stopService()
        self.reactor.advance(TICK_S)
        self.assertNoResult(stopped)
        self.assertEqual(self.told.lines[-1], f"EXTEND_TIMEOUT_USEC={int(3 * TICK_S * 1e6)}")
        self.service.things = 0
        self.service.emptied()
        self.successResultOf(stopped)
        self.assertEqual(self.service.steps[2:], ["drain", "tick", "tick", "end 0", "close idle", "finish"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_drain_has_an_end(self) -> None:
        """
        What is still running then is ended.
        """
        self.start()
        self.service.loaded = Loaded(Settings(DaemonSettings(drain_timeout=7.0)))
        self.service.things = 2
        stopped = self.service.stopService()
        self.reactor.advance(TICK_S)
        self.assertNoResult(stopped)
        self.reactor.advance(2.0)
        self.successResultOf(stopped)
        self.assertEqual(self.service.steps[-3:], ["end 2", "close idle", "finish"])

    def test_drain_can_be_hurried(self) -> None:
        """
        By a second signal; a third one finds nothing to do.
        """
        self.start()
        self.service.things = 1
        stopped = self.service.stopService()
        self.service.hurry()
        self.service.hurry()
        self.successResultOf(stopped)
        self.assertEqual(self.service.steps[-3:], ["end 1", "close idle", "finish"])

    def test_what_was_written_last_is_delivered(self) -> None:
        """
        It ends when the last client is gone, and nobody is waited for long.
        """
        self.start()
        self.service.clients = 1
        stopped = self.service.stopService()
        self.reactor.advance(LOOK_S)
        self.assertEqual(self.service.steps[-2:], ["end 0", "close idle"])
        self.service.clients = 0
        self.reactor.advance(LOOK_S)
        self.successResultOf(stopped)
        self.service.clients = 1
        stopped = self.service.stopService()
        self.reactor.pump([LOOK_S] * int(FAREWELL_S / LOOK_S - 1))
        self.assertNoResult(stopped)
        self.reactor.pump([LOOK_S] * 2)
        self.successResultOf(stopped)
