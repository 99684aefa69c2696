"""
One connection: when it is used again, what is sent twice and what never is, deadlines, and back-pressure.
"""

from __future__ import annotations

import contextlib
import socket
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface.verify import verifyObject

from aibridge import errors
from aibridge.relay.agent import RelayAgent
from upstreams import ANSWER, URL, Asked, Body, FakeEndpoint, FakeTransport, Lab, SlowBody

OK = b"HTTP/1.1 200 OK\r\n"
STREAM = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = OK + b"Content-Length: 5\r\n\r\n"


class MadeTests(SynchronousTestCase):
    """
    A connection that has just been made.
    """

    def test_interfaces(self) -> None:
        """
        It is a protocol that wants to know of handshakes.
        """
        lab = Lab()
        lab.ask()
        self.assertTrue(verifyObject(IProtocol, lab.transport.protocol))
        self.assertTrue(verifyObject(IHandshakeListener, lab.transport.protocol))

    def test_options(self) -> None:
        """
        Every byte leaves at once.
        """
        lab = Lab()
        lab.ask()
        self.assertEqual(lab.transport.options, {"nodelay": True})

    def test_handshake_of_nobody(self) -> None:
        """
        A handshake that nobody waits for any more is no error.
        """
        lab = Lab()
        lab.ask()
        lab.transport.protocol.handshakeCompleted()


