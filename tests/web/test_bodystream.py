"""
A body that is passed on while it comes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aibridge.errors import BadRequest, BodyTooLarge, BodyTooSlow, ClientLeft
from aibridge.web.body import WINDOW
from channels import Talk, chunked, get, post


@implementer(IConsumer)
class Upstream:
    """
    Takes a body that is passed on.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_write: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Not used by body producers.
        """

    def unregisterProducer(self) -> None:
        """
        Not used by body producers.
        """

    def write(self, data: bytes) -> None:
        """
        Take a piece.
        """
        self.pieces.append(data)
        if self.on_write is not None:
            self.on_write()

    @property
    def body(self) -> bytes:
        """
        All of it so far.
        """
        return b"".join(self.pieces)


class BodyStreamTests(SynchronousTestCase):
    """
    A body on its way to somebody else.
    """

    def start(self, *pieces: bytes, limit: int = 1 << 20) -> None:
        """
        Receive a request, and begin to pass its body on.
        """
        self.talk = Talk(body_timeout=300.0)
        self.talk.send(*pieces)
        self.upstream = Upstream()
        self.producer: Any = self.talk.request.body_producer(limit)
        verifyObject(IBodyProducer, self.producer)
        self.ended: list[object] = []
        self.producer.startProducing(self.upstream).addBoth(self.ended.append)

    def error(self) -> object:
        """
        What it ended with.
        """
        (ended,) = self.ended
        assert isinstance(ended, Failure)
        return ended.value

    def test_it_is_passed_on_as_it_comes(self) -> None:
        """
        Piece by piece, without its chunks, and with its length where that is known.
        """
        self.start(get(b"/", b"Content-Length: 6", method=b"POST"))
        self.assertEqual(self.producer.length, 6)
        self.talk.send(b"abc", b"def" + get(b"/next"))
        self.assertEqual((self.upstream.pieces, self.ended), ([b"abc", b"def"], [None]))
        self.start(chunked(b"abc", b"def"))
        self.assertEqual(self.producer.length, UNKNOWN_LENGTH)
        self.assertEqual((self.upstream.body, self.ended), (b"abcdef", [None]))

    def test_a_large_one_may_take_its_time(self) -> None:
        """
        For as long as it keeps coming, beyond what one may take that is held; then it is not waited for.
        """
        self.start(get(b"/", b"Content-Length: 1000000", method=b"POST"))
        for _ in range(99):
            self.talk.send(b"a" * 10_000)
            self.talk.wait(19)
        self.assertEqual((len(self.upstream.body), self.ended), (990_000, []))
        for _ in range(3):
            self.talk.wait(20)
        self.assertIsInstance(self.error(), BodyTooSlow)

    def test_one_that_is_there_is_passed_on_at_once(self) -> None:
        """
        Pausing it has no effect any more.
        """
        self.start(post(b"abc"))
        self.producer.pauseProducing()
        self.producer.resumeProducing()
        self.producer.stopProducing()
        self.assertEqual((self.upstream.pieces, self.ended), ([b"abc"], [None]))

    def test_the_client_waits_for_a_slow_consumer(self) -> None:
        """
        A window is kept, then the connection is not read; all of it arrives in the end.
        """
        self.start(get(b"/", b"Content-Length: 200000", method=b"POST"))
        self.producer.pauseProducing()
        self.talk.send(b"a" * (WINDOW - 1))
        self.assertTrue(self.talk.transport.reads)
        self.talk.send(b"b")
        self.assertFalse(self.talk.transport.reads)
        self.assertEqual(self.upstream.pieces, [])
        self.producer.resumeProducing()
        self.assertTrue(self.talk.transport.reads)
        self.assertEqual(len(self.upstream.body), WINDOW)
        self.talk.send(b"c" * (200000 - WINDOW))
        self.assertEqual(self.ended, [None])
        self.assertEqual(self.upstream.body, b"a" * (WINDOW - 1) + b"b" + b"c" * (200000 - WINDOW))

    def test_a_consumer_may_pause_with_every_piece(self) -> None:
        """
        Also within `write`; the end is told after the last piece.
        """
        self.start(get(b"/", b"Content-Length: 9", method=b"POST"))
        self.upstream.on_write = self.producer.pauseProducing
        self.talk.send(b"abc", b"def", b"ghi")
        self.assertEqual((self.upstream.pieces, self.ended), ([b"abc"], []))
        self.producer.resumeProducing()
        self.assertEqual((self.upstream.pieces, self.ended), ([b"abc", b"defghi"], [None]))

    def test_an_end_within_the_window_needs_no_reading(self) -> None:
        """
        What follows the body waits in its own place.
        """
        self.start(get(b"/", b"Content-Length: %d" % WINDOW, method=b"POST"))
        self.producer.pauseProducing()
        self.talk.send(b"x" * WINDOW + get(b"/next"))
        self.assertTrue(self.talk.transport.reads)
        self.producer.resumeProducing()
        self.assertEqual((len(self.upstream.body), self.ended), (WINDOW, [None]))
        self.assertEqual(len(self.talk.resource.requests), 1)

    def test_a_declared_length_is_refused_before_a_byte(self) -> None:
        """
        And before the client is told to go on.
        """
        self.start(get(b"/", b"Content-Length: 11", b"Expect: 100-continue", method=b"POST"), limit=10)
        self.assertIsInstance(self.error(), BodyTooLarge)
        self.assertEqual(self.talk.received, b"")

    def test_an_undeclared_length_is_cut_off(self) -> None:
        """
        Not a byte beyond the limit is passed on.
        """
        self.start(chunked(b"x" * 10, end=b""), limit=10)
        self.assertEqual(self.ended, [])
        self.talk.send(b"1\r\ny\r\n")
        self.assertIsInstance(self.error(), BodyTooLarge)
        self.assertEqual(self.upstream.body, b"x" * 10)
        self.talk.send(b"5\r\nzzzzz\r\n0\r\n\r\n")
        self.assertEqual(self.upstream.body, b"x" * 10)

    def test_a_slow_one_is_given_up(self) -> None:
        """
        At its deadline.
        """
        self.start(get(b"/", b"Content-Length: 11", method=b"POST"), b"x")
        self.talk.wait(300)
        self.assertIsInstance(self.error(), BodyTooSlow)

    def test_a_malformed_one_is_given_up(self) -> None:
        """
        After what was good of it.
        """
        self.start(chunked(b"abc", end=b"nonsense\r\n"))
        self.assertIsInstance(self.error(), BadRequest)
        self.assertEqual(self.upstream.body, b"abc")

    def test_a_departure_is_told(self) -> None:
        """
        Also when all of it has come, and some is still to be passed on.
        """
        self.start(get(b"/", b"Content-Length: 11", method=b"POST"), b"x")
        self.talk.transport.leave()
        self.assertIsInstance(self.error(), ClientLeft)
        self.start(get(b"/", b"Content-Length: 4", method=b"POST"), b"a")
        self.producer.pauseProducing()
        self.talk.send(b"bcd")
        self.talk.transport.leave()
        self.assertIsInstance(self.error(), ClientLeft)
        self.assertEqual(self.upstream.body, b"a")

    def test_whoever_stops_hears_nothing_more(self) -> None:
        """
        Neither pieces nor an end; the rest is read and dropped.
        """
        self.start(get(b"/", b"Content-Length: 100000", method=b"POST"), b"x")
        self.producer.pauseProducing()
        self.talk.send(b"x" * WINDOW)
        self.producer.stopProducing()
        self.assertTrue(self.talk.transport.reads)
        self.talk.send(b"x" * (100000 - WINDOW - 1))
        self.assertEqual((self.upstream.body, self.ended), (b"x", []))
        self.talk.request.respond(200, [], 0)
        self.talk.request.finish()
        self.talk.send(get(b"/next"))
        self.assertEqual(self.talk.request.uri, b"/next")

    def test_an_answer_before_the_end_leaves_the_stream_unfinished(self) -> None:
        """
        Nobody is told, as nobody waits for it any more.
        """
        self.start(get(b"/", b"Content-Length: 10", method=b"POST"), b"x")
        self.talk.request.respond(200, [], 0)
        self.talk.request.finish()
        self.talk.send(b"x" * 9 + get(b"/next"))
        self.assertEqual((self.upstream.body, self.ended), (b"x", []))
        self.assertEqual(self.talk.request.uri, b"/next")
