"""
``twistd aibridge``: options, and the one place where the daemon is put together.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import FileIO
from random import SystemRandom, random
from typing import Any, BinaryIO

from prometheus_client import CollectorRegistry
from twisted.logger import LogLevel
from twisted.python import usage

from aibridge.admission.breaker import BreakerTerms, State
from aibridge.admission.breakers import Breakers, Name
from aibridge.admission.configured import breaker_terms, seat_terms
from aibridge.admission.seats import Seats
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token, TokenTable
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.banner import banner
from aibridge.daemon.config import ConfigErrors, Loaded, load
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.logs import LogObserver
from aibridge.daemon.loop import quicken
from aibridge.daemon.notify import Notifier
from aibridge.daemon.service import BridgeService
from aibridge.daemon.settings import Settings
from aibridge.identity.build import build_identity
from aibridge.identity.failures import Failures
from aibridge.identity.file import TableIdentity
from aibridge.interfaces import IIdentity
from aibridge.log import as_json, as_text
from aibridge.metrics import Metrics
from aibridge.secret import Secret
from aibridge.web.completions import Completions
from aibridge.web.ids import Ids
from aibridge.web.terms import Bridge
from aibridge.web.turns import Turns

EXIT_CONFIG = 2

# twistd takes an observer by the name of what makes it, and makes it before the configuration is read; so there is one
# from the start, which learns its level later. It has the stream before twistd turns that into a log of its own.
_observer = LogObserver(sys.stdout)


def log_observer() -> LogObserver:
    """
    The observer that twistd is to log with.
    """
    return _observer


class Options(usage.Options):
    """
    The command line. Everything else is in the file and the environment.
    """

    synopsis = "[options]"
    longdesc = "Serves AI clients on behalf of AI providers. `aibridge check` tells whether a configuration is good."
    optParameters = [
        ["config", "c", None, "Configuration file (default: /etc/aibridge/aibridge.toml if it exists)."],
        ["listen", None, None, "Where clients are served: a Twisted endpoint, for example tcp:4000."],
        ["admin", None, None, "Where health, readiness and metrics are served."],
        ["max-concurrency", None, None, "Most exchanges in flight at once; 0 means no limit."],
        ["rate-limit", None, None, "Requests per second and principal; 0 means no limit."],
        ["log-level", None, None, "debug, info, warn or error."],
        ["log-format", None, None, "text or json."],
        ["drain-timeout", None, None, "Seconds that running exchanges may go on after SIGTERM."],
    ]

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


def makeService(options: Options) -> BridgeService:
    """
    Read the configuration and build what runs under it; nothing listens yet.

    :raises SystemExit: the configuration has errors, which were printed, all of them (status 2).
    """
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    # Twisted's clock is the wall's: a step of it would fire every deadline at once, or none for an hour.
    reactor.seconds = time.monotonic
    quicken(reactor)
    _raise_descriptor_limit()

    environ = dict(os.environ)

    def read() -> Loaded:
        return load(options["config"], environ, options.given())

    try:
        loaded = read()
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(f"aibridge: {problem}", file=sys.stderr)
        raise SystemExit(EXIT_CONFIG) from None
    for problem in loaded.warnings:
        print(f"aibridge: warning: {problem}", file=sys.stderr)
    try:
        return _assemble(reactor, loaded, read, _observer, environ)
    except (OSError, ValueError) as error:
        raise SystemExit(f"aibridge: {error}") from error


def _assemble(
    reactor: Any, loaded: Loaded, read: Any, observer: LogObserver, environ: Mapping[str, str]
) -> BridgeService:
    settings = loaded.settings
    identity: IIdentity
    token = Token.from_random(os.urandom(RANDOM_BYTES)) if loaded.embedded else None
    if token is None:
        identity = build_identity(settings.auth, reactor, time.time)
    else:
        table = TokenTable([Entry(id=token.id, name="first", hash=token.hashed(), created=datetime.now(UTC))])
        identity = TableIdentity(table, Failures.from_settings(settings.auth), time.time)
    upstreams = Upstreams(reactor)
    demo = DemoListener(reactor, time.time, settings.http)
    metrics = Metrics(CollectorRegistry())
    shop = Shop(upstreams, demo.url, metrics.rested)
    completions = Completions(reactor, None, as_text)
    sink = _Sink()

    def in_force(now: Loaded) -> None:
        log = now.settings.log
        observer.level = LogLevel.lookupByName(log.level)
        observer.as_json = log.format == "json"
        completions.reopen(sink.open(log.completions), as_json if log.format == "json" else as_text)

    def identity_for(now: Loaded) -> IIdentity:
        # The running one remembers failures and answers, and follows its file by itself.
        unchanged = now.embedded or now.settings.auth == service.loaded.settings.auth
        return bridge.terms.identity if unchanged else build_identity(now.settings.auth, reactor, time.time)

    bridge = Bridge(
        terms=shop.terms(settings, loaded.secrets, identity, upstreams.prepare(settings), reactor.seconds()),
        clock=reactor,
        wall_clock=time.time,
        new_id=Ids(SystemRandom().getrandbits).new,
        chance=random,
        turns=Turns(reactor, Seats(seat_terms(settings.admission, settings.provider), reactor.seconds, random)),
        breakers=_breakers(settings, metrics),
        metrics=metrics,
        completions=completions,
    )
    service = BridgeService(
        reactor,
        loaded,
        bridge,
        upstreams,
        shop,
        demo,
        Notifier(environ),
        load=read,
        make_identity=identity_for,
        on_change=in_force,
        banner=banner(sys.stdout, None if token is None else Secret(token.reveal())),
    )
    # At once, since its default is to end the process; the others when Twisted has set its own.
    _on_signal(reactor, signal.SIGHUP, service.reload)
    reactor.callWhenRunning(_stop_on_signals, reactor, service)
    return service


def _breakers(settings: Settings, metrics: Metrics) -> Breakers:
    def changed(name: Name, state: State) -> None:
        if state is State.OPEN:
            metrics.tripped(*name)

    def rejected(name: Name, in_shadow: bool) -> None:
        metrics.rejected(*name)

    terms = breaker_terms(settings.breaker) or BreakerTerms()
    return Breakers(terms, settings.breaker.max_models, changed, rejected)


def _on_signal(reactor: Any, number: signal.Signals, step: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: reactor.callFromThread(step))


def _stop_on_signals(reactor: Any, service: BridgeService) -> None:
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


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Sink:
    """
    Opens what completions are written to.
    """

    def __init__(self) -> None:
        # twistd replaces sys.stdout; the descriptor stays what it was.
        self._standard: BinaryIO | None = None

    def open(self, target: str) -> BinaryIO | None:
        if target == "":
            return None
        if target == "-":
            if self._standard is None or self._standard.closed:
                self._standard = FileIO(os.dup(1), "w")
            return self._standard
        return FileIO(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "w")
