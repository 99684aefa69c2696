"""
Whose traffic goes to the bridge, and as what: from a host and a port to a provider of the bridge's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import attrs

from aibridge.errors import BadRequest, RouteUnknown
from aibridge.mitm.settings import ProxiedProvider
from aibridge.mitm.targets import Target, read_authority
from aibridge.model import Dialect
from aibridge.providers.provider import TYPES, Provider
from aibridge.providers.routes import Routes, leaves
from aibridge.providers.settings import ProviderSettings

BUILTIN: Final = (
    ProxiedProvider(name="openai", type="openai"),
    ProxiedProvider(name="anthropic", type="anthropic"),
    ProxiedProvider(name="copilot", type="copilot"),
    ProxiedProvider(name="copilot-business", type="copilot", base_url="https://api.business.githubcopilot.com"),
    ProxiedProvider(name="copilot-enterprise", type="copilot", base_url="https://api.enterprise.githubcopilot.com"),
)
"""Intercepted without being configured. Individual, business and enterprise users of Copilot have a host each."""

_HTTPS: Final = 443
_HTTP: Final = 80


@attrs.frozen(kw_only=True, eq=False)
class Intercepted:
    """
    One host and port whose traffic goes to the bridge.

    :ivar name: of the provider there, and `type` that of its type.
    :ivar secure: its clients speak TLS.
    :ivar base_path: what of a client's path the prefix of the provider's type stands for.
    """

    name: str
    type: str
    host: str
    port: int
    secure: bool
    base_path: bytes
    prefix: bytes
    routes: Routes

    def path(self, target: bytes) -> bytes:
        """
        The path and query at the bridge for what a client asked for.

        :raises BadRequest: the path would lead out of the provider's place.
        """
        path, mark, query = target.partition(b"?")
        if leaves(path):
            raise BadRequest("The path contains dotted segments.")
        base = self.base_path
        if base != self.prefix and path.startswith(base) and path[len(base) : len(base) + 1] in (b"", b"/"):
            path = self.prefix + path[len(base) :]
        return b"/%b%b%b%b" % (self.name.encode(), path, mark, query)

    def known_as(self, method: bytes, path: bytes) -> tuple[Dialect, str]:
        """
        The dialect of a path at the bridge, and the label of its route, or an empty text where there is no route.
        """
        try:
            route, _ = self.routes.resolve(method, path)
        except (RouteUnknown, BadRequest):
            return self.routes.dialect_of(path), ""
        return route.dialect, route.label

    def is_host(self, value: bytes) -> bool:
        """
        Whether this is what a ``Host`` field may say on a connection to it.
        """
        text = value.decode("ascii", "replace")
        try:
            named = read_authority(text, self.port)
        except ValueError:
            return False
        return (named.host, named.port) == (self.host, self.port)


@attrs.frozen
class Clash:
    """
    A host that two providers claim.
    """

    host: str
    first: str
    second: str


class Hosts:
    """
    All that is intercepted. Of two providers that claim a host, the first has it.

    :ivar clashes: claims that were not heeded.
    """

    def __init__(self, providers: Iterable[ProxiedProvider]) -> None:
        self._places: dict[tuple[str, int], Intercepted] = {}
        self.clashes: list[Clash] = []
        for provider in providers:
            for place in _places(provider):
                key = (place.host, place.port)
                first = self._places.setdefault(key, place)
                if first.name != place.name:
                    self.clashes.append(Clash(str(Target(*key)), first.name, place.name))

    def find(self, target: Target) -> Intercepted | None:
        """
        Who has a host and port.
        """
        return self._places.get((target.host, target.port))

    def find_plain(self, target: Target) -> Intercepted | None:
        """
        The same for a request that is sent to the proxy in clear text, so that it names a host of whose ports nobody
        but the proxy knows.
        """
        found = self.find(target)
        if found is None and target.port in (_HTTP, _HTTPS):
            found = next((place for (host, _), place in self._places.items() if host == target.host), None)
        return found

    def names(self) -> Sequence[str]:
        """
        The hosts, each once.
        """
        return list(dict.fromkeys(host for host, _ in self._places))

    def __iter__(self) -> Iterator[Intercepted]:
        return iter(self._places.values())


def _places(provider: ProxiedProvider) -> Iterator[Intercepted]:
    type_ = TYPES[provider.type]
    prefix = type_.prefix.encode()
    base_url = provider.base_url or type_.base_url
    settings = ProviderSettings(name=provider.name, type=provider.type, base_url=base_url)
    routes = Routes([Provider.from_settings(settings, None)])
    targets = [(read_authority(host, _HTTPS), True) for host in provider.hosts]
    base_path = prefix
    if base_url:
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        targets.insert(0, (read_authority(parts.netloc, _HTTPS if secure else _HTTP), secure))
        base_path = parts.path.rstrip("/").encode("ascii")
    for target, secure in targets:
        yield Intercepted(
            name=provider.name,
            type=provider.type,
            host=target.host,
            port=target.port,
            secure=secure,
            base_path=base_path,
            prefix=prefix,
            routes=routes,
        )
