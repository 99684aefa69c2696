"""
An error whose body is read before it is passed on.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from aibridge import errors
from aibridge.dialects.errorbody import MOST_BODY
from aibridge.web.collected import MOST_S, Collected
from fakes import Answer


@attrs.define(eq=False)
class Reader:
    """
    Who gets the answer in the end.
    """

    pieces: list[bytes] = attrs.Factory(list)
    transport: Any = None
    end: Failure | None = None
    pauses: bool = False

    def makeConnection(self, transport: Any) -> None:
        """
        It begins.
        """
        self.transport = transport
        if self.pauses:
            transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        """
        A piece.
        """
        self.pieces.append(data)

    def connectionLost(self, reason: Failure) -> None:
        """
        The end.
        """
        self.end = reason


class CollectedTests(SynchronousTestCase):
    """
    `Collected`.
    """

    def setUp(self) -> None:
        """
        An error's head is there.
        """
        self.clock = Clock()
        self.ready: list[Collected] = []
        self.answer = Answer(429, [(b"Content-Type", b"application/json"), (b"X-Odd", b"1")], 20)
        self.collected = Collected(self.answer, self.clock, self.ready.append)
        self.reader = Reader()

    def deliver(self) -> None:
        """
        It is passed on.
        """
        self.collected.deliverBody(self.reader)  # type: ignore[arg-type]  # it stands for a protocol

    def test_whole(self) -> None:
        """
        It is ready at its end, and given on as it came.
        """
        self.answer.body(b'{"error": {"code"')
        self.assertEqual((self.ready, self.collected.is_waited_for), ([], True))
        self.answer.body(b': "C"}}')
        self.answer.end()
        self.assertEqual((self.ready, self.collected.is_waited_for), ([self.collected], False))
        self.assertEqual(self.collected.said().words, {"c"})
        self.assertEqual((self.collected.code, self.collected.length), (429, 20))
        self.assertEqual(self.collected.pairs, self.answer.pairs)
        self.assertEqual(self.collected.headers.getRawHeaders(b"x-odd"), [b"1"])
        self.deliver()
        self.assertEqual(self.reader.pieces, [b'{"error": {"code": "C"}}'])
        assert self.reader.end is not None
        self.assertTrue(self.reader.end.check(ResponseDone))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.reader.transport.pauseProducing()
        self.reader.transport.resumeProducing()
        self.reader.transport.stopProducing()
        self.assertFalse(self.answer.transport.aborted)

    def test_broken_off(self) -> None:
        """
        What has come is given on, and then how it ended.
        """
        self.answer.body(b"{")
        self.answer.end(errors.UpstreamTruncated())
        self.assertEqual(self.ready, [self.collected])
        self.deliver()
        assert self.reader.end is not None
        self.assertEqual((self.reader.pieces, self.reader.end.type), ([b"{"], errors.UpstreamTruncated))

    def test_late(self) -> None:
        """
        What is not there in time streams behind.
        """
        self.answer.body(b"{")
        self.clock.advance(MOST_S)
        self.assertEqual(self.ready, [self.collected])
        self.assertTrue(self.answer.transport.paused)
        self.deliver()
        self.assertFalse(self.answer.transport.paused)
        self.answer.body(b"}")
        self.answer.end()
        self.assertEqual(self.reader.pieces, [b"{", b"}"])
        self.assertIsNotNone(self.reader.end)

    def test_large(self) -> None:
        """
        So does the rest of a large one, which is not read on until somebody takes it.
        """
        self.answer.body(b"x" * MOST_BODY)
        self.assertEqual((self.ready, self.answer.transport.paused), ([self.collected], True))
        self.reader.pauses = True
        self.deliver()
        self.assertTrue(self.answer.transport.paused)
        self.reader.transport.resumeProducing()
        self.assertFalse(self.answer.transport.paused)
        self.answer.body(b"y")
        self.assertEqual(b"".join(self.reader.pieces), b"x" * MOST_BODY + b"y")
        self.reader.transport.abortConnection()
        self.assertTrue(self.answer.transport.aborted)

    def test_cancelled(self) -> None:
        """
        The rest is given up, and nobody is told.
        """
        self.collected.cancel()
        self.assertTrue(self.answer.transport.aborted)
        self.answer.body(b"x")
        self.answer.end()
        self.clock.advance(MOST_S)
        self.assertEqual((self.ready, self.clock.getDelayedCalls()), ([], []))
