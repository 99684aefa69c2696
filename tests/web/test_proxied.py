"""
Connections with a PROXY protocol header in front.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.proxied import HEADER_S, ProxiedFactory

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
BALANCER = IPv4Address("TCP", "10.0.0.9", 1234)
STRANGER = IPv4Address("TCP", "203.0.113.9", 1234)


class Kept(Protocol):
    """
    Remembers what it is told.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """
        Remember it.
        """
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        """
        Remember it.
        """
        self.lost = True


class Keeping(Factory):
    """
    Makes them, and remembers for whom.
    """

    def __init__(self) -> None:
        self.made: list[tuple[Any, Kept]] = []

    def buildProtocol(self, addr: Any) -> Kept:
        """
        Make one.
        """
        made = Kept()
        self.made.append((addr, made))
        return made


class ProxiedTests(SynchronousTestCase):
    """
    Who is believed, and what.
    """

    def setUp(self) -> None:
        """
        A factory that trusts one network.
        """
        self.clock = Clock()
        self.keeping = Keeping()
        self.factory = ProxiedFactory(self.keeping, ["10.0.0.0/8"], self.clock)

    def connect(self, address: Any) -> Any:
        """
        A connection from somewhere, as its transport with a `send`.
        """
        protocol = self.factory.buildProtocol(address)
        transport: Any = StringTransport(peerAddress=address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def test_within_a_wrapper(self) -> None:
        """
        As TLS is one: all that follows the header goes to the real client's protocol, also in later segments.
        """
        wrapping = WrappingFactory(self.factory)
        transport: Any = StringTransport(peerAddress=BALANCER)
        transport.protocol = wrapping.buildProtocol(BALANCER)
        transport.protocol.makeConnection(transport)
        for segment in (HEADER + b"GET /", b" HTTP/1.1", b"\r\n"):
            transport.protocol.dataReceived(segment)
        [(address, kept)] = self.keeping.made
        self.assertEqual((address.host, kept.received), ("192.0.2.7", b"GET / HTTP/1.1\r\n"))

    def test_balancer(self) -> None:
        """
        The real client is told of, and every byte after the header is handed on, however they come.
        """
        for split in range(1, len(HEADER) + 3):
            data = HEADER + b"GET / HTTP/1.1\r\n"
            transport = self.connect(BALANCER)
            transport.protocol.dataReceived(data[:split])
            transport.protocol.dataReceived(data[split:])
            address, kept = self.keeping.made[-1]
            self.assertEqual((address.host, address.port), ("192.0.2.7", 56324))
            self.assertEqual(kept.received, b"GET / HTTP/1.1\r\n")
        self.assertEqual(len(self.factory.deadlines), 0)

    def test_stranger(self) -> None:
        """
        A header from elsewhere is just bytes.
        """
        transport = self.connect(STRANGER)
        transport.protocol.dataReceived(HEADER)
        address, kept = self.keeping.made[0]
        self.assertEqual((address, kept.received), (STRANGER, HEADER))

    def test_no_header(self) -> None:
        """
        A balancer without a header is cut off.
        """
        transport = self.connect(BALANCER)
        transport.protocol.dataReceived(b"GET / HTTP/1.1\r\n")
        self.assertTrue(transport.disconnecting or transport.aborting)
        self.assertEqual(self.keeping.made, [])

    def test_silence(self) -> None:
        """
        A header that does not come is waited for only so long.
        """
        transport = self.connect(BALANCER)
        transport.protocol.dataReceived(HEADER[:20])
        self.clock.advance(HEADER_S)
        self.assertTrue(transport.disconnecting or transport.aborting)

    def test_for_itself(self) -> None:
        """
        A balancer that speaks for itself is the client.
        """
        transport = self.connect(BALANCER)
        transport.protocol.dataReceived(b"PROXY UNKNOWN\r\n")
        self.assertEqual(self.keeping.made[0][0], BALANCER)

    def test_unix(self) -> None:
        """
        Whoever may open the socket's file is trusted.
        """
        transport = self.connect(UNIXAddress(None))
        transport.protocol.dataReceived(HEADER)
        self.assertEqual(self.keeping.made[0][0].host, "192.0.2.7")

    def test_mapped(self) -> None:
        """
        An IPv4 balancer on an IPv6 socket is the same balancer.
        """
        transport = self.connect(IPv4Address("TCP", "::ffff:10.0.0.9", 1))
        transport.protocol.dataReceived(HEADER)
        self.assertEqual(self.keeping.made[0][0].host, "192.0.2.7")
