"""
The way of a response body back to the client, chunk by chunk, as it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import classImplements

from aibridge.dialects.includeusage import TakenOut
from aibridge.dialects.reader import MOST_AT_ONCE
from aibridge.dialects.sse import Boundary
from aibridge.errors import UpstreamError, UpstreamTruncated
from aibridge.relay.response import WHOLE, Response
from aibridge.relay.slices import Slices

_log = Logger(namespace=__name__)


class Sink(Protocol):
    """
    Where the bytes go: a request that is being answered.
    """

    def write(self, data: bytes) -> Any: ...

    def registerProducer(self, producer: Any, streaming: bool) -> Any: ...

    def unregisterProducer(self) -> Any: ...


class Reader(Protocol):
    """
    Who reads along.
    """

    def feed(self, data: bytes) -> bool: ...

    def go_on(self) -> bool: ...


class Pump:
    """
    Takes a response body from a provider and gives it to a client, unchanged, each piece in the turn in which it came.

    Back-pressure: the upstream connection is the client's producer. While the client does not read, the provider is
    not read either, so what waits in between is bounded by the two socket buffers and one segment.

    Note [Reading behind]: a reader that has something left to do goes on in later turns. As long as that takes, the
    provider is not read on, as if the client were slow, and the end is not told: whoever is told it may ask the reader
    what it has read.

    :param boundary: of events, if the body is a stream of them.
    :param ended: called once: with None when the body was whole, else with what went wrong.
    :param reader: is given a copy of each piece once it has been passed on; one that raises gets no more.
    :param slices: does what the reader has left to do.
    :param taken_out: what is not to cross.
    """

    def __init__(
        self,
        sink: Sink,
        boundary: Boundary | None,
        ended: Callable[[UpstreamError | None], None],
        reader: Reader | None = None,
        slices: Slices | None = None,
        taken_out: TakenOut | None = None,
    ) -> None:
        self.bytes = 0
        self._reader = reader
        self.transport: Any = None
        self._sink = sink
        self._boundary = boundary
        self._ended: Callable[[UpstreamError | None], None] | None = ended
        self._write = sink.write
        self._taken_out = taken_out
        if taken_out is not None:
            self._write = self._write_but
        # See Note [Reading behind].
        self._slices = slices
        self._pieces: deque[bytes] = deque()  # not read yet
        self._at = 0  # how far the first of them is read
        self._is_behind = False
        self._is_paused = False  # by the sink
        self._reason: Failure | None = None

    @property
    def between_events(self) -> bool:
        """
        Whether an event of the bridge's own can be added here; never to a body that is no stream of them.
        """
        return self._boundary is not None and bool(self._boundary)

    def makeConnection(self, transport: Any) -> None:
        """
        There is a body.

        :param transport: that it comes from; one that can be paused is.
        """
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """
        The body begins.
        """
        if _can_pause(self.transport):
            self._sink.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """
        The client does not read.
        """
        self._is_paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        The client reads again.
        """
        self._is_paused = False
        if not self._is_behind:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        The client is gone.
        """
        self.transport.stopProducing()

    def dataReceived(self, data: bytes) -> None:
        """
        A piece of the body.
        """
        self.bytes += len(data)
        if self._boundary is not None:
            self._boundary.passed(data)
        self._write(data)
        reader = self._reader
        if reader is not None:
            try:
                if self._is_behind:
                    self._pieces.append(data)
                elif len(data) > MOST_AT_ONCE:
                    self._pieces.append(data)
                    self._read_behind()
                elif reader.feed(data):
                    self._read_behind()
            except Exception:
                self._unreadable()

    def _write_but(self, data: bytes) -> None:
        assert self._taken_out is not None
        crosses = self._taken_out.take(data)
        self.bytes -= len(data) - len(crosses)
        if crosses:
            self._sink.write(crosses)

    def _read_behind(self) -> None:
        if self._slices is None:
            while self.go_on():
                pass
        elif not self._slices.do(self, self._caught_up):
            self._is_behind = True
            if not self._is_paused and _can_pause(self.transport):
                self.transport.pauseProducing()

    def go_on(self) -> bool:
        """
        Let the reader do the next of what it has left to do.

        :return: whether there is still more.
        """
        reader, pieces = self._reader, self._pieces
        if reader is None:
            return False
        try:
            if reader.go_on():
                return True
            if not pieces:
                return False
            piece, at = pieces[0], self._at
            if len(piece) - at > MOST_AT_ONCE:
                self._at = at + MOST_AT_ONCE
                piece = piece[at : self._at]
            else:
                self._at = 0
                pieces.popleft()
                piece = piece[at:] if at else piece
            return reader.feed(piece) or bool(pieces)
        except Exception:
            self._unreadable()
            return False

    def _unreadable(self) -> None:
        self._reader = None
        self._pieces.clear()
        _log.failure("What an answer says of itself could not be read.")

    def _caught_up(self) -> None:
        self._is_behind = False
        reason, self._reason = self._reason, None
        if reason is not None:
            self._over(reason)
        elif not self._is_paused and _can_pause(self.transport):
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        The body is over, one way or the other.
        """
        assert reason is not None
        if self._is_behind:
            self._reason = reason
        else:
            self._over(reason)

    def _over(self, reason: Failure) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if self._taken_out is not None:
            rest = self._taken_out.rest()
            if rest:
                self.bytes += len(rest)
                self._sink.write(rest)
        self._sink.unregisterProducer()
        if reason is WHOLE or reason.check(ResponseDone, PotentialDataLoss):
            # A body that ends with its connection (RFC 9112, 6.3) has no other end that could be waited for.
            ended(None)
        elif isinstance(reason.value, UpstreamError):
            ended(reason.value)
        else:
            ended(UpstreamTruncated())

    def cancel(self) -> None:
        """
        Nobody wants the rest: end the upstream call, and say nothing more.
        """
        if self._ended is None:
            return
        self._ended = None
        if self._is_behind and self._slices is not None:
            self._slices.forget(self)
        self._write = _nowhere  # not every transport stops at once
        transport = self.transport
        if transport is not None:
            abandon(transport)


def _can_pause(transport: Any) -> bool:
    # An answer of the bridge's own client can; to ask anything else takes a microsecond.
    return isinstance(transport, Response) or IPushProducer.providedBy(transport)


def abandon(transport: Any) -> None:
    """
    End the call that a body comes from, as soon as its transport can.
    """
    abort = getattr(transport, "abortConnection", None) or getattr(transport, "loseConnection", None)
    if abort is not None:
        abort()
    else:
        transport.stopProducing()


def _nowhere(data: bytes) -> None:
    pass


classImplements(Pump, IProtocol, IPushProducer)
