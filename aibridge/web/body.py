"""
The body of a request on its way in: held for whoever will read it, read once, bounded always.

Note [Unread bodies]: what a client sends before anybody reads it is kept up to `WINDOW` bytes; then the client is read
no more, and only its departure is watched for (`aibridge.web.hangup`). The same holds while a reader pauses. So a body
costs at most a window and a segment, whatever its length, and pausing does not hide that the client left: only an end
that is stuck in the client's own system, behind bytes that it could not send, cannot be seen by anybody.

Note [Work in portions]: a client may send its body in chunks of one byte, each of which takes as much work as one of a
megabyte. So nothing is decoded before somebody reads it, small chunks are bounded in number (`aibridge.wire.chunked`),
and `CHUNKS_AT_ONCE` of them are decoded in a turn: what is left of a segment waits, unread connections in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Final, Protocol

from aibridge.errors import BadRequest, BodiesFull, BodyTooLarge, BridgeError
from aibridge.wire.chunked import ChunkedBody

WINDOW: Final = 65536
"""Bytes of a body that may wait for their reader."""

CHUNKS_AT_ONCE: Final = 64
"""Chunks that are decoded before others have their turn."""

RETRY_S: Final = 5.0
"""When it is worth asking again after there was no room."""

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

    def body_claimed(self, is_held: bool) -> None: ...

    def body_ended(self, rest: bytes) -> None: ...

    def body_failed(self) -> None: ...

    def later(self, work: Callable[[], None]) -> None: ...

    def stop_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def keeps(self, more: int) -> bool: ...


class Body:
    """
    A body that was not complete when its request's head was.

    :param length: declared bytes, or None where it is chunked.
    :ivar received: bytes that have come of it, framing included.
    :ivar ended: all of it has come, though perhaps not all of it has been read; of one in chunks, all has been decoded.
    :ivar error: why it will not become complete, or is not wanted.
    """

    __slots__ = (
        "_channel",
        "_chunks",
        "_counted",
        "_dropped",
        "_held",
        "_is_behind",
        "_left",
        "_looked",
        "_paused",
        "_raw",
        "_sink",
        "_was_paused",
        "ended",
        "error",
        "received",
    )

    def __init__(self, channel: Connection, length: int | None) -> None:
        self._channel = channel
        self._left = length or 0
        self._chunks = ChunkedBody() if length is None else None
        self._held = bytearray()
        self._raw: bytes | bytearray = b"" if length is not None else bytearray()
        self._is_behind = False
        self._was_paused = False
        self._looked = 0
        self._counted = 0
        self.received = 0
        self._sink: Sink | None = None
        self._paused = False
        self._dropped = False
        self.ended = False
        self.error: BridgeError | None = None

    def feed(self, data: bytes) -> None:
        """
        Take a segment from the connection, and give back what is not part of the body.
        """
        self.received += len(data)
        if self._chunks is not None:
            if self._dropped:
                # Where it would end is of no interest: its connection is not kept.
                return
            if self._sink is None:
                self._raw += data
                if len(self._raw) >= WINDOW:
                    self._channel.stop_reading()
            else:
                self._decode(self._chunks, data)
            self._count()
            return
        piece, rest = data, b""
        if len(data) > self._left:
            piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self._take(piece, rest, ended=not self._left)
        self._count()

    def _count(self) -> None:
        """
        Tell the connection how much of it is kept. There may be no room for it.
        """
        more = len(self._held) + len(self._raw) - self._counted
        if self._chunks is not None:
            more += self._chunks.held
        if more:
            self._counted += more
            if not self._channel.keeps(more) and more > 0:
                self.fail(BodiesFull(retry_after_s=RETRY_S))

    def _decode(self, chunks: ChunkedBody, data: bytes) -> None:
        """
        See Note [Work in portions].
        """
        piece, rest = chunks.feed(data, CHUNKS_AT_ONCE)
        if chunks.fault is not None and self.error is None:
            self.error = BadRequest(chunks.fault.message)
        if chunks.is_behind:
            self._channel.stop_reading()
            if not self._is_behind:
                self._is_behind = True
                self._channel.later(self.go_on)
        self._take(piece, rest, ended=chunks.ended)

    def go_on(self) -> None:
        """
        Decode the next portion of what has come.
        """
        self._is_behind = False
        if self._chunks is not None and self.error is None and not self._dropped:
            self._decode(self._chunks, b"")
            self._count()

    def _take(self, piece: bytes, rest: bytes, *, ended: bool) -> None:
        self.ended = ended
        if ended:
            self._channel.body_ended(rest)
        if piece and not self._dropped:
            if self._sink is None or self._paused or self._held:
                self._held += piece
            else:
                self._sink.data(piece)
        self._settle()

    def claim(self, sink: Sink, is_held: bool = True) -> None:
        """
        Let `sink` read it, from its first byte.

        :param is_held: until it is complete, which has a deadline; what is passed on while it comes has to keep coming.
        """
        self._sink = sink
        if not self.ended and self.error is None:
            self._channel.body_claimed(is_held)
        self._paused = False
        if self._raw and self._chunks is not None:
            raw, self._raw = bytes(self._raw), b""
            self._decode(self._chunks, raw)
            self._count()
        else:
            self.resume()

    def came(self, least: int) -> bool:
        """
        Whether so many bytes have come since this was asked before, or it was not read all of that time.
        """
        was_waited_for = not self._was_paused
        self._was_paused = self._paused
        came, self._looked = self.received - self._looked, self.received
        return came >= least or not was_waited_for

    def pause(self) -> None:
        """
        Give the sink nothing more for now.
        """
        self._paused = self._was_paused = True

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
        self._count()

    def drop(self) -> None:
        """
        Nobody will read it any more.
        """
        self._dropped = True
        self._sink = None
        self._held.clear()
        self._raw = b""
        if self._chunks is not None:
            self._chunks.forget()
        self._count()
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
        if not self._is_behind:
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
    :param room: bytes for which there is room, if that is less.
    :param more: asked once for more, if that is not enough; the body is paused if there is none yet.
    """

    __slots__ = ("_body", "_content", "_done", "_failed", "_limit", "_more", "_room")

    def __init__(
        self,
        body: Body,
        limit: int,
        done: Callable[[bytes], None],
        failed: Callable[[BridgeError], None],
        room: int | None = None,
        more: Callable[[], bool] | None = None,
    ) -> None:
        self._body = body
        self._limit = limit
        self._done = done
        self._failed = failed
        self._room = limit if room is None else room
        self._more = more
        # However small the pieces are, this holds little more than their sum, and gives it away without a copy.
        self._content = BytesIO()

    def data(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        content = self._content
        size = content.tell() + len(piece)
        if size > self._limit:
            content.close()
            self._body.fail(BodyTooLarge())
            return
        content.write(piece)
        if size > self._room and self._more is not None:
            self._room = self._limit
            if not self._more():
                self._body.pause()

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
