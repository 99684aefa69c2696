"""
``twistd aibridge``: options, and the one place where the daemon is put together.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from random import SystemRandom, random
from typing import Any

from aibridge.admission.breaker import BreakerTerms, State
from aibridge.admission.breakers import Breakers, Name
from aibridge.admission.configured import breaker_terms, seat_terms
from aibridge.admission.seats import Seats
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token, TokenTable
from aibridge.daemon.assembly import Shop, Upstreams
from aibridge.daemon.banner import banner
from aibridge.daemon.config import Loaded, load
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.journal import Journal
from aibridge.daemon.lag import Lag
from aibridge.daemon.notify import Notifier
from aibridge.daemon.process import DaemonOptions, Log, heed_signals, read_or_exit, spare_what_lasts, the_reactor
from aibridge.daemon.service import BridgeService
from aibridge.daemon.settings import BridgeDaemonSettings, Settings
from aibridge.exposition import Registry
from aibridge.identity.build import build_identity
from aibridge.identity.failures import Failures
from aibridge.identity.file import TableIdentity
from aibridge.interfaces import IIdentity
from aibridge.log import as_json, as_text
from aibridge.metrics import Metrics
from aibridge.providers.objects import Objects
from aibridge.secret import Secret
from aibridge.web.bodies import Bodies
from aibridge.web.claims import Ledger
from aibridge.web.completions import Completions
from aibridge.web.ids import Ids
from aibridge.web.terms import Bridge
from aibridge.web.turns import Turns


class Options(DaemonOptions):
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


def makeService(options: Options) -> BridgeService:
    """
    Read the configuration and build what runs under it; nothing listens yet.

    :raises SystemExit: the configuration has errors, which were printed, all of them (status 2).
    """
    metrics = Metrics(Registry())
    reactor = the_reactor(metrics.turned)
    environ = dict(os.environ)

    def read() -> Loaded:
        return load(options["config"], environ, options.given())

    loaded = read_or_exit(read, "aibridge")
    try:
        return _assemble(reactor, metrics, loaded, read, environ)
    except (OSError, ValueError) as error:
        raise SystemExit(f"aibridge: {error}") from error


def _assemble(reactor: Any, metrics: Metrics, loaded: Loaded, read: Any, environ: Mapping[str, str]) -> BridgeService:
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
    shop = Shop(upstreams, demo.url, metrics.rested)
    completions = Completions(reactor, None, as_text)
    log = Log(completions, as_json, as_text)

    def identity_for(now: Loaded) -> IIdentity:
        # The running one remembers failures and answers, and follows its file by itself.
        unchanged = now.embedded or now.settings.auth == service.loaded.settings.auth
        return bridge.terms.identity if unchanged else build_identity(now.settings.auth, reactor, time.time)

    prepared = upstreams.prepare(settings, loaded.proxies)
    ledger, journal = ledger_of(settings.daemon)
    bridge = Bridge(
        terms=shop.terms(settings, loaded.secrets, identity, prepared, reactor.seconds()),
        clock=reactor,
        wall_clock=time.time,
        new_id=Ids(SystemRandom().getrandbits).new,
        chance=random,
        turns=Turns(reactor, Seats(seat_terms(settings.admission, settings.provider), reactor.seconds, random)),
        breakers=_breakers(settings, metrics),
        metrics=metrics,
        completions=completions,
        bodies=Bodies(reactor, settings.http.bodies, settings.http.max_bodies_wait),
        ledger=ledger,
    )
    service = BridgeService(
        reactor,
        loaded,
        bridge,
        upstreams,
        shop,
        demo,
        Notifier(environ),
        journal=journal,
        load=read,
        make_identity=identity_for,
        on_change=lambda now: log.in_force(now.settings.log),
        banner=banner(sys.stdout, None if token is None else Secret(token.reveal())),
    )
    heed_signals(reactor, service)
    spare_what_lasts(reactor)
    Lag(reactor, metrics.lagged).start()
    return service


def ledger_of(settings: BridgeDaemonSettings) -> tuple[Ledger, Journal | None]:
    """
    What is known of stored objects, and the file that it is kept in if there is a place for one.
    """
    objects = Objects(settings.max_stored_objects)
    if not settings.state_dir:
        return Ledger(objects), None
    journal = Journal(settings.state_dir, objects, settings.max_stored_objects)
    return Ledger(objects, journal.write, lambda: journal.lost), journal


def _breakers(settings: Settings, metrics: Metrics) -> Breakers:
    def changed(name: Name, state: State) -> None:
        if state is State.OPEN:
            metrics.tripped(*name)

    def rejected(name: Name, in_shadow: bool) -> None:
        metrics.rejected(*name)

    terms = breaker_terms(settings.breaker) or BreakerTerms()
    return Breakers(terms, settings.breaker.max_models, changed, rejected)
