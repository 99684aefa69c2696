"""
Tests for `aibridge.mitm.forwarding`: intercepted requests on their way to the bridge and back.
"""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH

from aibridge import errors
from aibridge.mitm.forwarding import Forwarding
from aibridge.mitm.hosts import Intercepted
from aibridge.mitm.sessions import Session
from aibridge.mitm.targets import read_authority
from authorities import HOST
from fakes import Answer, Call
from proxies import Rig, Secured
from standins import Asked

EVENTS = [(b"Content-Type", b"text/event-stream")]
OWN = [(b"Host", HOST.encode()), (b"Authorization", b"Bearer sk-mine"), (b"X-Api-Key", b"mine"), (b"X-Other", b"1")]


class Consumer:
    """
    Takes a body.
    """

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """
        Some of it.
        """
        self.data += data


class ForwardingTests(SynchronousTestCase):
    """
    One request.
    """

    def setUp(self) -> None:
        """
        A proxy, and a session of OpenAI's.
        """
        self.rig = Rig()
        self.sessions: list[Session] = []

    def forward(
        self,
        method: bytes = b"POST",
        target: bytes = b"/v1/chat/completions",
        pairs: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b'{"model":"m"}',
        host: str = f"{HOST}:443",
        *,
        upgrade: bool = False,
    ) -> Asked:
        """
        Begin to forward one.
        """
        place = self.rig.proxy.terms.hosts.find(read_authority(host))
        assert isinstance(place, Intercepted)
        request = Asked(method, target, OWN if pairs is None else pairs, body, wants_upgrade=upgrade)
        session = Session(
            id="s",
            client_host="192.0.2.1",
            place=place,
            principal="ada",
            token=b"token",
            ended=lambda *_: None,
        )
        self.sessions.append(session)
        Forwarding(self.rig.proxy, request, session, target).begin()  # type: ignore[arg-type]  # it stands for one
        return request

    @property
    def call(self) -> Call:
        """
        What was asked of the bridge last.
        """
        return self.rig.upstream.calls[-1]

    def assertOver(self, status: int, cause: str, provider: str = "openai") -> None:
        """
        It has ended, once, with nothing left; gauge, counters and log say so.
        """
        (line,) = self.rig.lines
        self.assertEqual((line.status, line.cause, line.provider), (status, cause, provider))
        self.assertEqual(self.rig.count("mitm_requests_total", provider=provider), 1)
        self.assertEqual(self.rig.count("inflight_mitm_requests", provider=provider), 0)
        self.assertEqual((self.rig.proxy.running, self.rig.proxy.forwardings), (0, set()))

    # -- the way up --------------------------------------------------------------------------------------------------

    def test_where_it_goes(self) -> None:
        """
        To the provider of that name, with the client's own path and query.
        """
        for host, target, url in (
            (f"{HOST}:443", b"/v1/responses?a=b", b"/openai/v1/responses?a=b"),
            ("api.anthropic.com:443", b"/v1/messages?beta=true", b"/anthropic/v1/messages?beta=true"),
            ("api.individual.githubcopilot.com:443", b"/chat/completions", b"/copilot/chat/completions"),
            ("llm.test:8000", b"/v1/embeddings", b"/plain/v1/embeddings"),
        ):
            pairs = [(b"Host", host.partition(":")[0].encode())] if "llm" not in host else [(b"Host", host.encode())]
            self.forward(target=target, host=host, pairs=pairs)
            self.assertEqual(self.call.url, b"http://bridge.test:4000" + url)

    def test_what_it_brings(self) -> None:
        """
        The client's own credentials as they are, the token of its CONNECT beside them, and an id.
        """
        self.forward()
        self.assertEqual(self.call.method, b"POST")
        self.assertEqual(
            self.call.headers,
            [*OWN[1:], (b"X-Coder-Token", b"token"), (b"X-AI-Bridge-Proxy-Request-Id", b"r-0")],
        )
        self.assertEqual(self.call.data, b'{"model":"m"}')
        self.assertEqual(self.rig.count("inflight_mitm_requests", provider="openai"), 1)

    def test_bodies(self) -> None:
        """
        One that is there leaves in one piece with the head; none is none.
        """
        self.forward(body=b"whole")
        self.assertEqual(self.call.data, b"whole")
        self.forward(body=b"")
        self.assertEqual(self.call.data, b"")

    def test_a_body_that_comes(self) -> None:
        """
        Is not waited for, but passed on while it comes.
        """
        client = Secured(self.rig.connects())
        client.send(b"POST /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 10\r\n\r\n12345")
        body = self.call.data
        self.assertEqual(body.length, 10)
        taken = Consumer()
        produced = body.startProducing(taken)
        self.assertEqual(taken.data, b"12345")
        client.send(b"67890")
        self.assertEqual(taken.data, b"1234567890")
        self.successResultOf(produced)

    def test_too_large(self) -> None:
        """
        Is refused on the head.
        """
        request = self.forward(body=b"x" * 1001)
        self.assertEqual(request.status, 413)
        self.assertEqual(self.rig.upstream.calls, [])
        self.assertOver(413, "body_too_large")

    def test_another_host(self) -> None:
        """
        Than the connection was opened to is refused; a missing one cannot be another.
        """
        request = self.forward(pairs=[(b"Host", b"api.anthropic.com")])
        self.assertEqual(request.status, 421)
        self.assertEqual(json.loads(request.written)["error"]["code"], "misdirected")
        self.assertOver(421, "misdirected")
        self.forward(pairs=[])
        self.assertEqual(len(self.rig.upstream.calls), 1)

    def test_websockets(self) -> None:
        """
        Are refused with the one status after which Codex goes on without.
        """
        request = self.forward(b"GET", b"/v1/responses", body=b"", upgrade=True)
        self.assertEqual((request.status, request.told(b"upgrade")), (426, b"HTTP/1.1"))
        self.assertOver(426, "upgrade_refused")

    def test_ways_out(self) -> None:
        """
        A path that would lead elsewhere goes nowhere.
        """
        request = self.forward(target=b"/v1/%2e%2e/%2e%2e/anthropic/v1/messages")
        self.assertEqual(request.status, 400)
        self.assertOver(400, "bad_request")
        self.assertEqual(self.rig.upstream.calls, [])

    def test_draining(self) -> None:
        """
        Nothing begins any more.
        """
        self.rig.proxy.draining = True
        request = self.forward()
        self.assertEqual((request.status, request.told(b"retry-after")), (503, b"5"))
        self.assertOver(503, "draining")

    # -- the way back ------------------------------------------------------------------------------------------------

    def test_an_answer(self) -> None:
        """
        Status, fields and bytes as they come, the bridge's own fields among them.
        """
        request = self.forward()
        pairs = [(b"Content-Type", b"a/b"), (b"X-AI-Bridge-Request-Id", b"b-1"), (b"Date", b"x"), (b"X-Other", b"2")]
        answer = self.call.answer(Answer(201, pairs, 4))
        answer.body(b"ab")
        answer.body(b"cd")
        self.assertEqual((request.status, request.length, request.written), (201, 4, b"abcd"))
        self.assertEqual(request.answer_pairs, [pairs[0], pairs[1], pairs[3]])
        self.assertEqual(request.finished, 0)
        answer.end()
        self.assertEqual(request.finished, 1)
        self.assertOver(201, "completed")
        (line,) = self.rig.lines
        self.assertEqual((line.bridge_id, line.bytes_in, line.bytes_out), ("b-1", 13, 4))
        self.assertEqual((line.route, line.session, line.principal), ("/v1/chat/completions", "s", "ada"))
        self.assertEqual(self.rig.count("mitm_responses_total", code="201", provider="openai"), 1)
        self.assertEqual((self.sessions[0].requests, self.sessions[0].bytes_out), (1, 4))

    def test_the_bridge_refuses(self) -> None:
        """
        The log says who refused, as the answer does.
        """
        self.forward()
        answer = self.call.answer(Answer(503, [(b"X-AI-Bridge-Reason", b"gate")], 2))
        answer.body(b"{}")
        answer.end()
        self.assertOver(503, "completed")
        self.assertEqual([line.reason for line in self.rig.lines], ["gate"])

    def test_head(self) -> None:
        """
        The length that a GET would have is told.
        """
        request = self.forward(b"HEAD", b"/v1/models", body=b"")
        answer = self.call.answer(Answer(200, [(b"Content-Length", b"77")], 0))
        answer.end()
        self.assertEqual(request.length, 77)

    def test_back_pressure(self) -> None:
        """
        A client that does not read pauses the bridge.
        """
        request = self.forward()
        answer = self.call.answer(Answer())
        request.producer.pauseProducing()
        self.assertTrue(answer.transport.paused)
        request.producer.resumeProducing()
        self.assertFalse(answer.transport.paused)

    def test_the_bridges_own_refusals_cross(self) -> None:
        """
        With who refused.
        """
        request = self.forward()
        answer = self.call.answer(Answer(429, [(b"X-AI-Bridge-Reason", b"rate"), (b"Retry-After", b"2")], 2))
        answer.body(b"{}")
        answer.end()
        self.assertEqual((request.status, request.told(b"x-ai-bridge-reason")), (429, b"rate"))
        self.assertOver(429, "completed")

    # -- when it goes wrong ------------------------------------------------------------------------------------------

    def test_the_bridge_is_away(self) -> None:
        """
        502 in the provider's dialect, and the gauge is back at 0.
        """
        for error, kind in (
            (errors.ConnectFailed(), "connect"),
            (errors.ResolveFailed(), "resolve"),
            (errors.TLSFailed(), "tls"),
            (errors.UpstreamReset(), "reset"),
            (errors.UpstreamViolation(), "protocol"),
            (ConnectionRefusedError(), "reset"),
            (CancelledError(), "reset"),
        ):
            self.setUp()
            request = self.forward()
            self.call.fail(error)
            self.assertEqual((request.status, request.told(b"x-ai-bridge-reason")), (502, b"bridge"))
            self.assertEqual(json.loads(request.written)["error"]["code"], "bad_gateway")
            self.assertOver(502, "bridge_away")
            self.assertEqual(self.rig.count("bridge_errors_total", provider="openai", kind=kind), 1)
            self.assertEqual(self.rig.count("mitm_responses_total", code="502", provider="openai"), 1)

    def test_an_outage_is_told(self) -> None:
        """
        Once, with what is the matter; and once that it is over. What breaks off is none.
        """
        with capturedLogs() as logs:
            for error in (errors.UpstreamReset(), errors.ConnectFailed(), errors.TLSFailed()):
                self.forward()
                self.call.fail(error)
            self.forward()
            self.call.answer(Answer(200))
        said = ["The bridge cannot be used: connect (ConnectFailed).", "The bridge can be used again."]
        self.assertEqual([formatEvent(event) for event in logs], said)

    def test_the_bridge_is_late(self) -> None:
        """
        504.
        """
        for error in (errors.ConnectTimeout(), errors.FirstByteTimeout(), errors.PoolTimeout(), errors.TotalTimeout()):
            self.setUp()
            request = self.forward()
            self.call.fail(error)
            self.assertEqual(request.status, 504)
            self.assertOver(504, "bridge_late")

    def test_in_the_dialect(self) -> None:
        """
        Anthropic's clients read another body.
        """
        pairs = [(b"Host", b"api.anthropic.com")]
        request = self.forward(target=b"/v1/messages", host="api.anthropic.com:443", pairs=pairs)
        self.call.fail(errors.ConnectFailed())
        told = json.loads(request.written)
        self.assertEqual((told["type"], told["error"]["type"]), ("error", "api_error"))

    def test_the_bodys_own_errors(self) -> None:
        """
        Are the client's.
        """
        for error, status in ((errors.BodyTooLarge(), 413), (errors.BodyTooSlow(), 408), (errors.BadRequest("x"), 400)):
            self.setUp()
            request = self.forward()
            self.call.fail(error)
            self.assertEqual(request.status, status)
            self.assertEqual(self.rig.count("bridge_errors_total", provider="openai", kind=error.kind), 0)

    def test_a_stream_that_breaks(self) -> None:
        """
        Between two events the client is told in the stream; its connection breaks in any case.
        """
        for sent, tells in ((b"data: 1\n\n", True), (b"data: 1\n\ndata", False)):
            self.setUp()
            request = self.forward()
            answer = self.call.answer(Answer(200, EVENTS))
            answer.body(sent)
            answer.end(errors.UpstreamTruncated())
            self.assertEqual((request.finished, request.aborted), (0, 1))
            self.assertEqual(request.written != sent, tells)
            self.assertOver(200, "bridge_away")

    def test_a_stream_that_is_encoded(self) -> None:
        """
        Cannot be added to; nor can what is no stream.
        """
        for pairs in ([*EVENTS, (b"Content-Encoding", b"gzip")], [(b"Content-Type", b"application/json")]):
            self.setUp()
            request = self.forward()
            answer = self.call.answer(Answer(200, pairs))
            answer.body(b"data: 1\n\n")
            answer.end(errors.SilenceTimeout())
            self.assertEqual((request.written, request.aborted), (b"data: 1\n\n", 1))
            self.assertOver(200, "bridge_late")

    def test_the_client_leaves(self) -> None:
        """
        Before the answer or within it: the bridge is told by the end of its call.
        """
        request = self.forward()
        request.leave()
        self.assertTrue(self.call.cancelled)
        self.assertOver(499, "client_left")
        self.setUp()
        request = self.forward()
        answer = self.call.answer(Answer(200, EVENTS))
        answer.body(b"data: 1\n\n")
        request.leave()
        self.assertTrue(answer.transport.aborted)
        self.assertEqual(request.written, b"data: 1\n\n")
        self.assertOver(499, "client_left")

    def test_a_late_answer(self) -> None:
        """
        Interests nobody.
        """
        request = self.forward()
        call = self.call
        request.leave()
        self.assertTrue(call.cancelled)
        call.answer(Answer())
        call.fail(errors.UpstreamReset())
        self.assertEqual(request.status, 0)

    def test_cut(self) -> None:
        """
        The daemon stops: honestly, whatever phase it is in.
        """
        request = self.forward()
        (forwarding,) = self.rig.proxy.forwardings
        forwarding.cut()
        self.assertEqual(request.status, 503)
        self.assertOver(503, "draining")
        self.setUp()
        request = self.forward()
        self.call.answer(Answer(200, EVENTS)).body(b"data: 1\n\n")
        (forwarding,) = self.rig.proxy.forwardings
        forwarding.cut()
        forwarding.cut()
        self.assertIn(b"shutting down", request.written)
        self.assertEqual(request.aborted, 1)
        self.assertOver(200, "draining")

    def test_a_defect(self) -> None:
        """
        Is told as one.
        """
        request = self.forward()
        self.call.fail(ZeroDivisionError())
        self.assertEqual(request.status, 500)
        self.assertOver(500, "internal")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_unknown_length(self) -> None:
        """
        Is none.
        """
        request = self.forward()
        self.call.answer(Answer(200, EVENTS, UNKNOWN_LENGTH))
        self.assertIsNone(request.length)


@pytest.mark.parametrize("status", [204, 304, 418, 529])
def test_every_status_crosses(status: int) -> None:
    """
    Whatever the provider says.
    """
    tests = ForwardingTests()
    tests.setUp()
    request = tests.forward()
    answer = tests.call.answer(Answer(status, [], 0))
    answer.end()
    assert (request.status, request.finished) == (status, 1)
