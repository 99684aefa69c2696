"""
From a request's method and target to a provider, a route and the URL to ask.

What a client calls the base URL, ``/<provider><prefix>``, is replaced with the provider's base URL; the rest of the
target crosses as it was sent, query included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from aibridge.errors import BadRequest, NotAllowed, RouteUnknown
from aibridge.model import Dialect, Stored
from aibridge.providers.access import BELOW, SEGMENT, Form, Rule, Treatment, allowed, matches
from aibridge.providers.provider import Provider
from aibridge.providers.settings import ANYONE

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
    :ivar bridged: it is one of the three dialects.
    :ivar counted: what it spends is counted and limited, whether it is bridged or not.
    :ivar refused: why a configured key is not shown for it, or empty.
    :ivar held: its body is held as a whole and read; see `holds`.
    :ivar uses: the ids in its path that are somebody's.
    :ivar makes: what kind of object its answer is, or has the id of.
    :ivar deletes: the object that its path names is gone when it has been answered.
    :ivar reads: the dialect in which its answer tells its usage.
    :ivar most_output: tokens of output that its answers have at most where a request names no maximum, or None.
    :ivar label: the route's pattern, for metrics and logs.
    """

    __slots__ = (
        "bridged",
        "counted",
        "deletes",
        "dialect",
        "either",
        "held",
        "label",
        "makes",
        "most_output",
        "provider",
        "reads",
        "refused",
        "uses",
    )

    def __init__(self, provider: Provider, rule: Rule) -> None:
        self.provider = provider
        self.dialect: Dialect = rule.dialect or provider.type.dialect
        self.bridged: bool = rule.treatment is Treatment.BRIDGED
        self.counted: bool = self.bridged or rule.treatment is Treatment.COUNTED
        self.refused = _why_refused(provider, rule)
        self.held: bool = rule.form is Form.HELD
        self.either: bool = rule.form is Form.EITHER
        self.uses: tuple[tuple[int, Stored], ...] = rule.uses
        self.makes: Stored | None = rule.makes
        self.deletes: bool = rule.deletes
        self.reads: Dialect = rule.reads or self.dialect
        self.most_output: int | None = rule.most_output
        self.label: str = provider.type.prefix + rule.label

    def holds(self, content_type: bytes | None) -> bool:
        """
        Whether the body of a request is held and read, rather than passed on while it comes.
        """
        if self.either:
            return (content_type or b"").partition(b";")[0].strip().lower() == b"application/json"
        return self.held

    def ids(self, url: bytes) -> list[tuple[Stored, str]]:
        """
        The ids in a URL that has been resolved to this route, each with its kind.
        """
        path = url[len(self.provider.base_url) + 1 :].partition(b"?")[0].split(b"/")
        return [(kind, unquote_to_bytes(path[at]).decode("ascii", "replace")) for at, kind in self.uses]


def _why_refused(provider: Provider, rule: Rule) -> str:
    if rule.treatment is Treatment.REFUSED:
        return rule.why
    if rule.lists and provider.settings.stored_objects != ANYONE:
        return "a list of what everybody has stored"
    return ""


class _Places:
    """
    The paths of one provider.

    A path without ids is found by itself; one with some by the number of its segments and the first of them.

    :ivar exact: path → method → route.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.prefix = provider.type.prefix.encode()
        self.exact: dict[bytes, dict[bytes, Route]] = {}
        self._named: dict[tuple[int, bytes], list[tuple[Pattern, dict[bytes, Route]]]] = {}
        self._below: list[tuple[bytes, dict[bytes, Route]]] = []
        self._allowed: list[tuple[Rule, Pattern, dict[bytes, Route]]] = []

    @staticmethod
    def of(provider: Provider) -> _Places:
        places = _Places(provider)
        prefix = provider.type.prefix
        for rule in provider.type.rules:
            places._add(rule)
        for text in provider.settings.allow:
            rule = allowed(text, prefix)
            places._allowed.append((rule, _pattern(rule), _methods(rule, Route(provider, rule))))
        return places

    def _add(self, rule: Rule) -> None:
        path = rule.path.encode()
        methods = _methods(rule, Route(self.provider, rule))
        if rule.path.endswith("/" + BELOW):
            self._below.append((path[:-1], methods))
        elif "{" not in rule.path:
            self.exact.setdefault(path, {}).update(methods)
        else:
            pattern = _pattern(rule)
            self._named.setdefault((len(pattern), pattern[0]), []).append((pattern, methods))

    def find(self, method: bytes, path: bytes) -> Route | None:
        found = self._listed(method, path)
        if self._allowed and (found is None or found.refused):
            segments = path[1:].split(b"/")
            for rule, pattern, methods in self._allowed:
                if method in methods and _is_allowed(rule, pattern, segments):
                    return methods[method]
        return found

    def _listed(self, method: bytes, path: bytes) -> Route | None:
        methods = self.exact.get(path)
        if methods is not None and (route := methods.get(method)) is not None:
            return route
        if path[:1] != b"/":
            return None
        segments = path[1:].split(b"/")
        for pattern, methods in self._named.get((len(segments), segments[0]), ()):
            if (route := methods.get(method)) is not None and matches(pattern, segments):
                return route
        for prefix, methods in self._below:
            if path.startswith(prefix) and (route := methods.get(method)) is not None:
                return route
        return None


Pattern = tuple[bytes, ...]
"""The segments of a path; an empty one stands for an id."""


def _pattern(rule: Rule) -> Pattern:
    return tuple(b"" if segment.startswith("{") else segment.encode() for segment in rule.segments)


def _methods(rule: Rule, route: Route) -> dict[bytes, Route]:
    methods = {method.encode(): route for method in rule.methods}
    if b"GET" in methods:
        methods[b"HEAD"] = route
    return methods


def _is_allowed(rule: Rule, pattern: Pattern, segments: list[bytes]) -> bool:
    if rule.path.endswith("/" + BELOW):
        before = len(pattern) - 1
        return (
            len(segments) > before
            and matches(pattern[:before], segments[:before])
            and all(SEGMENT.fullmatch(segment) for segment in segments[before:])
        )
    return matches(pattern, segments)


class Routes:
    """
    Every route there is.

    :param providers: in any order; their names are unique.
    """

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._places: dict[bytes, _Places] = {p.name.encode(): _Places.of(p) for p in providers}
        self._ready: dict[tuple[bytes, bytes], tuple[Route, bytes]] = {}
        for name, places in self._places.items():
            for path, methods in places.exact.items():
                for method in methods:
                    found = places.find(method, path)
                    assert found is not None
                    for root in (b"", *ROOTS):
                        target = b"%s/%s%s%s" % (root, name, places.prefix, path)
                        self._ready[method, target] = (found, places.provider.base_url + path)

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


def refusal_of(route: Route, method: bytes) -> NotAllowed:
    """
    Why a route is not asked for with a configured key.
    """
    asked = f"{method.decode('ascii', 'replace')} {route.label}"
    return NotAllowed(
        f"{asked} is {route.refused}, which the bridge's own provider key is not used for. Bring a key of your own, or "
        f"ask whoever runs the bridge to allow it."
    )


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
