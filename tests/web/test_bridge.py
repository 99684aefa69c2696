"""
The whole way in memory: bytes of a client, the channel, the exchange, treq's client, a provider, and back.
"""

from __future__ import annotations

from typing import Any

import attrs
from treq.testing import RequestTraversalAgent
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibridge.admission.keypool import KeyPool
from aibridge.admission.retries import RetryBudget
from aibridge.relay.client import RelayClient
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.bridge import BridgeResource
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from fakes import KEY, TOKEN, bridge

HEAD = b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"


class Provider(Resource):
    """
    Keeps its requests open, for the test to answer.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.left = 0

    def render(self, request: Any) -> int:
        """
        Wait.
        """

        def gone(_: object) -> None:
            self.left += 1

        request.notifyFinish().addErrback(gone)
        request.setHeader(b"Content-Type", b"text/event-stream")
        self.requests.append(request)
        return NOT_DONE_YET


class WholeWayTests(SynchronousTestCase):
    """
    One client, one provider.
    """

    def setUp(self) -> None:
        """
        A connection to a bridge whose provider is in memory.
        """
        self.provider = Provider()
        self.agent = RequestTraversalAgent(self.provider)
        self.fixture = bridge(limit=5)
        client: Any = RelayClient(self.agent)
        accounts = {"openai": Account(client, KeyPool([Secret(KEY)]), RetryBudget())}
        self.fixture.bridge.terms = attrs.evolve(self.fixture.bridge.terms, accounts=accounts)
        self.site = BridgeSite(BridgeResource(self.fixture.bridge), HttpSettings(), MemoryReactorClock())
        self.channel: Any = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)

    def ask(self, body: bytes = b'{"model":"m","stream":true}') -> Any:
        """
        Ask, and return the provider's request.
        """
        self.channel.dataReceived(HEAD % (TOKEN, len(body)) + body)
        self.agent.flush()
        return self.provider.requests[-1]

    def test_there_and_back(self) -> None:
        """
        The body goes up as it was, with the configured key; each piece comes back when it is there.
        """
        asked = self.ask()
        self.assertEqual(asked.content.read(), b'{"model":"m","stream":true}')
        self.assertEqual(asked.getHeader(b"authorization"), b"Bearer " + KEY.encode())
        self.assertNotIn(TOKEN, repr(asked.requestHeaders).encode())
        asked.write(b"data: 1\n\n")
        self.agent.flush()
        self.assertTrue(self.transport.value().endswith(b"data: 1\n\n\r\n"))
        asked.write(b"data: 2\n\n")
        asked.finish()
        self.agent.flush()
        self.assertTrue(self.transport.value().endswith(b"data: 2\n\n\r\n0\r\n\r\n"))
        self.assertIn(b"X-AI-Bridge-Request-Id: id-0\r\n", self.transport.value())
        self.assertEqual(self.fixture.in_use, 0)

    def test_leaves(self) -> None:
        """
        A client that leaves in mid-stream takes the provider's request along.
        """
        asked = self.ask()
        asked.write(b"data: 1\n\n")
        self.agent.flush()
        self.channel.connectionLost()
        self.agent.flush()
        self.assertEqual((self.provider.left, self.fixture.in_use), (1, 0))

    def test_one_after_the_other(self) -> None:
        """
        A request sent ahead is asked when the one before is answered.
        """
        first = self.ask()
        self.channel.dataReceived(HEAD % (TOKEN, 2) + b"{}")
        self.agent.flush()
        self.assertEqual(len(self.provider.requests), 1)
        first.finish()
        self.agent.flush()
        self.assertEqual(len(self.provider.requests), 2)

    def test_refused_on_the_head(self) -> None:
        """
        A refusal does not wait for the body.
        """
        self.channel.dataReceived(HEAD % (b"wrong", 5000))
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 401 "))
        self.assertEqual(self.provider.requests, [])
