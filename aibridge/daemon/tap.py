"""
``twistd aibridge``: options, and the one place where the daemon is put together.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from aibridge.admission.bucket import Buckets
from aibridge.admission.gate import Gate
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token, TokenTable
from aibridge.daemon.assembly import Upstreams, make_terms
from aibridge.daemon.banner import banner
from aibridge.daemon.config import Loaded, load
from aibridge.daemon.demo import DemoListener
from aibridge.daemon.notify import Notifier
from aibridge.daemon.process import DaemonOptions, Log, heed_signals, ids, read_or_exit, the_reactor
from aibridge.daemon.service import BridgeService
from aibridge.identity.build import build_identity
from aibridge.identity.failures import Failures
from aibridge.identity.file import TableIdentity
from aibridge.interfaces import IIdentity
from aibridge.log import as_json, as_text
from aibridge.metrics import Metrics
from aibridge.secret import Secret
from aibridge.web.completions import Completions
from aibridge.web.terms import Bridge


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
    reactor = the_reactor()
    environ = dict(os.environ)

    def read() -> Loaded:
        return load(options["config"], environ, options.given())

    loaded = read_or_exit(read, "aibridge")
    try:
        return _assemble(reactor, loaded, read, environ)
    except (OSError, ValueError) as error:
        raise SystemExit(f"aibridge: {error}") from error


def _assemble(reactor: Any, loaded: Loaded, read: Any, environ: Mapping[str, str]) -> BridgeService:
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
    clients = upstreams.adopt(upstreams.prepare(settings, loaded.proxies))
    completions = Completions(reactor, None, as_text)
    log = Log(completions, as_json, as_text)

    def identity_for(now: Loaded) -> IIdentity:
        # The running one remembers failures and answers, and follows its file by itself.
        unchanged = now.embedded or now.settings.auth == service.loaded.settings.auth
        return bridge.terms.identity if unchanged else build_identity(now.settings.auth, reactor, time.time)

    bridge = Bridge(
        terms=make_terms(settings, loaded.secrets, identity, clients, demo.url),
        clock=reactor,
        wall_clock=time.time,
        new_id=ids(),
        gate=Gate(settings.admission.max_concurrency),
        buckets=Buckets(settings.admission.max_principals),
        metrics=Metrics(CollectorRegistry()),
        completions=completions,
    )
    service = BridgeService(
        reactor,
        loaded,
        bridge,
        upstreams,
        demo,
        Notifier(environ),
        load=read,
        make_identity=identity_for,
        on_change=lambda now: log.in_force(now.settings.log),
        banner=banner(sys.stdout, None if token is None else Secret(token.reveal())),
    )
    heed_signals(reactor, service)
    return service
