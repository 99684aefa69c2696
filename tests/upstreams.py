"""
Providers in memory: transports, endpoints and a clock that do what a test tells them, for all of `aibridge.relay`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent

URL = b"http://provider.example/v1/chat/completions"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@implementer(ITCPTransport, IPushProducer)
class FakeTransport:
    """
    One side of a TCP connection, with the behaviour of Twisted's: it loses connections in a later turn, asks pull
    producers when it has sent everything, pauses push producers when it holds too much, and reads only when told to.

    :param room: how many bytes the socket takes before `drain` is called, or None for any number.
    :ivar sent: what has left.
    :ivar held: what has been written and has not left.
    """

    bufferSize = 65536

    def __init__(self, clock: Clock, protocol: Any = None, room: int | None = None) -> None:
        self.clock = clock
        self.protocol = protocol
        self.room = room
        self.sent = b""
        self.held = b""
        self.reading = True
        self.connected = True
        self.disconnecting = False
        self.aborted = False
        self.half_closed = False
        self.options: dict[str, bool] = {}
        self.producer: Any = None
        self.streaming = False
        self.paused_producer = False
        self.undelivered: list[bytes] = []

    # -- what protocols call -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if not self.connected:
            return
        self.held += data
        self._send()
        if self.producer is not None and self.streaming and len(self.held) > self.bufferSize:
            self.paused_producer = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self, _: object = None) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._leave()

    def loseWriteConnection(self) -> None:
        assert self.producer is None, "a producer may have more"
        self.half_closed = True

    def abortConnection(self) -> None:
        if not self.aborted and self.connected:
            self.aborted = True
            self.clock.callLater(0, self.lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("There is a producer already.")
        if not self.connected:
            producer.stopProducing()
            return
        self.producer, self.streaming = producer, streaming
        if not streaming:
            producer.resumeProducing()
            self.clock.callLater(0, self._ask)

    def unregisterProducer(self) -> None:
        self.producer = None
        self._leave()

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        if not self.connected or self.disconnecting:
            return
        self.reading = True
        while self.undelivered and self.reading and self.connected:
            self.protocol.dataReceived(self.undelivered.pop(0))

    def stopProducing(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.options["nodelay"] = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.options["keepalive"] = enabled

    def getTcpNoDelay(self) -> bool:
        return self.options.get("nodelay", False)

    def getTcpKeepAlive(self) -> bool:
        return self.options.get("keepalive", False)

    def getHost(self) -> Any:
        return None

    def getPeer(self) -> Any:
        return None

    # -- what tests call -----------------------------------------------------------------------------------------

    def receive(self, *segments: bytes) -> None:
        """
        The other side sends; each segment comes in a turn of its own.
        """
        for data in segments:
            if not self.connected or self.aborted or self.disconnecting:
                return
            if self.reading:
                self.protocol.dataReceived(data)
            else:
                self.undelivered.append(data)

    def finish(self) -> None:
        """
        The other side closes.
        """
        if self.reading:
            self.lose(ConnectionDone())

    def finish_half(self) -> None:
        """
        The other side has said all it has to say, and listens still.
        """
        if self.reading and self.connected:
            self.reading = False
            self.protocol.readConnectionLost()

    def reset(self) -> None:
        """
        The other side resets the connection.
        """
        if self.reading:
            self.lose(ConnectionLost())

    def lose(self, reason: Exception) -> None:
        """
        The connection is gone.
        """
        if not self.connected:
            return
        self.connected = False
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))

    def drain(self, room: int | None = None) -> None:
        """
        The socket takes `room` more bytes, or everything from now on.
        """
        self.room = room
        self._send()
        self._ask()

    def _send(self) -> None:
        taken = len(self.held) if self.room is None else min(self.room, len(self.held))
        if self.room is not None:
            self.room -= taken
        self.sent += self.held[:taken]
        self.held = self.held[taken:]
        if not self.streaming and self.producer is not None and taken:
            self.clock.callLater(0, self._ask)

    def _ask(self) -> None:
        if self.held or not self.connected or self.aborted:
            return
        if self.producer is not None and (not self.streaming or self.paused_producer):
            self.paused_producer = False
            self.producer.resumeProducing()
        self._leave()

    def _leave(self) -> None:
        if self.disconnecting and not self.held and self.producer is None:
            self.clock.callLater(0, self.lose, ConnectionDone())


class Dial:
    """
    One attempt to connect.
    """

    def __init__(self, endpoint: FakeEndpoint, factory: Any) -> None:
        self.endpoint = endpoint
        self.factory = factory
        self.cancelled = False
        self.deferred: Deferred[Any] = Deferred(self._cancel)
        self.transport: FakeTransport | None = None

    def _cancel(self, deferred: Deferred[Any]) -> None:
        self.cancelled = True
        self.endpoint.dials.remove(self)
        if self.endpoint.given_up_with == "resolving":
            deferred.errback(DNSLookupError())

    def succeed(self) -> FakeTransport:
        """
        The connection is made.
        """
        self.endpoint.dials.remove(self)
        transport = self.endpoint.make_transport()
        transport.protocol = self.factory.buildProtocol(None)
        self.transport = transport
        self.endpoint.transports.append(transport)
        transport.protocol.makeConnection(transport)
        self.deferred.callback(transport.protocol)
        return transport

    def fail(self, error: Exception) -> None:
        """
        The connection cannot be made.
        """
        self.endpoint.dials.remove(self)
        self.deferred.errback(Failure(error))


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """
    Connects at once, or when it is told to.

    :ivar dials: attempts that are under way.
    :ivar transports: all that were ever made, in order.
    :ivar given_up_with: what an attempt that is given up was doing: ``connecting`` or ``resolving``.
    """

    def __init__(self, clock: Clock, *, connects: bool = True) -> None:
        self.clock = clock
        self.connects = connects
        self.room: int | None = None
        self.asked = 0
        self.dials: list[Dial] = []
        self.transports: list[FakeTransport] = []
        self.given_up_with = "connecting"

    def make_transport(self) -> FakeTransport:
        return FakeTransport(self.clock, room=self.room)

    def connect(self, factory: Any) -> Deferred[Any]:
        self.asked += 1
        dial = Dial(self, factory)
        self.dials.append(dial)
        if self.connects:
            dial.succeed()
        return dial.deferred


class Body(Protocol):
    """
    Collects a body, and how it ended.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reason: BaseException | None = None
        self.endings = 0

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        assert self.reason is None, "data after the end"
        assert data, "an empty piece"
        self.pieces.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.endings += 1
        self.reason = reason.value