class DeliveryTests(SynchronousTestCase):
    """
    The way of a body to its consumer.
    """

    def test_same_turn(self) -> None:
        """
        Head and body of one segment are there when the segment has been received, and so is each later piece.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(STREAM + b"2\r\nab\r\n1\r\nc\r\n")
        self.assertEqual(asked.body.pieces, [b"abc"])
        lab.transport.receive(b"1\r\nd\r\n")
        lab.transport.receive(b"1\r\ne\r\n1\r\nf\r\n0\r\n\r\n")
        self.assertEqual(asked.body.pieces, [b"abc", b"d", b"ef"])
        self.assertIsInstance(asked.body.reason, ResponseDone)

    def test_until_close(self) -> None:
        """
        A body that ends with its connection may or may not be whole.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(OK + b"\r\nhel", b"lo")
        self.assertEqual((asked.response.length, asked.body.pieces), (UNKNOWN_LENGTH, [b"hel", b"lo"]))
        lab.transport.finish()
        self.assertIsInstance(asked.body.reason, PotentialDataLoss)
        self.assertEqual(lab.agent.open_connections, 0)

    def test_late_consumer(self) -> None:
        """
        Until there is a consumer the connection is paused, and at most one segment is held.
        """
        lab = Lab()
        asked = lab.ask(reads=False)
        lab.transport.receive(PLAIN + b"he")
        self.assertFalse(lab.transport.reading)
        lab.transport.receive(b"ll")
        body = Body()
        asked.response.deliverBody(body)
        self.assertEqual(body.pieces, [b"he", b"ll"])
        lab.transport.receive(b"o")
        self.assertIsInstance(body.reason, ResponseDone)

    def test_late_consumer_of_a_whole_body(self) -> None:
        """
        A body that is there as a whole does not keep its connection.
        """
        lab = Lab()
        asked = lab.ask(reads=False)
        lab.transport.receive(PLAIN + b"hello")
        following = lab.ask()
        lab.transport.receive(ANSWER)
        body = Body()
        asked.response.deliverBody(body)
        self.assertEqual((body.data, following.body.data, lab.endpoint.asked), (b"hello", b"{}", 1))
        self.assertIsInstance(body.reason, ResponseDone)

    def test_no_consumer(self) -> None:
        """
        A body that nobody takes keeps its connection for as long as silence is allowed.
        """
        lab = Lab(silence_timeout=5.0)
        asked = lab.ask(reads=False)
        lab.transport.receive(PLAIN + b"he")
        lab.wait(5.1)
        self.assertEqual(lab.agent.open_connections, 0)
        body = Body()
        asked.response.deliverBody(body)
        self.assertEqual(body.data, b"he")
        self.assertIsInstance(body.reason, errors.SilenceTimeout)

    def test_two_consumers(self) -> None:
        """
        There can be only one.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(ANSWER)
        with self.assertRaises(RuntimeError):
            asked.response.deliverBody(Body())

    def test_pause(self) -> None:
        """
        While the consumer wants no more, nothing is read.
        """
        lab = Lab()
        asked = lab.ask()
        lab.transport.receive(PLAIN)
        asked.response.pauseProducing()
        lab.transport.receive(b"he", b"llo")
        self.assertEqual(asked.body.data, b"")
        asked.response.resumeProducing()
        self.assertEqual(asked.body.data, b"hello")
        self.assertIsInstance(asked.body.reason, ResponseDone)

    def test_pause_at_the_end(self) -> None:
        """
        A consumer that pauses on the last piece does not leave a deaf connection behind.
        """

        class Full(Body):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                assert self.transport is not None
                self.transport.pauseProducing()  # type: ignore[attr-defined]  # a body's transport is a push producer

        lab = Lab()
        asked = lab.ask(reads=False)
        full = Full()
        asked.deferred.addCallback(lambda _: asked.response.deliverBody(full))
        lab.transport.receive(PLAIN + b"hello")
        self.assertTrue(lab.transport.reading)
        following = lab.ask()
        lab.transport.receive(ANSWER)
        self.assertEqual((full.data, following.body.data, lab.endpoint.asked), (b"hello", b"{}", 1))

    def test_consumer_that_ends_the_call(self) -> None:
        """
        A consumer may end the call with any piece.
        """

        class Leaving(Body):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                assert self.transport is not None
                self.transport.loseConnection()

        lab = Lab()
        asked = lab.ask(reads=False)
        body = Leaving()
        asked.deferred.addCallback(lambda _: asked.response.deliverBody(body))
        lab.transport.receive(STREAM + b"2\r\nab\r\n", b"2\r\ncd\r\n")
        lab.turn()
        self.assertEqual((body.pieces, lab.agent.open_connections), ([b"ab"], 0))
        self.assertIsInstance(body.reason, errors.UpstreamTruncated)

    def test_call_from_the_end(self) -> None:
        """
        A call that is made when a body ends finds the connection of that body idle.
        """

        class Again(Body):
            def connectionLost(self, reason: Any = None) -> None:
                super().connectionLost(reason)
                made.append(lab.ask())

        lab = Lab()
        made: list[Asked] = []
        asked = lab.ask(reads=False)
        asked.deferred.addCallback(lambda _: asked.response.deliverBody(Again()))
        lab.transport.receive(PLAIN + b"hello")
        lab.transport.receive(ANSWER)
        self.assertEqual((made[0].body.data, lab.endpoint.asked), (b"{}", 1))


class AgainTests(SynchronousTestCase):
    """
    See Note [Used again].
    """

    def used(self, **settings: Any) -> Lab:
        """
        A lab with a connection that has served a call.
        """
        lab = Lab(**settings)
        lab.ask()
        lab.transport.receive(ANSWER)
        self.assertEqual(lab.agent.idle_connections, 1)
        return lab

    def test_closed_while_idle(self) -> None:
        """
        A connection that the provider closed is not used again.
        """
        lab = self.used()
        lab.transport.finish()
        self.assertEqual(lab.agent.open_connections, 0)
        lab.ask()
        self.assertEqual(lab.endpoint.asked, 2)

    def test_bytes_while_idle(self) -> None:
        """
        Nor is one on which something came that nobody asked for.
        """
        lab = self.used()
        lab.transport.receive(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(lab.transport.aborted)
        self.assertEqual(lab.agent.idle_connections, 0)
        lab.ask()
        self.assertEqual(lab.endpoint.asked, 2)

    def test_idle_for_too_long(self) -> None:
        """
        An idle connection is closed when its time is up.
        """
        lab = self.used(idle_timeout=10.0)
        lab.wait(9.9)
        self.assertEqual(lab.agent.idle_connections, 1)
        lab.wait(0.2)
        self.assertEqual((lab.agent.open_connections, lab.live), (0, []))

    def test_too_old(self) -> None:
        """
        A connection that has reached its age is not used again, and not kept.
        """
        lab = self.used(max_connection_age=20.0, idle_timeout=15.0)
        lab.wait(10)
        lab.ask()
        lab.transport.receive(ANSWER)
        lab.wait(10)
        lab.ask()
        self.assertEqual(lab.endpoint.asked, 2)
        lab.wait(21)
        lab.transport.receive(ANSWER)
        lab.turn()
        self.assertEqual(lab.live, [])

    def test_about_to_be_closed(self) -> None:
        """
        A connection is not used again in the last second before the provider closes it, if it said when.
        """
        for seconds, connections in ((3.9, 1), (4.1, 2)):
            lab = Lab()
            lab.ask()
            lab.transport.receive(OK + b"Keep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n")
            lab.wait(seconds)
            lab.ask()
            self.assertEqual(lab.endpoint.asked, connections)

    def test_closed_at_once(self) -> None:
        """
        A connection that the provider does not keep for a second is not kept at all.
        """
        lab = Lab()
        lab.ask()
        lab.transport.receive(OK + b"Keep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n")
        lab.turn()
        self.assertEqual(lab.live, [])

    def test_get_once_more(self) -> None:
        """
        A GET or HEAD whose used connection dies without a byte of an answer is sent once more, on a new one.
        """
        for method in (b"GET", b"HEAD"):
            for end in (FakeTransport.finish, FakeTransport.reset):
                lab = self.used()
                asked = lab.ask(method, None)
                written = lab.transport.sent.count(method)
                end(lab.transport)
                self.assertEqual((lab.endpoint.asked, asked.error), (2, None))
                self.assertEqual(lab.transport.sent.count(method), written)
                lab.transport.receive(OK + b"Content-Length: 0\r\n\r\n")
                self.assertEqual(asked.response.code, 200)

    def test_get_not_twice_more(self) -> None:
        """
        Once more is all.
        """
        lab = self.used()
        asked = lab.ask(b"GET", None)
        lab.transport.finish()
        lab.transport.finish()
        self.assertIsInstance(asked.error, errors.UpstreamReset)
        self.assertEqual((lab.endpoint.asked, lab.agent.open_connections), (2, 0))

    def test_get_with_another_idle_connection(self) -> None:
        """
        It is a new connection that it is sent on, since other idle ones may be as dead.
        """
        lab = Lab()
        lab.ask()
        lab.ask()
        for transport in lab.endpoint.transports:
            transport.receive(ANSWER)
        asked = lab.ask(b"GET", None)
        lab.endpoint.transports[1].finish()
        self.assertEqual((lab.endpoint.asked, lab.agent.idle_connections), (3, 1))
        lab.transport.receive(ANSWER)
        self.assertEqual(asked.body.data, b"{}")

    def test_get_at_the_cap(self) -> None:
        """
        The slot of the connection that died is that of the new one, also when others wait for it.
        """
        lab = self.used(max_connections=1)
        asked = lab.ask(b"GET", None)
        waiting = lab.ask()
        lab.transport.finish()
        self.assertEqual((lab.endpoint.asked, lab.agent.waiting), (2, 1))
        lab.transport.receive(ANSWER, ANSWER)
        self.assertEqual((asked.body.data, waiting.body.data, lab.endpoint.asked), (b"{}", b"{}", 2))

    def test_not_once_more(self) -> None:
        """
        Nothing is repeated on a new connection, after a byte of an answer, with a body, or with another method.
        """
        fresh = Lab()
        asked = fresh.ask(b"GET", None)
        fresh.transport.finish()
        self.assertIsInstance(asked.error, errors.UpstreamReset)
        for method, body, answer in (
            (b"GET", None, b"H"),
            (b"GET", b"body", b""),
            (b"POST", None, b""),
            (b"POST", b"body", b""),
            (b"PUT", b"body", b""),
            (b"DELETE", None, b""),
            (b"OPTIONS", None, b""),
        ):
            lab = self.used()
            asked = lab.ask(method, body)
            lab.transport.receive(answer) if answer else None
            lab.transport.finish()
            self.assertIsInstance(asked.error, errors.UpstreamReset, (method, body, answer))
            self.assertEqual(lab.endpoint.asked, 1)


class UploadTests(SynchronousTestCase):
    """
    Bodies that take their time.
    """

    def test_counted(self) -> None:
        """
        A body of known length is written as it comes.
        """
        lab = Lab()
        body = SlowBody(5)
        asked = lab.ask(body=body)
        self.assertTrue(lab.transport.sent.endswith(b"\r\nContent-Length: 5\r\n\r\n"))
        body.write(b"he")
        self.assertTrue(lab.transport.sent.endswith(b"\r\n\r\nhe"))
        lab.turn()
        body.write(b"llo")
        body.finish()
        self.assertTrue(lab.transport.sent.endswith(b"\r\n\r\nhello"))
        lab.turn()
        lab.transport.receive(ANSWER)
        self.assertEqual((asked.body.data, lab.agent.idle_connections), (b"{}", 1))

    def test_chunked(self) -> None:
        """
        A body of unknown length goes in chunks; an empty piece does not end it.
        """
        lab = Lab()
        body = SlowBody(UNKNOWN_LENGTH)
        lab.ask(body=body)
        for piece in (b"hello", b"", b"x" * 16):
            body.write(piece)
        body.finish()
        lab.turn()
        head, _, sent = lab.transport.sent.partition(b"\r\n\r\n")
        self.assertIn(b"\r\nTransfer-Encoding: chunked", head)
        self.assertNotIn(b"Content-Length", head)
        self.assertEqual(sent, b"5\r\nhello\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n")

    def test_wrong_length(self) -> None:
        """
        A body that is not as long as declared is not finished as if it were.
        """
        for pieces, stopped in (([b"hell"], 0), ([b"hello!"], 1), ([b"hello", b"!"], 1)):
            lab = Lab()
            body = SlowBody(5)
            asked = lab.ask(body=body)
            for piece in pieces:
                body.write(piece)
            if not stopped:
                body.finish()
            self.assertIsInstance(asked.error, ValueError)
            self.assertEqual((lab.transport.aborted, body.stopped), (True, stopped))

    def test_failing(self) -> None:
        """
        A body that cannot be had ends the call with its own reason, and the request half-sent.
        """
        lab = Lab()
        body = SlowBody(5)
        asked = lab.ask(body=body)
        body.write(b"he")
        body.fail(errors.ClientLeft())
        self.assertIsInstance(asked.error, errors.ClientLeft)
        self.assertEqual((lab.transport.aborted, body.stopped), (True, 0))

    def test_failing_at_once(self) -> None:
        """
        The same if it cannot even begin.
        """

        class Broken(SlowBody):
            def startProducing(self, consumer: Any) -> Any:
                raise errors.BodyTooLarge

        lab = Lab()
        asked = lab.ask(body=Broken(5))
        self.assertIsInstance(asked.error, errors.BodyTooLarge)
        self.assertTrue(lab.transport.aborted)

    def test_back_pressure(self) -> None:
        """
        A provider that does not read pauses the body, and what waits for it is bounded.
        """
        lab = Lab()
        lab.endpoint.room = 1000
        body = SlowBody(UNKNOWN_LENGTH)
        lab.ask(body=body)
        written = 0
        while "pause" not in body.calls:
            body.write(b"x" * 1000)
            written += 1000
            self.assertLess(written, 300000)
        lab.transport.drain()
        lab.turn()
        self.assertEqual(body.calls, ["pause", "resume"])
        self.assertEqual(lab.transport.sent.count(b"x"), written + 1)  # there is one in the host name

    def test_provider_that_does_not_read(self) -> None:
        """
        It is given as long as one that does not answer.
        """
        for body in (b"x" * 300000, SlowBody(UNKNOWN_LENGTH)):
            lab = Lab(first_byte_timeout=10.0)
            lab.endpoint.room = 1000
            asked = lab.ask(body=body)
            if isinstance(body, SlowBody):
                body.write(b"x" * 5000)
            lab.wait(9.9)
            self.assertIsNone(asked.error)
            lab.transport.drain(1000)
            lab.wait(0.2)
            self.assertIsInstance(asked.error, errors.FirstByteTimeout)

    def test_slow_client(self) -> None:
        """
        While it is the body that is waited for, the provider's time does not run.
        """
        lab = Lab(first_byte_timeout=10.0)
        body = SlowBody(UNKNOWN_LENGTH)
        asked = lab.ask(body=body)
        for _ in range(5):
            lab.wait(9)
            lab.wait(9)
            body.write(b"x")
            lab.turn()
        body.finish()
        lab.turn()
        lab.wait(9.9)
        self.assertIsNone(asked.error)
        lab.wait(0.2)
        self.assertIsInstance(asked.error, errors.FirstByteTimeout)

    def test_refused_early(self) -> None:
        """
        A provider that refuses before it has the whole body is listened to; the body stops, the connection ends.
        """
        refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n"
        for body in (b"x" * 300000, SlowBody(300000)):
            lab = Lab()
            lab.endpoint.room = 1000
            asked = lab.ask(body=body)
            if isinstance(body, SlowBody):
                body.write(b"x" * 2000)
            lab.transport.receive(refusal)
            sent = len(lab.transport.sent)
            lab.transport.receive(b"no")
            lab.turn()
            self.assertEqual((asked.response.code, asked.body.data), (413, b"no"))
            self.assertIsInstance(asked.body.reason, ResponseDone)
            self.assertEqual((len(lab.transport.sent), lab.agent.idle_connections), (sent, 0))
            if isinstance(body, SlowBody):
                self.assertEqual(body.stopped, 1)
            lab.wait(10)
            self.assertEqual(lab.agent.open_connections, 0)

    def test_answered_early(self) -> None:
        """
        A provider that begins a good answer before it has the whole body gets the rest of it.
        """
        lab = Lab()
        body = SlowBody(10)
        asked = lab.ask(body=body)
        body.write(b"hello")
        lab.transport.receive(STREAM + b"2\r\nhi\r\n")
        body.write(b"world")
        body.finish()
        lab.turn()
        lab.transport.receive(b"0\r\n\r\n")
        self.assertTrue(lab.transport.sent.endswith(b"helloworld"))
        self.assertEqual((asked.body.data, lab.agent.idle_connections, body.stopped), (b"hi", 1, 0))

    def test_answered_as_a_whole_early(self) -> None:
        """
        If the answer ends first, the body is stopped and the connection is not used again.
        """
        lab = Lab()
        body = SlowBody(10)
        asked = lab.ask(body=body)
        body.write(b"hello")
        lab.transport.receive(ANSWER)
        body.write(b"world")
        lab.turn()
        self.assertEqual((asked.body.data, body.stopped, lab.agent.open_connections), (b"{}", 1, 0))
        self.assertTrue(lab.transport.sent.endswith(b"hello"))

    def test_lost_while_sending(self) -> None:
        """
        A connection that goes while the body is sent stops the body.
        """
        lab = Lab()
        body = SlowBody(10)
        asked = lab.ask(body=body)
        body.write(b"hello")
        lab.transport.reset()
        self.assertIsInstance(asked.error, errors.UpstreamReset)
        self.assertEqual(body.stopped, 1)
        body.done.errback(ValueError("late"))

    def test_large(self) -> None:
        """
        A large body goes up in pieces as the provider takes them, byte for byte, and is not held twice.
        """
        lab = Lab()
        lab.endpoint.room = 10000
        data = bytes(range(256)) * 2000
        asked = lab.ask(body=data)
        while len(lab.transport.sent) < len(data):
            self.assertLess(len(lab.transport.held), 140000)
            lab.transport.drain(30000)
            lab.turn()
        lab.transport.drain()
        lab.turn()
        self.assertTrue(lab.transport.sent.endswith(b"\r\n\r\n" + data))
        lab.transport.receive(ANSWER)
        self.assertEqual((asked.body.data, lab.agent.idle_connections), (b"{}", 1))


class DeadlineTests(SynchronousTestCase):
    """
    Every wait has an end of its own.
    """

    def test_pool(self) -> None:
        """
        Waiting for a connection ends, and with it the call alone.
        """
        lab = Lab(max_connections=1, pool_timeout=3.0)
        busy = lab.ask()
        waiting = lab.ask()
        lab.wait(3.1)
        self.assertIsInstance(waiting.error, errors.PoolTimeout)
        self.assertEqual((busy.error, lab.agent.waiting), (None, 0))

    def test_silence(self) -> None:
        """
        Silence is counted from the last bytes, whatever they were.
        """
        lab = Lab(silence_timeout=5.0)
        asked = lab.ask()
        lab.transport.receive(STREAM)
        for piece in (b"1", b"\r\n", b"x\r\n"):
            lab.wait(4.9)
            lab.transport.receive(piece)
        lab.wait(4.9)
        self.assertIsNone(asked.body.reason)
        lab.wait(0.2)
        self.assertIsInstance(asked.body.reason, errors.SilenceTimeout)

    def test_silence_of_a_paused_body(self) -> None:
        """
        While its consumer does not want more, a provider is not silent.
        """
        lab = Lab(silence_timeout=5.0)
        asked = lab.ask()
        lab.transport.receive(STREAM)
        lab.wait(4)
        asked.response.pauseProducing()
        lab.wait(100)
        asked.response.resumeProducing()
        lab.wait(4.9)
        self.assertIsNone(asked.body.reason)
        lab.wait(0.2)
        self.assertIsInstance(asked.body.reason, errors.SilenceTimeout)

    def test_piece_while_paused(self) -> None:
        """
        What TLS had read already when its consumer paused does not start the clock again.
        """
        lab = Lab(silence_timeout=5.0)
        asked = lab.ask()
        lab.transport.receive(STREAM)
        asked.response.pauseProducing()
        lab.transport.protocol.dataReceived(b"1\r\nx\r\n")
        lab.wait(100)
        self.assertEqual((asked.body.reason, asked.body.data), (None, b"x"))

    def test_total(self) -> None:
        """
        The whole time runs in every phase, paused or not.
        """
        for phase in range(4):
            lab = Lab(connects=False, max_connections=1, total_timeout=7.0, connect_timeout=100.0, pool_timeout=100.0)
            first = lab.ask()
            asked = lab.ask() if phase == 0 else first
            if phase > 1:
                lab.endpoint.dials[0].succeed()
            if phase > 2:
                lab.transport.receive(STREAM)
                asked.response.pauseProducing()
            lab.wait(6.9)
            self.assertFalse(asked.is_over)
            lab.wait(0.2)
            self.assertIsInstance(asked.error or asked.body.reason, errors.TotalTimeout)

    def test_no_total(self) -> None:
        """
        Without one, an answer may go on for ever.
        """
        lab = Lab(silence_timeout=5.0)
        asked = lab.ask()
        lab.transport.receive(STREAM)
        for _ in range(100):
            lab.wait(4)
            lab.transport.receive(b"1\r\nx\r\n")
        self.assertEqual(len(asked.body.data), 100)

    def test_no_timer_per_call(self) -> None:
        """
        A thousand calls have as many timers as one.
        """
        lab = Lab(max_connections=500, total_timeout=100.0)
        for _ in range(1000):
            lab.ask()
        for transport in lab.endpoint.transports[:250]:
            transport.receive(STREAM)
        self.assertLessEqual(len(lab.clock.getDelayedCalls()), 7)


class _Reactor(Clock):
    """
    As much of a reactor as a socket needs.
    """

    def addReader(self, reader: Any) -> None:
        pass

    addWriter = removeReader = removeWriter = addReader


class _Client(tcp.Connection):
    """
    A connected socket as Twisted's transport.
    """

    def __init__(self, skt: socket.socket, reactor: Any) -> None:
        super().__init__(skt, None, reactor)  # type: ignore[arg-type]  # it is made before its protocol
        self.connected = 1

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Nothing: a socket pair has no such option.
        """

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 1)


