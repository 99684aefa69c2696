"""
The quickened loop, on an epoll reactor of its own that is turned by hand.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.loop import quicken


class Kept(Protocol):
    """
    Remembers what it is told; a certain word makes it fail.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        """
        Remember it.
        """
        if data == b"fail":
            raise RuntimeError("asked to")
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        """
        Remember it.
        """
        self.lost += 1


def dispose(reactor: Any) -> None:
    """
    Close what a reactor that never ran has open.
    """
    for reader in list(reactor._internalReaders):
        reader.connectionLost(None)
    reactor._poller.close()


class LoopTests(SynchronousTestCase):
    """
    One connection.
    """

    def setUp(self) -> None:
        """
        A reactor with a connection whose other end is `self.peer`.
        """
        self.reactor: Any = EPollReactor()
        self.addCleanup(dispose, self.reactor)
        self.assertTrue(quicken(self.reactor))
        near, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(near.close)
        near.setblocking(False)
        self.protocol = Kept()
        server: Any = Server
        self.transport = server(near, self.protocol, ("", 0), None, 1, self.reactor)
        self.transport.startReading()
        self.protocol.makeConnection(self.transport)

    def test_reads(self) -> None:
        """
        What comes is read.
        """
        self.peer.send(b"hello")
        self.reactor.doIteration(0)
        self.reactor.doIteration(0)
        self.assertEqual(self.protocol.received, b"hello")

    def test_writes(self) -> None:
        """
        What waits is written.
        """
        self.transport.write(b"hello")
        self.reactor.doIteration(0)
        self.assertEqual(self.peer.recv(10), b"hello")

    def test_end(self) -> None:
        """
        An end is noticed, after what came before it.
        """
        self.peer.send(b"last")
        self.peer.close()
        for _ in range(3):
            self.reactor.doIteration(0)
        self.assertEqual((self.protocol.received, self.protocol.lost), (b"last", 1))

    def test_failure(self) -> None:
        """
        A reader that raises is logged, and its connection closed.
        """
        self.peer.send(b"fail")
        self.reactor.doIteration(0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.protocol.lost, 1)

    def test_others(self) -> None:
        """
        A reactor that is not known is left as it is.
        """

        class Another(EPollReactor):
            pass

        self.assertFalse(quicken(Clock()))
        another: Any = Another()
        self.addCleanup(dispose, another)
        self.assertFalse(quicken(another))
