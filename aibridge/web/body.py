"""
The body of a request on its way in: held for whoever will read it, read once, bounded always.

Note [Unread bodies]: what a client sends before anybody reads it is kept up to `WINDOW` bytes; then the client is read
no more, and only its departure is watched for (`aibridge.web.hangup`). The same holds while a reader pauses. So a body
costs at most a window and a segment, whatever its length, and pausing does not hide that the client left: only an end
that is stuck in the client's own system, behind bytes that it could not send, cannot be seen by anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import classImplements

from aibridge.errors import BadRequest, BodyTooLarge, BridgeError
from aibridge.wire.chunked import ChunkedBody

if TYPE_CHECKING:
    from aibridge.web.request import Request

WINDOW: Final = 65536
"""Bytes of a body that may wait for their reader."""

MOST_DISCARDED: Final = 262144
"""Declared bytes of a body that is read and dropped once its request is answered, to keep the connection."""


class Sink(Protocol):
    """
    Who reads a body.
    """

    def data(self, piece: bytes) -> None: ...

    def end(self) -> None: ...

    def fail(self, error: BridgeError) -> None: ...


class Connection(Protocol):
    """
    What a body needs of the connection it comes from.
    """

    def body_claimed(self) -> None: ...

    def body_ended(self, rest: bytes) -> None: ...

    def body_failed(self) -> None: ...

    def stop_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Body:
    """
    A body that was not complete when its request's head was.

    :param length: declared bytes, or None where it is chunked.
    :ivar ended: all of it has come, though perhaps not all of it has been read.
    :ivar error: why it will not become complete, or is not wanted.
    """

    __slots__ = ("_channel", "_chunks", "_dropped", "_held", "_left", "_paused", "_sink", "ended", "error")

    def __init__(self, channel: Connection, length: int | None) -> None:
        self._channel = channel
        self._left = length or 0
        self._chunks = ChunkedBody() if length is None else None
        self._held = bytearray()
        self._sink: Sink | None = None
        self._paused = False
        self._dropped = False
        self.ended = False
        self.error: BridgeError | None = None

    def feed(self, data: bytes) -> None:
        """
        Take a segment from the connection, and give back what is not part of the body.
        """
        piece, rest = data, b""
        chunks = self._chunks
        if chunks is not None:
            piece, rest = chunks.feed(data)
            self.ended = chunks.ended
            if chunks.fault is not None and self.error is None:
                self.error = BadRequest(chunks.fault.message)
        else:
            if len(data) > self._left:
                piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            self.ended = not self._left
        if self.ended:
            self._channel.body_ended(rest)
        if piece and not self._dropped:
            if self._sink is None or self._paused or self._held:
                self._held += piece
            else:
                self._sink.data(piece)
        self._settle()

    def claim(self, sink: Sink) -> None:
        """
        Let `sink` read it, from its first byte.
        """
        self._sink = sink
        if not self.ended and self.error is None:
            self._channel.body_claimed()
        self.resume()

    def pause(self) -> None:
        """
        Give the sink nothing more for now.
        """
        self._paused = True

    def resume(self) -> None:
        """
        Give the sink what has come, and what will come.
        """
        self._paused = False
        if self._held and self._sink is not None:
            piece = bytes(self._held)
            self._held.clear()
            self._sink.data(piece)
        self._settle()

    def drop(self) -> None:
        """
        Nobody will read it any more.
        """
        self._dropped = True
        self._sink = None
        self._held.clear()
        self._channel.resume_reading()

    def fail(self, error: BridgeError) -> None:
        """
        It will not become complete, or is not wanted if it does; its reader is told once.
        """
        if self.error is None:
            self.error = error
        sink = self._sink
        self.drop()
        if sink is not None:
            self._channel.body_failed()
            sink.fail(self.error)

    def _settle(self) -> None:
        """
        Once nothing is held, say how it ended if it did; hold no more than a window.
        """
        if self._held:
            if len(self._held) >= WINDOW and not self.ended:
                self._channel.stop_reading()
            return
        self._channel.resume_reading()
        sink = self._sink
        if sink is None:
            return
        if self.error is not None:
            self.fail(self.error)
        elif self.ended:
            self._sink = None
            sink.end()


class Whole:
    """
    Reads a body into one piece.

    :param limit: bytes.
    :param done: called with it.
    :param failed: called instead, if it does not come, or is too large.
    """

    __slots__ = ("_body", "_content", "_done", "_failed", "_limit")

    def __init__(
        self, body: Body, limit: int, done: Callable[[bytes], None], failed: Callable[[BridgeError], None]
    ) -> None:
        self._body = body
        self._limit = limit
        self._done = done
        self._failed = failed
        # However small the pieces are, this holds little more than their sum, and gives it away without a copy.
        self._content = BytesIO()

    def data(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        content = self._content
        if content.tell() + len(piece) > self._limit:
            content.close()
            self._body.fail(BodyTooLarge())
        else:
            content.write(piece)

    def end(self) -> None:
        """
        There are no more.
        """
        self._done(self._content.getvalue())

    def fail(self, error: BridgeError) -> None:
        """
        There will be no more.
        """
        self._failed(error)


class BodyStream:
    """
    Passes a body on while it comes, as fast as its consumer takes it.

    The Deferred of `startProducing` fails with `BodyTooLarge`, `BodyTooSlow`, `BadRequest` or `ClientLeft`. It never
    fires once `stopProducing` was called or the request was finished, as nobody waits for it then.

    :param limit: bytes.
    """

    def __init__(self, request: Request, limit: int) -> None:
        declared = request.declared_length
        self.length: Any = UNKNOWN_LENGTH if declared is None else declared
        self._request = request
        self._body = request.body
        self._limit = limit
        self._size = 0
        self._consumer: IConsumer | None = None
        self._done: Deferred[None] = Deferred()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Pass it on.
        """
        body = self._body
        if self.length is not UNKNOWN_LENGTH and self.length > self._limit:
            return fail(BodyTooLarge())
        self._request.claimed = True
        if isinstance(body, bytes):
            self._body = self._request.body = b""
            consumer.write(body)
            return succeed(None)
        self._consumer = consumer
        body.claim(self)
        return self._done

    def pauseProducing(self) -> None:
        """
        Wait; what comes until the window is full is kept.
        """
        if isinstance(self._body, Body):
            self._body.pause()

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        if isinstance(self._body, Body):
            self._body.resume()

    def stopProducing(self) -> None:
        """
        Nobody wants the rest.
        """
        if isinstance(self._body, Body):
            self._body.drop()

    def data(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        self._size += len(piece)
        assert self._consumer is not None and isinstance(self._body, Body)
        if self._size > self._limit:
            self._body.fail(BodyTooLarge())
        else:
            self._consumer.write(piece)

    def end(self) -> None:
        """
        There are no more.
        """
        self._done.callback(None)

    def fail(self, error: BridgeError) -> None:
        """
        There will be no more.
        """
        self._done.errback(error)


classImplements(BodyStream, IBodyProducer)
