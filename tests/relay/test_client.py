"""
The client: bytes as they were, over our agent and over whatever stands in for treq's.
"""

from __future__ import annotations

from typing import Any

from treq.testing import RequestTraversalAgent, StubTreq
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aibridge.interfaces import IPairsAgent
from aibridge.relay.client import BytesProducer, RelayClient, response_pairs
from upstreams import ANSWER, URL, Asked, Lab

PAIRS = [(b"B", b"2"), (b"a", b"1"), (b"B", b"3")]


class Provider(Resource):
    """
    Answers what it was asked, with a cookie, an encoding and a place to go to.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def render(self, request: Any) -> Any:
        self.seen.append((request.method, request.uri, request.requestHeaders, request.content.read()))
        if request.uri == b"/stream":
            self.request = request
            request.write(b"one")
            return NOT_DONE_YET
        request.setResponseCode(302)
        request.setHeader(b"Location", b"/elsewhere")
        request.setHeader(b"Content-Encoding", b"gzip")
        request.addCookie(b"session", b"secret")
        return b"not really gzip"


@implementer(IPairsAgent)
class PairsRecorder:
    """
    An agent that takes pairs, remembers what it was asked, and answers at once.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def ask(self, receiver: Any, *arguments: Any) -> str:
        self.sent.append(arguments)
        receiver.answered("response")
        return "call"


