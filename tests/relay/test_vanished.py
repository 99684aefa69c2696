"""
Sockets whose peers may vanish. That they are noticed then is tried in `tests.integration.test_departures`.
"""

from __future__ import annotations

import socket

import pytest

from aibridge.relay.vanished import notice_vanished

TCP = socket.IPPROTO_TCP


@pytest.mark.parametrize("within_s", [4.0, 10.0, 120.0, 7200.0])
def test_accepted_connections_inherit_it(within_s: float) -> None:
    """
    What is asked of a listening socket holds for each connection: the last question is asked before the time is up.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        notice_vanished(listening, within_s)
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count = (
                accepted.getsockopt(TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert within_s / 2 <= idle + count * interval + 1 <= within_s + 1
            assert accepted.getsockopt(TCP, socket.TCP_USER_TIMEOUT) <= within_s * 1000


def test_others_are_left_alone() -> None:
    """
    A Unix socket has nothing of the kind, and what is no socket is none.
    """
    one, other = socket.socketpair()
    with one, other:
        notice_vanished(one, 120.0)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    notice_vanished(None, 120.0)
