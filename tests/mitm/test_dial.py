"""
Tests for `aibridge.mitm.dial`, on a reactor in memory whose resolver answers when a test says so.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.error import TimeoutError as OutOfTime
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.addresses import Guard
from aibridge.mitm.dial import MOST_LOOKUPS, Dialer, Route
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.mitm.targets import read_authority
from aibridge.relay.proxyurl import read_proxy_url
from aibridge.relay.viaproxy import ForwardProxy
from disguises import DISGUISES
from resolving import Reactor
from upstreams import FakeEndpoint

PUBLIC = IPv4Address("TCP", "93.184.216.34", 443)
OTHER = IPv4Address("TCP", "93.184.216.35", 443)
PUBLIC_6 = IPv6Address("TCP", "2606:4700::1111", 443)
PRIVATE = IPv4Address("TCP", "10.0.0.1", 443)
MAPPED = IPv6Address("TCP", "::ffff:10.0.0.1", 443)
LOCAL = IPv6Address("TCP", "fe80::1%eth0", 443, 0, 2)

DIRECT = Route(guard=Guard())


class DialTests(SynchronousTestCase):
    """
    Without a proxy.
    """

    route = DIRECT

    def setUp(self) -> None:
        """
        Nothing is being connected.
        """
        self.reactor = Reactor()
        self.resolver = self.reactor.resolver
        self.dialer = Dialer(self.reactor, 10.0)
        self.made: list[Any] = []
        self.refused: list[Refused] = []

    def dial(self, authority: str = "host.test:443", route: Route | None = None) -> Any:
        """
        Ask for a connection.
        """
        dialing = self.dialer.dial(read_authority(authority), route or self.route)
        dialing.addCallbacks(self.made.append, self._failed)
        return dialing

    def _failed(self, failure: Failure) -> None:
        assert isinstance(failure.value, Refused)
        self.refused.append(failure.value)

    def dialed(self) -> list[tuple[str, int]]:
        """
        What was connected to.
        """
        return [client[:2] for client in self.reactor.tcpClients]

    def accept(self, which: int = -1) -> StringTransport:
        """
        A host answers.
        """
        protocol = self.reactor.tcpClients[which][2].buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        return transport

    def fail_with(self, error: Exception, which: int = -1) -> None:
        """
        A host does not.
        """
        factory: Any = self.reactor.tcpClients[which][2]
        factory.clientConnectionFailed(self.reactor.connectors[which], Failure(error))

    @property
    def kinds(self) -> list[Refusal]:
        """
        Why there was no connection.
        """
        return [refused.refusal for refused in self.refused]

    def test_connected(self) -> None:
        """
        The name is looked up once, its address connected to, and the transport is handed over.
        """
        self.dial()
        self.assertEqual(self.resolver.asked, [("host.test", 443)])
        self.resolver.answer(PUBLIC)
        self.assertEqual(self.dialed(), [("93.184.216.34", 443)])
        transport = self.accept()
        self.assertEqual(self.made, [transport])
        self.assertEqual((len(self.dialer.waits), self.dialer.lookups), (0, 0))

    def test_an_address(self) -> None:
        """
        Is not looked up.
        """
        for authority, dialed in (
            ("8.8.8.8:443", ("8.8.8.8", 443)),
            ("0x08080808:80", ("8.8.8.8", 80)),
            ("[2606:4700::1111]:443", ("2606:4700::1111", 443)),
        ):
            self.dial(authority)
            self.assertEqual(self.dialed()[-1], dialed)
        self.assertEqual(self.resolver.asked, [])

    def test_disguises(self) -> None:
        """
        None of them is connected to, or looked up.
        """
        for authority in DISGUISES:
            if "localhost" not in authority.lower():
                self.dial(authority)
                self.assertIs(self.kinds[-1], Refusal.ADDRESS, authority)
        self.assertEqual((self.dialed(), self.resolver.asked), ([], []))

    def test_names_of_private_addresses(self) -> None:
        """
        What a name leads to is what counts.
        """
        for address in (PRIVATE, MAPPED, LOCAL):
            self.dial("internal.test:443")
            self.resolver.answer(address)
        self.assertEqual(self.kinds, [Refusal.ADDRESS] * 3)
        self.assertEqual(self.dialed(), [])

    def test_names_of_both(self) -> None:
        """
        Only what may be connected to is, also if it does not answer.
        """
        self.dial()
        self.resolver.answer(PRIVATE, PUBLIC, MAPPED)
        self.fail_with(ConnectionRefusedError())
        self.reactor.advance(5.0)
        self.assertEqual(self.dialed(), [("93.184.216.34", 443)])
        self.assertEqual(self.kinds, [Refusal.CONNECT])

    def test_rebinding(self) -> None:
        """
        A name that would lead elsewhere when it is asked again is not asked again.
        """
        self.dial()
        self.resolver.answer(PUBLIC, OTHER)
        self.reactor.advance(0.4)
        self.fail_with(ConnectionRefusedError(), 0)
        self.accept(1)
        self.assertEqual(self.dialed(), [("93.184.216.34", 443), ("93.184.216.35", 443)])
        self.assertEqual(len(self.resolver.asked), 1)
        self.assertEqual(len(self.made), 1)

    def test_allowed_networks(self) -> None:
        """
        May be connected to, by name and by address.
        """
        route = Route(guard=Guard([ipaddress.ip_network("10.0.0.0/8")]))
        self.dial("10.1:443", route)
        self.dial("internal.test:443", route)
        self.resolver.answer(PRIVATE)
        self.assertEqual(self.dialed(), [("10.0.0.1", 443)] * 2)

    def test_no_such_name(self) -> None:
        """
        Is told from one that may not be connected to only in the log.
        """
        self.dial()
        self.resolver.answer()
        self.assertEqual(self.kinds, [Refusal.RESOLVE])
        self.assertEqual(self.dialer.lookups, 0)

    def test_no_answer(self) -> None:
        """
        Each way of not being connected to.
        """
        for error, kind in ((ConnectionRefusedError(), Refusal.CONNECT), (OutOfTime(), Refusal.CONNECT_TIMEOUT)):
            self.dial()
            self.resolver.answer(PUBLIC)
            self.fail_with(error)
            self.reactor.advance(1.0)
            self.assertIs(self.kinds[-1], kind)
            self.assertIs(self.refused[-1].__cause__, error)

    def test_a_defect(self) -> None:
        """
        Is one of the proxy's, and logged.
        """
        self.reactor.connectTCP = None  # type: ignore[assignment, method-assign]  # whatever is broken
        self.dial("8.8.8.8:443")
        self.assertEqual(self.kinds, [Refusal.INTERNAL])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_too_slow(self) -> None:
        """
        In whatever phase: looking up or connecting; what comes later finds nobody.
        """
        self.dial()
        self.reactor.advance(10.0)
        self.resolver.answer(PUBLIC)
        self.dial()
        self.resolver.answer(PUBLIC)
        self.reactor.advance(10.0)
        self.assertEqual(self.kinds, [Refusal.CONNECT_TIMEOUT] * 2)
        self.assertEqual(len(self.dialed()), 1)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(self.made, [])

    def test_given_up(self) -> None:
        """
        Likewise, by whoever asked; nothing of it is left.
        """
        looking = self.dial()
        looking.cancel()
        self.resolver.answer(PUBLIC)
        connecting = self.dial()
        self.resolver.answer(PUBLIC)
        connecting.cancel()
        self.assertEqual(self.kinds, [Refusal.CONNECT] * 2)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual((len(self.dialer.waits), self.dialer.lookups), (0, 0))

    def test_bounded(self) -> None:
        """
        Questions that the resolver does not answer count until it does, also when nobody waits for them any more.
        """
        for _ in range(MOST_LOOKUPS):
            self.dial().cancel()
        self.refused.clear()
        self.dial()
        self.assertEqual(self.kinds, [Refusal.AT_CAPACITY])
        self.assertEqual(len(self.resolver.asked), MOST_LOOKUPS)
        self.resolver.answer(PUBLIC, which=0)
        self.dial()
        self.assertEqual(len(self.resolver.asked), MOST_LOOKUPS + 1)


class ProxiedTests(DialTests):
    """
    Through an upstream proxy that is told addresses.
    """

    here = True

    def setUp(self) -> None:
        """
        A proxy that answers when a test says so.
        """
        super().setUp()
        self.endpoint = FakeEndpoint(self.reactor)
        url = read_proxy_url("http://user:hunter2@proxy.test:3128")
        proxy = ForwardProxy(self.reactor, url, 10.0, endpoint=self.endpoint)
        self.route = Route(guard=Guard(), proxy=proxy, resolves_here=self.here)

    def dialed(self) -> list[tuple[str, int]]:
        """
        What the proxy was asked for.
        """
        asked = [transport.sent.split(b" ")[1].decode() for transport in self.endpoint.transports]
        return [(host.strip("[]"), int(port)) for host, _, port in (text.rpartition(":") for text in asked)]

    def accept(self, which: int = -1) -> Any:
        """
        The proxy answers.
        """
        transport = self.endpoint.transports[which]
        transport.receive(b"HTTP/1.1 200 OK\r\n\r\n")
        return transport

    def fail_with(self, error: Exception, which: int = -1) -> None:
        """
        The proxy could not connect.
        """
        self.endpoint.transports[which].receive(b"HTTP/1.1 502 No\r\n\r\n")

    def test_no_answer(self) -> None:
        """
        The proxy says no, or nothing.
        """
        self.dial()
        self.resolver.answer(PUBLIC)
        self.fail_with(ConnectionRefusedError())
        self.dial()
        self.resolver.answer(PUBLIC)
        self.reactor.advance(10.0)
        self.assertEqual(self.kinds, [Refusal.CONNECT, Refusal.CONNECT_TIMEOUT])

    def test_rebinding(self) -> None:
        """
        The proxy is told the address that was checked, so that it has nothing to look up.
        """
        self.dial()
        self.resolver.answer(PRIVATE, PUBLIC_6, PUBLIC)
        self.accept()
        self.assertEqual(self.dialed(), [("2606:4700::1111", 443)])
        self.assertEqual(len(self.made), 1)

    def test_allowed_networks(self) -> None:
        """
        May be asked of it too.
        """
        guard = Guard([ipaddress.ip_network("10.0.0.0/8")])
        route = Route(guard=guard, proxy=self.route.proxy, resolves_here=self.here)
        self.dial("10.1:443", route)
        self.assertEqual(self.dialed(), [("10.0.0.1", 443)])

    def test_too_slow(self) -> None:
        """
        A proxy that says nothing.
        """
        self.dial("8.8.8.8:443")
        self.reactor.advance(10.0)
        self.assertEqual(self.kinds, [Refusal.CONNECT_TIMEOUT])
        self.assertTrue(self.endpoint.transports[0].aborted)

    def test_given_up(self) -> None:
        """
        Nothing of it is left.
        """
        self.dial("8.8.8.8:443").cancel()
        self.assertEqual(self.kinds, [Refusal.CONNECT])
        self.assertTrue(self.endpoint.transports[0].aborted)

    def test_a_defect(self) -> None:
        """
        The same as without a proxy; there is nothing here that could be broken in another way.
        """


class ResolvingProxyTests(ProxiedTests):
    """
    Through one that is told names.
    """

    here = False

    def test_connected(self) -> None:
        """
        The name is looked up here, to be checked, and told as it is.
        """
        self.dial()
        self.resolver.answer(PUBLIC)
        self.assertEqual(self.dialed(), [("host.test", 443)])
        self.assertEqual(self.made, [self.accept()])

    def test_no_such_name(self) -> None:
        """
        It may be one where the proxy is.
        """
        self.dial()
        self.resolver.answer()
        self.assertEqual(self.dialed(), [("host.test", 443)])

    def test_names_of_both(self) -> None:
        """
        The proxy would choose among them, so one is enough to refuse the name.
        """
        self.dial()
        self.resolver.answer(PRIVATE, PUBLIC)
        self.assertEqual(self.kinds, [Refusal.ADDRESS])
        self.assertEqual(self.dialed(), [])

    def test_rebinding(self) -> None:
        """
        That it looks up by itself is what was asked for.
        """
        self.dial()
        self.resolver.answer(PUBLIC)
        self.assertEqual(len(self.resolver.asked), 1)
