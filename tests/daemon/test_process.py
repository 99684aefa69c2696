"""
Tests for `aibridge.daemon.process`. What it does to the global reactor is tried in processes of their own.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.config import ConfigErrors, Problem
from aibridge.daemon.problems import Kind, Origin, Severity
from aibridge.daemon.process import (
    EXIT_CONFIG,
    DaemonOptions,
    Log,
    heed_signals,
    log_observer,
    read_or_exit,
    spare_what_lasts,
)
from aibridge.daemon.settings import LogSettings
from aibridge.web.completions import Completions


class Options(DaemonOptions):
    """
    A daemon's that has two.
    """

    optParameters = [["config", "c", None, "The file."], ["rate-limit", None, None, "A limit."]]


class OptionsTests(SynchronousTestCase):
    """
    The command line.
    """

    def test_given(self) -> None:
        """
        Only what was said is handed on, by its name; the file is no setting.
        """
        options = Options()
        options.parseOptions(["--rate-limit", "2.5", "--config", "/f"])
        self.assertEqual(options.given(), {"rate-limit": "2.5"})
        self.assertEqual(options["config"], "/f")

    def test_unknown(self) -> None:
        """
        An unknown option is refused.
        """
        self.assertRaises(UsageError, Options().parseOptions, ["--no-such-thing"])

    def logger(self, *arguments: str) -> Any:
        """
        How twistd is told to log.
        """
        twistd: Any = ServerOptions()
        options = Options()
        options.parent = twistd
        twistd["nodaemon"] = "-n" in arguments
        options.parseOptions([])
        return twistd.get("logger")

    def test_logs_by_itself(self) -> None:
        """
        In the foreground it logs its own way, by a name that leads to the observer.
        """
        self.assertEqual(self.logger("-n"), "aibridge.daemon.process.log_observer")
        self.assertIs(log_observer(), log_observer())

    def test_leaves_twistd_alone(self) -> None:
        """
        In the background twistd's own way stays.
        """
        self.assertIsNone(self.logger())


def problem(severity: Severity = Severity.ERROR) -> Problem:
    """
    Something wrong with a file.
    """
    return Problem(origin=Origin(Kind.FILE, "/f"), key="a.b", found="x", allowed="y", severity=severity)


@attrs.frozen
class Loaded:
    """
    A configuration that is odd.
    """

    warnings: tuple[Problem, ...] = (problem(Severity.WARNING),)


class ReadTests(SynchronousTestCase):
    """
    The first reading of a configuration.
    """

    def test_warnings_are_printed(self) -> None:
        """
        With the daemon's name, a line each.
        """
        complained = io.StringIO()
        loaded = Loaded()
        with contextlib.redirect_stderr(complained):
            self.assertIs(read_or_exit(lambda: loaded, "bridge"), loaded)
        self.assertEqual(complained.getvalue(), "bridge: warning: /f: a.b: found x; allowed: y\n")

    def test_errors_end_the_process(self) -> None:
        """
        All of them are printed, and the status says that it was the configuration.
        """

        def read() -> Loaded:
            raise ConfigErrors([problem(), problem()])

        complained = io.StringIO()
        with contextlib.redirect_stderr(complained):
            caught = self.assertRaises(SystemExit, read_or_exit, read, "bridge")
        self.assertEqual(caught.code, EXIT_CONFIG)
        self.assertEqual(complained.getvalue(), "bridge: /f: a.b: found x; allowed: y\n" * 2)


class Threads:
    """
    As much of a reactor as signals meet.
    """

    def __init__(self) -> None:
        self.stops = 0

    def callWhenRunning(self, step: Callable[..., object], *arguments: Any) -> None:
        """
        It runs.
        """
        step(*arguments)

    def callFromThread(self, step: Callable[[], object]) -> None:
        """
        At once.
        """
        step()

    def stop(self) -> None:
        """
        Count it.
        """
        self.stops += 1


class Served:
    """
    Counts what signals make of it.
    """

    def __init__(self) -> None:
        self.reloads = self.hurries = 0

    def reload(self) -> None:
        """
        Count it.
        """
        self.reloads += 1

    def hurry(self) -> None:
        """
        Count it.
        """
        self.hurries += 1


class SignalTests(SynchronousTestCase):
    """
    What signals do.
    """

    def test_signals(self) -> None:
        """
        SIGHUP reloads, the first SIGTERM or SIGINT stops, and each further one hurries.
        """
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        reactor, service = Threads(), Served()
        heed_signals(reactor, service)
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        self.assertEqual((service.reloads, reactor.stops, service.hurries), (2, 1, 2))


class MemoryTests(SynchronousTestCase):
    """
    What the garbage collector looks at.
    """

    def test_what_lasts_is_spared(self) -> None:
        """
        Once the reactor runs, what there is by then.
        """
        self.addCleanup(gc.unfreeze)
        waiting: list[Any] = []

        class Starting:
            def callWhenRunning(self, call: Any) -> None:
                waiting.append(call)

        before = gc.get_freeze_count()
        spare_what_lasts(Starting())
        self.assertEqual(gc.get_freeze_count(), before)
        for call in waiting:
            call()
        self.assertGreater(gc.get_freeze_count(), before + 1000)


@pytest.fixture
def restored() -> Any:
    """
    The one observer of this process, as it was.
    """
    observer = log_observer()
    level, as_json = observer.level, observer.as_json
    yield observer
    observer.level, observer.as_json = level, as_json


def test_log_follows_the_settings(restored: Any, tmp_path: Path) -> None:
    """
    Level, form and place, each time when new ones come into force.
    """
    completions: Completions[int] = Completions(Clock(), None, str)
    log = Log(completions, lambda told: f"json {told}", lambda told: f"text {told}")
    path = tmp_path / "completions"
    for settings in (
        LogSettings(level="debug", format="json", completions=str(path)),
        LogSettings(level="warn", format="text", completions=str(path)),
        LogSettings(completions=""),
    ):
        log.in_force(settings)
        completions.add(1)
        completions.flush()
        assert restored.level is LogLevel.lookupByName(settings.level)
        assert restored.as_json is (settings.format == "json")
    assert path.read_text() == "json 1\ntext 1\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_standard_output_is_kept_open(restored: Any) -> None:
    """
    However often it is chosen, it is the same one, which twistd cannot take away.
    """
    completions: Completions[int] = Completions(Clock(), None, str)
    log = Log(completions, str, str)
    log.in_force(LogSettings(completions="-"))
    kept = completions._sink
    log.in_force(LogSettings(completions="-"))
    assert completions._sink is kept
    completions.reopen(None, str)
    log.in_force(LogSettings(completions="-"))
    assert completions._sink is not None and not completions._sink.closed
    completions.reopen(None, str)


def test_a_log_that_cannot_be_opened_changes_nothing(restored: Any, tmp_path: Path) -> None:
    """
    Whoever asked is told.
    """
    completions: Completions[int] = Completions(Clock(), None, str)
    with pytest.raises(OSError, match="No such file"):
        Log(completions, str, str).in_force(LogSettings(completions=str(tmp_path / "none" / "f")))
    assert completions._sink is None


def test_what_is_there_from_the_start_is_not_searched_for_garbage() -> None:
    """
    Once the reactor runs; tried in a process of its own.
    """
    program = (
        "import gc; from aibridge.daemon.process import the_reactor; r = the_reactor(lambda s: None);"
        "before = gc.get_freeze_count(); r.callLater(0, r.stop); r.run(); print(before, gc.get_freeze_count() > 1000)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["0", "True"]
