"""
One upstream call, from being asked for to its last byte, and the deadlines that it meets on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IClientRequest
from zope.interface import classImplements

from aibridge import errors
from aibridge.deadlines import Deadlines
from aibridge.providers.settings import TransportSettings
from aibridge.relay.response import Pair, Response, headers_of

if TYPE_CHECKING:
    from aibridge.relay.attempt import Attempt
    from aibridge.relay.connection import Connection

CLOSING_S = 5.0
"""How long a connection that is being closed may take over its farewell before it is cut."""


class Place(Protocol):
    """
    Where a call is: in a queue, at a connection that is being made, or on one.
    """

    def leave(self, call: Call) -> None:
        """
        The call has ended: take back at once what was being done for it.
        """


class Cancellable(Protocol):
    """
    A call that can be ended.
    """

    def cancel(self) -> None: ...


class Receiver(Protocol):
    """
    Who asked. One of the two is called, once, unless the call is cancelled.
    """

    def answered(self, response: Response) -> None:
        """
        The response's head is there; its body is to be delivered, or given up.
        """

    def failed(self, failure: Failure) -> None:
        """
        There will be no response.
        """


class Later:
    """
    Receives for a Deferred. Cancelling that ends the call within the turn.
    """

    def __init__(self) -> None:
        self.call: Cancellable | None = None
        self.deferred: Deferred[Any] = Deferred(self._cancelled)

    def answered(self, response: Any) -> None:
        """
        Hand it on.
        """
        self.deferred.callback(response)

    def failed(self, failure: Failure) -> None:
        """
        Hand it on.
        """
        self.deferred.errback(failure)

    def _cancelled(self, _: object) -> None:
        if self.call is not None:
            self.call.cancel()


class Call:
    """
    One request and what becomes of it. It ends once: with a response that was read to its end, or by `fail`.

    :ivar pairs: the fields that were asked with.
    :ivar first: what leaves in the first write: the head, and the body if it is not large.
    :ivar rest: the rest of a large body.
    :ivar producer: what writes the body instead, or None.
    :ivar length: of the producer's body, or None if it goes in chunks.
    :ivar repeatable: nothing is lost if it is sent once more, since it has no body and a safe method.
    :ivar place: where it is; None before and after.
    :ivar response: there is one as soon as its head has come.
    """

    __slots__ = (
        "_receiver",
        "_waits",
        "absoluteURI",
        "first",
        "length",
        "method",
        "pairs",
        "place",
        "producer",
        "repeatable",
        "response",
        "rest",
    )

    def __init__(
        self,
        waits: Waits,
        receiver: Receiver,
        method: bytes,
        uri: bytes,
        pairs: list[Pair],
        first: bytes,
        rest: memoryview | None = None,
    ) -> None:
        self._waits = waits
        self.method = method
        self.absoluteURI = uri
        self.pairs = pairs
        self.first = first
        self.rest = rest
        self.producer: Any = None
        self.length: int | None = None
        self.repeatable = False
        self.place: Place | None = None
        self.response: Response | None = None
        self._receiver: Receiver | None = receiver
        if waits.total.seconds:
            waits.total.start(self)

    @property
    def sender(self) -> str:
        """
        Whose turn it is where calls wait, as its receiver says by an attribute of that name; empty if it does not.
        """
        return str(getattr(self._receiver, "sender", ""))

    @property
    def headers(self) -> Headers:
        """
        The fields that were asked with, Host and framing not included.
        """
        return headers_of(self.pairs)

    def answered(self, response: Response) -> None:
        """
        The response's head has come.
        """
        self.response = response
        receiver, self._receiver = self._receiver, None
        assert receiver is not None
        receiver.answered(response)

    def ended(self) -> None:
        """
        The response has been read to its end.
        """
        self.place = self.response = None
        if self._waits.total.seconds:
            self._waits.total.cancel(self)

    def fail(self, error: Exception | Failure) -> None:
        """
        End the call, whatever it is doing: give up its place, and tell who waits for it.
        """
        self._give_up()
        receiver, self._receiver = self._receiver, None
        response, self.response = self.response, None
        if receiver is None and response is None:
            return
        failure = error if isinstance(error, Failure) else Failure(error)
        if receiver is not None:
            receiver.failed(failure)
        elif response is not None:
            response.ended(failure)

    def cancel(self) -> None:
        """
        Nobody wants the response any more: end the call, and tell nobody.
        """
        self._receiver = None
        self._give_up()

    def _give_up(self) -> None:
        self._waits.forget(self)
        place, self.place = self.place, None
        if place is not None:
            place.leave(self)
        self.first, self.rest, self.producer = b"", None, None


classImplements(Call, IClientRequest)


class Waits:
    """
    The deadlines of all calls and connections of one agent: a timer for each kind, and none for each call.

    Note [Whose silence]: a provider is silent while we read from it and nothing comes. While the consumer of a body
    has paused it, nobody reads, and so nothing is counted; nor would the death of the provider be seen. Such a call is
    bounded by the consumer: the client that does not read is cut off by the deadline of its own side, which ends the
    call, and `total`, where it is set, ends it in any case. A body that has no consumer at all is paused by us, and
    counts as silent, so that a response that nobody wants does not keep its connection.

    Note [Waiting for the head]: `first_byte` runs from the last byte of the request. It runs as well whenever the
    provider does not take what there is of the request, since a call must not wait for ever in front of a full
    socket. It does not run while a producer has nothing to send: then the client is waited for, whose side has its
    own deadline.
    """

    __slots__ = ("closing", "connect", "first_byte", "idle", "pool", "silence", "total")

    def __init__(self, clock: IReactorTime, transport: TransportSettings) -> None:
        self.pool: Deadlines[Call] = Deadlines(
            clock, transport.pool_timeout, lambda call: call.fail(errors.PoolTimeout())
        )
        self.connect: Deadlines[Attempt] = Deadlines(
            clock, transport.connect_timeout, lambda attempt: attempt.timed_out()
        )
        self.first_byte: Deadlines[Call] = Deadlines(
            clock, transport.first_byte_timeout, lambda call: call.fail(errors.FirstByteTimeout())
        )
        self.silence: Deadlines[Call] = Deadlines(
            clock, transport.silence_timeout, lambda call: call.fail(errors.SilenceTimeout())
        )
        self.total: Deadlines[Call] = Deadlines(
            clock, transport.total_timeout, lambda call: call.fail(errors.TotalTimeout())
        )
        self.idle: Deadlines[Connection] = Deadlines(
            clock, transport.idle_timeout, lambda connection: connection.close()
        )
        self.closing: Deadlines[Connection] = Deadlines(clock, CLOSING_S, lambda connection: connection.abort())

    def forget(self, call: Call) -> None:
        """
        Cancel every deadline of a call.
        """
        self.pool.cancel(call)
        self.first_byte.cancel(call)
        self.silence.cancel(call)
        self.total.cancel(call)

    def stop(self) -> None:
        """
        Forget everything, and leave no timer behind.
        """
        for wait in (self.pool, self.connect, self.first_byte, self.silence, self.total, self.idle, self.closing):
            wait.stop()
