"""
What is done to the sockets under connections to providers.
"""

from __future__ import annotations

import select
from typing import Any, Final

from twisted.internet import tcp

from aibridge.relay.vanished import UPSTREAM_S, notice_vanished

READ: Final = 131072
"""Bytes that are read at once. A large answer costs less in large pieces, as long as they fit the processor's cache."""


def make_fit(transport: Any, lower: Any) -> select.poll | None:
    """
    Make a connection fit for a relay: every byte leaves at once, much is read at once, and a peer that vanished is
    noticed.

    :param lower: the transport below TLS, or `transport` itself.
    :return: what tells, without reading, whether there is something to be read; None where that cannot be told.
    """
    transport.setTcpNoDelay(True)
    if not isinstance(lower, tcp.Connection):
        return None
    lower.bufferSize = READ
    handle = lower.getHandle()
    # Address translators on the way, which forget a silent connection after 350 s and less, are reminded of it.
    notice_vanished(handle, UPSTREAM_S)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return poll


def unwrap(lower: Any, upper: Any) -> None:
    """
    Twisted's endpoints put something between a socket and its protocol, to learn that it is connected, and leave it
    there. When that is known, take it out: each read would go through it.

    :param lower: the socket's transport.
    :param upper: its protocol.
    """
    if getattr(getattr(lower, "protocol", None), "_wrappedProtocol", None) is upper:
        lower.protocol = upper
