"""
How a host is found and connected to.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibridge.relay.endpoint import LOOKUP_S, OriginEndpoint
from resolving import Reactor

V4 = IPv4Address("TCP", "192.0.2.1", 443)
V6 = IPv6Address("TCP", "2001:db8::1", 443)


class EndpointTests(SynchronousTestCase):
    """
    `OriginEndpoint`.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.resolver = self.reactor.resolver
        self.factory = Factory.forProtocol(Protocol)
        self.endpoint = OriginEndpoint(self.reactor, "provider.example", 443, 10.0)

    def accept(self, which: int = -1) -> None:
        protocol = self.reactor.tcpClients[which][2].buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())

    def hosts(self) -> list[str]:
        return [client[0] for client in self.reactor.tcpClients]

    def test_interface(self) -> None:
        """
        It is an endpoint.
        """
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.endpoint))

    def test_found(self) -> None:
        """
        The name is resolved, and its address connected to.
        """
        connecting = self.endpoint.connect(self.factory)
        self.assertEqual(self.resolver.asked, [("provider.example", 443)])
        self.resolver.answer(V4)
        self.assertEqual(self.reactor.tcpClients[0][:2], ("192.0.2.1", 443))
        self.accept()
        self.assertIsInstance(self.successResultOf(connecting), Protocol)

    def test_happy_eyeballs(self) -> None:
        """
        When the first address takes its time, the next is tried beside it; the first to answer is taken.
        """
        connecting = self.endpoint.connect(self.factory)
        self.resolver.answer(V6, V4)
        self.assertEqual(self.hosts(), ["2001:db8::1"])
        self.reactor.advance(0.3)
        self.assertEqual(self.hosts(), ["2001:db8::1", "192.0.2.1"])
        self.accept(1)
        self.assertIsInstance(self.successResultOf(connecting), Protocol)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)

    def test_refused(self) -> None:
        """
        If every address refuses, so does the endpoint.
        """
        connecting = self.endpoint.connect(self.factory)
        self.resolver.answer(V4)
        factory: Any = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.reactor.advance(0.3)
        self.failureResultOf(connecting, ConnectionRefusedError)

    def test_literals(self) -> None:
        """
        An address is connected to without a question.
        """
        for host in ("127.0.0.1", "::1"):
            reactor = Reactor()
            OriginEndpoint(reactor, host, 80, 10.0).connect(self.factory)
            self.assertEqual((reactor.tcpClients[0][:2], reactor.resolver.asked), ((host, 80), []))

    def test_not_found(self) -> None:
        """
        A name without addresses is not resolved.
        """
        connecting = self.endpoint.connect(self.factory)
        self.resolver.answer()
        self.failureResultOf(connecting, DNSLookupError)

    def test_one_question(self) -> None:
        """
        However many connect, one question is asked, and its answer is everyone's; see Note [One thread].
        """
        connecting = [self.endpoint.connect(self.factory) for _ in range(5)]
        self.assertEqual(len(self.resolver.asked), 1)
        self.resolver.answer(V4)
        self.assertEqual(self.hosts(), ["192.0.2.1"] * 5)
        for which in range(5):
            self.accept(which)
        self.assertEqual(len([self.successResultOf(each) for each in connecting]), 5)

    def test_next_question(self) -> None:
        """
        An answer is not kept, so that a name may move.
        """
        self.endpoint.connect(self.factory)
        self.resolver.answer(V4)
        self.endpoint.connect(self.factory)
        self.assertEqual(len(self.resolver.asked), 2)

    def test_cancelled_while_resolving(self) -> None:
        """
        Whoever gives up does so at once, and is not waited for by anybody.
        """
        first, second = self.endpoint.connect(self.factory), self.endpoint.connect(self.factory)
        first.cancel()
        self.failureResultOf(first, DNSLookupError)
        self.resolver.answer(V4)
        self.assertEqual(self.hosts(), ["192.0.2.1"])
        self.accept()
        self.successResultOf(second)

    def test_cancelled_while_connecting(self) -> None:
        """
        The socket is given up.
        """
        connecting = self.endpoint.connect(self.factory)
        self.resolver.answer(V4)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError, CancelledError)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)

    def test_resolver_that_hangs(self) -> None:
        """
        A resolver that does not come back is asked again after a while, and not before.
        """
        for _ in range(10):
            connecting = self.endpoint.connect(self.factory)
            connecting.cancel()
            self.failureResultOf(connecting, DNSLookupError)
        self.assertEqual(len(self.resolver.asked), 1)
        self.reactor.advance(LOOKUP_S)
        connecting = self.endpoint.connect(self.factory)
        self.assertEqual(len(self.resolver.asked), 2)
        self.resolver.answer(V6, which=0)
        self.resolver.answer(V4, which=1)
        self.assertEqual(self.hosts(), ["192.0.2.1"])
        self.accept()
        self.successResultOf(connecting)

    def test_resolver_that_breaks(self) -> None:
        """
        A resolver that cannot be asked does not spoil the next question.
        """
        self.resolver.broken = True
        with self.assertRaises(OSError):
            self.endpoint.connect(self.factory)
        self.resolver.broken = False
        self.endpoint.connect(self.factory)
        self.assertEqual(len(self.resolver.asked), 1)