class _SocketEndpoint(FakeEndpoint):
    """
    Connects to the other end of a socket pair.
    """

    def __init__(self, reactor: _Reactor) -> None:
        super().__init__(reactor)
        self.buffer = 0
        self.peers: list[socket.socket] = []

    def make_transport(self) -> Any:
        ours, theirs = socket.socketpair()
        if self.buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer)
        theirs.settimeout(5)
        self.peers.append(theirs)
        return _Client(ours, self.clock)


class SocketTests(SynchronousTestCase):
    """
    What only a real socket can show.
    """

    def setUp(self) -> None:
        self.lab = Lab()
        self.lab.clock = reactor = _Reactor()
        self.endpoint = self.lab.endpoint = _SocketEndpoint(reactor)
        self.addCleanup(self.close)

    def close(self) -> None:
        for transport in self.endpoint.transports:
            if hasattr(transport, "socket"):
                transport.socket.close()
        for peer in self.endpoint.peers:
            peer.close()

    def used(self) -> socket.socket:
        """
        A peer whose connection has served a call.
        """
        self.lab.ask()
        peer = self.endpoint.peers[-1]
        self.assertTrue(peer.recv(65536).startswith(b"POST "))
        peer.sendall(ANSWER)
        self.lab.transport.doRead()  # type: ignore[attr-defined]
        self.assertEqual(self.lab.agent.idle_connections, 1)
        return peer

    def test_leaves_at_once(self) -> None:
        """
        A request has left when `send` returns, without a turn of the reactor.
        """
        self.used()

    def test_more_than_the_socket_takes(self) -> None:
        """
        What the socket does not take follows as it drains, in its order.
        """
        data = bytes(range(256)) * 20000
        self.endpoint.buffer = 8192
        asked = self.lab.ask(body=data)
        peer = self.endpoint.peers[-1]
        peer.settimeout(0.0)
        received = bytearray()
        for _ in range(10000):
            try:
                received += peer.recv(65536)
            except BlockingIOError:
                if received.endswith(data):
                    break
            self.lab.transport.doWrite()  # type: ignore[attr-defined]
            self.lab.turn()
        self.assertTrue(received.endswith(b"\r\n\r\n" + data))
        peer.setblocking(True)
        peer.sendall(ANSWER)
        self.lab.transport.doRead()  # type: ignore[attr-defined]
        self.assertEqual((asked.body.data, self.lab.agent.idle_connections), (b"{}", 1))

    def test_produced_bytes_in_part(self) -> None:
        """
        A piece of which the socket takes a part is sent to its end.
        """
        data = bytes(range(256)) * 400
        self.endpoint.buffer = 8192
        body = SlowBody(len(data))
        self.lab.ask(body=body)
        body.write(data)
        body.finish()
        peer = self.endpoint.peers[-1]
        peer.settimeout(0.0)
        received = bytearray()
        while not received.endswith(data):
            with contextlib.suppress(BlockingIOError):
                received += peer.recv(65536)
            self.lab.transport.doWrite()  # type: ignore[attr-defined]
        self.assertTrue(received.endswith(b"\r\n\r\n" + data))

    def test_produced_bytes_keep_their_order(self) -> None:
        """
        Bytes written at once, and bytes that had to wait, do not overtake each other.
        """
        body = SlowBody(UNKNOWN_LENGTH)
        self.lab.ask(body=body)
        peer = self.endpoint.peers[-1]
        peer.settimeout(0.0)
        received, written = bytearray(), 0
        for step in range(3000):
            if written < 2000 and body.calls[-1:] != ["pause"]:
                body.write(b"%08d" % written + b"." * 992)
                written += 1
            elif step % 3:
                with contextlib.suppress(BlockingIOError):
                    received += peer.recv(50000)
                self.lab.transport.doWrite()  # type: ignore[attr-defined]
        body.finish()
        while not received.endswith(b"\r\n0\r\n\r\n"):
            self.lab.transport.doWrite()  # type: ignore[attr-defined]
            try:
                received += peer.recv(65536)
            except BlockingIOError:
                continue
        chunks = bytes(received).split(b"\r\n\r\n", 1)[1].split(b"\r\n")[1:-2:2]
        self.assertGreater(written, 500)
        self.assertEqual([int(chunk[:8]) for chunk in chunks[:written]], list(range(written)))

    def test_closed_without_the_reactor_knowing(self) -> None:
        """
        A connection that the peer has closed since the reactor last looked is not used: the POST goes to another one.
        """
        self.used().close()
        following = self.lab.ask()
        self.assertEqual((self.endpoint.asked, following.error), (2, None))
        self.assertTrue(self.endpoint.peers[-1].recv(65536).startswith(b"POST "))

    def test_bytes_without_the_reactor_knowing(self) -> None:
        """
        Nor is one on which something came that nobody asked for.
        """
        self.used().sendall(ANSWER)
        self.lab.ask()
        self.assertEqual(self.endpoint.asked, 2)

    def test_nothing_left(self) -> None:
        """
        A POST of which certainly no byte left goes to another connection: the socket refused the first one.
        """
        self.used()
        self.lab.transport.socket.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]
        following = self.lab.ask()
        self.assertEqual((self.endpoint.asked, following.error), (2, None))
        self.assertTrue(self.endpoint.peers[-1].recv(65536).startswith(b"POST "))

    def test_nothing_left_of_one_that_waited(self) -> None:
        """
        A call that waited for such a connection waits for the next one, in front of the others.
        """
        self.lab = Lab(max_connections=1)
        self.lab.clock = reactor = _Reactor()
        self.endpoint = self.lab.endpoint = _SocketEndpoint(reactor)
        self.lab.agent = RelayAgent(reactor, self.lab.settings, endpoints=lambda *_: self.endpoint)
        self.lab.ask()
        for number in range(2):
            self.lab.ask(url=URL + b"?%d" % number)
        self.endpoint.peers[0].recv(65536)
        self.endpoint.peers[0].sendall(ANSWER)
        self.lab.transport.socket.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]
        self.lab.transport.doRead()  # type: ignore[attr-defined]
        self.assertEqual(self.lab.agent.waiting, 2)
        self.lab.turn()
        self.assertIn(b"?0 ", self.endpoint.peers[1].recv(65536))
        self.assertEqual((self.endpoint.asked, self.lab.agent.waiting), (2, 1))

    def test_nothing_left_on_a_new_connection(self) -> None:
        """
        A new connection that is dead at once is not replaced by others without end.
        """
        made = self.endpoint.make_transport

        def dead() -> Any:
            transport = made()
            transport.socket.shutdown(socket.SHUT_WR)
            return transport

        self.endpoint.make_transport = dead  # type: ignore[method-assign]
        asked = self.lab.ask()
        self.assertIsInstance(asked.error, errors.UpstreamReset)
        self.assertEqual(self.endpoint.asked, 1)


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    places=st.lists(st.integers(0, 500), max_size=10),
    pauses=st.sets(st.integers(0, 15)),
)
def test_any_segments_and_pauses(pieces: list[bytes], places: list[int], pauses: set[int]) -> None:
    """
    However a stream is cut, and whenever its consumer pauses, the consumer gets all of it, and its end once.
    """
    stream = STREAM + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    marks = sorted({place % len(stream) for place in places} | {0, len(stream)})
    lab = Lab()
    asked = lab.ask()
    for number, (start, end) in enumerate(pairwise(marks)):
        lab.transport.receive(stream[start:end])
        if asked.response is not None and not asked.is_over:
            if number in pauses:
                asked.response.pauseProducing()
            else:
                asked.response.resumeProducing()
    if not asked.is_over:
        asked.response.resumeProducing()
    assert asked.body.data == b"".join(pieces)
    assert isinstance(asked.body.reason, ResponseDone)
    assert (asked.body.endings, lab.agent.idle_connections, lab.transport.reading) == (1, 1, True)
