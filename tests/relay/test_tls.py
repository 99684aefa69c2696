"""
TLS in memory: what is trusted and what is not, and when a session is resumed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface.verify import verifyObject

from aibridge import errors
from aibridge.relay.tls import SESSION_S, ClientTLS
from certificates import Authority
from secured import URL, ProviderTLS, SecureLab, Wire, authority, issued
from upstreams import ANSWER, FakeTransport


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        (URL, lambda: issued("provider.example")),
        (URL, lambda: issued("other.example", "provider.example")),
        (b"https://eu.api.example/", lambda: issued("*.api.example")),
        (b"https://PROVIDER.example/", lambda: issued("provider.example")),
        (b"https://127.0.0.1/", lambda: issued("127.0.0.1")),
        (b"https://[::1]/", lambda: issued("::1")),
    ],
)
def test_trusted(url: bytes, identity: Callable[[], bytes]) -> None:
    """
    A certificate of a trusted authority for the host that was asked for is accepted.
    """
    lab = SecureLab(identity())
    asked, wire = lab.get(url)
    assert wire.provider.received.startswith(b"GET /")
    wire.say(ANSWER)
    assert asked.body.data == b"{}"
    assert lab.agent.idle_connections == 1


@pytest.mark.parametrize(
    ("url", "identity", "trusts"),
    [
        pytest.param(URL, lambda: issued("provider.example"), False, id="an authority that nobody trusts"),
        pytest.param(URL, lambda: issued("provider.example", self_signed=True), True, id="self-signed"),
        pytest.param(URL, lambda: issued("provider.example", begins=-3, days=-1), True, id="expired"),
        pytest.param(URL, lambda: issued("provider.example", begins=1, days=2), True, id="not valid yet"),
        pytest.param(URL, lambda: issued("other.example"), True, id="another name"),
        pytest.param(URL, lambda: issued("provider.example.evil.example"), True, id="a longer name"),
        pytest.param(URL, lambda: issued("*.provider.example"), True, id="a wildcard below"),
        pytest.param(URL, lambda: issued("127.0.0.1"), True, id="an address for a name"),
        pytest.param(URL, lambda: issued("provider.example", unnamed=True), True, id="no name but the common one"),
        pytest.param(b"https://127.0.0.1/", lambda: issued("127.0.0.2"), True, id="another address"),
        pytest.param(b"https://127.0.0.1/", lambda: issued("provider.example"), True, id="a name for an address"),
        pytest.param(b"https://[::1]/", lambda: issued("::2"), True, id="another IPv6 address"),
    ],
)
def test_not_trusted(url: bytes, identity: Callable[[], bytes], trusts: bool) -> None:
    """
    Any other certificate is refused before a byte of the request has left, and the call fails once.
    """
    lab = SecureLab(identity(), trusts=trusts, max_connections=1)
    asked, wire = lab.get(url)
    assert type(asked.error) is errors.TLSFailed
    assert str(asked.error) == ""
    assert wire.provider.received == b""
    assert lab.agent.open_connections == 0
    assert not wire.client.connected
    lab.tls = ProviderTLS(issued("provider.example", "127.0.0.1", "::1"))
    following, wire = lab.get(url)
    if trusts:
        wire.say(ANSWER)
        assert following.body.data == b"{}"


class HandshakeTests(SynchronousTestCase):
    """
    What is agreed on, and handshakes that go wrong.
    """

    def test_protocols(self) -> None:
        """
        HTTP/1.1 is agreed on by ALPN, in TLS 1.3 or 1.2.
        """
        for highest, version in ((SSL.TLS1_3_VERSION, "TLSv1.3"), (SSL.TLS1_2_VERSION, "TLSv1.2")):
            lab = SecureLab()
            lab.tls = ProviderTLS(issued("provider.example"), (b"h2", b"http/1.1"), highest)
            _, wire = lab.get()
            self.assertEqual(wire.client.protocol.negotiatedProtocol, b"http/1.1")
            self.assertEqual(wire.client.protocol.getHandle().get_protocol_version_name(), version)

    def test_no_alpn(self) -> None:
        """
        A provider that knows nothing of ALPN is one that speaks HTTP/1.1.
        """
        lab = SecureLab()
        asked, wire = lab.get()
        wire.say(ANSWER)
        self.assertEqual(asked.body.data, b"{}")

    def test_only_http2(self) -> None:
        """
        One that would speak nothing else is not spoken to.
        """
        lab = SecureLab()
        lab.tls = ProviderTLS(issued("provider.example"), (b"h2",))
        asked, _ = lab.get()
        self.assertIsInstance(asked.error, errors.TLSFailed)

    def test_old_version(self) -> None:
        """
        TLS 1.1 is not spoken.
        """
        lab = SecureLab()
        lab.tls = ProviderTLS(issued("provider.example"), highest=SSL.TLS1_1_VERSION)
        asked, wire = lab.get()
        self.assertIsInstance(asked.error, errors.TLSFailed)
        self.assertEqual(wire.provider.received, b"")

    def test_server_name(self) -> None:
        """
        The provider is told which host is asked for, unless it is an address.
        """
        for url, name in ((URL, b"provider.example"), (b"https://127.0.0.1/", None)):
            lab = SecureLab(issued("provider.example", "127.0.0.1"))
            _, wire = lab.get(url)
            self.assertEqual(wire.tls.get_servername(), name)

    def test_plain_http(self) -> None:
        """
        A provider that answers in plain text has failed at TLS.
        """
        lab = SecureLab()
        asked = lab.ask(url=URL)
        lab.transport.receive(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        lab.turn()
        self.assertIsInstance(asked.error, errors.TLSFailed)
        self.assertNotIn(b"POST", lab.transport.sent)

    def test_closed_within(self) -> None:
        """
        So has one that leaves within the handshake, and its slot is free.
        """
        for end in (FakeTransport.finish, FakeTransport.reset):
            lab = SecureLab(max_connections=1)
            asked, waiting = lab.ask(url=URL), lab.ask(url=URL)
            end(lab.transport)
            lab.turn()
            self.assertIsInstance(asked.error, errors.TLSFailed)
            self.assertEqual((waiting.error, lab.endpoint.asked, lab.agent.open_connections), (None, 2, 1))

    def test_silent_within(self) -> None:
        """
        One that says nothing is a matter of connecting in time.
        """
        lab = SecureLab(connect_timeout=5.0, max_connections=1)
        asked = lab.ask(url=URL)
        lab.wait(4.9)
        self.assertIsNone(asked.error)
        lab.wait(0.2)
        self.assertIsInstance(asked.error, errors.ConnectTimeout)
        self.assertEqual((lab.live, lab.agent.open_connections), ([], 0))

    def test_cancelled_within(self) -> None:
        """
        Cancelling within the handshake cuts the connection.
        """
        lab = SecureLab()
        asked = lab.ask(url=URL)
        asked.deferred.cancel()
        self.assertIsInstance(asked.error, CancelledError)
        self.assertTrue(lab.transport.aborted)
        lab.turn()
        self.assertEqual(lab.agent.open_connections, 0)

    def test_aborted_within(self) -> None:
        """
        So does aborting the agent.
        """
        lab = SecureLab()
        asked = lab.ask(url=URL)
        lab.agent.abort()
        lab.turn()
        self.assertIsInstance(asked.error, errors.UpstreamReset)
        self.assertEqual(lab.agent.open_connections, 0)


class ClosingTests(SynchronousTestCase):
    """
    Ends of TLS connections.
    """

    OPEN = b"HTTP/1.1 200 OK\r\n\r\nhello"

    def test_farewell(self) -> None:
        """
        A body that ends with its connection ends well only if TLS says so.
        """
        lab = SecureLab()
        asked, wire = lab.get()
        wire.say(self.OPEN)
        assert wire.provider.transport is not None
        wire.provider.transport.loseConnection()
        wire.move()
        self.assertIsInstance(asked.body.reason, PotentialDataLoss)

    def test_no_farewell(self) -> None:
        """
        Without it, anybody on the way may have cut it off.
        """
        lab = SecureLab()
        asked, wire = lab.get()
        wire.say(self.OPEN)
        wire.client.finish()
        self.assertIsInstance(asked.body.reason, errors.UpstreamTruncated)

    def test_idle(self) -> None:
        """
        A farewell on an idle connection ends it.
        """
        lab = SecureLab()
        _, wire = lab.get()
        wire.say(ANSWER)
        self.assertEqual(lab.agent.idle_connections, 1)
        assert wire.provider.transport is not None
        wire.provider.transport.loseConnection()
        wire.move()
        self.assertEqual(lab.agent.open_connections, 0)

    def test_close(self) -> None:
        """
        A provider that does not answer our farewell is not waited for.
        """
        lab = SecureLab()
        _, wire = lab.get()
        wire.say(ANSWER)
        closed = lab.agent.close()
        lab.wait(6)
        self.successResultOf(closed)
        self.assertEqual((lab.live, lab.clock.getDelayedCalls()), ([], []))


class BodyTests(SynchronousTestCase):
    """
    Bodies through TLS.
    """

    def test_large(self) -> None:
        """
        Large bodies cross both ways, byte for byte.
        """
        data = bytes(range(256)) * 4000
        lab = SecureLab()
        asked = lab.ask(body=data, url=URL)
        wire = Wire(lab, lab.transport)
        wire.move()
        self.assertTrue(wire.provider.received.endswith(b"\r\n\r\n" + data))
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        self.assertEqual(asked.body.data, data)
        self.assertIsInstance(asked.body.reason, ResponseDone)
        self.assertEqual(lab.agent.idle_connections, 1)


class SessionTests(SynchronousTestCase):
    """
    See Note [Sessions].
    """

    BYE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    def handshake(self, lab: SecureLab, url: bytes = URL) -> int:
        """
        The bytes that a provider needs for a handshake: without a certificate, half as many.
        """
        asked, wire = lab.get(url)
        self.assertTrue(wire.provider.received, asked.error)
        flight = wire.flight
        wire.say(self.BYE)
        lab.turn()
        return flight

    def test_resumed(self) -> None:
        """
        The second connection to a host resumes the session of the first, and the third that of the second.
        """
        for highest in (SSL.TLS1_3_VERSION, SSL.TLS1_2_VERSION):
            lab = SecureLab()
            lab.tls = ProviderTLS(issued("provider.example"), highest=highest)
            full, second, third = (self.handshake(lab) for _ in range(3))
            self.assertLess(second, full * 0.7)
            self.assertLess(third, full * 0.7)

    def test_not_for_ever(self) -> None:
        """
        The chain is verified anew after a while, however often its session was resumed.
        """
        lab = SecureLab()
        full = self.handshake(lab)
        for _ in range(3):
            lab.wait(SESSION_S / 4)
            self.assertLess(self.handshake(lab), full * 0.7)
        lab.wait(SESSION_S / 4)
        self.assertGreater(self.handshake(lab), full * 0.9)
        self.assertLess(self.handshake(lab), full * 0.7)

    def test_not_for_another_host(self) -> None:
        """
        A session is offered to the host that it was agreed on with, and to no other.
        """
        lab = SecureLab(issued("provider.example", "other.example"))
        full = self.handshake(lab)
        self.assertGreater(self.handshake(lab, b"https://other.example/"), full * 0.9)


class AuthoritiesTests(SynchronousTestCase):
    """
    Files of further authorities.
    """

    def test_interface(self) -> None:
        """
        What is made for a host makes connections.
        """
        made = ClientTLS().for_host("provider.example", lambda: 0.0)
        self.assertTrue(verifyObject(IOpenSSLClientConnectionCreator, made))

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name) / "more.pem"

    def test_several(self) -> None:
        """
        A file may hold several, and remarks.
        """
        other = Authority(self.path.parent, "other")
        self.path.write_bytes(other.certificate.read_bytes() + b"\n# a remark\n" + authority().certificate.read_bytes())
        ClientTLS(str(self.path))

    def test_unusable(self) -> None:
        """
        One that cannot be read, or holds none, is an error that names it.
        """
        for content in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"):
            self.path.write_bytes(content)
            with self.assertRaisesRegex(ValueError, str(self.path)):
                ClientTLS(str(self.path))
        self.path.unlink()
        with self.assertRaisesRegex(ValueError, str(self.path)):
            ClientTLS(str(self.path))
