"""
A connection being made: from a name to a socket, perhaps to TLS, and every way in which that can fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aibridge import errors

if TYPE_CHECKING:
    from aibridge.relay.call import Call
    from aibridge.relay.connection import Connection
    from aibridge.relay.pool import Pool


class Attempt:
    """
    A connection being made for a call: resolving, connecting, and the TLS handshake, under one deadline.
    """

    __slots__ = ("_call", "_connection", "_dialing", "_late", "_pool")

    def __init__(self, pool: Pool, call: Call) -> None:
        self._pool = pool
        self._call: Call | None = call
        self._connection: Connection | None = None
        self._dialing: Deferred[Any] | None = None
        self._late = False
        call.place = self

    def start(self) -> None:
        """
        Begin to connect.
        """
        pool = self._pool
        pool.waits.connect.start(self)
        self._dialing = dialing = pool.dial()
        dialing.addCallbacks(self._connected, self._failed)

    def leave(self, call: Call) -> None:
        """
        The call does not want it any more.
        """
        self._call = None
        self._give_up()

    def abort(self) -> None:
        """
        Give it up, and tell whose it was.
        """
        call = self._call
        if call is not None:
            call.fail(errors.UpstreamReset())

    def timed_out(self) -> None:
        """
        It has taken too long.
        """
        self._late = True
        if self._dialing is not None:
            self._give_up()
        else:
            call, self._call = self._call, None
            self._give_up()
            self._tell(call, errors.ConnectTimeout())

    def secured(self) -> None:
        """
        The TLS handshake is complete. Its certificate must be one for the name that was asked for, also where the
        handshake was a resumed one, in which no certificate is sent.
        """
        connection = self._connection
        assert connection is not None
        try:
            self._pool.verify(connection)
        except errors.TLSFailed as failed:
            call, self._call = self._call, None
            connection.abort()
            self._tell(call, failed)
        else:
            self._ready(connection)

    def lost(self, reason: Failure) -> None:
        """
        The connection ended before it was ready.
        """
        call, self._call = self._call, None
        self._end()
        self._pool.freed()
        failed: errors.UpstreamError = errors.TLSFailed() if self._pool.secure else errors.ConnectFailed()
        failed.__cause__ = reason.value
        self._tell(call, failed)

    def _give_up(self) -> None:
        self._pool.waits.connect.cancel(self)
        if self._dialing is not None:
            self._dialing.cancel()
        elif self._connection is not None:
            self._connection.abort()

    def _connected(self, protocol: Any) -> None:
        self._dialing = None
        connection: Connection = protocol.wrappedProtocol if self._pool.secure else protocol
        self._connection = connection
        if not connection.connected:
            self.lost(Failure(error.ConnectionLost()))
            return
        connection.attempt = self
        connection.unwrap()
        if not self._pool.secure:
            self._ready(connection)

    def _ready(self, connection: Connection) -> None:
        connection.attempt = None
        call, self._call = self._call, None
        self._end()
        if call is not None:
            call.place = None
        self._pool.made(connection, call)

    def _failed(self, failure: Failure) -> None:
        self._dialing = None
        call, self._call = self._call, None
        self._end()
        self._pool.freed()
        self._tell(call, _connect_error(failure, self._late))

    def _end(self) -> None:
        self._pool.waits.connect.cancel(self)
        self._pool.attempts.discard(self)
        self._connection = None

    @staticmethod
    def _tell(call: Call | None, failed: errors.UpstreamError) -> None:
        if call is not None:
            call.place = None
            call.fail(failed)


def _connect_error(failure: Failure, late: bool) -> errors.UpstreamError:
    """
    What to call it when there is no connection.

    :param late: the attempt was given up because its time had passed.
    """
    made: errors.UpstreamError
    if failure.check(error.DNSLookupError, error.UnknownHostError, ValueError):
        made = errors.ResolveFailed()
    elif late or failure.check(error.TimeoutError):
        made = errors.ConnectTimeout()
    else:
        made = errors.ConnectFailed()
    made.__cause__ = failure.value
    return made
