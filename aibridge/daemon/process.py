"""
What every daemon of this package does with its process: its reactor, its signals, its log, its command line.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from typing import Any, BinaryIO, Protocol, TypeVar

from twisted.logger import LogLevel
from twisted.python import usage

from aibridge.daemon.config import ConfigErrors
from aibridge.daemon.logs import LogObserver
from aibridge.daemon.loop import quicken
from aibridge.daemon.problems import Problem
from aibridge.daemon.settings import LogSettings
from aibridge.web.completions import Completions

EXIT_CONFIG = 2

# twistd takes an observer by the name of what makes it, and makes it before the configuration is read; so there is one
# from the start, which learns its level later. It has the stream before twistd turns that into a log of its own.
_observer = LogObserver(sys.stdout)

Told = TypeVar("Told")


def log_observer() -> LogObserver:
    """
    The observer that twistd is to log with.
    """
    return _observer


class DaemonOptions(usage.Options):
    """
    A command line. Everything else is in the file and the environment.
    """

    def postOptions(self) -> None:
        """
        Log the way the configuration says, unless twistd was told to log another way.
        """
        twistd: Any = self.parent
        if twistd and twistd.get("nodaemon") and not any(twistd.get(name) for name in ("logfile", "logger", "syslog")):
            twistd["logger"] = f"{__name__}.log_observer"

    def given(self) -> Mapping[str, str]:
        """
        The settings that were given on the command line.
        """
        return {name: text for name, text in self.items() if name != "config" and text is not None}


class Warned(Protocol):
    """
    A configuration that can be used, and what is odd about it.
    """

    @property
    def warnings(self) -> Sequence[Problem]:
        """
        Each in one line.
        """


Configuration = TypeVar("Configuration", bound=Warned)


class Stoppable(Protocol):
    """
    A service that signals can reach.
    """

    def reload(self) -> object: ...

    def hurry(self) -> None: ...


def the_reactor(long_turn: Callable[[float], None]) -> Any:
    """
    The global reactor, on monotonic time and with the process's limits raised. The one place that imports it.

    :param long_turn: told the processor time of turns that took long, see `quicken`.
    """
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    # Twisted's clock is the wall's: a step of it would fire every deadline at once, or none for an hour.
    reactor.seconds = time.monotonic
    quicken(reactor, long_turn)
    reactor.callWhenRunning(_settle)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return reactor


def _settle() -> None:
    """
    What the daemon is made of stays until it ends. To look through it for garbage takes 30 ms and more, each time.
    """
    gc.collect()
    gc.freeze()


def read_or_exit(read: Callable[[], Configuration], name: str) -> Configuration:
    """
    Read the configuration.

    :param name: of the daemon, before each line that is printed.
    :raises SystemExit: it has errors, which were printed, all of them (status 2).
    """
    try:
        loaded = read()
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(f"{name}: {problem}", file=sys.stderr)
        raise SystemExit(EXIT_CONFIG) from None
    for problem in loaded.warnings:
        print(f"{name}: warning: {problem}", file=sys.stderr)
    return loaded


def heed_signals(reactor: Any, service: Stoppable) -> None:
    """
    SIGHUP reloads, SIGTERM and SIGINT stop, and a second one hurries.
    """
    # At once, since its default is to end the process; the others when Twisted has set its own.
    _on_signal(reactor, signal.SIGHUP, service.reload)
    reactor.callWhenRunning(_stop_on_signals, reactor, service)


def spare_what_lasts(reactor: Any) -> None:
    """
    Once it runs, what has been made so far is looked at no more by the garbage collector, since it lasts as long as the
    process: modules, settings, tables of tokens. A full collection, which is a turn of the reactor, takes time only for
    what came later.
    """
    reactor.callWhenRunning(gc.collect)
    reactor.callWhenRunning(gc.freeze)


def _on_signal(reactor: Any, number: signal.Signals, step: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: reactor.callFromThread(step))


def _stop_on_signals(reactor: Any, service: Stoppable) -> None:
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            service.hurry()
            return
        stopping = True
        reactor.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        _on_signal(reactor, number, stop)


class Log:
    """
    What becomes of log lines and of completions under a configuration.

    :param completions: opened anew whenever one comes into force.
    :param as_json: a completion as a line, for machines; `as_text` for people.
    """

    def __init__(
        self, completions: Completions[Told], as_json: Callable[[Told], str], as_text: Callable[[Told], str]
    ) -> None:
        self._reopen: Callable[[BinaryIO | None, Any], None] = completions.reopen
        self._renderers: dict[str, Any] = {"json": as_json, "text": as_text}
        # twistd replaces sys.stdout; the descriptor stays what it was.
        self._standard: BinaryIO | None = None

    def in_force(self, settings: LogSettings) -> None:
        """
        Log as `settings` have it from now on.

        :raises OSError: the file of completions cannot be opened.
        """
        _observer.level = LogLevel.lookupByName(settings.level)
        _observer.as_json = settings.format == "json"
        self._reopen(self._open(settings.completions), self._renderers[settings.format])

    def _open(self, target: str) -> BinaryIO | None:
        if target == "":
            return None
        if target == "-":
            if self._standard is None or self._standard.closed:
                self._standard = FileIO(os.dup(1), "w")
            return self._standard
        return FileIO(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "w")
