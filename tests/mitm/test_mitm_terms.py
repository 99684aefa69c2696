"""
Tests for `aibridge.mitm.terms`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.settings import TUNNELS
from aibridge.mitm.terms import OFF, OPEN
from fakes import TOKEN, AsksSomebody
from proxies import Rig, Secured


class ProxyTests(SynchronousTestCase):
    """
    What all share.
    """

    def test_what_runs(self) -> None:
        """
        Connections being made, tunnels and requests; an intercepted connection without a request does not.
        """
        rig = Rig()
        self.assertEqual(rig.proxy.running, 0)
        rig.connects("one.test:443")
        self.assertEqual(rig.proxy.running, 1)
        host = rig.dialer.succeed()
        self.assertEqual(rig.proxy.running, 1)
        client = Secured(rig.connects())
        self.assertEqual(rig.proxy.running, 1)
        client.send(b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
        self.assertEqual(rig.proxy.running, 2)
        emptied: list[int] = []
        rig.proxy.emptied = lambda: emptied.append(rig.proxy.running)
        client.talk.transport.leave()
        self.assertEqual(emptied, [])
        host.finish()
        rig.turn()
        self.assertEqual(emptied, [0])

    def test_nobody_waits(self) -> None:
        """
        As long as there is no drain.
        """
        rig = Rig(identity=AsksSomebody())
        talk = rig.connects(token=TOKEN)
        talk.transport.leave()
        self.assertIsNone(rig.proxy.emptied)
        self.assertEqual(rig.proxy.running, 0)

    def test_words(self) -> None:
        """
        The modes of tunnels are those of the settings.
        """
        self.assertEqual({OPEN, OFF, "authenticated"}, set(TUNNELS))
