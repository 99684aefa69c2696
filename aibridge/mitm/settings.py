"""
What can be configured about the proxy itself: whom it tunnels for and where to, how it reaches the bridge, its
certificate authority, and whose traffic goes to which provider of the bridge.
"""

from __future__ import annotations

import attrs

from aibridge.options import ABSOLUTE_PATH, OPTIONAL_PATH, OPTIONAL_URL, PROXY_URL, option
from aibridge.providers.settings import NAME, TYPES, TransportSettings

TUNNELS = ("authenticated", "off", "open")
RESOLVERS = ("here", "there")

_URL = r"(?=[!-~]+\Z)https?://[^/?#@]+(/[^?#]*)?"


@attrs.frozen(kw_only=True)
class ProxySettings:
    """
    ``[proxy]``: what becomes of connections to hosts that are no provider's.
    """

    tunnel: str = option(
        "authenticated",
        why="For whom they are tunnelled: for those who show a token, for nobody, or for everybody who can connect.",
        choices=TUNNELS,
        env=("AIBRIDGE_PROXY_TUNNEL",),
    )
    ports: tuple[int, ...] = option(
        (80, 443),
        why="Ports that may be tunnelled to; a token for AI is none for mail or databases.",
        form="ports",
        most=64,
    )
    allowed_private_cidrs: tuple[str, ...] = option(
        (),
        why="Networks (such as 10.20.0.0/16) that may be tunnelled to although they are not public: private, loopback, "
        "link-local, multicast, reserved and documentation addresses are refused otherwise, in every spelling.",
        form="networks",
        most=1024,
        env=("AIBRIDGE_PROXY_ALLOWED_PRIVATE_CIDRS", "CODER_AIBRIDGE_PROXY_ALLOWED_PRIVATE_CIDRS"),
    )
    builtin_hosts: bool = option(
        True,
        why="Whether the API hosts of OpenAI, Anthropic and GitHub Copilot are intercepted also where no [[provider]] "
        "names them; they go to the bridge's openai, anthropic, copilot, copilot-business and copilot-enterprise.",
    )
    connect_timeout: float = option(
        10.0,
        why="Time for resolving and connecting together, an upstream proxy's answer included.",
        least=0.001,
        most=600,
        unit="s",
    )
    idle_timeout: float = option(
        3600.0,
        why="How long a tunnel may be silent; an hour is longer than any client waits, and a silent tunnel costs "
        "little.",
        least=0.001,
        most=604800,
        unit="s",
        restart=True,
    )
    max_tunnels: int = option(
        0,
        why="Most tunnels at once; 0 means as many as file descriptors allow beside intercepted connections. No "
        "principal, and without one no address, gets more than three times as many as are left, so that one alone has "
        "three quarters of them.",
        least=0,
        most=1048576,
        restart=True,
    )
    upstream: str = option(
        "",
        why="Proxy through which tunnels go, where the network has no other way out. Its URL if it asks for no "
        "password, else a reference to a URL with one: file:PATH, env:NAME or credential:NAME. Intercepted traffic "
        "never goes through it.",
        **PROXY_URL,
        env=("AIBRIDGE_PROXY_UPSTREAM", "CODER_AIBRIDGE_PROXY_UPSTREAM"),
    )
    upstream_ca_file: str = option(
        "",
        why="PEM file of further certificate authorities to trust for an https:// upstream proxy.",
        **OPTIONAL_PATH,
        env=("AIBRIDGE_PROXY_UPSTREAM_CA", "CODER_AIBRIDGE_PROXY_UPSTREAM_CA"),
    )
    upstream_resolve: str = option(
        "here",
        why="Where names are resolved for it: here, so that it is told the address that was checked; or there, for a "
        "network whose names only it knows, or a proxy that filters by name: a name that leads to a private address "
        "is refused if that can be seen from here, but the proxy looks it up once more.",
        choices=RESOLVERS,
    )


