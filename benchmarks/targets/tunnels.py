"""
What tunnels: the AI Proxy of this tree, and HAProxy in TCP mode.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

from aibridge.mitm.authority import create
from aibridge.mitm.files import write_authority
from aibridge.mitm.hosts import BUILTIN, Hosts
from benchmarks.targets.aibridge import AIBridge, daemon, made_tokens
from benchmarks.targets.haproxy import HAProxy
from benchmarks.targets.target import Mode, Started, Target, free_port

_HAPROXY = """\
global
    nbthread 1
    maxconn 8000
    log stdout format raw local0
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 10s
    timeout client 600s
    timeout server 600s
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend mock
backend mock
    server mock 127.0.0.1:{upstream}
"""

_PROXY = """\
[listen]
endpoints = ["tcp:port={port}:interface=127.0.0.1:backlog=4096"]
admin = ["tcp:port={admin}:interface=127.0.0.1"]

[proxy]
ports = [{upstream}]
allowed_private_cidrs = ["127.0.0.0/8"]
max_tunnels = 16384

[ca]
cert_file = "{directory}/ca.pem"
key_file = "{directory}/ca.key"

[auth]
backend = "file"
tokens_file = "{directory}/tokens.toml"

[log]
level = "info"
completions = "{directory}/completions.log"
"""


def proxy_configuration(*, directory: Path, port: int, admin: int, upstream: int) -> str:
    """
    The proxy's configuration: tokens in a file, metrics and the log of connections on, and only the mock's port open.
    """
    return _PROXY.format(directory=directory, port=port, admin=admin, upstream=upstream)


def greeting(upstream: int, token: str) -> bytes:
    """
    The CONNECT with which a tunnel begins.
    """
    shown = base64.b64encode(f"bench:{token}".encode()).decode()
    authority = f"127.0.0.1:{upstream}"
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic {shown}\r\n\r\n".encode()


class AIProxy(AIBridge):
    """
    The proxy of this tree, with all on that a deployment has on.
    """

    name = "aibridge-proxy"
    modes = frozenset({Mode.RELAY})

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Make an authority and a token, write the configuration, start ``twistd aibridge-proxy``.
        """
        port = free_port()
        authority = create("Bench", Hosts(BUILTIN).names(), datetime.now(UTC))
        write_authority(str(directory / "ca.pem"), str(directory / "ca.key"), authority, [])
        text = proxy_configuration(directory=directory, port=port, admin=free_port(), upstream=upstream)
        (token,) = made_tokens(directory, [["--name", "bench"]])
        server = daemon(self.name, text, port=port, directory=directory, core=core, plugin="aibridge-proxy")
        return Started(server, greeting=greeting(upstream, token))


class HAProxyTCP(HAProxy):
    """
    The yardstick: one thread, and not a byte looked at.
    """

    name = "haproxy-tcp"
    modes = Target.modes

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start its one process.
        """
        port = free_port()
        return Started(self.serve(_HAPROXY.format(upstream=upstream, port=port), port, directory, core))
