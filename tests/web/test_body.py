"""
Tests for `aibridge.web.body`. How whole bodies are read is tried with `aibridge.web.channel`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge.errors import BadRequest, BridgeError, ClientLeft
from aibridge.web.body import CHUNKS_AT_ONCE, WINDOW, Body
from aibridge.wire.chunked import MOST_SMALL
from channels import Reading, Talk, get


class WholeTests(SynchronousTestCase):
    """
    A body in one piece.
    """

    def test_small_pieces_cost_no_more_than_their_sum(self) -> None:
        """
        However many they are.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 20000", method=b"POST"))
        reading = Reading()
        talk.request.read_body(20000, reading.done, reading.failed)
        talk.send_bytes(b"ab" * 10000, 2)
        self.assertEqual(reading.body, b"ab" * 10000)

    def test_reading_after_the_answer_fails_or_gives_nothing_new(self) -> None:
        """
        A reader who comes too late is told so once.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 10", method=b"POST"))
        talk.transport.leave()
        reading = Reading()
        talk.request.read_body(100, reading.done, reading.failed)
        self.assertIsInstance(reading.error, ClientLeft)
        self.assertEqual(reading.calls, 1)


class PortionTests(SynchronousTestCase):
    """
    Bodies in many small chunks: much work for few bytes.
    """

    def flood(self, count: int) -> tuple[Talk, bytes]:
        """
        A request in chunks of one byte, all of them in one segment.
        """
        talk = Talk()
        head = get(b"/", b"Transfer-Encoding: chunked", method=b"POST")
        talk.send(head)
        return talk, b"1\r\nx\r\n" * count + b"0\r\n\r\n"

    def test_nothing_is_decoded_for_nobody(self) -> None:
        """
        Not even to see whether it is well formed: what comes before a reader is kept as it came, up to a window.
        """
        talk, _ = self.flood(0)
        talk.send(b"no chunk at all".ljust(WINDOW - 1))
        body = talk.request.body
        assert isinstance(body, Body)
        self.assertEqual((body.error, body.ended, talk.transport.reads), (None, False, True))
        talk.send(b" ")
        self.assertFalse(talk.transport.reads)
        reading = Reading()
        talk.request.read_body(1000, reading.done, reading.failed)
        self.assertIsInstance(reading.error, BadRequest)

    def test_some_chunks_in_a_turn(self) -> None:
        """
        The rest of a segment waits for a later one, and meanwhile nothing more is read; whatever comes is complete.
        """
        for late in (False, True):
            talk, chunks = self.flood(10 * CHUNKS_AT_ONCE)
            taken = Taken()
            body = talk.request.body
            assert isinstance(body, Body)
            if late:
                talk.send(chunks + get(b"/next"))
            body.claim(taken)
            if not late:
                talk.send(chunks + get(b"/next"))
            self.assertTrue(0 < taken.size <= CHUNKS_AT_ONCE)
            self.assertFalse(talk.transport.reads)
            talk.wait(0)
            self.assertEqual((taken.size, taken.ended, taken.error), (10 * CHUNKS_AT_ONCE, True, None))
            self.assertTrue(talk.transport.reads)

    def test_one_that_leaves(self) -> None:
        """
        Is worked for no more.
        """
        talk, chunks = self.flood(10 * CHUNKS_AT_ONCE)
        taken = Taken()
        body = talk.request.body
        assert isinstance(body, Body)
        body.claim(taken)
        talk.send(chunks)
        before = taken.size
        talk.transport.leave()
        talk.wait(1)
        self.assertEqual((taken.size, taken.ended), (before, False))
        self.assertIsInstance(taken.error, ClientLeft)

    def test_too_many(self) -> None:
        """
        Are no body.
        """
        talk, chunks = self.flood(MOST_SMALL + 200)
        reading = Reading()
        talk.request.read_body(1 << 20, reading.done, reading.failed)
        talk.send(chunks)
        talk.wait(0)
        self.assertIsInstance(reading.error, BadRequest)


class Taken:
    """
    Reads a body.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = False
        self.error: BridgeError | None = None

    def data(self, piece: bytes) -> None:
        """
        The next bytes.
        """
        self.pieces.append(piece)

    def end(self) -> None:
        """
        There are no more.
        """
        self.ended = True

    def fail(self, error: BridgeError) -> None:
        """
        There will be no more.
        """
        self.error = error

    @property
    def size(self) -> int:
        """
        Bytes that came.
        """
        return sum(map(len, self.pieces))
