"""
The agent: from a URI to an origin, to its pool, to a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import classImplements

from aibridge.interfaces import IPairsAgent
from aibridge.providers.settings import TransportSettings
from aibridge.relay.call import Call, Later, Receiver, Waits
from aibridge.relay.endpoint import OriginEndpoint
from aibridge.relay.pool import Pool
from aibridge.relay.response import Pair
from aibridge.relay.tls import ClientTLS
from aibridge.relay.upload import PIECE

MOST_ORIGINS: Final = 64
"""Origins whose pools are kept at once. An agent serves one provider, which has one origin, seldom two."""

MOST_LINES: Final = 256
LONGEST_REMEMBERED: Final = 256
"""Beginnings of requests that are remembered, and bytes of the URI of each."""

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URI = re.compile(rb"(https?)://(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%!$&'()*+,;=-]+)(?::([0-9]{1,5}))?(?=[/?]|\Z)")
_TARGET = re.compile(rb"[!\"$-~]*")
_OWN_FIELDS = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))
_SAFE = frozenset((b"GET", b"HEAD"))
# An empty body is declared where one is expected (RFC 9110, 8.6).
_WITH_CONTENT = frozenset((b"POST", b"PUT", b"PATCH"))
_PORTS = {b"http": 80, b"https": 443}

Endpoints = Callable[[bool, str, int], IStreamClientEndpoint]


@attrs.frozen
class Origin:
    """
    Where connections go, and what every request on them begins with.

    :ivar secure: TLS.
    :ivar host: without brackets.
    :ivar authority: as the Host field says it, without a default port.
    """

    secure: bool
    host: str
    port: int
    authority: bytes


class RelayAgent:
    """
    Makes requests to one provider, over connections of its own.

    Every failure is one of `aibridge.errors.UpstreamError`, except those that are not the provider's: what the body's
    producer failed with, `CancelledError`, and `ValueError` for a request that cannot be written.

    :param reactor: for connections and time.
    :param transport: every limit and deadline.
    :param endpoints: (secure, host, port) → where connections are made, below TLS; for tests.
    :param trust: what certificates are trusted instead of those of the system's authorities; for tests.
    :raises ValueError: the transport's ``ca_file`` cannot be used.
    """

    def __init__(
        self,
        reactor: Any,
        transport: TransportSettings,
        *,
        endpoints: Endpoints | None = None,
        trust: Any = None,
    ) -> None:
        self._reactor = reactor
        self._transport = transport
        self._endpoints = endpoints or self._connect_to
        self._waits = Waits(reactor, transport)
        self._trust = trust
        # A file that cannot be used is told of now; where nothing is secure, its authorities are never loaded.
        self._tls = ClientTLS(transport.ca_file, trust) if transport.ca_file else None
        self._pools: dict[tuple[bool, str, int], Pool] = {}
        self._lines: dict[tuple[bytes, bytes], tuple[Pool, bytes]] = {}
        self._closing = False
        self._closed: list[Deferred[None]] = []

    # -- requests ------------------------------------------------------------------------------------------------

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        Make a request as `IAgent` has it. Host and framing are the agent's to write; the headers' are left out.
        """
        pairs: list[Pair] = []
        if headers is not None:
            for name, values in headers.getAllRawHeaders():
                if name.lower() not in _OWN_FIELDS:
                    pairs += [(name, value) for value in values]
        return self.send(method, uri, pairs, bodyProducer)

    def send(self, method: bytes, uri: bytes, pairs: list[Pair], body: Any = None) -> Deferred[IResponse]:
        """
        As `ask`, for those who wait for a Deferred; a request that cannot be written is a failure like any other.
        """
        later = Later()
        try:
            later.call = self.ask(later, method, uri, pairs, body)
        except ValueError as error:
            return fail(error)
        return later.deferred

    def ask(self, receiver: Any, method: bytes, uri: bytes, pairs: Any, body: Any) -> Call:
        """
        Make a request as `IPairsAgent` has it.

        :param receiver: a `Receiver`.
        :param pairs: list of (name, value); Host, framing and the fields of one hop are the agent's.
        :param body: None, bytes, or an `IBodyProducer`.
        :raises ValueError: the request cannot be written.
        """
        pool, line = self._lines.get((method, uri)) or self._begin(method, uri)
        call = self._call(receiver, method, uri, line, pairs, body)
        pool.submit(call)
        return call

    def _call(self, receiver: Receiver, method: bytes, uri: bytes, line: bytes, pairs: list[Pair], body: Any) -> Call:
        rest: memoryview | None = None
        producer: Any = None
        length: int | None = None
        framing = content = b""
        if body is None or body == b"":
            if method in _WITH_CONTENT:
                framing = b"Content-Length: 0\r\n"
        elif isinstance(body, bytes):
            framing = b"Content-Length: %d\r\n" % len(body)
            content = body
        else:
            producer = body
            length = None if body.length is UNKNOWN_LENGTH else body.length
            framing = b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length
        head = write_head(line, pairs, framing)
        if len(content) > PIECE:
            rest = memoryview(content)[PIECE:]
            content = content[:PIECE]
        call = Call(self._waits, receiver, method, uri, pairs, head + content if content else head, rest)
        if producer is not None:
            call.producer, call.length = producer, length
        elif not content and method in _SAFE:
            call.repeatable = True
        return call

    # -- origins -------------------------------------------------------------------------------------------------

    def _begin(self, method: bytes, uri: bytes) -> tuple[Pool, bytes]:
        """
        The pool for a URI, and what a request for it begins with. The few that a provider has are remembered.
        """
        match = _URI.match(uri)
        if match is None:
            raise ValueError("Not a URI that can be requested.")
        scheme, host, port_text = match.groups()
        port = _PORTS[scheme] if port_text is None else int(port_text)
        if not 0 < port < 65536:
            raise ValueError("Not a port that can be connected to.")
        authority = host if port == _PORTS[scheme] else b"%b:%d" % (host, port)
        origin = Origin(scheme == b"https", host.strip(b"[]").decode("ascii"), port, authority)
        found = self._pool(origin), write_line(method, uri[match.end() :], authority)
        if len(uri) <= LONGEST_REMEMBERED:
            if len(self._lines) >= MOST_LINES:
                self._lines.clear()
            self._lines[method, uri] = found
        return found

    def _pool(self, origin: Origin) -> Pool:
        key = (origin.secure, origin.host.lower(), origin.port)
        pool = self._pools.get(key)
        if pool is None:
            if len(self._pools) >= MOST_ORIGINS:
                self._forget_pools()
            tls = None
            if origin.secure:
                if self._tls is None:
                    self._tls = ClientTLS(self._transport.ca_file, self._trust)
                tls = self._tls.for_host(origin.host, self._reactor.seconds)
            endpoint = self._endpoints(origin.secure, origin.host, origin.port)
            pool = Pool(self._reactor, self._transport, self._waits, endpoint, tls, self._emptied)
            pool.closing = self._closing
            self._pools[key] = pool
        return pool

    def _forget_pools(self) -> None:
        self._lines.clear()
        for key, pool in list(self._pools.items()):
            if not pool.open and not pool.waiting:
                del self._pools[key]
        if len(self._pools) >= MOST_ORIGINS:
            raise ValueError("Too many origins for one agent.")

    def _connect_to(self, secure: bool, host: str, port: int) -> IStreamClientEndpoint:
        return OriginEndpoint(self._reactor, host, port, self._transport.connect_timeout)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        """
        Keep no connection from now on. Calls that are under way go on, and more may be made.

        :return: fires when there is no connection left, and nobody waits for one.
        """
        closed: Deferred[None] = Deferred()
        self._closed.append(closed)
        self._closing = True
        for pool in list(self._pools.values()):
            pool.close()
        self._emptied()
        return closed

    def abort(self) -> None:
        """
        End every call now, and cut every connection.
        """
        for pool in list(self._pools.values()):
            pool.abort()

    def _emptied(self) -> None:
        if any(pool.open or pool.waiting for pool in self._pools.values()):
            return
        self._waits.stop()
        closed, self._closed = self._closed, []
        for deferred in closed:
            deferred.callback(None)

    @property
    def open_connections(self) -> int:
        """
        Connections that are made or being made.
        """
        return sum(pool.open for pool in self._pools.values())

    @property
    def idle_connections(self) -> int:
        """
        Those of them that serve nobody.
        """
        return sum(len(pool.idle) for pool in self._pools.values())

    @property
    def waiting(self) -> int:
        """
        Calls that wait for a connection, because there may be no more of them.
        """
        return sum(len(pool.waiting) for pool in self._pools.values())


classImplements(RelayAgent, IAgent, IPairsAgent)


def write_line(method: bytes, target: bytes, authority: bytes) -> bytes:
    """
    A request line, and the Host field.

    :raises ValueError: a byte in it would make it something else.
    """
    if target[:1] != b"/":
        target = b"/" + target
    if _METHOD.fullmatch(method) is None or _TARGET.fullmatch(target) is None:
        raise ValueError("A request line has a byte in it that none may have.")
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, authority)


def write_head(line: bytes, pairs: Iterable[Pair], framing: bytes) -> bytes:
    """
    A request head, checked to be exactly one.

    :param line: made by `write_line`.
    :param framing: the field that says where the body ends, with its line end, or empty.
    :raises ValueError: a byte in a field would make it something else.
    """
    lines = [b": ".join(pair) for pair in pairs]
    if not lines:
        return b"%b%b\r\n" % (line, framing)
    fields = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if fields.count(b"\n") != breaks or fields.count(b"\r") != breaks or fields.find(0) >= 0:
        raise ValueError("A request field has a byte in it that none may have.")
    return b"%b%b\r\n%b\r\n" % (line, fields, framing)