class PlainRecorder:
    """
    An agent that does not take them.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def request(self, *arguments: Any) -> Deferred[str]:
        self.sent.append(arguments)
        return succeed("response")


class Told:
    """
    Receives what comes of a call.
    """

    def __init__(self) -> None:
        self.responses: list[Any] = []
        self.failures: list[Any] = []

    def answered(self, response: Any) -> None:
        self.responses.append(response)

    def failed(self, failure: Any) -> None:
        self.failures.append(failure)


class PairsTests(SynchronousTestCase):
    """
    The client over an agent that takes pairs.
    """

    def setUp(self) -> None:
        self.agent = PairsRecorder()
        self.client = RelayClient(self.agent)  # type: ignore[arg-type]  # it is as much of one as is asked for

    def test_as_it_is(self) -> None:
        """
        Everything is handed on, and a Deferred of the response is what comes back.
        """
        self.assertEqual(
            self.successResultOf(self.client.request(b"POST", URL, headers=PAIRS, data=b"body")), "response"
        )
        self.assertEqual(self.agent.sent, [(b"POST", URL, PAIRS, b"body")])
        self.assertIs(self.agent.sent[0][2], PAIRS)

    def test_without_a_deferred(self) -> None:
        """
        The receiver is handed on as well, and the agent's call is what comes back.
        """
        told = Told()
        self.assertEqual(self.client.ask(told, b"POST", URL, PAIRS, b"body"), "call")
        self.assertEqual((told.responses, told.failures), (["response"], []))
        self.assertEqual(self.agent.sent, [(b"POST", URL, PAIRS, b"body")])

    def test_text(self) -> None:
        """
        Method and URL may be text.
        """
        self.client.request("PATCH", URL.decode())
        self.assertEqual(self.agent.sent, [(b"PATCH", URL, [], None)])

    def test_headers(self) -> None:
        """
        So may headers be `Headers`.
        """
        self.client.request(b"GET", URL, headers=Headers({b"X-A": [b"1", b"2"]}))
        self.assertEqual(self.agent.sent[0][2], [(b"X-A", b"1"), (b"X-A", b"2")])

    def test_verbs(self) -> None:
        """
        treq's verbs work as they do there.
        """
        url = URL.decode()
        client: Any = self.client
        for verb in ("get", "put", "patch", "post", "head", "delete"):
            getattr(client, verb)(url, headers=PAIRS)
            self.assertEqual(self.agent.sent.pop(), (verb.upper().encode(), URL, PAIRS, None))
        client.post(url, b"body", unbuffered=True)
        self.assertEqual(self.agent.sent.pop(), (b"POST", URL, [], b"body"))

    def test_what_it_does_not_do(self) -> None:
        """
        What would alter bytes, or leak between callers, is not there to be asked for.
        """
        client: Any = self.client
        for name in ("cookies", "auth", "params", "json", "files", "allow_redirects", "timeout"):
            with self.assertRaises(TypeError):
                client.get(URL, **{name: None})
        with self.assertRaises(ValueError):
            client.get(URL, unbuffered=False)
        self.assertEqual(self.agent.sent, [])
        self.assertFalse(hasattr(client, "_cookiejar"))


class PlainTests(SynchronousTestCase):
    """
    The client over any other agent.
    """

    def test_headers_and_producer(self) -> None:
        """
        Pairs become headers, and bytes a producer.
        """
        agent: Any = PlainRecorder()
        RelayClient(agent).request(b"POST", URL, headers=PAIRS, data=b"body")
        method, url, headers, body = agent.sent[0]
        self.assertEqual((method, url), (b"POST", URL))
        self.assertEqual(headers, Headers({b"a": [b"1"], b"b": [b"2", b"3"]}))
        self.assertTrue(verifyObject(IBodyProducer, body))
        self.assertEqual(body.length, 4)

    def test_nothing(self) -> None:
        """
        No body and no headers are none.
        """
        agent: Any = PlainRecorder()
        given_headers, producer = Headers({b"a": [b"b"]}), BytesProducer(b"x")
        RelayClient(agent).request(b"GET", URL)
        RelayClient(agent).request(b"GET", URL, headers=given_headers, data=producer)
        self.assertEqual(agent.sent[0], (b"GET", URL, Headers(), None))
        self.assertIs(agent.sent[1][2], given_headers)
        self.assertIs(agent.sent[1][3], producer)

    def test_without_a_deferred(self) -> None:
        """
        The receiver hears of the agent's Deferred, which is what can be cancelled.
        """
        agent, told, lost = PlainRecorder(), Told(), Told()
        plain: Any = agent
        RelayClient(plain).ask(told, b"POST", URL, PAIRS, b"body")
        self.assertEqual((told.responses, told.failures), (["response"], []))
        waiting: Deferred[str] = Deferred()
        agent.request = lambda *_: waiting  # type: ignore[method-assign]  # one that does not answer at once
        RelayClient(plain).ask(lost, b"POST", URL, PAIRS, b"body").cancel()
        self.assertEqual((lost.responses, [failure.type for failure in lost.failures]), ([], [CancelledError]))

    def test_producer(self) -> None:
        """
        A body that is there is written at once, and cannot be held up.
        """
        producer, transport = BytesProducer(b"body"), StringTransport()
        self.successResultOf(producer.startProducing(transport))
        producer.pauseProducing()
        producer.resumeProducing()
        producer.stopProducing()
        self.assertEqual(transport.value(), b"body")


class StandInTests(SynchronousTestCase):
    """
    The client over what stands in for treq's agent.
    """

    def test_request_traversal_agent(self) -> None:
        """
        A redirect, a cookie and an encoding come back as they were sent, and leave no trace in the next request.
        """
        provider = Provider()
        agent = RequestTraversalAgent(provider)
        client = RelayClient(agent)
        for _ in range(2):
            asked = Asked(client.request(b"POST", b"http://provider.example/a?b=%20", headers=PAIRS, data=b"body"))
            agent.flush()
            self.assertEqual((asked.response.code, asked.body.data), (302, b"not really gzip"))
            pairs = {name.lower(): value for name, value in response_pairs(asked.response)}
            self.assertEqual(pairs[b"content-encoding"], b"gzip")
            self.assertEqual(pairs[b"set-cookie"], b"session=secret")
        self.assertEqual(len(provider.seen), 2)
        for method, uri, headers, body in provider.seen:
            self.assertEqual((method, uri, body), (b"POST", b"/a?b=%20", b"body"))
            names = {name.lower() for name, _ in headers.getAllRawHeaders()}
            self.assertEqual(names, {b"a", b"b", b"host", b"content-length", b"connection"})

    def test_streams(self) -> None:
        """
        A body comes piece by piece.
        """
        provider = Provider()
        agent = RequestTraversalAgent(provider)
        asked = Asked(RelayClient(agent).request(b"GET", b"http://provider.example/stream"))
        agent.flush()
        self.assertEqual(asked.body.pieces, [b"one"])
        provider.request.write(b"two")
        agent.flush()
        self.assertEqual(asked.body.pieces, [b"one", b"two"])
        provider.request.finish()
        agent.flush()
        self.assertEqual(asked.body.endings, 1)

    def test_agent_of_a_stub(self) -> None:
        """
        So does the agent inside a `StubTreq`.
        """
        provider = Provider()
        stub = StubTreq(provider)
        asked = Asked(RelayClient(stub._agent).request(b"GET", b"http://provider.example/"))
        stub.flush()
        self.assertEqual(asked.response.code, 302)

    def test_stock_agent(self) -> None:
        """
        Twisted's own agent works as well.
        """
        reactor = MemoryReactorClock()

        @implementer(IAgentEndpointFactory)
        class Endpoints:
            def endpointForURI(self, uri: Any) -> Any:
                return TCP4ClientEndpoint(reactor, "192.0.2.1", uri.port)

        agent = Agent.usingEndpointFactory(reactor, Endpoints())
        asked = Asked(RelayClient(agent).request(b"POST", URL, headers=PAIRS, data=b"body"))
        protocol = reactor.tcpClients[0][2].buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        sent = transport.value()
        self.assertTrue(sent.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n"), sent)
        self.assertTrue(sent.endswith(b"\r\n\r\nbody"), sent)
        protocol.dataReceived(ANSWER)
        self.assertEqual((asked.response.code, asked.body.data), (200, b"{}"))
        self.assertIn((b"Content-Type", b"application/json"), response_pairs(asked.response))

    def test_our_agent(self) -> None:
        """
        Ours gives the fields as they came.
        """
        lab = Lab()
        client = RelayClient(lab.agent)
        asked = Asked(client.request(b"POST", URL, headers=PAIRS, data=b"body"))
        self.assertIn(b"\r\nB: 2\r\na: 1\r\nB: 3\r\n", lab.transport.sent)
        lab.transport.receive(
            b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nLocation: /x\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: 1\r\n\r\nx"
        )
        self.assertEqual((asked.response.code, asked.body.data), (302, b"x"))
        self.assertEqual(
            response_pairs(asked.response),
            [
                (b"Set-Cookie", b"a=1"),
                (b"set-cookie", b"b=2"),
                (b"Location", b"/x"),
                (b"Content-Encoding", b"gzip"),
                (b"Content-Length", b"1"),
            ],
        )
        self.assertEqual(asked.response.request.absoluteURI, URL)
