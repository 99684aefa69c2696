"""
One request and its answer, as exchanges see them: lean, and in plain calls.

Note [First segment]: the head of an answer waits for the first bytes of the body, so that they leave together, but
never longer than `HOLD_S`, and never when there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer

from aibridge.errors import BodyTooLarge, BridgeError, ClientLeft
from aibridge.web.body import MOST_DISCARDED, Body, Whole
from aibridge.web.bodystream import BodyStream
from aibridge.wire.request import Head, Pair

if TYPE_CHECKING:
    from aibridge.web.channel import Channel

_log = Logger(namespace=__name__)

HOLD_S: Final = 0.001

_field = b": ".join
_LAST_CHUNK = b"0\r\n\r\n"


class Request:
    """
    A request whose head is complete.

    :ivar method: as sent.
    :ivar uri: the target, as sent.
    :ivar clientproto: ``HTTP/1.1`` or ``HTTP/1.0``.
    :ivar pairs: header fields in their order, names as sent.
    :ivar client_host: the client's address as text, without port; ``unix`` on a Unix socket.
    :ivar wants_upgrade: to another protocol; it is answered like any other, and then the connection is closed.
    :ivar declared_length: of the body in bytes; 0 if there is none, None if it is chunked.
    :ivar body: what there is of the body, or all of it as bytes until somebody has taken them.
    :ivar claimed: somebody has begun to read the body.
    :ivar sender: whose body it is that is on its way, where that is known.
    :ivar on_departure: called once if the client goes away before `finish` or `abort`.
    :ivar departed: the connection is gone, or was cut.
    :ivar started: the answer has begun.
    :ivar finished: the answer is complete.
    :ivar bytes_written: of the answer's body.
    """

    def __init__(self, channel: Channel, head: Head) -> None:
        self.channel = channel
        self.site = channel.site
        self.client_host = channel.client_host
        self.method = head.method
        self.uri = head.target
        self.clientproto = head.version
        self.pairs = head.pairs
        self.declared_length = head.length
        self.wants_upgrade = head.wants_upgrade
        self.body: Body | bytes = b""
        self.claimed = False
        self.sender = ""
        self.on_departure: Callable[[], None] | None = None
        self.departed = False
        self.started = False
        self.finished = False
        self.bytes_written = 0
        self.producer: Any = None
        self._fields = head
        self._head: bytes | None = None  # of the answer, while it waits for the body
        self._length: int | None = None  # of the answer's body, where it is declared
        self._chunked = False
        self._bodiless = False
        self._keeps = True
        self._pulls = False
        self._waiting: list[Deferred[None]] | None = None

    # -- what was asked ------------------------------------------------------------------------------------------

    def header(self, lower_name: bytes) -> bytes | None:
        """
        The first value of a field.
        """
        return self._fields.value(lower_name)

    def headers_named(self, lower_name: bytes) -> list[bytes]:
        """
        All values of a field.
        """
        return self._fields.values(lower_name)

    def forget_fields(self) -> None:
        """
        Let go of the header fields, of which an answer that goes on for long has no more need.
        """
        self.pairs = self._fields.pairs = []
        self._fields.fields = {}

    @property
    def awaits_continue(self) -> bool:
        """
        The client may still be told ``100 Continue``.
        """
        return self._fields.expects_continue and not self.started

    # -- its body ------------------------------------------------------------------------------------------------

    def read_body(self, limit: int, done: Callable[[bytes], None], failed: Callable[[BridgeError], None]) -> None:
        """
        Collect the body. Exactly one of the two is called, at once if all is there.

        :param limit: in bytes. A declared length beyond it is refused before a byte is read.
        :param done: takes the body.
        :param failed: takes `BodyTooLarge`, `BodyTooSlow`, `BadRequest` (its chunks are malformed) or `ClientLeft`.
        """
        body, declared = self.body, self.declared_length
        if declared is not None and declared > limit:
            failed(BodyTooLarge())
            return
        self.claimed = True
        if isinstance(body, bytes):
            # An answer may go on for long, and has no use for it.
            self.body = b""
            done(body)
        else:
            body.claim(Whole(body, limit, done, failed))

    def take_body(self) -> bytes | None:
        """
        The body, if all of it came with the head; it is not kept. Else None, and `read_body` waits for it.
        """
        body = self.body
        if not isinstance(body, bytes):
            return None
        self.claimed = True
        self.body = b""
        return body

    def body_producer(self, limit: int) -> IBodyProducer:
        """
        The body for somebody who passes it on while it comes; more of it than `limit` bytes is an error.
        """
        return BodyStream(self, limit)

    # -- its answer ----------------------------------------------------------------------------------------------

    def respond(self, status: int, pairs: Sequence[Pair], length: int | None, lines: bytes = b"") -> None:
        """
        Begin the answer. Framing, ``Connection`` and ``Date`` are written here, and must not be among the fields.

        :param status: 200 to 599.
        :param pairs: the other fields, in their order.
        :param length: of the body in bytes, or None if it is not known yet. For a HEAD, what a GET would be told.
        :param lines: more fields, as `answer` takes them.
        :raises ValueError: a field has a line break or a NUL in it.
        """
        if pairs:
            fields = b"\r\n".join(map(_field, pairs))
            breaks = len(pairs) - 1
            if fields.count(b"\n") != breaks or fields.count(b"\r") != breaks or fields.find(0) >= 0:
                raise ValueError("A header field has a line break or a NUL in it.")
            lines = b"%b\r\n%b" % (fields, lines)
        if self._starts():
            self._head = self._begun(status, lines, length)
            self.site.held.start(self.channel)

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """
        Give the whole answer, as `respond`, `write` and `finish` would.

        :param lines: the fields as they are sent, each with its line end; for those whose values cannot have one.
        :param body: not sent where there is to be none.
        """
        if self._starts():
            head = self._begun(status, lines, len(body))
            self.channel.write(head if self._bodiless else head + body)
            if not self._bodiless:
                self.bytes_written = len(body)
            if not self.departed:
                self._finished()

    def _starts(self) -> bool:
        """
        Whether there is anybody who could be answered.
        """
        if self.started:
            raise RuntimeError("The answer has begun already.")
        self.started = not self.departed
        return self.started

    def _begun(self, status: int, lines: bytes, length: int | None) -> bytes:
        """
        The head of the answer, by which it is settled how the body is told.
        """
        self._keeps = self._can_keep()
        framing = b"" if length is None else b"Content-Length: %d\r\n" % length
        if self.method == b"HEAD" or status == 204 or status == 304:
            self._bodiless = True
            if self.method != b"HEAD":
                framing = b""
        elif length is not None:
            self._length = length
        elif self.clientproto == b"HTTP/1.1":
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self._keeps = False
        if not self._keeps:
            # What Upgrade says is for this connection, and has to be named (RFC 9110, 7.8).
            framing += b"Connection: close, upgrade\r\n" if status == 426 else b"Connection: close\r\n"
        return b"%b%b%b\r\n" % (self.site.status_lines(status), lines, framing)

    def _can_keep(self) -> bool:
        """
        Whether another request may follow. What decides was known with the head or has been read, so that it does not
        matter how far a body has come that nobody reads.
        """
        site = self.site
        if not self._fields.keeps_alive or self.wants_upgrade or site.draining or site.crowded:
            return False
        length, body = self.declared_length, self.body
        if isinstance(body, Body):
            if body.error is not None:
                return False
            if self.claimed and body.ended:
                return True
        elif self.claimed:
            return True
        return length is not None and length <= MOST_DISCARDED and (self.claimed or not self._fields.expects_continue)

    def write(self, data: bytes) -> None:
        """
        Send more of the body. It is no error if the client is gone.
        """
        if data and not (self._bodiless or self.finished or self.departed):
            self._send(data)

    def _send(self, data: bytes) -> None:
        size = len(data)
        if self._length is not None and self.bytes_written + size > self._length:
            _log.error("An answer was longer than it had said; its connection is cut.")
            self.abort()
            return
        self.bytes_written += size
        head = self._head
        if head is not None:
            self._head = None
            self.site.held.cancel(self.channel)
            data = b"%b%x\r\n%b\r\n" % (head, size, data) if self._chunked else head + data
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (size, data)
        self.channel.write(data)

    def flush(self) -> None:
        """
        Send the head now, if it was not sent yet; see Note [First segment].
        """
        head, self._head = self._head, None
        if head is not None:
            self.site.held.cancel(self.channel)
            self.channel.write(head)

    def finish(self) -> None:
        """
        The answer is complete. It is no error if the client is gone, or to say so twice.
        """
        if self.finished or self.departed:
            return
        if self._length is not None and self.bytes_written != self._length:
            _log.error("An answer was shorter than it had said; its connection is cut.")
            self.abort()
            return
        if self._head is not None:
            if self._chunked:
                self._head += _LAST_CHUNK
            self.flush()
        elif self._chunked:
            self.channel.write(_LAST_CHUNK)
        self._finished()

    def _finished(self) -> None:
        self.finished = True
        self.on_departure = None
        if self.producer is not None:
            self.unregisterProducer()
        self.channel.response_done(keep=self._keeps)
        for waiting in self._waiting or ():
            waiting.callback(None)

    def abort(self) -> None:
        """
        Give the answer up, so that the client can see that it is not whole: no last chunk, less than was declared, or
        a reset. What was written before is still delivered where that can be seen from it.
        """
        if self.finished or self.departed:
            return
        self.on_departure = None
        gently = self._chunked or (self._length is not None and self.bytes_written < self._length)
        if gently:
            self.flush()
        self.departed = True
        self.site.held.cancel(self.channel)
        self.channel.cut(gently=gently)
        self._gone(Failure(ConnectionAborted()))

    def hand_over(self) -> tuple[Any, bytes]:
        """
        Let another protocol have the connection, unanswered: its transport, and what came behind a head without body.
        """
        if self.started or self.declared_length != 0:
            raise RuntimeError("The connection is in use.")
        self.finished = True
        self.on_departure = None
        return self.channel.hand_over()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client left. Called by the channel.
        """
        self.departed = True
        on_departure, self.on_departure = self.on_departure, None
        if on_departure is not None:
            try:
                on_departure()
            except Exception:
                _log.failure("A departure was not dealt with.")
        self._gone(reason)

    def _gone(self, reason: Failure) -> None:
        self._pulls = False
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        if isinstance(self.body, Body):
            self.body.fail(ClientLeft())
        for waiting in self._waiting or ():
            waiting.errback(reason)

    def notifyFinish(self) -> Deferred[None]:
        """
        Fires when the answer is complete, fails when it never will be; at once if either has happened already.
        """
        if self.finished:
            return succeed(None)
        if self.departed:
            return fail(Failure(ConnectionAborted()))
        waiting: Deferred[None] = Deferred()
        self._waiting = [*(self._waiting or ()), waiting]
        return waiting

    # -- back-pressure -------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let `producer` write the body as fast as the client takes it.
        """
        if self.producer is not None:
            raise RuntimeError("There is a producer already.")
        if self.finished or self.departed:
            producer.stopProducing()
            return
        self.producer = producer
        if not streaming:
            self._pulls = True
            self.channel.pull(on=True)
        elif self.channel.is_full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """
        There is nothing more that could be paused.
        """
        self.producer = None
        if self._pulls:
            self._pulls = False
            self.channel.pull(on=False)

    def pause_producer(self) -> None:
        """
        The client does not take what it is sent. Called by the channel.
        """
        if self.producer is not None and not self._pulls:
            self.producer.pauseProducing()

    def resume_producer(self) -> None:
        """
        The client has taken what waited for it. Called by the channel.
        """
        if self.producer is not None:
            self.producer.resumeProducing()
