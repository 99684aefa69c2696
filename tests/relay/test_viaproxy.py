"""
Tests for `aibridge.relay.viaproxy`, with proxies in memory, with and without TLS.
"""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import RelayAgent
from aibridge.relay.proxyurl import read_proxy_url
from aibridge.relay.viaproxy import MOST_HEAD, ForwardProxy, ProxyRefused
from secured import ProviderTLS, Wire, issued
from secured import authority as trusted
from upstreams import ANSWER, URL, Asked, FakeEndpoint, FakeTransport

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Client(Protocol):
    """
    Who wants a connection.
    """

    def __init__(self) -> None:
        self.data = b""
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost += 1


class ProxyTests(SynchronousTestCase):
    """
    A proxy that speaks no TLS.
    """

    url = "http://user:hunter2@proxy.example:3128"

    def setUp(self) -> None:
        """
        A proxy that is connected to at once.
        """
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)
        self.proxy = ForwardProxy(self.clock, read_proxy_url(self.url), 10.0, endpoint=self.endpoint)
        self.made: list[Any] = []
        self.failed: list[BaseException] = []

    def connect(self, host: str = "api.example", port: int = 443) -> Any:
        """
        Ask for a connection.
        """
        factory = Factory.forProtocol(Client)
        factory.noisy = False
        asked = self.proxy.to(host, port).connect(factory)
        asked.addCallbacks(self.made.append, lambda failure: self.failed.append(failure.value))
        return asked

    def test_asked(self) -> None:
        """
        It is told where to, and who asks; nothing else, and nothing before.
        """
        self.connect()
        (transport,) = self.endpoint.transports
        shown = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:hunter2")
        line = b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"
        self.assertEqual(transport.sent, line + shown + b"\r\n\r\n")
        self.assertEqual(self.made, [])

    def test_an_address_in_brackets(self) -> None:
        """
        As an authority has it.
        """
        self.connect("2001:db8::1", 8443)
        self.assertTrue(self.endpoint.transports[0].sent.startswith(b"CONNECT [2001:db8::1]:8443 HTTP/1.1\r\n"))

    def test_no_credentials(self) -> None:
        """
        None are made up.
        """
        proxy = ForwardProxy(self.clock, read_proxy_url("http://proxy"), 10.0, endpoint=self.endpoint)
        proxy.to("h", 1).connect(Factory.forProtocol(Client)).addErrback(lambda _: None)
        self.assertNotIn(b"Authorization", self.endpoint.transports[0].sent)

    def test_established(self) -> None:
        """
        The connection is the client's, from the first byte behind the proxy's answer, however that is cut.
        """
        for size in (1, 7, 1000):
            self.made.clear()
            self.connect()
            transport = self.endpoint.transports[-1]
            answer = b"HTTP/1.0 200 OK\r\nVia: proxy\r\n\r\nhello"
            transport.receive(*(answer[at : at + size] for at in range(0, len(answer), size)))
            (client,) = self.made
            self.assertEqual(client.data, b"hello")
            client.transport.write(b"up")
            transport.receive(b" again")
            self.assertEqual(client.data, b"hello again")
            self.assertTrue(transport.sent.endswith(b"\r\n\r\nup"))
            transport.finish()
            self.assertEqual(client.lost, 1)

    def test_refused(self) -> None:
        """
        Any other status is no connection, and says which it was.
        """
        for status in (b"407 Proxy Authentication Required", b"403", b"502 Bad", b"100 Continue", b"301 Moved"):
            self.failed.clear()
            self.connect()
            transport = self.endpoint.transports[-1]
            transport.receive(b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\n\r\nsome page")
            (error,) = self.failed
            self.assertIsInstance(error, ProxyRefused)
            self.assertIn(f"it answered {status[:3].decode()}", str(error))
            self.assertTrue(transport.aborted)

    def test_no_proxy(self) -> None:
        """
        What does not speak HTTP, or without end, is none.
        """
        for answer in (
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"x" * (MOST_HEAD + 1),
        ):
            self.failed.clear()
            self.connect()
            transport = self.endpoint.transports[-1]
            transport.receive(answer)
            self.assertIn("does not answer as a proxy does", str(self.failed[0]))
            self.assertTrue(transport.aborted)

    def test_goes_away(self) -> None:
        """
        A proxy that ends the connection instead of answering.
        """
        for end, words in (("finish", "it ended the connection"), ("reset", "was lost")):
            self.failed.clear()
            self.connect()
            getattr(self.endpoint.transports[-1], end)()
            self.assertIn(words, str(self.failed[0]))

    def test_not_reached(self) -> None:
        """
        Why it was not is handed on, so that a name that has no address is told from a port that is closed.
        """
        self.endpoint.connects = False
        for error in (ConnectionRefusedError(), DNSLookupError()):
            self.failed.clear()
            self.connect()
            self.endpoint.dials[0].fail(error)
            self.assertIs(self.failed[0], error)

    def test_given_up(self) -> None:
        """
        At any moment: nothing is left of it, and a late answer interests nobody.
        """
        self.endpoint.connects = False
        dialing = self.connect()
        (dial,) = self.endpoint.dials
        dialing.cancel()
        self.assertTrue(dial.cancelled)
        self.endpoint.connects = True
        asking = self.connect()
        transport = self.endpoint.transports[-1]
        asking.cancel()
        self.assertTrue(transport.aborted)
        transport.receive(ESTABLISHED)
        self.clock.advance(0)
        self.assertEqual(self.made, [])
        self.assertEqual([type(error) for error in self.failed], [ProxyRefused, ProxyRefused])

    def test_told_once(self) -> None:
        """
        The log says when it stops working and when it works again, without the credentials.
        """
        self.endpoint.connects = False
        with capturedLogs() as events:
            for _ in range(3):
                self.connect()
                self.endpoint.dials[0].fail(ConnectionRefusedError())
            self.endpoint.connects = True
            for _ in range(2):
                self.connect()
                self.endpoint.transports[-1].receive(ESTABLISHED)
        said = [formatEvent(event) for event in events]
        self.assertEqual(len(said), 2)
        self.assertIn("cannot be used: it was not reached (ConnectionRefusedError).", said[0])
        self.assertIn("can be used again.", said[1])
        self.assertNotIn("hunter2", repr(events))

    def test_the_relay_goes_through_it(self) -> None:
        """
        An agent whose endpoints lead through a proxy asks its provider over it; a refusal is the provider's failure.
        """
        agent = RelayAgent(
            self.clock, TransportSettings(), endpoints=lambda secure, host, port: self.proxy.to(host, port)
        )
        asked = Asked(agent.send(b"POST", URL, [], b"{}"))
        (transport,) = self.endpoint.transports
        self.assertTrue(transport.sent.startswith(b"CONNECT provider.example:80 "))
        transport.receive(ESTABLISHED)
        self.assertIn(b"POST /v1/chat/completions HTTP/1.1\r\n", transport.sent)
        transport.receive(ANSWER)
        self.assertEqual(asked.body.data, b"{}")
        agent.abort()
        self.clock.advance(0)
        asked = Asked(agent.send(b"POST", URL, [], b"{}"))
        self.endpoint.transports[-1].receive(b"HTTP/1.1 407 No\r\n\r\n")
        self.assertIsInstance(asked.error, errors.ConnectFailed)

    def test_the_relays_deadline_holds(self) -> None:
        """
        A proxy that says nothing is a connection that takes too long.
        """
        agent = RelayAgent(
            self.clock,
            TransportSettings(connect_timeout=5.0),
            endpoints=lambda secure, host, port: self.proxy.to(host, port),
        )
        asked = Asked(agent.send(b"POST", URL, [], b"{}"))
        self.clock.advance(5.0)
        self.assertIsInstance(asked.error, errors.ConnectTimeout)
        self.assertTrue(self.endpoint.transports[0].aborted)


class SecureProxyTests(SynchronousTestCase):
    """
    A proxy that speaks TLS itself.
    """

    def setUp(self) -> None:
        """
        A clock, and an endpoint that connects at once.
        """
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)

    def turn(self) -> None:
        """
        Let the reactor turn.
        """
        for _ in range(4):
            self.clock.advance(0)

    def asked(self, *names: str, ca_file: str | None = None) -> tuple[list[Any], Wire]:
        """
        A client that wants a connection of a proxy with a certificate for `names`, up to where the proxy would answer.
        """
        self.tls = ProviderTLS(issued(*names))
        trusts = str(trusted().certificate) if ca_file is None else ca_file
        url = read_proxy_url("https://user:hunter2@proxy.example:3128", trusts)
        proxy = ForwardProxy(self.clock, url, 10.0, endpoint=self.endpoint)
        outcome: list[Any] = []
        proxy.to("api.example", 443).connect(Factory.forProtocol(Client)).addBoth(outcome.append)
        wire = Wire(self, self.endpoint.transports[-1])  # type: ignore[arg-type]  # it is as good as a lab
        wire.move()
        return outcome, wire

    def test_established(self) -> None:
        """
        Everything goes through TLS: what is asked, the answer, and the connection itself.
        """
        outcome, wire = self.asked("proxy.example")
        self.assertTrue(wire.provider.received.startswith(b"CONNECT api.example:443 HTTP/1.1\r\n"))
        wire.say(ESTABLISHED + b"hello")
        (client,) = outcome
        self.assertEqual(client.data, b"hello")
        client.transport.write(b"up")
        wire.move()
        self.assertTrue(wire.provider.received.endswith(b"\r\n\r\nup"))

    def test_wrong_certificate(self) -> None:
        """
        A proxy that is not who it should be is not shown the credentials.
        """
        for names, ca_file in ((("other.example",), None), (("proxy.example",), "")):
            outcome, wire = self.asked(*names, ca_file=ca_file)
            self.assertEqual(wire.provider.received, b"")
            (failure,) = outcome
            self.assertIsInstance(failure.value, ProxyRefused)
            self.assertIn("certificate", str(failure.value))
            self.assertFalse(wire.client.connected)

    def test_unusable_authorities(self) -> None:
        """
        A file that has no certificates is found out at once.
        """
        url = read_proxy_url("https://proxy.example", "/dev/null")
        self.assertRaises(ValueError, ForwardProxy, self.clock, url, 10.0)

    def test_tls_within_tls(self) -> None:
        """
        A provider's own TLS goes through the proxy's.
        """
        self.tls = ProviderTLS(issued("proxy.example"))
        url = read_proxy_url("https://proxy.example:3128", str(trusted().certificate))
        proxy = ForwardProxy(self.clock, url, 10.0, endpoint=self.endpoint)
        agent = RelayAgent(
            self.clock,
            TransportSettings(ca_file=str(trusted().certificate)),
            endpoints=lambda secure, host, port: proxy.to(host, port),
        )
        asked = Asked(agent.send(b"POST", b"https://provider.example/v1", [], b"{}"))
        outer = Wire(self, self.endpoint.transports[-1])  # type: ignore[arg-type]  # it is as good as a lab
        outer.move()
        self.assertTrue(outer.provider.received.startswith(b"CONNECT provider.example:443 "))
        outer.provider.received = b""
        provider = Client()
        factory = TLSMemoryBIOFactory(
            ProviderTLS(issued("provider.example")), False, Factory.forProtocol(lambda: provider), self.clock
        )
        inner = FakeTransport(self.clock)
        inner.protocol = factory.buildProtocol(None)
        inner.protocol.makeConnection(inner)
        outer.say(ESTABLISHED)
        for _ in range(6):
            up, outer.provider.received = outer.provider.received, b""
            if up:
                inner.receive(up)
            down, inner.sent = inner.sent, b""
            if down:
                outer.say(down)
            self.turn()
        self.assertTrue(provider.data.startswith(b"POST /v1 HTTP/1.1\r\n"))
        assert provider.transport is not None
        provider.transport.write(ANSWER)
        self.turn()
        outer.say(inner.sent)
        self.assertEqual(asked.body.data, b"{}")
