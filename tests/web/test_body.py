"""
Tests for `aibridge.web.body`. How whole bodies are read is tried with `aibridge.web.channel`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge.errors import ClientLeft
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