@attrs.frozen(kw_only=True)
class BridgeSettings(TransportSettings):
    """
    ``[bridge]``: where intercepted requests go.
    """

    url: str = option(
        "http://127.0.0.1:4000",
        why="Where the bridge is; a request goes to this, the provider's name, and its own path.",
        matches=_URL,
        form="a URL that begins with http:// or https://, without user name, query and fragment",
        env=("AIBRIDGE_PROXY_BRIDGE", "CODER_AIBRIDGE_PROXY_TARGET"),
        flag="bridge",
    )
    config: str = option(
        "",
        why="The bridge's own configuration, if it is on this machine: the hosts of its providers are then "
        "intercepted too, without being named here.",
        **OPTIONAL_PATH,
    )
    max_connections: int = option(
        16384,
        why="Most connections open to the bridge at once; each request that is being answered has one.",
        least=1,
        most=65536,
    )
    max_idle_connections: int = option(
        256, why="Connections kept open for the next request, most recently used first.", least=0, most=65536
    )
    ca_file: str = option(
        "",
        why="PEM file of further certificate authorities to trust for the bridge; the system's own stay trusted, and "
        "no option turns verification off.",
        **OPTIONAL_PATH,
    )
    first_byte_timeout: float = option(
        660.0,
        why="Time from the request's last byte to the response head; longer than the bridge itself waits, so that it "
        "is the bridge that says what went wrong.",
        least=0.001,
        most=86400,
        unit="s",
    )
    silence_timeout: float = option(
        660.0,
        why="Longest pause within a response; longer than the bridge itself waits, likewise.",
        least=0.001,
        most=86400,
        unit="s",
    )


@attrs.frozen(kw_only=True)
class CASettings:
    """
    ``[ca]``: the authority in whose name intercepted hosts are spoken for; made by `aibridge ca init`.
    """

    cert_file: str = option(
        "/var/lib/aibridge-proxy/ca.pem",
        why="PEM file whose first certificate is the authority's; others behind it that are not their own issuers "
        "are sent along.",
        **ABSOLUTE_PATH,
        env=("AIBRIDGE_PROXY_CERT_FILE", "CODER_AIBRIDGE_PROXY_CERT_FILE"),
    )
    key_file: str = option(
        "/var/lib/aibridge-proxy/ca.key",
        why="PEM file of its private key, without a passphrase, for the proxy's account alone (mode 0600).",
        **ABSOLUTE_PATH,
        env=("AIBRIDGE_PROXY_KEY_FILE", "CODER_AIBRIDGE_PROXY_KEY_FILE"),
    )
    leaf_days: int = option(
        7,
        why="How long a host's certificate is good; it is made when it is asked for, and anew when half of its time "
        "is over.",
        least=1,
        most=30,
        unit="days",
    )
    leaf_cache: int = option(
        256,
        why="Hosts whose certificates are kept in memory; beyond it the one unused for longest is forgotten.",
        least=1,
        most=65536,
    )


@attrs.frozen(kw_only=True)
class ProxiedProvider:
    """
    ``[[provider]]``: a provider of the bridge's whose traffic is intercepted; repeat the table for each.
    """

    name: str = option(
        why="Its name at the bridge; lower-case letters, digits and single hyphens, unique.",
        matches=NAME,
        form="lower-case letters and digits, in parts joined by single hyphens",
        example="openai",
    )
    type: str = option(
        why="Which routes it has and which dialects it speaks, as at the bridge.", choices=TYPES, example="openai"
    )
    base_url: str = option(
        "",
        why="What clients know as its API: host and port are intercepted, and the path is what the bridge's prefix "
        "stands for. Empty means the type's own default.",
        **OPTIONAL_URL,
    )
    hosts: tuple[str, ...] = option(
        (),
        why="Further hosts whose traffic goes to it, each with or without a port (443).",
        form="hosts such as api.example.com or api.example.com:8443",
        most=256,
    )
