"""
Tests for `aibridge.mitm.tunnel`, between transports in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibridge.mitm.tunnel import CLIENT_RESET, CLOSING_S, COMPLETED, HOST_RESET, IDLE, READ, Tunnel, Tunnels
from upstreams import FakeTransport

GREETING = b"HTTP/1.1 200 Connection established\r\n\r\n"
IDLE_S = 60.0


class TunnelTests(SynchronousTestCase):
    """
    One tunnel.
    """

    def setUp(self) -> None:
        """
        A tunnel that has just begun.
        """
        self.clock = Clock()
        self.tunnels = Tunnels(self.clock, IDLE_S)
        self.ended: list[tuple[Tunnel, str]] = []
        self.client, self.host = FakeTransport(self.clock), FakeTransport(self.clock)
        self.tunnel = Tunnel(self.tunnels, lambda tunnel, cause: self.ended.append((tunnel, cause)))

    def start(self, rest: bytes = b"") -> None:
        """
        Begin.
        """
        self.tunnel.start(self.client, self.host, GREETING, rest)

    def turn(self) -> None:
        """
        Let the reactor turn.
        """
        for _ in range(4):
            self.clock.advance(0)

    def assertEnded(self, cause: str) -> None:
        """
        It is over, once, and nothing of it is left.
        """
        self.turn()
        self.assertEqual(self.ended, [(self.tunnel, cause)])
        self.assertEqual((self.client.connected, self.host.connected), (False, False))
        self.assertEqual(self.tunnels.all, set())
        self.assertEqual((len(self.tunnels.idle), len(self.tunnels.closing)), (0, 0))

    def test_interfaces(self) -> None:
        """
        What transports want of it.
        """
        for interface in (IProtocol, IHalfCloseableProtocol, IPushProducer):
            self.assertTrue(verifyObject(interface, self.tunnel.client))

    def test_both_ways(self) -> None:
        """
        The client is greeted first; then bytes pass as they come, and are counted.
        """
        self.start(b"\x16early")
        self.assertEqual((self.client.sent, self.host.sent), (GREETING, b"\x16early"))
        self.host.receive(b"down")
        self.client.receive(b"up", b"and on")
        self.assertEqual((self.client.sent, self.host.sent), (GREETING + b"down", b"\x16earlyupand on"))
        self.assertEqual((self.tunnel.client.received, self.tunnel.host.received), (14, 4))
        self.assertEqual(self.tunnels.all, {self.tunnel})

    def test_large_reads(self) -> None:
        """
        Both sides are read in large pieces.
        """
        self.start()
        self.assertEqual((self.client.bufferSize, self.host.bufferSize), (READ, READ))

    def test_back_pressure(self) -> None:
        """
        A side that does not take what it is given stops the other one, either way, until it does.
        """
        self.start()
        for slow, fast in ((self.client, self.host), (self.host, self.client)):
            slow.room = 0
            fast.receive(b"x" * READ)
            self.assertTrue(fast.reading)
            fast.receive(b"y")
            self.assertFalse(fast.reading)
            self.assertTrue(slow.reading)
            self.assertLessEqual(len(slow.held), 2 * READ)
            slow.drain()
            self.assertTrue(fast.reading)

    def test_halves(self) -> None:
        """
        One side may end while the other still answers; when both have, it is over.
        """
        for first, second in ((self.client, self.host), (self.host, self.client)):
            self.setUp()
            first, second = (self.client, self.host) if first is self.client else (self.host, self.client)
            self.start()
            first.finish_half()
            self.assertTrue(second.half_closed)
            second.receive(b"answer")
            self.assertTrue(first.sent.endswith(b"answer"))
            self.assertEqual(self.ended, [])
            second.finish_half()
            self.assertEnded(COMPLETED)

    def test_a_half_ends_when_all_is_delivered(self) -> None:
        """
        What waits for a side is given to it before it is told that there is no more.
        """
        self.start()
        self.host.room = 0
        self.client.receive(b"x" * (READ + 1))
        self.assertFalse(self.client.reading)
        self.host.drain()
        self.client.finish_half()
        self.assertTrue(self.host.half_closed)
        self.assertEqual(len(self.host.sent), READ + 1)

    def test_one_that_ended_is_not_read_again(self) -> None:
        """
        However the other side goes on.
        """
        self.start()
        self.host.room = 0
        self.client.receive(b"x" * (READ + 1))
        self.client.reading = True
        self.client.finish_half()
        self.tunnel.client.pauseProducing()
        self.tunnel.client.resumeProducing()
        self.assertFalse(self.client.reading)

    def test_a_side_closes(self) -> None:
        """
        The other one gets what is on its way, and is closed.
        """
        self.start()
        self.client.room = 0
        self.host.receive(b"last words")
        self.host.finish()
        self.turn()
        self.assertEqual((self.client.connected, self.ended), (True, []))
        self.client.drain()
        self.assertTrue(self.client.sent.endswith(b"last words"))
        self.assertEnded(COMPLETED)

    def test_a_side_breaks(self) -> None:
        """
        So does the other, and the log says which it was.
        """
        self.start()
        self.client.reset()
        self.assertTrue(self.host.aborted)
        self.assertEnded(CLIENT_RESET)
        self.setUp()
        self.start()
        self.host.reset()
        self.assertTrue(self.client.aborted)
        self.assertEnded(HOST_RESET)

    def test_silence(self) -> None:
        """
        Ends it, counted from the last byte either way.
        """
        self.start()
        self.clock.advance(IDLE_S - 1)
        self.client.receive(b"x")
        self.clock.advance(IDLE_S - 1)
        self.host.receive(b"x")
        self.clock.advance(IDLE_S - 1)
        self.assertEqual(self.ended, [])
        self.clock.advance(1)
        self.assertEnded(IDLE)

    def test_a_reader_that_does_not_read(self) -> None:
        """
        Is silence in the end, however much waits for it.
        """
        self.start()
        self.client.room = 0
        self.host.receive(b"x" * READ, b"x")
        self.clock.advance(IDLE_S)
        self.assertEnded(IDLE)

    def test_a_farewell_has_an_end(self) -> None:
        """
        One that does not take its last bytes is cut.
        """
        self.start()
        self.client.room = 0
        self.host.receive(b"last words")
        self.host.finish()
        self.clock.advance(CLOSING_S)
        self.assertEnded(COMPLETED)
        self.assertTrue(self.client.aborted)

    def test_cut(self) -> None:
        """
        For a reason that neither side gave.
        """
        self.start()
        self.tunnels.end_all("draining")
        self.assertTrue(self.client.aborted and self.host.aborted)
        self.assertEnded("draining")

    def test_only_silent_ones_are_ended(self) -> None:
        """
        Those on which nothing has passed between two looks.
        """
        self.start()
        self.tunnels.end_silent("draining")
        self.host.receive(b"x")
        self.tunnels.end_silent("draining")
        self.assertEqual(self.ended, [])
        self.tunnels.end_silent("draining")
        self.assertEnded("draining")

    def test_over_tls(self) -> None:
        """
        Where a client speaks TLS with the proxy, both directions end together, after what is on its way.
        """

        class Layer(ProtocolWrapper):
            """
            Stands for TLS: whoever is below it must not be closed by halves.
            """

        class Layers(WrappingFactory[Layer]):
            protocol = Layer
            noisy = False

        class Nobody:
            def doStart(self) -> None: ...

            def buildProtocol(self, address: object) -> Any:
                return self

            def makeConnection(self, transport: object) -> None: ...

        layer: Any = Layers(Nobody()).buildProtocol(None)
        self.client.protocol = layer
        layer.makeConnection(self.client)
        self.tunnel.start(layer, self.host, GREETING, b"")
        self.client.receive(b"up")
        self.assertEqual(self.host.sent, b"up")
        self.host.receive(b"down")
        self.host.finish_half()
        self.assertFalse(self.client.half_closed)
        self.assertTrue(self.client.sent.endswith(b"down"))
        self.assertEnded(COMPLETED)
