"""
Tests for `aibridge.relay.takeover`.
"""

from __future__ import annotations

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from aibridge.relay.takeover import take_over
from upstreams import FakeTransport


class Successor(Protocol):
    """
    Remembers what it was told.
    """

    def __init__(self) -> None:
        self.made = 0
        self.data = b""

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.data += data


class TakeOverTests(SynchronousTestCase):
    """
    Who is told what from then on.
    """

    def test_a_transport(self) -> None:
        """
        The successor gets what has come already and what comes.
        """
        transport = FakeTransport(Clock(), Protocol())
        successor = Successor()
        take_over(transport, successor, b"be")
        transport.receive(b"hind")
        self.assertEqual((successor.made, successor.data), (1, b"behind"))
        self.assertIs(successor.transport, transport)

    def test_a_layer(self) -> None:
        """
        Where the transport is a layer above another (TLS), it is the layer that serves the successor.
        """

        class Layers(WrappingFactory):
            noisy = False

        class Plain:
            """
            Makes what is above the layer at first.
            """

            def doStart(self) -> None: ...

            def buildProtocol(self, address: object) -> Protocol:
                return Protocol()

        lower = FakeTransport(Clock())
        layer = Layers(Plain()).buildProtocol(None)
        assert layer is not None
        lower.protocol = layer
        layer.makeConnection(lower)
        successor = Successor()
        take_over(layer, successor)
        self.assertEqual(successor.data, b"")
        lower.receive(b"above")
        self.assertEqual(successor.data, b"above")
        self.assertIs(successor.transport, layer)
