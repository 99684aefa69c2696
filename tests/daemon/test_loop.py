"""
The quickened loop, on an epoll reactor of its own that is turned by hand.
"""

from __future__ import annotations

import socket
from errno import EAGAIN, EBADF, ECONNRESET
from select import select
from time import thread_time
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Client, Connection, Server
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.loop import LONG_S, _read, quicken


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


class Connector:
    """
    As much of a connector as a client needs.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def getDestination(self) -> Any:
        """
        Nowhere in particular.
        """
        return IPv4Address("TCP", "127.0.0.1", 0)

    def buildProtocol(self, address: Any) -> Protocol:
        """
        The one it has.
        """
        return self.protocol


def work(seconds: float) -> None:
    """
    Use so much processor time.
    """
    until = thread_time() + seconds
    while thread_time() < until:
        pass


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

    def test_read_as_twisted_does(self) -> None:
        """
        Bytes, nothing, an end, a failure: all come to what `doRead` makes of them, and as much is asked for as the
        connection says.
        """
        sizes = []

        class Socket:
            def __init__(self, outcome: bytes | OSError) -> None:
                self.outcome = outcome

            def recv(self, size: int) -> bytes:
                sizes.append(size)
                if isinstance(self.outcome, OSError):
                    raise self.outcome
                return self.outcome

        outcomes = (b"data", b"", BlockingIOError(EAGAIN, ""), ConnectionResetError(ECONNRESET, ""), OSError(EBADF, ""))
        kept = self.transport.socket
        self.transport.bufferSize = 1234
        for outcome in outcomes:
            self.transport.socket = Socket(outcome)
            told = [read(self.transport) for read in (_read, Connection.doRead)]
            self.assertIs(told[0], told[1], outcome)
        self.transport.socket = kept
        self.assertEqual(self.protocol.received, b"data" * 2)
        self.assertEqual(set(sizes), {1234})

    def test_a_client_that_connects(self) -> None:
        """
        A connection that is being made is told by its own method that it is there.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        kept = Kept()
        client: Any = Client("127.0.0.1", listening.getsockname()[1], None, Connector(kept), self.reactor)
        self.addCleanup(client.socket.close)
        peer = None
        for _ in range(100):
            if peer is None and select([listening], [], [], 0)[0]:
                peer, _address = listening.accept()
                self.addCleanup(peer.close)
                peer.send(b"hello")
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
            if kept.received:
                break
        self.assertEqual((kept.received, client.connected), (b"hello", 1))

    def test_long_turns_are_told(self) -> None:
        """
        A turn is told by the processor time from one look for events to the next: not that of those before the first
        look, and not those that wait only.
        """
        told: list[float] = []
        reactor: Any = EPollReactor()
        self.addCleanup(dispose, reactor)
        quicken(reactor, told.append)
        work(LONG_S)
        for seconds in (0.0, 2 * LONG_S, 0.0):
            reactor.doIteration(LONG_S)
            work(seconds)
        reactor.doIteration(0)
        self.assertEqual(len(told), 1)
        self.assertGreaterEqual(told[0], 2 * LONG_S)

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
