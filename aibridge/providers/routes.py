"""
From a request's method and target to a provider, a route and the URL to ask.

What a client calls the base URL, ``/<provider><prefix>``, is replaced with the provider's base URL; the rest of the
target crosses as it was sent, query included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from aibridge.errors import BadRequest, RouteUnknown
from aibridge.model import Dialect
from aibridge.providers.provider import Provider

ROOTS = (b"/api/v2/aibridge", b"/api/v2/ai-gateway", b"/api/experimental/aibridge")
"""Where Coder's clients expect the bridge; the same routes are below each of them as below ``/``."""

PROBE = b"/api/hello"
"""What Claude Code asks, with HEAD and without a token, before anything else."""

_SUSPICIOUS = re.compile(rb"/\.|%|\\|;")
_SEPARATORS = re.compile(rb"[/\\]")
_DEEPEST_ESCAPE = 4


class Route:
    """
    One place at one provider; made when the configuration is read, never by a request.

    :ivar dialect: what requests, answers and errors look like.
    :ivar bridged: the traffic is understood and recorded; otherwise it passes through.
    :ivar label: the route's pattern, for metrics and logs.
    """

    __slots__ = ("bridged", "dialect", "label", "provider")

    def __init__(self, provider: Provider, dialect: Dialect, bridged: bool, label: str) -> None:
        self.provider = provider
        self.dialect = dialect
        self.bridged = bridged
        self.label = label


class _Places:
    """
    The paths of one provider.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.prefix = provider.type.prefix.encode()
        self.bridged: dict[bytes, Route] = {}
        self.exact: dict[bytes, Route] = {}
        self.below: list[tuple[bytes, Route]] = []

    @staticmethod
    def of(provider: Provider) -> _Places:
        type_ = provider.type
        places = _Places(provider)
        for path, dialect in type_.bridged.items():
            label = type_.prefix + path
            places.bridged[path.encode()] = Route(provider=provider, dialect=dialect, bridged=True, label=label)
        for path in type_.passthrough:
            # What is below a bridged path speaks as it does: a response can be fetched as a stream.
            below = type_.bridged.get(path.rstrip("/"), type_.dialect)
            dialect = Dialect.MESSAGES if "/messages" in path else below
            label = type_.prefix + path + ("*" if path.endswith("/") else "")
            route = Route(provider=provider, dialect=dialect, bridged=False, label=label)
            if path.endswith("/"):
                places.below.append((path.encode(), route))
            else:
                places.exact[path.encode()] = route
        return places

    def find(self, method: bytes, path: bytes) -> Route | None:
        if method == b"POST" and (found := self.bridged.get(path)) is not None:
            return found
        if (found := self.exact.get(path)) is not None:
            return found
        for prefix, route in self.below:
            if path.startswith(prefix) and not (method == b"POST" and self._is_bridged_but_for_slashes(path)):
                return route
        return None

    def _is_bridged_but_for_slashes(self, path: bytes) -> bool:
        """
        Many servers take ``/responses/`` for ``/responses``; asked so, it would pass unread and uncounted.
        """
        return unquote_to_bytes(path.partition(b";")[0]).rstrip(b"/\\") in self.bridged


class Routes:
    """
    Every route there is.

    :param providers: in any order; their names are unique.
    """

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._places: dict[bytes, _Places] = {p.name.encode(): _Places.of(p) for p in providers}
        self._ready: dict[tuple[bytes, bytes], tuple[Route, bytes]] = {}
        for name, places in self._places.items():
            for path, route in places.bridged.items():
                for root in (b"", *ROOTS):
                    target = b"%s/%s%s%s" % (root, name, places.prefix, path)
                    self._ready[b"POST", target] = (route, places.provider.base_url + path)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """
        The providers by name.
        """
        return {name.decode(): places.provider for name, places in self._places.items()}

    def resolve(self, method: bytes, target: bytes) -> tuple[Route, bytes]:
        """
        Find the route of a request.

        :param target: origin-form (RFC 9112, 3.2.1), as sent.
        :return: the route, and the absolute URL to ask.
        :raises RouteUnknown: there is none.
        :raises BadRequest: the path would lead out of the place it names.
        """
        ready = self._ready.get((method, target))
        if ready is not None:
            return ready
        path, mark, query = target.partition(b"?")
        places, rest = self._split(path)
        if _SUSPICIOUS.search(path) and leaves(path):
            raise BadRequest("The path contains dotted segments.")
        if places is not None and rest.startswith(places.prefix):
            below = rest[len(places.prefix) :]
            route = places.find(method, below)
            if route is not None:
                return route, places.provider.base_url + below + mark + query
        raise RouteUnknown(f"There is no route for {method.decode('ascii', 'replace')} on this path.")

    def dialect_of(self, target: bytes) -> Dialect:
        """
        How an error looks for a target that has no route.
        """
        places, rest = self._split(target.partition(b"?")[0])
        if places is None:
            return Dialect.PLAIN
        if b"/messages" in rest:
            return Dialect.MESSAGES
        return places.provider.type.dialect

    def is_probe(self, method: bytes, target: bytes) -> bool:
        """
        Whether this is a client asking only if somebody is there.
        """
        return method == b"HEAD" and self._split(target)[1] == PROBE

    def _split(self, path: bytes) -> tuple[_Places | None, bytes]:
        for root in ROOTS:
            if path.startswith(root) and path[len(root) : len(root) + 1] == b"/":
                path = path[len(root) :]
                break
        nothing, _, rest = path.partition(b"/")
        if nothing:
            return None, b""
        name, slash, rest = rest.partition(b"/")
        return self._places.get(name), slash + rest


def leaves(path: bytes) -> bool:
    """
    Whether any reader between here and the provider could take a segment of `path` for ``.`` or ``..``.

    Escapes are undone until none is left, since a provider's front may undo them more than once; a backslash counts
    as a separator and what follows a semicolon as a parameter, since some servers read them so. A path that is escaped
    deeper than anyone honest does it is not followed to its end, which would take time for each level.
    """
    for _ in range(_DEEPEST_ESCAPE):
        for segment in _SEPARATORS.split(path):
            if segment.partition(b";")[0] in (b".", b".."):
                return True
        previous, path = path, unquote_to_bytes(path)
        if path == previous:
            return False
    return True
