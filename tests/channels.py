"""
A client's end of a channel in memory: a transport that can stop taking bytes, and answers read as a client reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IConsumer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from aibridge.errors import BridgeError
from aibridge.web.channel import Channel
from aibridge.web.request import Request
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite

CLIENT = IPv4Address("TCP", "192.0.2.7", 40000)
SERVER = IPv4Address("TCP", "192.0.2.1", 8080)
WALL = 784111777.0
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"

FULL = 65536
"""Bytes that may wait in the transport before it pauses its producer, as Twisted's."""


@implementer(ITransport, IConsumer)
class Transport:
    """
    Behaves as Twisted's TCP transport, a turn of the reactor at a time.

    :ivar received: what the client has taken.
    :ivar takes: the client reads.
    :ivar ended: how the server ended the connection: ``closed``, ``half``, ``aborted``, or empty.
    """

    offset = 0
    _tempDataLen = 0

    def __init__(self, clock: Clock, protocol: Channel) -> None:
        self.received = b""
        self.writes: list[bytes] = []
        self.takes = True
        self.ended = ""
        self.reads = True
        self.no_delay = False
        self.dataBuffer = b""
        self._clock = clock
        self.protocol: Any = protocol
        self._producer: Any = None
        self._streaming = True
        self._paused = False

    def write(self, data: bytes) -> None:
        """
        Take bytes from the server.
        """
        assert isinstance(data, bytes)
        if self.protocol is None or self.ended == "aborted":
            return
        assert not self.ended, "written to after it was closed"
        self.writes.append(data)
        if self.takes:
            self.received += data
            return
        self.dataBuffer += data
        if len(self.dataBuffer) > FULL and self._streaming and self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        Take several.
        """
        self.write(b"".join(data))

    def take(self, size: int | None = None) -> None:
        """
        The client reads some of what waits, or all of it.
        """
        size = len(self.dataBuffer) if size is None else size
        self.received += self.dataBuffer[:size]
        self.dataBuffer = self.dataBuffer[size:]
        if self.dataBuffer:
            return
        if self._producer is not None and (self._paused or not self._streaming):
            self._paused = False
            self._producer.resumeProducing()
        elif self.ended == "closed":
            self._lose(ConnectionDone())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        As Twisted does.
        """
        assert self._producer is None
        self._producer, self._streaming = producer, streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """
        As Twisted does.
        """
        self._producer = None

    def pauseProducing(self) -> None:
        """
        The server does not read.
        """
        self.reads = False

    def resumeProducing(self) -> None:
        """
        It does again.
        """
        self.reads = True

    def stopProducing(self) -> None:
        """
        As good as closing.
        """
        self.loseConnection()

    def loseConnection(self) -> None:
        """
        Close once everything is delivered.
        """
        if self.ended != "aborted":
            self.ended = "closed"
            if not self.dataBuffer:
                self._clock.callLater(0, self._lose, ConnectionDone())

    def loseWriteConnection(self) -> None:
        """
        Close one half.
        """
        self.ended = "half"

    def abortConnection(self) -> None:
        """
        Cut.
        """
        if self.ended != "aborted":
            self.ended = "aborted"
            self._clock.callLater(0, self._lose, ConnectionAborted())

    def leave(self, error: Exception | None = None) -> None:
        """
        The client goes.
        """
        self._lose(error or ConnectionLost())

    def _lose(self, error: Exception) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(error))

    @property
    def is_lost(self) -> bool:
        """
        The server was told that it is gone.
        """
        return self.protocol is None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Remember it.
        """
        self.no_delay = enabled

    def getPeer(self) -> IAddress:
        """
        The client.
        """
        return CLIENT

    def getHost(self) -> IAddress:
        """
        The server.
        """
        return SERVER


@attrs.frozen
class Answer:
    """
    A whole answer.
    """

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes

    def named(self, name: bytes) -> list[bytes]:
        """
        Values of a field, by its name in lower case.
        """
        return [value for field, value in self.fields if field.lower() == name]

    @property
    def closes(self) -> bool:
        """
        It says that its connection ends.
        """
        return self.named(b"connection") == [b"close"]


def answers(data: bytes, methods: Iterable[bytes] = ()) -> list[Answer]:
    """
    Read what a client has received; every byte must belong to a whole answer.

    :param methods: of the requests in their order, where one of them is a HEAD.
    """
    asked = iter(methods)
    read = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, head
        line, *rest = head.split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        if status == b"100":
            continue
        pairs = [field.split(b": ", 1) for field in rest]
        fields = [(name, value) for name, value in pairs]
        named = {name.lower(): value for name, value in fields}
        assert not (b"content-length" in named and b"transfer-encoding" in named)
        if next(asked, b"") == b"HEAD" or status in (b"204", b"304"):
            body = b""
        elif b"content-length" in named:
            length = int(named[b"content-length"])
            assert len(data) >= length
            body, data = data[:length], data[length:]
        elif b"transfer-encoding" in named:
            body, data = _dechunked(data)
        else:
            body, data = data, b""
        read.append(Answer(int(status), fields, body))
    return read


def _dechunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, separator, data = data.partition(b"\r\n")
        assert separator
        size = int(line, 16)
        assert data[size : size + 2] == b"\r\n"
        body += data[:size]
        data = data[size + 2 :]
        if not size:
            return body, data


class Deciding(Resource):
    """
    Renders on the head, and lets the test do the rest.

    :param on_head: called with every request.
    :ivar requests: in their order.
    """

    isLeaf = True

    def __init__(self, on_head: Callable[[Request], object] = lambda request: None) -> None:
        super().__init__()
        self.on_head = on_head
        self.requests: list[Request] = []

    def render_on_head(self, request: Request) -> None:
        """
        A head is complete.
        """
        self.requests.append(request)
        self.on_head(request)

    def render(self, request: Any) -> int:
        """
        The same, below a stock root.
        """
        self.render_on_head(request)
        return NOT_DONE_YET


@attrs.define
class Reading:
    """
    What became of a body.
    """

    body: bytes | None = None
    error: BridgeError | None = None
    calls: int = 0

    def done(self, body: bytes) -> None:
        """
        It came.
        """
        self.body = body
        self.calls += 1

    def failed(self, error: BridgeError) -> None:
        """
        It did not.
        """
        self.error = error
        self.calls += 1


class Echo:
    """
    Reads every body and answers with what it has understood, all of it.

    :ivar seen: method, target and body of each request that was read whole.
    """

    def __init__(self, limit: int = 1 << 20) -> None:
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.errors: list[BridgeError] = []
        self._limit = limit

    def __call__(self, request: Request) -> None:
        """
        A head is complete.
        """

        def done(body: bytes) -> None:
            self.seen.append((request.method, request.uri, body))
            told = b"%b %b %b" % (request.method, request.uri, body)
            request.respond(200, [(b"Content-Type", b"text/plain")], len(told))
            request.write(told)
            request.finish()

        def failed(error: BridgeError) -> None:
            self.errors.append(error)
            request.respond(400, [(b"X-Kind", error.kind.encode())], 0)
            request.finish()

        request.read_body(self._limit, done, failed)


class Talk:
    """
    One connection to a site of its own.

    :param resource: its root, or what to do with each request's head.
    """

    def __init__(
        self,
        resource: Any = None,
        site: BridgeSite | None = None,
        address: IAddress = CLIENT,
        **settings: Any,
    ) -> None:
        if site is None:
            self.clock = Clock()
            if not IResource.providedBy(resource):
                resource = Deciding(resource) if resource is not None else Deciding()
            site = BridgeSite(resource, HttpSettings(**settings), self.clock, wall_clock=lambda: WALL)
        self.site = site
        self.clock = site.clock
        self.resource: Any = site.resource
        self.channel = site.buildProtocol(address)
        self.transport = Transport(self.clock, self.channel)
        self.channel.makeConnection(self.transport)

    def send(self, *pieces: bytes) -> None:
        """
        The client sends segments.
        """
        for piece in pieces:
            if self.transport.protocol is not None:
                self.transport.protocol.dataReceived(piece)

    def send_bytes(self, data: bytes, size: int = 1) -> None:
        """
        The client sends segments of one size.
        """
        self.send(*(data[start : start + size] for start in range(0, len(data), size)))

    @property
    def request(self) -> Request:
        """
        The latest that the resource has seen.
        """
        latest: Request = self.resource.requests[-1]
        return latest

    @property
    def received(self) -> bytes:
        """
        What the client has received, after the turn of the reactor that is under way.
        """
        self.clock.advance(0.002)
        return self.transport.received

    def answers(self, *methods: bytes) -> list[Answer]:
        """
        The same, read.
        """
        return answers(self.received, methods)

    def wait(self, seconds: float) -> None:
        """
        Time passes.
        """
        self.clock.advance(seconds)


def get(path: bytes = b"/", *fields: bytes, method: bytes = b"GET") -> bytes:
    """
    A request without a body.
    """
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: bridge.test", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(body: bytes, *fields: bytes, path: bytes = b"/") -> bytes:
    """
    A request with a body of declared length.
    """
    return get(path, b"Content-Length: %d" % len(body), *fields, method=b"POST") + body


def chunked(*chunks: bytes, fields: Iterable[bytes] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    """
    A request with a body in chunks.
    """
    head = get(b"/", b"Transfer-Encoding: chunked", *fields, method=b"POST")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
