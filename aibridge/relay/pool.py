"""
The connections to one origin: how many there may be, who waits for one, and which are kept for the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from aibridge import errors
from aibridge.relay.attempt import Attempt
from aibridge.relay.connection import Connection
from aibridge.relay.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from aibridge.providers.settings import TransportSettings
    from aibridge.relay.call import Call, Waits
    from aibridge.relay.tls import HostTLS

LEAST_QUEUE: Final = 64
QUEUE_PER_CONNECTION: Final = 4
"""Calls that may wait for each connection that there may be; those beyond are refused at once."""


class _Plain(Factory):
    """
    Makes connections for a pool.
    """

    noisy = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def buildProtocol(self, addr: object) -> Any:
        """
        A connection that is not connected yet.
        """
        return Connection(self._pool)


class _Secured(TLSMemoryBIOFactory):
    """
    Puts TLS below connections. A request leaves in one write, so there are no small writes to gather.
    """

    protocol = TLSMemoryBIOProtocol


class Pool:
    """
    The connections to one origin.

    Note [Every slot]: each connection and each attempt to make one takes one of `max_connections` slots, from the
    moment it begins until its socket is closed. A connection that is cut keeps its slot for the turn that this takes.
    A call that finds neither an idle connection nor a slot waits in the queue, in which one sender comes after the
    other. Whenever a connection is given back or a slot is freed, the queue is looked at.

    :ivar idle: connections that serve nobody, the one used last at the end.
    :ivar connections: all that are made and not yet closed, idle or not.
    :ivar attempts: those being made.
    :ivar waiting: the queue.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: TransportSettings,
        waits: Waits,
        endpoint: IStreamClientEndpoint,
        tls: HostTLS | None,
        emptied: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.waits = waits
        self.now = clock.seconds
        self.secure = tls is not None
        self.idle: dict[Connection, None] = {}
        self.connections: set[Connection] = set()
        self.attempts: set[Attempt] = set()
        self.waiting = Waiting()
        self.closing = False
        self._tls = tls
        self._endpoint = endpoint
        self._emptied = emptied
        self._freeing = False
        self._factory: Any = _Plain(self)
        if tls is not None:
            self._factory = _Secured(tls, True, self._factory, clock)
        self._most = transport.max_connections
        self._most_waiting = max(LEAST_QUEUE, QUEUE_PER_CONNECTION * self._most)
        self._most_idle = transport.max_idle_connections if transport.idle_timeout else 0

    @property
    def open(self) -> int:
        """
        Slots that are taken.
        """
        return len(self.connections) + len(self.attempts)

    def submit(self, call: Call) -> None:
        """
        Serve a call as soon as possible; it may have failed already when this returns.
        """
        idle = self.idle
        while idle:
            connection, _ = idle.popitem()
            self.waits.idle.cancel(connection)
            if not connection.is_usable(self.now()):
                connection.close()
            elif connection.start(call):
                return
        if self.open < self._most:
            self._connect(call)
        elif len(self.waiting) < self._most_waiting or self._make_room(call):
            self._queue(call)
        else:
            call.fail(errors.PoolTimeout())

    def leave(self, call: Call) -> None:
        """
        A call that waits in the queue has ended.
        """
        self.waiting.leave(call)

    def close(self) -> None:
        """
        Keep no connections from now on.
        """
        self.closing = True
        for connection in list(self.idle):
            connection.close()

    def abort(self) -> None:
        """
        End every call, and cut every connection.
        """
        while self.waiting:
            self._next().fail(errors.UpstreamReset())
        for attempt in list(self.attempts):
            attempt.abort()
        for connection in list(self.connections):
            connection.abort()

    def _queue(self, call: Call, *, first: bool = False) -> None:
        call.place = self
        self.waiting.add(call, first=first)
        self.waits.pool.start(call)

    def _next(self) -> Call:
        call = self.waiting.take()
        self.waits.pool.cancel(call)
        call.place = None
        return call

    def _make_room(self, call: Call) -> bool:
        last = self.waiting.giving_way(call.sender)
        if last is None:
            return False
        last.fail(errors.PoolTimeout())
        return True

    def _connect(self, call: Call) -> None:
        attempt = Attempt(self, call)
        self.attempts.add(attempt)
        attempt.start()

    # -- called by attempts --------------------------------------------------------------------------------------

    def dial(self) -> Deferred[Any]:
        """
        Connect once.
        """
        try:
            return self._endpoint.connect(self._factory)
        except Exception:
            # Out of file descriptors, for one.
            failed: Deferred[Any] = Deferred()
            failed.errback(Failure())
            return failed

    def verify(self, connection: Connection) -> None:
        """
        :raises TLSFailed: the peer's certificate is not one for this host.
        """
        assert self._tls is not None
        self._tls.verify(connection.transport.getHandle())

    def made(self, connection: Connection, call: Call | None) -> None:
        """
        There is a new connection, for `call` if that still wants it.
        """
        connection.born = self.now()
        self.connections.add(connection)
        if call is None:
            self.released(connection)
        elif not connection.start(call):
            # The peer has closed it already.
            call.fail(errors.UpstreamReset())

    # -- called by connections -----------------------------------------------------------------------------------

    def released(self, connection: Connection) -> None:
        """
        A connection has served its call, and can serve another.
        """
        while self.waiting and connection.is_usable(self.now()):
            call = self._next()
            if connection.start(call):
                return
            self._queue(call, first=True)
        if self.closing or not self._most_idle or not connection.is_fresh(self.now()):
            connection.close()
            return
        self.idle[connection] = None
        self.waits.idle.start(connection)
        if len(self.idle) > self._most_idle:
            next(iter(self.idle)).close()

    def confirmed(self, connection: Connection) -> None:
        """
        A connection has served its first call. By then the peer has sent what its TLS session is resumed with.
        """
        if self._tls is not None:
            self._tls.remember(connection.transport.getHandle())

    def withdrawn(self, connection: Connection) -> None:
        """
        A connection is about to go, and serves nobody any more.
        """
        if connection in self.idle:
            del self.idle[connection]
            self.waits.idle.cancel(connection)

    def lost(self, connection: Connection, again: Call | None = None) -> None:
        """
        A connection is gone.

        :param again: the call that it was to serve, and that may be sent once more, on a connection that is new.
        """
        self.withdrawn(connection)
        self.connections.discard(connection)
        if again is not None:
            # It takes the slot that has just become free, before those who wait see it.
            self._connect(again)
        self.freed()

    def freed(self) -> None:
        """
        A slot may have become free.
        """
        if self._freeing:
            # An attempt that failed at once freed its slot again, and the loop below goes on with it.
            return
        self._freeing = True
        try:
            while self.waiting and self.open < self._most:
                self._connect(self._next())
        finally:
            self._freeing = False
        if self.closing and not self.open and not self.waiting:
            self._emptied()
