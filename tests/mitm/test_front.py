"""
Tests for `aibridge.mitm.front`: the two doors of the proxy.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from authorities import HOST
from fakes import TOKEN
from fakes import Answer as Told
from proxies import ESTABLISHED, Rig, Secured, connect, shows


class DoorTests(SynchronousTestCase):
    """
    What is served where.
    """

    def setUp(self) -> None:
        """
        A proxy with its defaults.
        """
        self.rig = Rig()

    def test_connect_is_served_outside_alone(self) -> None:
        """
        Within an interception there is nothing more to connect to.
        """
        client = Secured(self.rig.connects())
        client.send(connect("host.test:443"))
        self.assertEqual([answer.status for answer in client.answers()], [501])
        self.assertEqual(self.rig.dialer.asked, [])

    def test_absolute_targets_are_served_outside_alone(self) -> None:
        """
        Within an interception a request is one for its host.
        """
        client = Secured(self.rig.connects())
        client.send(b"GET http://api.openai.com/v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
        self.assertEqual([answer.status for answer in client.answers()], [400])
        self.assertEqual(self.rig.upstream.calls, [])

    def test_many_requests_of_one_connection(self) -> None:
        """
        An intercepted connection is kept, and its requests are served in their order.
        """
        client = Secured(self.rig.connects())
        request = b"POST /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 2\r\n\r\n{}"
        client.send(request * 3)
        for number in range(3):
            self.assertEqual(len(self.rig.upstream.calls), number + 1)
            answer = self.rig.upstream.calls[-1].answer(Told(length=1))
            answer.body(b"%d" % number)
            answer.end()
            client.move()
        self.assertEqual([answer.body for answer in client.answers()], [b"0", b"1", b"2"])
        self.assertEqual(self.rig.identity.asked, [(TOKEN, "192.0.2.7")])

    def test_a_stream_comes_as_it_comes(self) -> None:
        """
        Piece by piece.
        """
        client = Secured(self.rig.connects())
        client.send(b"GET /v1/responses/r HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
        answer = self.rig.upstream.calls[-1].answer(Told(200, [(b"Content-Type", b"text/event-stream")]))
        for number in range(3):
            answer.body(b"data: %d\n\n" % number)
            client.move()
            self.assertTrue(client.received.endswith(b"data: %d\n\n\r\n" % number))
        answer.end()
        self.assertEqual(client.answers()[0].body, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")

    def test_a_departure_reaches_the_bridge(self) -> None:
        """
        In mid-stream.
        """
        client = Secured(self.rig.connects())
        client.send(b"GET /v1/responses/r HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
        answer = self.rig.upstream.calls[-1].answer(Told())
        answer.body(b"x")
        client.talk.transport.leave()
        self.assertTrue(answer.transport.aborted)
        self.assertEqual([line.cause for line in self.rig.lines], ["client_left", "completed"])

    def test_everything_asked_of_the_proxy_itself(self) -> None:
        """
        Comes to the same door: connections, requests in clear text, and what is neither.
        """
        talk = self.rig.client()
        fields = b"Host: a\r\n" + shows(TOKEN) + b"\r\n\r\n"
        talk.send(b"GET / HTTP/1.1\r\n" + fields)
        talk.send(b"GET http://example.test/ HTTP/1.1\r\n" + fields)
        talk.send(b"BREW / HTTP/1.1\r\n" + fields)
        self.assertEqual([answer.status for answer in talk.answers()], [400, 501, 501])
        self.assertEqual(self.rig.connects(f"{HOST}:443").received, ESTABLISHED)
