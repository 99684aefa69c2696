"""
Writes that try the socket first.

Twisted's `write` keeps the bytes, asks the reactor to watch the socket, is called back in the next turn, writes, and
asks it to watch no longer: two system calls and a turn for what one `send` does, since the socket of a client that
reads has room. That is half of what a small answer, or an event of a stream, costs. Whatever `send` does not take goes
the ordinary way, which also finds out, and says, why a connection is gone.

This is the one place that knows how `twisted.internet.abstract.FileDescriptor` keeps what waits; a test holds that it
still does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Connection


def eager_write(transport: Any) -> Callable[[bytes], None]:
    """
    The cheapest way to write to `transport`: TCP and Unix sockets are written at once, all others as they do it.
    """
    later: Callable[[bytes], None] = transport.write
    if not isinstance(transport, Connection) or transport.TLS:
        return later
    send = transport.socket.send

    def write(data: bytes) -> None:
        # What waits goes first; and nothing is written to what is gone.
        if transport._tempDataLen or transport.dataBuffer or not transport.connected:
            later(data)
            return
        try:
            sent = send(data)
        except OSError:
            later(data)
            return
        if sent < len(data):
            later(data[sent:])

    return write


def waiting_mark(transport: Any) -> tuple[int, int] | None:
    """
    A value that changes whenever the peer takes some of the bytes that wait in `transport` (or in what it wraps); None
    when none wait, or when that cannot be known.
    """
    kept = getattr(transport, "dataBuffer", b"")
    if not kept and not getattr(transport, "_tempDataLen", 0):
        return None
    return len(kept), getattr(transport, "offset", 0)
