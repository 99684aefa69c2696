"""
The whole configuration of the proxy as one frozen value: a section for each table of its file.
"""

from __future__ import annotations

from typing import Final

import attrs

from aibridge.auth.settings import AuthSettings
from aibridge.daemon.schema import Schema
from aibridge.daemon.settings import DaemonSettings, ListenSettings, LogSettings, restart_needed
from aibridge.mitm.settings import BridgeSettings, CASettings, ProxiedProvider, ProxySettings
from aibridge.options import option
from aibridge.web.settings import HttpSettings


@attrs.frozen(kw_only=True)
class ProxyListenSettings(ListenSettings):
    """
    ``[listen]``: where the proxy is found. Addresses are Twisted server endpoints: ``tcp:``, ``tcp6:``, ``ssl:``,
    ``tls:``, ``unix:``, ``systemd:``. Over a network, clients' tokens go in clear text unless it is ``ssl:`` or
    ``tls:``.
    """

    endpoints: tuple[str, ...] = option(
        ("tcp:port=8888:interface=127.0.0.1",),
        why="Where clients find the proxy; this machine alone, until somebody decides otherwise.",
        form="Twisted server endpoints",
        least=1,
        most=64,
        env=("AIBRIDGE_PROXY_LISTEN",),
        flag="listen",
        restart=True,
    )
    admin: tuple[str, ...] = option(
        ("tcp:port=8889:interface=127.0.0.1",),
        why="Where health, readiness, metrics and the authority's certificate are served, without tokens, hence on "
        "this machine alone; empty means nowhere.",
        form="Twisted server endpoints",
        most=64,
        env=("AIBRIDGE_PROXY_ADMIN",),
        flag="admin",
        restart=True,
    )
    proxy_protocol_from: tuple[str, ...] = option(
        (),
        why="Networks (such as 10.0.0.0/8) of load balancers whose connections to endpoints begin with a PROXY "
        "protocol header that names the real client; nobody else is believed.",
        form="networks",
        most=1024,
        restart=True,
    )


@attrs.frozen(kw_only=True)
class ProxyDaemonSettings:
    """
    Everything that can be configured.

    :ivar provider: the ``[[provider]]`` tables, in the order of the file.
    """

    listen: ProxyListenSettings = attrs.field(factory=ProxyListenSettings)
    proxy: ProxySettings = attrs.field(factory=ProxySettings)
    bridge: BridgeSettings = attrs.field(factory=BridgeSettings)
    ca: CASettings = attrs.field(factory=CASettings)
    auth: AuthSettings = attrs.field(factory=AuthSettings)
    http: HttpSettings = attrs.field(factory=HttpSettings)
    log: LogSettings = attrs.field(factory=LogSettings)
    daemon: DaemonSettings = attrs.field(factory=DaemonSettings)
    provider: tuple[ProxiedProvider, ...] = ()

    def restart_needed(self, new: ProxyDaemonSettings) -> list[str]:
        """
        The options, dotted, that differ in `new` and keep their old value until a restart.
        """
        return restart_needed(SCHEMA.sections, self, new)


SCHEMA: Final = Schema.of(ProxyDaemonSettings)
