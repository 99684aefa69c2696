"""
The way of a request up to the provider: at once as far as the socket takes it, the rest as it drains.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.python.failure import Failure
from zope.interface import classImplements

PIECE: Final = 65536
"""Bytes handed to the transport at a time once it is behind, and held before a producer is paused."""

SMALL: Final = 16384
"""Bytes that any idle connection takes at once, so that there is nothing to watch."""


class Sender(Protocol):
    """
    Whose outbox it is.
    """

    def sending(self) -> None:
        """
        Some of the request has been taken, and some is left.
        """

    def drained(self) -> None:
        """
        All that was given has been taken.
        """


class Outbox:
    """
    What a connection has yet to send.

    A plain socket is written to directly while nothing waits in front of it, which spares the reactor a turn and two
    changes of what it polls, and tells at once whether the connection is dead. What a socket does not take, and all of
    a large body on TLS, waits here and is handed over when the transport has sent what it had; so it is known when
    everything has left, and never more than `PIECE` bytes are copied.

    :param transport: what takes the bytes.
    :param lower: the transport below TLS, which knows when they have left; the same one without TLS.
    :ivar waiting: not everything has been taken yet.
    """

    __slots__ = ("_lower", "_paused", "_producer", "_queue", "_send", "_sender", "_size", "_transport", "waiting")

    def __init__(self, sender: Sender, transport: Any, lower: Any) -> None:
        self._sender = sender
        self._transport = transport
        self._lower = lower
        # Only if it is the socket itself: a layer above it hands on every attribute that it does not have.
        is_direct = isinstance(transport, tcp.Connection) and not transport.TLS
        self._send: Callable[[bytes], int] | None = transport.socket.send if is_direct else None
        # One that is empty takes most of a kilobyte, and most outboxes never have anything in it.
        self._queue: deque[bytes | memoryview] | None = None
        self._size = 0
        self._producer: Any = None
        self._paused = False
        self.waiting = False

    def send(self, first: bytes, rest: memoryview | None = None) -> bool:
        """
        Send a request that is there as a whole, on a connection that has nothing else to send.

        :return: False if the connection is dead and certainly not a byte has left.
        """
        send = self._send
        if send is not None:
            try:
                sent = send(first)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent == len(first) and rest is None:
                return True
            if sent < len(first):
                self._queue_up(memoryview(first)[sent:])
        elif rest is None and len(first) <= SMALL:
            self._transport.write(first)
            return True
        else:
            self._queue_up(first)
        if rest is not None:
            self._queue_up(rest)
        self._wait()
        return True

    def write(self, data: bytes) -> None:
        """
        Send a piece of a body. Its producer is paused while more than `PIECE` bytes wait.
        """
        sent = 0
        if not self.waiting and self._send is not None:
            # If the socket is dead, the transport finds it out when it is handed the bytes.
            with contextlib.suppress(OSError):
                sent = self._send(data)
            if sent == len(data):
                return
        self._queue_up(memoryview(data)[sent:] if sent else data)
        self._wait()

    def attach(self, producer: Any) -> None:
        """
        Pause and resume `producer`, which calls `write`, as the connection can take more or not.
        """
        self._producer = producer

    def detach(self) -> None:
        """
        The producer has no more, or is not wanted any more.
        """
        self._producer = None
        self._paused = False

    def clear(self) -> None:
        """
        Send no more of what waits. The connection cannot be used for anything else after it.
        """
        self.detach()
        self._queue = None
        self._size = 0
        if self.waiting:
            self.waiting = False
            self._lower.unregisterProducer()

    def _queue_up(self, data: bytes | memoryview) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(data)
        self._size += len(data)

    def _wait(self) -> None:
        if not self.waiting:
            self.waiting = True
            # A transport asks a pull producer at once, and again each time when it has sent everything.
            self._lower.registerProducer(self, False)
        if self._size > PIECE and self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    # -- called by the transport ---------------------------------------------------------------------------------

    def resumeProducing(self) -> None:
        """
        The transport has sent everything; give it more.
        """
        if not self.waiting:
            return
        if self._queue:
            self._transport.write(self._next_piece())
            self._sender.sending()
        else:
            self.waiting = False
            self._queue = None
            self._lower.unregisterProducer()
            self._sender.drained()
        if self._paused and self._size <= PIECE and self._producer is not None:
            self._paused = False
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """
        The transport is gone.
        """
        self.waiting = False
        self._queue = None
        self._size = 0

    def _next_piece(self) -> bytes:
        queue = self._queue
        assert queue is not None
        if self._size <= PIECE:
            piece = b"".join(queue)
            queue.clear()
        else:
            pieces = []
            room = PIECE
            while room:
                head = memoryview(queue.popleft())
                if len(head) > room:
                    queue.appendleft(head[room:])
                    head = head[:room]
                pieces.append(head)
                room -= len(head)
            piece = b"".join(pieces)
        self._size -= len(piece)
        return piece


classImplements(Outbox, IPullProducer)


class Uploader(Protocol):
    """
    Who wants to know how an upload ends.
    """

    def uploaded(self) -> None: ...

    def upload_failed(self, failure: Failure) -> None: ...


class Upload:
    """
    A body that is produced while it is sent. What an `IBodyProducer` writes to, and nothing after `stop`.

    :param length: of the body, or None to send it in chunks.
    """

    __slots__ = ("_chunked", "_left", "_outbox", "_over", "_owner", "_producer")

    def __init__(self, owner: Uploader, outbox: Outbox, producer: Any, length: int | None) -> None:
        self._owner = owner
        self._outbox = outbox
        self._producer = producer
        self._chunked = length is None
        self._left = length or 0
        self._over = False

    def start(self) -> None:
        """
        Let the producer begin.
        """
        self._outbox.attach(self._producer)
        producing: Deferred[Any] = maybeDeferred(self._producer.startProducing, self)
        producing.addCallbacks(self._produced, self._failed)

    def stop(self) -> None:
        """
        Tell the producer that nobody wants the rest.
        """
        if self._over:
            return
        self._over = True
        self._outbox.detach()
        self._producer.stopProducing()

    def write(self, data: bytes) -> None:
        """
        Send a piece. A length that does not hold ends the upload.
        """
        if self._over or not data:
            return
        if self._chunked:
            self._outbox.write(b"%x\r\n%b\r\n" % (len(data), data))
            return
        self._left -= len(data)
        if self._left < 0:
            self.stop()
            self._owner.upload_failed(Failure(ValueError("A request body is longer than its producer declared.")))
            return
        self._outbox.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """
        Nothing: the producer is known, and is paused and resumed anyway.
        """

    def unregisterProducer(self) -> None:
        """
        Nothing: its Deferred says when it is done.
        """

    def _produced(self, _: object) -> None:
        if self._over:
            return
        if self._left > 0:
            self._failed(Failure(ValueError("A request body is shorter than its producer declared.")))
            return
        self._over = True
        self._outbox.detach()
        if self._chunked:
            self._outbox.write(b"0\r\n\r\n")
        self._owner.uploaded()

    def _failed(self, failure: Failure) -> None:
        if self._over:
            return
        self._over = True
        self._outbox.detach()
        self._owner.upload_failed(failure)


classImplements(Upload, IConsumer)
