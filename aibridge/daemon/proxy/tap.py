"""
``twistd aibridge-proxy``: options, and the one place where the proxy is put together.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from random import SystemRandom
from typing import Any
from uuid import uuid4

from aibridge.daemon.lag import Lag
from aibridge.daemon.notify import Notifier
from aibridge.daemon.process import DaemonOptions, Log, heed_signals, read_or_exit, spare_what_lasts, the_reactor
from aibridge.daemon.proxy.assembly import Assembly
from aibridge.daemon.proxy.config import ProxyLoaded, load
from aibridge.daemon.proxy.service import ProxyService, Shares
from aibridge.daemon.proxy.settings import ProxyDaemonSettings
from aibridge.exposition import Registry
from aibridge.identity.build import build_identity
from aibridge.interfaces import IIdentity
from aibridge.mitm.dial import Dialer
from aibridge.mitm.lines import Line
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.places import Places
from aibridge.mitm.terms import Proxy
from aibridge.mitm.tunnel import Tunnels
from aibridge.web.completions import Completions
from aibridge.web.ids import Ids

THREADS = 32
"""For the resolver, which keeps one for each name that it is asked about."""


class Options(DaemonOptions):
    """
    The command line. Everything else is in the file and the environment.
    """

    synopsis = "[options]"
    longdesc = (
        "A forward proxy that hands intercepted requests for AI providers to the bridge. `aibridge ca init` makes the "
        "certificate authority that it needs, `aibridge check --proxy` tells whether a configuration is good."
    )
    optParameters = [
        ["config", "c", None, "Configuration file (default: /etc/aibridge/aibridge-proxy.toml if it exists)."],
        ["listen", None, None, "Where clients find the proxy: a Twisted endpoint, for example tcp:8888."],
        ["admin", None, None, "Where health, readiness, metrics and the authority's certificate are served."],
        ["bridge", None, None, "Where the bridge is, for example http://127.0.0.1:4000."],
        ["log-level", None, None, "debug, info, warn or error."],
        ["log-format", None, None, "text or json."],
        ["drain-timeout", None, None, "Seconds that requests and tunnels may go on after SIGTERM."],
    ]


def makeService(options: Options) -> ProxyService:
    """
    Read the configuration and build what runs under it; nothing listens yet.

    :raises SystemExit: the configuration has errors, which were printed, all of them (status 2).
    """
    metrics = ProxyMetrics(Registry())
    reactor = the_reactor(metrics.turned)
    reactor.suggestThreadPoolSize(THREADS)
    environ = dict(os.environ)

    def read() -> ProxyLoaded:
        return load(options["config"], environ, options.given())

    loaded = read_or_exit(read, ProxyService.command)
    try:
        return _assemble(reactor, metrics, loaded, read, environ)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{ProxyService.command}: {error}") from error


def _assemble(
    reactor: Any, metrics: ProxyMetrics, loaded: ProxyLoaded, read: Any, environ: Mapping[str, str]
) -> ProxyService:
    settings = loaded.settings
    assembly = Assembly(reactor, time.time, metrics)
    completions: Completions[Line] = Completions(reactor, None, lambda line: line.as_text())
    log = Log(completions, lambda line: line.as_json(), lambda line: line.as_text())
    identity = build_identity(settings.auth, reactor, time.time)
    shares = _shares(settings)

    def identity_for(now: ProxyLoaded) -> IIdentity:
        # The running one remembers failures and answers, and follows its file by itself.
        if now.settings.auth == service.loaded.settings.auth:
            return proxy.terms.identity
        return build_identity(now.settings.auth, reactor, time.time)

    proxy = Proxy(
        terms=assembly.adopt(assembly.prepare(loaded), loaded, identity),
        clock=reactor,
        wall_clock=time.time,
        new_id=Ids(SystemRandom().getrandbits).new,
        new_request_id=lambda: str(uuid4()),
        metrics=metrics,
        completions=completions,
        dialer=Dialer(reactor, settings.proxy.connect_timeout),
        tunnels=Tunnels(reactor, settings.proxy.idle_timeout),
        places=Places(shares.tunnels),
    )
    service = ProxyService(
        reactor,
        loaded,
        proxy,
        assembly,
        shares,
        Notifier(environ),
        load=read,
        make_identity=identity_for,
        on_change=lambda now: log.in_force(now.settings.log),
    )
    heed_signals(reactor, service)
    spare_what_lasts(reactor)
    Lag(reactor, metrics.lagged).start()
    return service


def _shares(settings: ProxyDaemonSettings) -> Shares:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Shares.of(descriptors, settings.http.max_connections, settings.proxy.max_tunnels)
