"""
An error whose body is read before it is passed on, as only the body says what it is about.

Note [Errors may cost that]: nothing of the answer is changed by it. What has come is held and given on as it came; the
rest of a body that is large, or late, streams behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import classImplements

from aibridge.dialects.errorbody import MOST_BODY, Said, read_error
from aibridge.relay.client import response_pairs
from aibridge.relay.headers import content_of
from aibridge.relay.pump import abandon
from aibridge.relay.response import Pair, headers_of

MOST_S: Final = 2.0
"""How long it is waited for the body of an error; its head has been there for that long, then."""


class Collected:
    """
    A response whose body is collected, up to a size and for a time; then it is a response like any other.

    :param ready: called once, with this: the body is whole, or no longer waited for. Not after `cancel`.
    """

    def __init__(self, response: Any, clock: IReactorTime, ready: Callable[[Any], None]) -> None:
        self._response = response
        self.code = int(response.code)
        self.length = response.length
        self.pairs: list[Pair] = response_pairs(response)
        self._ready: Callable[[Any], None] | None = ready
        self._pieces: list[bytes] = []
        self._size = 0
        self._consumer: Any = None
        self._delivered = False
        self._end: Failure | None = None
        self._transport: Any = None
        self._is_held = self._is_paused = False
        self._timer: IDelayedCall | None = clock.callLater(MOST_S, self._late)
        response.deliverBody(self)

    @property
    def headers(self) -> Headers:
        """
        Its fields as Twisted has them.
        """
        return headers_of(self.pairs)

    @property
    def is_waited_for(self) -> bool:
        """
        Whether it is not ready yet.
        """
        return self._ready is not None

    def said(self) -> Said:
        """
        What its body says, as far as it has come.
        """
        return read_error(b"".join(self._pieces), content_of(self.pairs)[1])

    def cancel(self) -> None:
        """
        Nobody wants it any more.
        """
        self._ready = None
        self._stop_timer()
        if self._end is None:
            self.stopProducing()

    # -- as a consumer of the provider's body --------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """
        There is a body.
        """
        self._transport = transport

    def connectionMade(self) -> None:
        """
        It begins.
        """

    def dataReceived(self, data: bytes) -> None:
        """
        A piece of it.
        """
        if self._consumer is not None:
            self._consumer.dataReceived(data)
            return
        if self._delivered:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= MOST_BODY:
            self._pause()
            self._be_ready()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        It is over.
        """
        self._transport = None
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.connectionLost(reason)
            return
        self._end = reason
        self._be_ready()

    def _late(self) -> None:
        self._timer = None
        self._pause()
        self._be_ready()

    def _be_ready(self) -> None:
        self._stop_timer()
        ready, self._ready = self._ready, None
        if ready is not None:
            ready(self)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _pause(self) -> None:
        if self._transport is not None and IPushProducer.providedBy(self._transport):
            self._is_held = True
            self._transport.pauseProducing()

    # -- as a response -------------------------------------------------------------------------------------------

    def deliverBody(self, protocol: IProtocol) -> None:
        """
        Give on what has come, and what comes.
        """
        self._delivered = True
        self._consumer = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a body's transport cannot be written to
        pieces, self._pieces = self._pieces, []
        if pieces and self._consumer is not None:
            protocol.dataReceived(b"".join(pieces))
        if self._end is not None:
            self._consumer = None
            protocol.connectionLost(self._end)
        elif self._is_held and not self._is_paused:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """
        The consumer does not want more at the moment.
        """
        self._is_paused = True
        if self._transport is not None:
            self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        It does again.
        """
        self._is_paused = False
        if self._transport is not None:
            self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        Nobody wants the rest.
        """
        if self._transport is not None:
            abandon(self._transport)

    def loseConnection(self) -> None:
        """
        The same, as protocols of bodies call it.
        """
        self.stopProducing()

    def abortConnection(self) -> None:
        """
        The same.
        """
        self.stopProducing()


classImplements(Collected, IProtocol, IPushProducer)