class Asked:
    """
    One call, and what has become of it.

    :param reads: a body is asked for as soon as there is a response.
    """

    def __init__(self, deferred: Deferred[Any], *, reads: bool = True) -> None:
        self.deferred = deferred
        self.response: Any = None
        self.error: BaseException | None = None
        self.body = Body()
        self._reads = reads
        deferred.addCallbacks(self._answered, self._failed)

    def _answered(self, response: Any) -> None:
        self.response = response
        if self._reads:
            response.deliverBody(self.body)

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.body.reason is not None


class Lab:
    """
    An agent with a clock and providers in memory.
    """

    def __init__(self, *, connects: bool = True, **settings: Any) -> None:
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock, connects=connects)
        self.settings = TransportSettings(**settings)
        self.agent = RelayAgent(self.clock, self.settings, endpoints=lambda *_: self.endpoint)

    @property
    def transport(self) -> FakeTransport:
        """
        The connection that was made last.
        """
        return self.endpoint.transports[-1]

    @property
    def live(self) -> list[FakeTransport]:
        """
        The connections whose sockets are open.
        """
        return [transport for transport in self.endpoint.transports if transport.connected]

    def ask(
        self,
        method: bytes = b"POST",
        body: Any = b"{}",
        url: bytes = URL,
        pairs: list[tuple[bytes, bytes]] | None = None,
        *,
        reads: bool = True,
    ) -> Asked:
        """
        Make a call.
        """
        return Asked(self.agent.send(method, url, pairs or [], body), reads=reads)

    def turn(self) -> None:
        """
        Let the reactor turn, without time passing.
        """
        for _ in range(4):
            self.clock.advance(0)

    def wait(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.advance(seconds)
        self.turn()


@implementer(IBodyProducer)
class SlowBody:
    """
    A request body that is written when a test says so.

    :ivar calls: what it was told, in order.
    """

    def __init__(self, length: Any) -> None:
        self.length = length
        self.calls: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.consumer: Any = None

    @property
    def stopped(self) -> int:
        return self.calls.count("stop")

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def write(self, data: bytes) -> None:
        self.consumer.write(data)

    def finish(self) -> None:
        self.done.callback(None)

    def fail(self, error: Exception) -> None:
        self.done.errback(Failure(error))

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")
