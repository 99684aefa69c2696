"""
The simulated provider's listener.
"""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.demo import DemoListener
from aibridge.web.settings import HttpSettings


class DemoListenerTests(SynchronousTestCase):
    """
    When it listens.
    """

    def test_on_demand(self) -> None:
        """
        It listens once somebody asks where, on loopback, and only once.
        """
        reactor = MemoryReactorClock()
        listener = DemoListener(reactor, lambda: 0.0, HttpSettings())
        self.assertEqual(reactor.tcpServers, [])
        self.assertEqual(listener.url(), listener.url())
        ((_, _, _, interface),) = reactor.tcpServers
        self.assertEqual(interface, "127.0.0.1")
        listener.close()
        listener.close()
