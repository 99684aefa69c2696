"""
The whole configuration of the proxy as one frozen value: a section for each table of its file.
"""

from __future__ import annotations

from typing import Final

import attrs

from aibridge.auth.settings import AuthSettings
from aibridge.daemon.schema import Schema
from aibridge.daemon.settings import (
    DaemonSettings,
    ListenSettings,
    LogSettings,
    admin_at,
    balancers,
    endpoints_at,
    restart_needed,
)
from aibridge.mitm.settings import BridgeSettings, CASettings, ProxiedProvider, ProxySettings
from aibridge.web.settings import HttpSettings


@attrs.frozen(kw_only=True)
class ProxyListenSettings(ListenSettings):
    """
    ``[listen]``: where the proxy is found. Addresses are Twisted server endpoints: ``tcp:``, ``tcp6:``, ``ssl:``,
    ``tls:``, ``unix:``, ``systemd:``. Over a network, clients' tokens go in clear text unless it is ``ssl:`` or
    ``tls:``.
    """

    endpoints: tuple[str, ...] = endpoints_at(
        8888,
        "Where clients find the proxy; this machine alone, until somebody decides otherwise.",
        env="AIBRIDGE_PROXY_LISTEN",
    )
    admin: tuple[str, ...] = admin_at(
        8889,
        "Where health, readiness, metrics and the authority's certificate are served, without tokens, hence on "
        "this machine alone; empty means nowhere.",
        env="AIBRIDGE_PROXY_ADMIN",
    )
    proxy_protocol_from: tuple[str, ...] = balancers()


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
