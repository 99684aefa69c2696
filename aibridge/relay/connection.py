"""
One connection to a provider: a request goes up, its response comes back, and then perhaps the next.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from typing import TYPE_CHECKING, Any, Final

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from aibridge import errors
from aibridge.relay.response import PERHAPS_WHOLE, WHOLE, Response
from aibridge.relay.upload import Outbox, Upload
from aibridge.wire.response import ENDED, FAULTY, UNTIL_CLOSE, ResponseReader

if TYPE_CHECKING:
    from aibridge.relay.attempt import Attempt
    from aibridge.relay.call import Call
    from aibridge.relay.pool import Pool

_log = Logger(namespace=__name__)

SHOWN: Final = 48
"""Bytes of what is no response that the log is told."""

VERSIONS: Final = ((b"HTTP", 1, 0), (b"HTTP", 1, 1))

# A peer that vanished without a word is noticed within two minutes, and address translators on the way, which forget
# a silent connection after 350 s and less, are reminded of it.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class Connection:
    """
    A connection to a provider. It serves one call at a time.

    Note [Used again]: a connection goes back to its pool when the response has ended where its framing said, no byte
    came behind it, the request had left as a whole, and both sides keep connections. In every other case it is closed.
    A byte that comes while it serves nobody ends it as well, since nobody could tell whose it is.

    :ivar attempt: who waits for it to be made; None once it has been.
    :ivar served: calls that have ended on it.
    :ivar born: when it was made, monotonic seconds.
    :ivar good_until: when the provider said that it closes it, monotonic seconds, or infinity.
    """

    __slots__ = (
        "_call",
        "_gone",
        "_lower",
        "_outbox",
        "_poll",
        "_pool",
        "_reader",
        "_response",
        "_upload",
        "_waits",
        "attempt",
        "born",
        "connected",
        "factory",
        "good_until",
        "served",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waits = pool.waits
        self._reader = ResponseReader(pool.transport.max_response_head)
        self._call: Call | None = None
        self._response: Response | None = None
        self._upload: Upload | None = None
        self._gone = False
        self._poll: select.poll | None = None
        self.attempt: Attempt | None = None
        self.served = 0
        self.born = 0.0
        self.good_until = math.inf
        self.connected = 0
        self.factory: object = None
        self.transport: Any = None

    # -- how it begins and ends ----------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """
        The socket is connected; TLS, if there is any, begins now.
        """
        self.transport = transport
        self.connected = 1
        self.connectionMade()

    def connectionMade(self) -> None:
        """
        Make the socket fit for a relay: every byte leaves at once, and a peer that vanished is noticed.
        """
        transport = self.transport
        self._lower = lower = transport.transport if self._pool.secure else transport
        self._outbox = Outbox(self, transport, lower)
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        if isinstance(lower, tcp.Connection):
            handle = lower.getHandle()
            for name, value in _KEEP_ALIVE:
                with contextlib.suppress(AttributeError, OSError):
                    handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            self._poll = select.poll()
            self._poll.register(handle, select.POLLIN)

    def handshakeCompleted(self) -> None:
        """
        TLS is there, and the peer has shown a certificate that chains up to one we trust.
        """
        if self.attempt is not None:
            self.attempt.secured()

    def connectionLost(self, reason: Failure) -> None:
        """
        It is gone.
        """
        self._gone = True
        self.connected = 0
        self._poll = None
        self._reader.stop()
        self._waits.closing.cancel(self)
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.lost(reason)
            return
        call, response, untouched = self._call, self._response, not self._reader.touched
        if call is not None:
            self._leave(call)
        if call is not None and call.repeatable and untouched and self.served:
            call.repeatable = False
            self._pool.lost(self, again=call)
            return
        self._pool.lost(self)
        if response is None:
            if call is not None:
                call.fail(_caused(errors.UpstreamReset(), reason))
        elif call is None:
            response.ended(Failure(_caused(errors.UpstreamTruncated(), reason)))
        elif self._reader.phase == UNTIL_CLOSE and reason.check(ConnectionDone):
            call.ended()
            response.ended(PERHAPS_WHOLE)
        else:
            call.fail(_caused(errors.UpstreamTruncated(), reason))

    def close(self) -> None:
        """
        Take leave of the peer; cut the connection if that takes too long.
        """
        if self._gone:
            return
        self._gone = True
        self._pool.withdrawn(self)
        self._waits.closing.start(self)
        self.transport.loseConnection()

    def abort(self) -> None:
        """
        Cut the connection now.
        """
        if not self._gone:
            self._gone = True
            self._pool.withdrawn(self)
        if self.connected:
            self.transport.abortConnection()

    def is_fresh(self, now: float) -> bool:
        """
        Whether it may be kept for another call: it is neither too old, nor about to be closed by the peer.
        """
        if self._gone or now - self.born >= self._pool.transport.max_connection_age:
            return False
        return now < self.good_until

    def is_usable(self, now: float) -> bool:
        """
        Whether it may serve another call now: it is fresh, and the peer has neither closed it nor said anything
        without the reactor having told us yet.
        """
        return self.is_fresh(now) and (self._poll is None or not self._poll.poll(0))

    # -- a call --------------------------------------------------------------------------------------------------

    def start(self, call: Call) -> bool:
        """
        Serve a call.

        :return: False if that cannot be, since the connection turned out dead before a byte was written. It is on
            its way out then, and the call is where it was.
        """
        self._reader.begin(to_head=call.method == b"HEAD")
        self._call = call
        call.place = self
        if not self._outbox.send(call.first, call.rest):
            self._call = call.place = None
            self.abort()
            return False
        if call.producer is not None:
            self._upload = upload = Upload(self, self._outbox, call.producer, call.length)
            call.producer = None
            upload.start()
        elif not self._outbox.waiting:
            self._waits.first_byte.start(call)
        if not call.repeatable:
            call.first, call.rest = b"", None
        return True

    def sending(self) -> None:
        """
        See Note [Waiting for the head].
        """
        if self._call is not None and self._response is None:
            self._waits.first_byte.start(self._call)

    def drained(self) -> None:
        """
        All that there is of the request has been taken.
        """
        if self._call is not None and self._response is None:
            if self._upload is None:
                self._waits.first_byte.start(self._call)
            else:
                self._waits.first_byte.cancel(self._call)

    def uploaded(self) -> None:
        """
        The producer has written all of the body.
        """
        self._upload = None
        self.sending()

    def upload_failed(self, failure: Failure) -> None:
        """
        The body cannot be produced. Whose fault that is, the failure says.
        """
        self._upload = None
        if self._call is not None:
            self._call.fail(failure)

    def leave(self, call: Call) -> None:
        """
        The call has ended before its response: nobody could use what this connection would still bring.
        """
        self._leave(call)
        self.abort()

    def _leave(self, call: Call) -> None:
        self._call = self._response = call.place = None
        self._waits.first_byte.cancel(call)
        self._waits.silence.cancel(call)
        self._stop_sending()

    def _stop_sending(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()
        self._outbox.clear()

    # -- what comes back -----------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """
        Something came.
        """
        call = self._call
        if call is None:
            if not self._gone:
                # See Note [Used again].
                self.abort()
            return
        reader = self._reader
        body = reader.feed(data)
        response = self._response
        if response is None:
            if not reader.code:
                if reader.phase == FAULTY:
                    # What a head begins with tells whether it is TLS, another protocol, or somebody else's answer.
                    _log.debug(
                        "{uri} was answered with {start} and so on: {fault}.",
                        uri=call.absoluteURI.partition(b"?")[0].decode("ascii"),
                        start=data[:SHOWN],
                        fault=reader.fault,
                    )
                    self._violated(call)
                return
            response = self._answer(call)
        if body and self._call is call:
            response.received(body)
        if self._call is not call:
            # Whoever was told has ended the call.
            return
        if reader.phase == ENDED:
            self._finish(call, response)
        elif reader.phase == FAULTY:
            self._violated(call)
        elif not response.paused:
            self._waits.silence.start(call)

    def _answer(self, call: Call) -> Response:
        reader = self._reader
        self._waits.first_byte.cancel(call)
        self._response = response = Response(
            self,
            call,
            VERSIONS[reader.minor],
            reader.code,
            reader.phrase,
            reader.pairs,
            reader.length,
        )
        if reader.code >= 300 and (self._upload is not None or self._outbox.waiting):
            # The provider does not want the rest, and says why. What it has of the request is not whole, so that
            # this was the connection's last one. After a 2xx it may well still be reading.
            reader.keeps_alive = False
            self._stop_sending()
        call.answered(response)
        return response

    def _finish(self, call: Call, response: Response) -> None:
        reader, pool = self._reader, self._pool
        sent = self._upload is None and not self._outbox.waiting
        self._waits.silence.cancel(call)
        self._call = self._response = None
        call.ended()
        if not sent:
            self._stop_sending()
        self.served += 1
        if self.served == 1:
            pool.confirmed(self)
        if response.paused or response.is_held:
            self.transport.resumeProducing()
        if not sent or reader.surplus:
            self.abort()
        elif reader.keeps_alive:
            if reader.keep_for is not None:
                self.good_until = pool.now() + max(0, reader.keep_for - 1)
            pool.released(self)
        else:
            self.close()
        response.ended(WHOLE)

    def _violated(self, call: Call) -> None:
        call.fail(errors.UpstreamViolation(f"The provider's answer was not valid HTTP: {self._reader.fault}."))

    # -- asked by the response's consumer ------------------------------------------------------------------------

    def pause_body(self) -> None:
        """
        Do not read. See Note [Whose silence].
        """
        if self._call is not None:
            self.transport.pauseProducing()
            if self._response is not None and self._response.paused:
                self._waits.silence.cancel(self._call)

    def resume_body(self) -> None:
        """
        Read again.
        """
        call = self._call
        if call is not None:
            self._waits.silence.start(call)
            # What is read at once may end the call.
            self.transport.resumeProducing()

    def abort_body(self) -> None:
        """
        Nobody wants the rest. The consumer is told when the connection has gone.
        """
        call, response = self._call, self._response
        if call is not None:
            self._leave(call)
            call.ended()
        self._response = response
        self.abort()


classImplements(Connection, IProtocol, IHandshakeListener)


def _caused(error: errors.UpstreamError, reason: Failure) -> errors.UpstreamError:
    error.__cause__ = reason.value
    return error
