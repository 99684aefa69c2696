"""
Tunnels: bytes from one connection to another and back, unread.

Note [Halves]: each direction ends by itself. When one side has said all it has to say, the other is told so once it
has been given everything, and may go on answering; the tunnel is over when both have. A connection that breaks rather
than ends breaks the other one too, so that nobody takes the half of something for the whole.

It is written to be cheap, since most of what a proxy tunnels is not its business: large reads, writes that try the
socket first, no timer for a single tunnel, and nothing held for one that is silent but two sockets and two small
objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer, IReactorTime
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.deadlines import Deadlines
from aibridge.relay.takeover import take_over
from aibridge.relay.vanished import UPSTREAM_S, notice_vanished
from aibridge.web.eager import eager_write

READ: Final = 262144
"""Bytes that are read at once, and that may wait for a side that does not read before the other is not read either."""

CLOSING_S: Final = 300.0
"""How long what is left may take to be delivered once one side is gone."""

COMPLETED: Final = "completed"
CLIENT_RESET: Final = "client_reset"
HOST_RESET: Final = "host_reset"
IDLE: Final = "idle"


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class End:
    """
    One side of a tunnel.

    :ivar received: bytes that came from it.
    :ivar over: it has said all it has to say.
    :ivar gone: its connection is no more.
    """

    __slots__ = ("_idle", "_other", "_tunnel", "_write", "factory", "gone", "over", "received", "reset", "transport")

    def __init__(self, tunnel: Tunnel, idle: Deadlines[Tunnel], reset: str) -> None:
        self._tunnel = tunnel
        self._idle = idle
        self.reset = reset
        self.received = 0
        self.over = self.gone = False
        self.transport: Any = None
        self.factory: object = None

    def makeConnection(self, transport: Any) -> None:
        """
        A connection that is made already becomes a side of the tunnel.
        """
        self.transport = transport
        transport.bufferSize = READ
        self.connectionMade()

    def connectionMade(self) -> None:
        """
        Nothing: `join` follows when the other side is there, too.
        """

    def join(self, other: End) -> None:
        """
        What comes from here goes to `other`, as fast as it is taken there.
        """
        self._other = other
        self._write: Callable[[bytes], None] = eager_write(other.transport)
        other.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on.
        """
        self.received += len(data)
        self._idle.start(self._tunnel)
        self._write(data)

    # -- how it ends: see Note [Halves] --------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """
        It has said all it has to say.
        """
        self.over = True
        other = self._other
        if other.over:
            self.finish()
            other.finish()
        elif not other.gone:
            other.close_half()

    def writeConnectionLost(self) -> None:
        """
        It has been given everything.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        It is gone.
        """
        self.gone = self.over = True
        other = self._other
        clean = reason.check(ConnectionDone) is not None
        if not other.gone:
            if clean:
                other.finish()
            else:
                other.transport.abortConnection()
        self._tunnel.lost(COMPLETED if clean else self.reset, both=other.gone)

    def close_half(self) -> None:
        """
        Nothing more will come for it.
        """
        transport = self.transport
        transport.unregisterProducer()
        if isinstance(transport, ProtocolWrapper):
            # TLS says goodbye for both directions.
            transport.loseConnection()
        else:
            transport.loseWriteConnection()

    def finish(self) -> None:
        """
        Give it what waits for it, and close.
        """
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # -- back-pressure: called by the other side's transport -----------------------------------------------------

    def pauseProducing(self) -> None:
        """
        The other side does not take what it is given.
        """
        if not self.over:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        It does again.
        """
        if not self.over:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        The other side is gone; it says so itself.
        """


class Tunnel:
    """
    Two connections as one.

    :ivar client: the side that asked for it.
    :ivar host: the side that it asked for.
    """

    __slots__ = ("_cause", "_ended", "_seen", "_tunnels", "client", "host")

    def __init__(self, tunnels: Tunnels, ended: Callable[[Tunnel, str], None]) -> None:
        self._tunnels = tunnels
        self._ended = ended
        self._cause = ""
        self._seen = -1
        self.client = End(self, tunnels.idle, CLIENT_RESET)
        self.host = End(self, tunnels.idle, HOST_RESET)

    def start(self, client: Any, host: Any, greeting: bytes, rest: bytes) -> None:
        """
        Begin.

        :param client: transport.
        :param host: transport.
        :param greeting: what the client is told first.
        :param rest: what the client has sent already.
        """
        self._tunnels.all.add(self)
        self._tunnels.idle.start(self)
        handle = getattr(host, "getHandle", None)
        if handle is not None:
            notice_vanished(handle(), UPSTREAM_S)
        take_over(client, self.client)
        take_over(host, self.host)
        self.client.join(self.host)
        self.host.join(self.client)
        client.write(greeting)
        if rest:
            self.client.dataReceived(rest)

    def cut(self, cause: str) -> None:
        """
        End it now, for a reason that neither side gave.
        """
        self._cause = self._cause or cause
        for end in (self.client, self.host):
            if not end.gone:
                end.transport.abortConnection()

    def lost(self, cause: str, *, both: bool) -> None:
        """
        A side is gone.
        """
        self._cause = self._cause or cause
        tunnels = self._tunnels
        tunnels.idle.cancel(self)
        if not both:
            tunnels.closing.start(self)
            return
        tunnels.closing.cancel(self)
        tunnels.all.discard(self)
        self._ended(self, self._cause)

    def was_silent(self) -> bool:
        """
        Whether nothing has passed since this was last asked.
        """
        passed = self.client.received + self.host.received
        seen, self._seen = self._seen, passed
        return seen == passed


class Tunnels:
    """
    All tunnels.

    :param idle_s: how long one may be silent.
    :ivar all: those that are not over.
    """

    def __init__(self, clock: IReactorTime, idle_s: float) -> None:
        self.all: set[Tunnel] = set()
        self.idle: Deadlines[Tunnel] = Deadlines(clock, idle_s, lambda tunnel: tunnel.cut(IDLE))
        self.closing: Deadlines[Tunnel] = Deadlines(clock, CLOSING_S, lambda tunnel: tunnel.cut(IDLE))

    def end_silent(self, cause: str) -> None:
        """
        End those on which nothing has passed since this was last called.
        """
        for tunnel in list(self.all):
            if tunnel.was_silent():
                tunnel.cut(cause)

    def end_all(self, cause: str) -> None:
        """
        End all.
        """
        for tunnel in list(self.all):
            tunnel.cut(cause)
