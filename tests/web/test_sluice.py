"""
Tests for `aibridge.web.sluice`: how much of what a client sends under TLS is looked at in one turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.sluice import LONG_S, RECORDS_AT_ONCE, install

RECORD = b"\x17\x03\x03\x00\x01x"


class Socket:
    """
    What is below TLS.
    """

    def __init__(self) -> None:
        self.protocol: Any = None
        self.reads = True
        self.aborted = False

    def pauseProducing(self) -> None:
        """
        Read no more.
        """
        self.reads = False

    def resumeProducing(self) -> None:
        """
        Read again.
        """
        self.reads = True

    def abortConnection(self) -> None:
        """
        Cut.
        """
        self.aborted = True


class Secured:
    """
    TLS, which asks its socket for what it does not have itself.

    :ivar acts: called with every piece.
    """

    def __init__(self) -> None:
        self.transport = Socket()
        self.transport.protocol = self
        self.pieces: list[bytes] = []
        self.lost: list[Failure] = []
        self.acts: Callable[[], object] = bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def dataReceived(self, data: bytes) -> None:
        """
        Take encrypted bytes.
        """
        assert not self.lost
        self.pieces.append(data)
        self.acts()

    def connectionLost(self, reason: Failure) -> None:
        """
        The end.
        """
        self.lost.append(reason)


class SluiceTests(SynchronousTestCase):
    """
    Records, turn by turn.
    """

    def setUp(self) -> None:
        """
        TLS with a sluice below it.
        """
        self.clock = Clock()
        self.kept = 0
        self.room = 1000
        self.secured = Secured()
        self.waiting: list[Callable[[], None]] = []
        self.assertTrue(install(self.secured, self.waiting.append, self.clock.seconds, self.keeps))

    def keeps(self, more: int) -> bool:
        """
        There is room for so many.
        """
        self.kept += more
        return self.kept <= self.room

    @property
    def reads(self) -> bool:
        """
        The socket is read.
        """
        return self.secured.transport.reads

    def send(self, data: bytes) -> None:
        """
        As the reactor does.
        """
        assert self.reads
        self.secured.transport.protocol.dataReceived(data)

    def turn(self) -> int:
        """
        :return: how many pieces were looked at in it.
        """
        before = len(self.secured.pieces)
        waiting, self.waiting[:] = list(self.waiting), []
        for work in waiting:
            work()
        return len(self.secured.pieces) - before

    def test_one_record_goes_straight_through(self) -> None:
        """
        Whole or in part, and nothing waits for it.
        """
        for piece in (RECORD, RECORD[:3], RECORD[3:], b"\x17\x03\x03\x40\x00" + b"x" * 16384):
            self.send(piece)
            self.assertEqual((self.secured.pieces[-1], self.reads, self.waiting), (piece, True, []))

    def test_many_small_ones(self) -> None:
        """
        Are looked at a few in a turn; meanwhile no more are read, and none is lost.
        """
        self.send(RECORD * 100)
        counts = [len(self.secured.pieces)]
        while self.waiting:
            self.assertFalse(self.reads)
            self.assertEqual(self.kept, 600 - sum(counts) * len(RECORD))
            counts.append(self.turn())
        self.assertEqual(counts, [RECORDS_AT_ONCE] * 6 + [4])
        self.assertEqual((b"".join(self.secured.pieces), self.reads), (RECORD * 100, True))

    def test_no_room(self) -> None:
        """
        For what is kept: the connection is cut.
        """
        self.room = 500
        self.send(RECORD * 98)
        self.assertFalse(self.secured.transport.aborted)
        self.secured.transport.protocol.dataReceived(RECORD * 100)
        self.assertTrue(self.secured.transport.aborted)

    def test_a_turn_takes_no_longer_than_it_may(self) -> None:
        """
        Records whose content is work, such as whole requests, are fewer in a turn.
        """
        self.secured.acts = lambda: self.clock.advance(LONG_S * 0.6)
        self.send(RECORD * 5)
        self.assertEqual((len(self.secured.pieces), self.turn(), self.turn()), (2, 2, 1))

    def test_pausing_holds_at_once(self) -> None:
        """
        A reader that wants no more gets the record that it is at, and the next when it asks for it.
        """
        self.secured.acts = lambda: self.secured.pauseProducing()
        self.send(RECORD * 3)
        for count in (1, 2, 3):
            self.assertEqual((len(self.secured.pieces), self.reads, self.waiting), (count, False, []))
            self.secured.resumeProducing()
            self.turn()
        self.assertEqual(b"".join(self.secured.pieces), RECORD * 3)
        self.assertTrue(self.reads)

    def test_pausing_while_some_wait(self) -> None:
        """
        They wait on, also those whose turn comes meanwhile, and what comes all the same; then all come in their order.
        """
        self.send(RECORD * 20)
        self.secured.pauseProducing()
        self.assertEqual(self.turn(), 0)
        self.secured.transport.protocol.dataReceived(b"\x17\x03\x03\x00\x01y")
        self.secured.resumeProducing()
        self.secured.resumeProducing()
        self.assertEqual((self.turn(), self.reads), (5, True))
        self.assertEqual(b"".join(self.secured.pieces), RECORD * 20 + b"\x17\x03\x03\x00\x01y")

    def test_the_end_while_some_wait(self) -> None:
        """
        TLS is told of it, and sees nothing afterwards; whoever pauses then does so in vain.
        """
        self.send(RECORD * 20)
        reason = Failure(ConnectionDone())
        self.secured.transport.protocol.connectionLost(reason)
        self.assertEqual((self.secured.lost, self.turn()), ([reason], 0))
        self.secured.pauseProducing()
        self.secured.resumeProducing()

    def test_the_end_within_a_record(self) -> None:
        """
        Nothing of what follows it is looked at.
        """
        reason = Failure(ConnectionDone())
        self.secured.acts = lambda: self.secured.transport.protocol.connectionLost(reason)
        self.send(RECORD * 3)
        self.assertEqual((len(self.secured.pieces), self.waiting), (1, []))

    def test_a_failure_ends_the_connection(self) -> None:
        """
        In a later turn as in the first one, where the reactor does that.
        """
        self.send(RECORD * 20)
        self.secured.acts = lambda: 1 // 0
        self.assertRaises(ZeroDivisionError, self.turn)
        self.assertTrue(self.secured.transport.aborted)

    def test_only_right_above_a_socket(self) -> None:
        """
        Elsewhere nothing is put in between.
        """
        other = Secured()
        other.transport.protocol = None
        for transport in (other, object()):
            self.assertFalse(install(transport, self.waiting.append, self.clock.seconds, self.keeps))
        self.assertIsNone(other.transport.protocol)
