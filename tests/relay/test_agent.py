"""
The agent: what it writes, what every fault of a provider ends in, and how calls are cancelled.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock, Cooperator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import FileBodyProducer, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent
from zope.interface.verify import verifyObject

from aibridge import errors
from aibridge.interfaces import IPairsAgent
from aibridge.providers.settings import TransportSettings
from aibridge.relay.agent import MOST_LINES, MOST_ORIGINS, RelayAgent, write_head, write_line
from upstream_faults import CLOSE, FAULTS, HANG, HANG_S, PAUSE, PAUSE_S, RESET, SETTINGS, Fault, Step
from upstreams import ANSWER, URL, Asked, FakeEndpoint, FakeTransport, Lab, SlowBody

HOST = b"Host: provider.example\r\n"


def play(lab: Lab, transport: FakeTransport, steps: tuple[Step, ...], size: int) -> None:
    """
    Let the provider do what a fault says, in segments of at most `size` bytes.
    """
    for step in steps:
        if step == CLOSE:
            transport.finish()
        elif step == RESET:
            transport.reset()
        elif step == HANG:
            lab.wait(HANG_S)
        elif step == PAUSE:
            lab.wait(PAUSE_S)
        else:
            assert isinstance(step, bytes)
            transport.receive(*(step[place : place + size] for place in range(0, len(step), size)))
    lab.turn()


@pytest.mark.parametrize("size", [1, 3, 100000])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, size: int) -> None:
    """
    Every fault ends as the table says, however its bytes are cut, and the next call, on the only connection that there
    may be, is unharmed.
    """
    lab = Lab(**SETTINGS)
    asked = lab.ask(fault.method, b"{}" if fault.method == b"POST" else None)
    first = lab.transport
    play(lab, first, fault.steps, size)
    if fault.error is None:
        assert isinstance(asked.body.reason, ResponseDone | PotentialDataLoss)
    elif fault.status:
        assert type(asked.body.reason) is fault.error
    else:
        assert type(asked.error) is fault.error
    assert (asked.response.code if asked.response else 0) == fault.status
    assert asked.body.data == fault.body
    assert (asked.error is not None) + asked.body.endings == 1
    following = lab.ask()
    assert (lab.transport is first) is fault.keeps
    assert first.connected is fault.keeps
    lab.transport.receive(ANSWER)
    assert following.body.data == b"{}"
    assert (lab.agent.open_connections, lab.agent.idle_connections, lab.agent.waiting) == (1, 1, 0)


class WrittenTests(SynchronousTestCase):
    """
    What goes up.
    """

    def written(self, lab: Lab) -> bytes:
        return lab.transport.sent

    def test_post(self) -> None:
        """
        Head and body leave in one write, fields in their order and spelling, Host and length added.
        """
        lab = Lab()
        lab.ask(b"POST", b'{"a":1}', URL + b"?x=%20y", [(b"b", b"2"), (b"A", b"1"), (b"b", b"3")])
        self.assertEqual(
            self.written(lab),
            b"POST /v1/chat/completions?x=%20y HTTP/1.1\r\n" + HOST + b"b: 2\r\nA: 1\r\nb: 3\r\n"
            b"Content-Length: 7\r\n\r\n" + b'{"a":1}',
        )

    def test_get(self) -> None:
        """
        A request without a body says nothing about one.
        """
        lab = Lab()
        lab.ask(b"GET", None)
        self.assertEqual(self.written(lab), b"GET /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n")

    def test_empty_body(self) -> None:
        """
        A method that has a body says so when it is empty, and the others do not (RFC 9110, 8.6).
        """
        for method, body, declared in (
            (b"POST", None, True),
            (b"POST", b"", True),
            (b"PUT", b"", True),
            (b"PATCH", None, True),
            (b"GET", b"", False),
            (b"DELETE", None, False),
        ):
            lab = Lab()
            lab.ask(method, body)
            self.assertEqual(b"Content-Length: 0\r\n" in self.written(lab), declared, (method, body))

    def test_body_of_any_method(self) -> None:
        """
        A body is sent and declared, whatever the method.
        """
        lab = Lab()
        lab.ask(b"DELETE", b"why")
        self.assertTrue(self.written(lab).endswith(b"Content-Length: 3\r\n\r\nwhy"))

    def test_targets(self) -> None:
        """
        The target is what follows the authority, as it was given, and begins with a slash.
        """
        for uri, line, host in (
            (b"http://a", b"GET / ", b"Host: a\r\n"),
            (b"http://a/", b"GET / ", b"Host: a\r\n"),
            (b"http://a?b", b"GET /?b ", b"Host: a\r\n"),
            (b"http://a:80/b", b"GET /b ", b"Host: a\r\n"),
            (b"http://a:8080/b", b"GET /b ", b"Host: a:8080\r\n"),
            (b"http://a:443/b", b"GET /b ", b"Host: a:443\r\n"),
            (b"http://[::1]:8080/b", b"GET /b ", b"Host: [::1]:8080\r\n"),
            (b"http://127.0.0.1/%2e%2E/", b"GET /%2e%2E/ ", b"Host: 127.0.0.1\r\n"),
        ):
            lab = Lab()
            lab.ask(b"GET", None, uri)
            self.assertTrue(self.written(lab).startswith(line + b"HTTP/1.1\r\n" + host), self.written(lab))

    def test_not_writable(self) -> None:
        """
        What would not be one well-formed request is not sent at all.
        """
        for method, uri, pairs in (
            (b"GE T", URL, []),
            (b"", URL, []),
            (b"GET\r\n", URL, []),
            (b"GET", URL + b" x", []),
            (b"GET", URL + b"\r\nA: b", []),
            (b"GET", URL + b"#x", []),
            (b"GET", URL + "é".encode(), []),
            (b"GET", b"ftp://a/", []),
            (b"GET", b"http://a b/", []),
            (b"GET", b"http://u:p@a/", []),
            (b"GET", b"http://a:0/", []),
            (b"GET", b"http://a:65536/", []),
            (b"GET", b"http://a:1:2/", []),
            (b"GET", b"http:///x", []),
            (b"GET", b"/x", []),
            (b"GET", URL, [(b"a", b"b\r\nc: d")]),
            (b"GET", URL, [(b"a", b"b\nc: d")]),
            (b"GET", URL, [(b"a", b"b\rc")]),
            (b"GET", URL, [(b"a", b"b\0")]),
            (b"GET", URL, [(b"a\r\nb", b"c")]),
            (b"GET", URL, [(b"a\r", b"\nb")]),
            (b"GET", URL, [(b"a", b"b"), (b"c", b"d\r\n")]),
        ):
            lab = Lab()
            asked = lab.ask(method, None, uri, pairs)
            self.assertIsInstance(asked.error, ValueError, (method, uri, pairs))
            self.assertEqual(lab.endpoint.asked, 0)

    def test_remembered_lines_are_bounded(self) -> None:
        """
        Requests for any number of URIs keep a bounded number of them.
        """
        lab = Lab()
        for number in range(MOST_LINES * 2 + 3):
            lab.ask(b"GET", None, URL + b"?%d" % number)
            lab.transport.receive(ANSWER)
        lab.ask(b"GET", None, URL + b"?" + b"x" * 5000)
        lab.transport.receive(ANSWER)
        self.assertLessEqual(len(lab.agent._lines), MOST_LINES)
        self.assertEqual(lab.endpoint.asked, 1)

    def test_origins(self) -> None:
        """
        Each scheme, host and port has connections of its own; spelling a host in capitals makes no other.
        """
        lab = Lab()
        for uri in (b"http://a/", b"http://A/", b"http://a:80/", b"http://a:81/", b"http://b/"):
            lab.ask(b"GET", None, uri)
            lab.transport.receive(ANSWER)
        self.assertEqual(lab.endpoint.asked, 3)

    def test_origins_are_bounded(self) -> None:
        """
        Origins that are not in use are forgotten when there are too many, and those in use are not.
        """
        lab = Lab(max_idle_connections=0)
        for number in range(MOST_ORIGINS * 2):
            lab.ask(b"GET", None, b"http://a:%d/" % (number + 1))
            lab.transport.receive(ANSWER)
            lab.turn()
        busy = [lab.ask(b"GET", None, b"http://b:%d/" % (number + 1)) for number in range(MOST_ORIGINS)]
        self.assertEqual([asked.error for asked in busy], [None] * MOST_ORIGINS)
        self.assertIsInstance(lab.ask(b"GET", None, b"http://c/").error, ValueError)

    def test_head_of_nothing(self) -> None:
        """
        A head without fields is one.
        """
        line = write_line(b"GET", b"", b"a")
        self.assertEqual(write_head(line, [], b""), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


class RequestTests(SynchronousTestCase):
    """
    The agent as `IAgent`.
    """

    def test_interfaces(self) -> None:
        """
        It is both kinds of agent.
        """
        agent = Lab().agent
        self.assertTrue(verifyObject(IAgent, agent))
        self.assertTrue(verifyObject(IPairsAgent, agent))

    def test_headers(self) -> None:
        """
        Headers go up, except for what is the agent's own to say.
        """
        lab = Lab()
        headers = Headers({"host": ["other"], "content-length": ["9"], "connection": ["close"], "x-a": ["1", "2"]})
        lab.agent.request(b"GET", URL, headers)
        self.assertEqual(
            lab.transport.sent, b"GET /v1/chat/completions HTTP/1.1\r\n" + HOST + b"X-A: 1\r\nX-A: 2\r\n\r\n"
        )

    def test_nothing(self) -> None:
        """
        Headers and body may be left out.
        """
        lab = Lab()
        asked = Asked(lab.agent.request(b"GET", URL))
        lab.transport.receive(ANSWER)
        self.assertEqual(asked.body.data, b"{}")

    def test_producer(self) -> None:
        """
        A body producer of Twisted's can be sent.
        """
        lab = Lab()
        cooperator = Cooperator(scheduler=lambda step: lab.clock.callLater(0, step))
        producer = FileBodyProducer(BytesIO(b"x" * 100000), cooperator=cooperator)
        asked = Asked(lab.agent.request(b"POST", URL, None, producer))
        for _ in range(10):
            lab.turn()
        self.assertTrue(lab.transport.sent.endswith(b"\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000))
        lab.transport.receive(ANSWER)
        self.assertEqual(asked.body.data, b"{}")


class CancelTests(SynchronousTestCase):
    """
    Cancelling a call, in every phase.
    """

    def cancelled(self, lab: Lab, asked: Asked) -> None:
        asked.deferred.cancel()
        self.assertIsInstance(asked.error, CancelledError)
        lab.turn()

    def test_waiting_for_a_connection(self) -> None:
        """
        The call leaves the queue, and the one behind it is served.
        """
        lab = Lab(max_connections=1)
        lab.ask()
        waiting = lab.ask()
        behind = lab.ask()
        self.cancelled(lab, waiting)
        self.assertEqual(lab.agent.waiting, 1)
        lab.transport.receive(ANSWER, ANSWER)
        self.assertEqual(behind.body.data, b"{}")

    def test_connecting(self) -> None:
        """
        The attempt is given up within the call, and its slot is free for the next.
        """
        lab = Lab(connects=False, max_connections=1)
        asked = lab.ask()
        dial = lab.endpoint.dials[0]
        behind = lab.ask()
        asked.deferred.cancel()
        self.assertTrue(dial.cancelled)
        self.assertIsInstance(asked.error, CancelledError)
        lab.endpoint.dials[0].succeed().receive(ANSWER)
        self.assertEqual(behind.body.data, b"{}")

    def test_sending(self) -> None:
        """
        A request of which a byte has left ends with its connection.
        """
        lab = Lab()
        lab.endpoint.room = 10
        asked = lab.ask(body=b"x" * 200000)
        self.cancelled(lab, asked)
        self.assertTrue(lab.transport.aborted)
        self.assertEqual(lab.agent.open_connections, 0)

    def test_sending_what_is_produced(self) -> None:
        """
        Its producer is stopped.
        """
        lab = Lab()
        body = SlowBody(UNKNOWN_LENGTH)
        asked = lab.ask(body=body)
        body.write(b"x")
        self.cancelled(lab, asked)
        self.assertEqual((body.stopped, lab.transport.aborted), (1, True))

    def test_waiting_for_the_head(self) -> None:
        """
        The connection is cut within the turn.
        """
        lab = Lab()
        asked = lab.ask()
        asked.deferred.cancel()
        self.assertTrue(lab.transport.aborted)
        self.cancelled(lab, asked)
        self.assertEqual(lab.agent.open_connections, 0)

    def test_within_the_head(self) -> None:
        """
        What comes of the head after that is nobody's.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(ANSWER[:20])
        asked.deferred.cancel()
        lab.transport.protocol.dataReceived(ANSWER[20:])
        self.cancelled(lab, asked)
        self.assertIsNone(asked.response)

    def test_within_the_body(self) -> None:
        """
        The body's transport ends the call at once, and its consumer is told when the connection has gone.
        """
        for name in ("abortConnection", "loseConnection", "stopProducing"):
            lab = Lab()
            asked = lab.ask()
            lab.transport.receive(ANSWER[:-1])
            getattr(asked.response, name)()
            self.assertTrue(lab.transport.aborted)
            self.assertIsNone(asked.body.reason)
            lab.turn()
            self.assertIsInstance(asked.body.reason, errors.UpstreamTruncated)
            self.assertEqual((asked.body.endings, lab.agent.open_connections), (1, 0))

    def test_in_the_callback(self) -> None:
        """
        A caller may end the call as soon as it sees the head; it is given none of the body.
        """
        lab = Lab()
        asked = Asked(lab.agent.send(b"POST", URL, [], b"").addCallback(self._abort))
        lab.transport.receive(ANSWER)
        lab.turn()
        self.assertEqual(asked.body.pieces, [])
        self.assertIsInstance(asked.body.reason, errors.UpstreamTruncated)

    def _abort(self, response: Any) -> Any:
        response.abortConnection()
        return response

    def test_at_the_end(self) -> None:
        """
        After the end there is nothing to end, and the connection serves the next call.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(ANSWER)
        asked.response.abortConnection()
        asked.response.pauseProducing()
        asked.deferred.cancel()
        following = lab.ask()
        lab.transport.receive(ANSWER)
        self.assertEqual((following.body.data, lab.endpoint.asked), (b"{}", 1))

    def test_ten_of_each(self) -> None:
        """
        Cancelling everything at every point leaves nothing: no connection, no waiting call, no timer.
        """
        lab = Lab(connects=False, max_connections=4)
        for _ in range(10):
            asked = [lab.ask() for _ in range(12)]
            lab.endpoint.dials[0].succeed()
            lab.endpoint.dials[0].succeed().receive(ANSWER[:30])
            lab.endpoint.dials[0].succeed().receive(ANSWER[:-1])
            for each in asked:
                each.deferred.cancel()
                if each.response is not None:
                    each.response.abortConnection()
            lab.turn()
            for dial in list(lab.endpoint.dials):
                dial.fail(ConnectionRefusedError())
            lab.turn()
            self.assertEqual((lab.agent.open_connections, lab.agent.waiting, lab.live), (0, 0, []))
        self.successResultOf(lab.agent.close())
        self.assertEqual(lab.clock.getDelayedCalls(), [])


class CloseTests(SynchronousTestCase):
    """
    The end of an agent.
    """

    def test_nothing_open(self) -> None:
        """
        An agent that was never used is closed at once.
        """
        self.successResultOf(Lab().agent.close())

    def test_idle(self) -> None:
        """
        Idle connections are closed.
        """
        lab = Lab()
        lab.ask()
        lab.transport.receive(ANSWER)
        closed = lab.agent.close()
        self.assertNoResult(closed)
        lab.turn()
        self.successResultOf(closed)
        self.assertEqual((lab.live, lab.clock.getDelayedCalls()), ([], []))

    def test_busy(self) -> None:
        """
        A call that is under way, or waits, is served to its end; its connection is not kept.
        """
        lab = Lab(max_connections=1)
        first, second = lab.ask(), lab.ask()
        closed = lab.agent.close()
        lab.transport.receive(ANSWER)
        lab.turn()
        self.assertNoResult(closed)
        lab.transport.receive(ANSWER)
        lab.turn()
        self.successResultOf(closed)
        self.assertEqual((first.body.data, second.body.data, lab.live), (b"{}", b"{}", []))

    def test_still_usable(self) -> None:
        """
        An exchange that began before the agent was retired may still send its request; nothing is kept for later.
        """
        lab = Lab()
        self.successResultOf(lab.agent.close())
        asked = lab.ask()
        lab.transport.receive(ANSWER)
        lab.turn()
        self.assertEqual((asked.body.data, lab.live, lab.clock.getDelayedCalls()), (b"{}", [], []))

    def test_farewell_has_an_end(self) -> None:
        """
        A connection that does not close is cut.
        """
        lab = Lab()
        lab.ask()
        lab.transport.receive(ANSWER)
        lab.transport.loseConnection = lambda _=None: None  # type: ignore[method-assign]  # a peer that does not go
        closed = lab.agent.close()
        lab.wait(4.9)
        self.assertNoResult(closed)
        lab.wait(0.2)
        self.successResultOf(closed)

    def test_abort(self) -> None:
        """
        Aborting ends calls in every phase.
        """
        lab = Lab(connects=False, max_connections=3)
        calls = [lab.ask() for _ in range(4)]
        lab.endpoint.dials[0].succeed()
        lab.endpoint.dials[0].succeed().receive(ANSWER[:-1])
        closed = lab.agent.close()
        lab.agent.abort()
        lab.turn()
        self.successResultOf(closed)
        ends = [type(call.error or call.body.reason) for call in calls]
        reset, cut = errors.UpstreamReset, errors.UpstreamTruncated
        self.assertEqual(ends, [reset, cut, reset, reset])
        self.assertEqual((lab.live, lab.endpoint.dials, lab.clock.getDelayedCalls()), ([], [], []))


class SettingsTests(SynchronousTestCase):
    """
    What an agent is made from.
    """

    def test_unusable_authorities(self) -> None:
        """
        A file of authorities that cannot be used is told of when the agent is made, not with the first request.
        """
        with self.assertRaises(ValueError):
            RelayAgent(Clock(), TransportSettings(ca_file="/nonexistent/ca.pem"))

    def test_counts(self) -> None:
        """
        Connections are counted from the attempt to make them until they are gone.
        """
        lab = Lab(connects=False, max_connections=1)
        self.assertEqual((lab.agent.open_connections, lab.agent.idle_connections, lab.agent.waiting), (0, 0, 0))
        lab.ask()
        lab.ask()
        self.assertEqual((lab.agent.open_connections, lab.agent.idle_connections, lab.agent.waiting), (1, 0, 1))
        lab.endpoint.dials[0].succeed().receive(ANSWER, ANSWER)
        self.assertEqual((lab.agent.open_connections, lab.agent.idle_connections, lab.agent.waiting), (1, 1, 0))

    def test_endpoint_is_kept(self) -> None:
        """
        The endpoint of an origin is made once, not for each connection.
        """
        clock = Clock()
        made: list[tuple[bool, str, int]] = []

        def endpoints(secure: bool, host: str, port: int) -> FakeEndpoint:
            made.append((secure, host, port))
            return FakeEndpoint(clock)

        agent = RelayAgent(clock, TransportSettings(), endpoints=endpoints)
        deferreds: list[Deferred[Any]] = [agent.send(b"GET", URL, [], None) for _ in range(3)]
        self.assertEqual((len(deferreds), made), (3, [(False, "provider.example", 80)]))
