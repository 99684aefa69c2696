"""
Listening: all of it, or none and one sentence.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.listeners import Listeners, StartError


class Busy(MemoryReactor):
    """
    A reactor on which one port is taken.
    """

    def listenTCP(self, port: int, *arguments: Any, **keywords: Any) -> Any:
        """
        Refuse the taken one.
        """
        if port == 81:
            raise CannotListenError("127.0.0.1", port, OSError(98, "Address already in use"))
        return super().listenTCP(port, *arguments, **keywords)


class ListenersTests(SynchronousTestCase):
    """
    Endpoints by their descriptions.
    """

    def setUp(self) -> None:
        """
        No port yet.
        """
        self.reactor = Busy()
        self.listeners = Listeners(self.reactor)

    def test_open(self) -> None:
        """
        Every endpoint is listened on, and can be told to people.
        """
        self.listeners.open(["tcp:port=8080:interface=127.0.0.1", "tcp:port=8081"], Factory())
        self.assertEqual([call[0] for call in self.reactor.tcpServers], [8080, 8081])
        self.assertEqual(self.listeners.addresses()[0], "http://127.0.0.1:8080")
        self.assertEqual(len(self.listeners.ports), 2)

    def test_taken(self) -> None:
        """
        A port that is taken is named, with the reason.
        """
        error = self.assertRaises(StartError, self.listeners.open, ["tcp:80", "tcp:81"], Factory())
        self.assertEqual(str(error), "cannot listen on tcp:81: Address already in use")
        self.assertEqual(self.listeners.ports, [])

    def test_nonsense(self) -> None:
        """
        What is no endpoint is named too.
        """
        error = self.assertRaises(StartError, self.listeners.open, ["nonsense:1"], Factory())
        self.assertIn("cannot listen on nonsense:1", str(error))

    def test_close(self) -> None:
        """
        Closing twice is no harm.
        """
        self.listeners.open(["tcp:8080"], Factory())
        self.listeners.close()
        self.assertEqual(self.listeners.addresses(), [])
        self.assertEqual(self.listeners.close(), [])
