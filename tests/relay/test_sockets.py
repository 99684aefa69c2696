"""
What is done to sockets; `test_connection` has what comes of it.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import _WrappingProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.relay.sockets import READ, make_fit, unwrap
from upstreams import Lab


class SocketsTests(SynchronousTestCase):
    """
    Real ones, and what stands in for them.
    """

    def test_fit(self) -> None:
        """
        A real socket gets the options that it is to have, and can be asked whether there is something to be read.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        connected = socket.create_connection(listening.getsockname())
        for each in (listening, connected):
            self.addCleanup(each.close)
        server: Any = tcp.Server
        transport = server(connected, Protocol(), ("", 0), None, 1, MemoryReactorClock())
        poll = make_fit(transport, transport)
        assert poll is not None
        self.assertEqual(poll.poll(0), [])
        options = {
            name: connected.getsockopt(level, getattr(socket, name))
            for level, name in (
                (socket.IPPROTO_TCP, "TCP_NODELAY"),
                (socket.SOL_SOCKET, "SO_KEEPALIVE"),
                (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
            )
        }
        expected = {"TCP_NODELAY": 1, "SO_KEEPALIVE": 1, "TCP_USER_TIMEOUT": 108_000}
        self.assertEqual(options, expected)
        self.assertEqual(transport.bufferSize, READ)
        peer, _ = listening.accept()
        self.addCleanup(peer.close)
        peer.send(b"more")
        self.assertEqual(len(poll.poll(1000)), 1)

    def test_nothing_is_left_in_between(self) -> None:
        """
        What Twisted's endpoints wrap a protocol in does not see what is read. A test, since the name is Twisted's own.
        """
        lab = Lab()
        lab.ask()
        protocol: Any = lab.transport.protocol
        lab.transport.protocol = _WrappingProtocol(Deferred(), protocol)
        unwrap(lab.transport, protocol)
        self.assertIs(lab.transport.protocol, protocol)
        lab.transport.protocol = other = _WrappingProtocol(Deferred(), Protocol())
        unwrap(lab.transport, protocol)
        self.assertIs(lab.transport.protocol, other)
