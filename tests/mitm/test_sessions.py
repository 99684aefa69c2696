"""
Tests for `aibridge.mitm.sessions`: the layer between an intercepted client and its requests.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from aibridge.mitm.authority import as_pem, create
from aibridge.mitm.sessions import (
    COMPLETED,
    MISNAMED,
    TLS_FAILED,
    UNTRUSTED,
    Session,
    _Creator,
    address_of,
)
from authorities import HOST, authority, trusting
from fakes import TOKEN
from proxies import Rig, Secured

GET = b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n"


class SessionTests(SynchronousTestCase):
    """
    How intercepted connections begin and end.
    """

    def setUp(self) -> None:
        """
        A proxy with its defaults.
        """
        self.rig = Rig()

    def cause(self, client: Secured) -> str:
        """
        How the connection ended, in the log; what failed is counted.
        """
        client.talk.transport.leave()
        self.rig.turn()
        line = self.rig.lines[-1]
        self.assertEqual((line.kind, line.status), ("mitm", 200))
        failed = self.rig.count("tls_failures_total", kind=line.cause)
        self.assertEqual(failed, 0 if line.cause == COMPLETED else 1)
        return str(line.cause)

    def test_completed(self) -> None:
        """
        A client that was content, whether it asked for anything or not.
        """
        self.assertEqual(self.cause(Secured(self.rig.connects())), COMPLETED)
        client = Secured(self.rig.connects())
        client.send(GET)
        self.assertEqual(self.cause(client), COMPLETED)

    def test_untrusted(self) -> None:
        """
        A client that does not know the authority: the one thing that goes wrong at every first time.
        """
        other = as_pem([create("Another", [HOST], datetime.now(UTC)).certificate]).decode()
        for context in (ssl.create_default_context(cadata=other), ssl.create_default_context()):
            self.rig = Rig()
            client = Secured(self.rig.connects(), context=context)
            self.assertIn("CERTIFICATE_VERIFY_FAILED", client.error)
            self.assertEqual(self.cause(client), UNTRUSTED)

    def test_another_server_name(self) -> None:
        """
        A client that wants somebody else is not served.
        """
        client = Secured(self.rig.connects(), "api.anthropic.com")
        self.assertIn("handshake failure", client.error)
        self.assertEqual(self.cause(client), MISNAMED)
        self.assertEqual(self.rig.upstream.calls, [])

    def test_no_server_name(self) -> None:
        """
        One that names nobody is.
        """
        context = trusting(authority().certificate)
        context.check_hostname = False
        client = Secured(self.rig.connects(), None, context)
        client.send(GET)
        self.assertEqual(len(self.rig.upstream.calls), 1)

    def test_no_tls(self) -> None:
        """
        Whoever speaks something else is not.
        """
        for spoken in (GET, b"\x16\x03\x01\x00\x05hello", b"\x00" * 100):
            self.rig = Rig()
            talk = self.rig.connects()
            talk.send(spoken)
            self.rig.turn()
            talk.transport.leave()
            self.rig.turn()
            self.assertEqual(self.rig.lines[-1].cause, TLS_FAILED)
            self.assertEqual(self.rig.upstream.calls, [])

    def test_leaves_within_the_handshake(self) -> None:
        """
        Says no more than that it failed.
        """
        talk = self.rig.connects()
        talk.transport.leave()
        self.assertEqual(self.rig.lines[-1].cause, TLS_FAILED)

    def test_silence(self) -> None:
        """
        A client that is connected and says nothing is not waited for without end.
        """
        talk = self.rig.connects()
        talk.wait(31.0)
        talk.wait(10.0)
        self.assertTrue(talk.transport.is_lost)
        self.assertEqual(self.rig.proxy.site.connections, set())

    def test_told_once(self) -> None:
        """
        And the token is in no `repr`.
        """
        client = Secured(self.rig.connects())
        session: Session = client.talk.transport.protocol.secured.session
        self.assertNotIn(TOKEN.decode(), repr(session))
        client.talk.transport.leave()
        self.rig.turn()
        self.assertEqual(len(self.rig.lines), 1)

    def test_interface(self) -> None:
        """
        What Twisted wants of a server's side.
        """
        self.assertTrue(verifyClass(IOpenSSLServerConnectionCreator, _Creator))

    def test_the_client_is_known_by_its_address(self) -> None:
        """
        That is the one it came from, not a balancer's.
        """
        client = Secured(self.rig.connects())
        client.send(GET)
        client.send(GET)
        self.assertEqual(next(iter(self.rig.proxy.site.connections)).client_host, client.talk.channel.client_host)
        self.assertEqual(address_of("192.0.2.7"), IPv4Address("TCP", "192.0.2.7", 0))
        self.assertEqual(address_of("2001:db8::1"), IPv6Address("TCP", "2001:db8::1", 0))
        self.assertEqual(address_of("unix"), UNIXAddress(None))
