"""
Peers that vanish without a word: a machine that lost its power or its network, an address translator that forgot.

Nothing comes from them any more, not even an end. Where nothing is sent, TCP asks a silent peer by itself, if it is
told to (RFC 9293, 3.8.4); where something is sent, it sends it again, for a quarter of an hour unless it is told to
give up sooner (RFC 5482; tcp(7), TCP_USER_TIMEOUT). Linux takes a peer that lives, and has no room for a byte all that
time, for gone as well. What is set on a listening socket holds for the connections that it accepts.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Final

UPSTREAM_S: Final = 120.0
"""Seconds after which a provider, or the end of a tunnel, that has vanished is taken for gone."""

_PROBES: Final = 3
_INET: Final = (socket.AF_INET, socket.AF_INET6)


def notice_vanished(handle: Any, within_s: float) -> None:
    """
    Have the system end a connection, or those that a listening socket accepts, within so many seconds of its peer's
    having vanished. Of a socket that is not TCP's nothing is asked.

    :param handle: a socket.
    :param within_s: 4 to 7200; the system counts keep-alive in whole seconds.
    """
    if getattr(handle, "family", None) not in _INET:
        return
    # Half of the time silent, then a few questions; and a little before the time is up, it is up.
    interval = max(1, int(within_s / 8))
    idle = max(1, int(within_s * 0.9) - _PROBES * interval)
    options = (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", interval),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", _PROBES),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", int(within_s * 900)),
    )
    for level, name, value in options:
        # Not every system has all of them.
        with contextlib.suppress(AttributeError, OSError):
            handle.setsockopt(level, getattr(socket, name), value)
