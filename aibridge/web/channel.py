"""
One client connection: requests in, one at a time and in their order, answers out, every wait with its deadline.

Note [Reading goes on]: a connection that is not read cannot tell that its client left. So it is read in every state:
what a client sends ahead is kept, up to a limit at which the connection is cut. Only a body that nobody takes stops
the reading (Note [Unread bodies]), and then its end is watched for by other means. An end of the client's stream is
its departure, also where it may have meant to send no more and still to listen, as nginx and Go's net/http take it: the
two cannot be told apart, and an upstream call for nobody costs money.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibridge.errors import BodyTooSlow
from aibridge.web.body import Body
from aibridge.web.faults import REASON, REQUEST_ID
from aibridge.web.link import Link
from aibridge.web.request import Request
from aibridge.wire.request import Head, Refusal

if TYPE_CHECKING:
    from aibridge.web.site import BridgeSite

_log = Logger(namespace=__name__)

MOST_AT_ONCE: Final = 1
"""Pipelined requests of one connection that may be answered in one turn of the reactor; then others have theirs."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Channel(Link):
    """
    The server's end of one connection.
    """

    def __init__(self, site: BridgeSite, address: IAddress) -> None:
        super().__init__(site, address)
        self._input = b""  # what has come and was not looked at, or is a head in part
        self._seen = 0  # how much of it was looked at in vain
        self._body: Body | None = None  # of the request, or of the one before, while it is not complete
        self._running = False
        self._counted = 0  # how much of what has come is known to be kept

    # -- called by the transport ---------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        A client is there.
        """
        site = self.site
        site.connections.add(self)
        self.open()
        self.wait_for(site.header)
        site.arrived(self)

    def dataReceived(self, data: bytes) -> None:
        """
        The client sends.
        """
        body = self._body
        if self._closing:
            return
        if body is not None:
            body.feed(data)
            if self.request is None:
                self._run()
        else:
            self._input = self._input + data if self._input else data
            if self.request is None and not self._full:
                self._run()
            elif len(self._input) > self.site.settings.max_pipelined:
                _log.debug("{client} sent too much ahead.", client=self.client_host)
                self.abort()
        if len(self._input) != self._counted:
            self._count()

    def _count(self) -> None:
        """
        Tell how much is kept of what has come. There may be no room for it.
        """
        more = len(self._input) - self._counted
        self._counted += more
        if self.keeps(more) or more < 0 or self._closing:
            return
        _log.debug("There is no room for what {client} has sent.", client=self.client_host)
        if self.request is None:
            self.refuse(503, "There is no room for so much that is not complete.")
        else:
            self.abort()
        self._input = b""
        self._count()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The client has left, or was made to.
        """
        self.release()
        request, self.request = self.request, None
        self._body = None
        self._input = b""
        self.site.connections.discard(self)
        self.site.left(self)
        if request is not None:
            request.connectionLost(reason)

    # -- one request after the other -----------------------------------------------------------------------------

    def _run(self) -> None:
        """
        Take up requests for as long as there are any and each is answered at once; then wait for the client.
        """
        if self._running:
            return
        self._running = True
        left = MOST_AT_ONCE
        try:
            while self._input and self.request is None and self._body is None and not self._closing and not self._full:
                if not left:
                    self.stop_reading()
                    self.later(self._run_on)
                    return
                left -= 1
                if not self._begin():
                    return
        finally:
            self._running = False
        if self.request is None and self._body is None and not self._closing and not self._full:
            self.wait_for(self.site.keep_alive)

    def _run_on(self) -> None:
        self.resume_reading()
        if not self._closing:
            self._run()

    def _begin(self) -> bool:
        """
        Take up the request at the start of what has come.

        :return: whether there was one.
        """
        data = self._input
        try:
            head = self.site.heads.read(data, self._seen)
        except Refusal as refusal:
            self.refuse(refusal.status, refusal.message)
            return False
        if head is None:
            self._seen = len(data)
            if self._deadline is not self.site.header:
                self.wait_for(self.site.header)
            return False
        self._seen = 0
        if self._deadline is not None:
            self.wait_for(None)
        request = self.request = Request(self, head)
        self._take_body(request, head, data[head.size :])
        if self._counted:
            self._count()
        self.site.serve(request)
        return True

    def _take_body(self, request: Request, head: Head, rest: bytes) -> None:
        length = head.length
        if length is None or length > len(rest):
            self._input = b""
            request.body = self._body = Body(self, length)
            if rest:
                self._body.feed(rest)
        elif length:
            request.body = rest[:length]
            self._input = rest[length:]
        else:
            self._input = rest

    def response_done(self, *, keep: bool) -> None:
        """
        The request in flight is answered.

        :param keep: another one may follow.
        """
        self.request = None
        body = self._body
        if body is not None:
            body.drop()
        if not keep:
            if body is None:
                self.close()
            else:
                self.linger()
        elif body is not None:
            self.wait_for(self.site.linger)
        else:
            self._run()

    def cut(self, *, gently: bool) -> None:
        """
        The request in flight will not be answered to its end.

        :param gently: what was said of the answer shows that it is not whole, so that it may be delivered first.
        """
        self.request = None
        if gently:
            self.close()
        else:
            self.abort()

    def hand_over(self) -> tuple[Any, bytes]:
        """
        Let go of the connection, which another protocol takes over in this turn. The request in flight is over.

        :return: the transport, and what the client has sent behind the request.
        """
        rest, self._input = self._input, b""
        self.request = None
        self.resume_reading()
        self.release()
        self.transport.unregisterProducer()
        self.site.connections.discard(self)
        self.site.left(self)
        return self.transport, rest

    def refuse(self, status: int, message: str) -> None:
        """
        Answer what is no request that could be served, and believe nothing more that comes.
        """
        _log.debug("Refused {client}: {status} {message}", client=self.client_host, status=status, message=message)
        body = json.dumps({"message": message}).encode()
        self.write(
            b"%bContent-Type: application/json\r\nCache-Control: no-store\r\n%b: request\r\n%b: %b\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (self.site.status_lines(status), REASON, REQUEST_ID, self.site.new_id().encode(), len(body), body)
        )
        self.linger()

    def drained(self) -> None:
        """
        What waited behind an answer can be taken up.
        """
        if self._deadline is None:
            self._run()

    # -- called by the body --------------------------------------------------------------------------------------

    def body_claimed(self, is_held: bool) -> None:
        """
        Somebody begins to read the body, which is not complete.

        :param is_held: all of it. Where none is, no place is kept by one that takes long because it is large.
        """
        if is_held:
            self.wait_for(self.site.body)
        self.site.pace.start(self)
        request = self.request
        if request is None:
            return
        if request.sender:
            self.site.senders.arrived(self, request.sender)
        if request.awaits_continue:
            self.write(_CONTINUE)

    def body_ended(self, rest: bytes) -> None:
        """
        The body is complete.

        :param rest: what came behind it.
        """
        self._body = None
        self._input = rest
        self.site.pace.cancel(self)
        self.site.senders.left(self)
        self.wait_for(None)

    def body_failed(self) -> None:
        """
        Nobody waits for the body any longer.
        """
        self.site.pace.cancel(self)
        self.site.senders.left(self)
        if self._deadline is self.site.body:
            self.wait_for(None)

    def later(self, work: Callable[[], None]) -> None:
        """
        Do some work when others have had their turn.
        """
        self.site.rounds.add(work)

    # -- deadlines -----------------------------------------------------------------------------------------------

    def head_late(self) -> None:
        """
        A head did not come in time.
        """
        self._deadline = None
        if self._input:
            self.refuse(408, "The request head did not come in time.")
        else:
            self.close()

    def body_late(self) -> None:
        """
        A body did not come in time.
        """
        self._deadline = None
        if self._body is not None:
            self._body.fail(BodyTooSlow())

    def body_paced(self) -> None:
        """
        Another while has passed since a body began to be read: see `aibridge.web.site.PACE_S`.
        """
        site, body = self.site, self._body
        if body is None:
            return
        if body.came(site.least_came):
            site.pace.start(self)
        else:
            body.fail(BodyTooSlow())

    def close_if_idle(self) -> None:
        """
        Close, unless a request is on its way or being answered.
        """
        if self.request is None and not self._input:
            self.close()
