"""
The way up: what is written at once, what waits, and who is paused.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibridge.relay.upload import PIECE, SMALL, Outbox, Upload
from upstreams import FakeTransport, SlowBody


class _Sender:
    """
    Counts what an outbox says.
    """

    def __init__(self) -> None:
        self.said: list[str] = []

    def sending(self) -> None:
        self.said.append("sending")

    def drained(self) -> None:
        self.said.append("drained")


class _Owner:
    """
    Remembers how an upload ended.
    """

    def __init__(self) -> None:
        self.ends: list[Any] = []

    def uploaded(self) -> None:
        self.ends.append("uploaded")

    def upload_failed(self, failure: Failure) -> None:
        self.ends.append(type(failure.value))


def outbox(room: int | None = None) -> tuple[Outbox, FakeTransport, _Sender, Clock]:
    """
    An outbox, and all that it needs.
    """
    clock = Clock()
    transport = FakeTransport(clock, room=room)
    sender = _Sender()
    return Outbox(sender, transport, transport), transport, sender, clock


def turn(clock: Clock) -> None:
    """
    Let everything happen that can.
    """
    for _ in range(4):
        clock.advance(0)


class OutboxTests(SynchronousTestCase):
    """
    `Outbox` on a transport that is not a plain socket; `test_connection` has it on one.
    """

    def test_interface(self) -> None:
        """
        It is what a transport asks for more.
        """
        self.assertTrue(verifyObject(IPullProducer, outbox()[0]))

    def test_small(self) -> None:
        """
        A small request is written, and nothing is watched.
        """
        box, transport, sender, clock = outbox()
        self.assertTrue(box.send(b"x" * SMALL))
        self.assertEqual((transport.sent, box.waiting, sender.said), (b"x" * SMALL, False, []))
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_larger(self) -> None:
        """
        A larger one is watched until it has left.
        """
        box, transport, sender, clock = outbox()
        box.send(b"x" * (SMALL + 1), memoryview(b"y" * PIECE))
        self.assertTrue(box.waiting)
        turn(clock)
        self.assertEqual(transport.sent, b"x" * (SMALL + 1) + b"y" * PIECE)
        self.assertEqual((box.waiting, sender.said[-1], transport.producer), (False, "drained", None))

    def test_bounded(self) -> None:
        """
        A transport that sends nothing is given one piece.
        """
        box, transport, sender, clock = outbox(0)
        box.send(b"x" * (SMALL + 1), memoryview(b"y" * PIECE * 4))
        turn(clock)
        self.assertEqual((len(transport.held), sender.said, box.waiting), (PIECE, ["sending"], True))
        transport.drain(PIECE)
        self.assertEqual((len(transport.held), sender.said), (PIECE, ["sending"] * 2))

    def test_clear(self) -> None:
        """
        What waits is dropped, and the transport is asked for nothing more.
        """
        box, transport, sender, clock = outbox(0)
        box.send(b"x" * (SMALL + 1), memoryview(b"y" * PIECE * 4))
        box.clear()
        box.clear()
        transport.drain()
        turn(clock)
        self.assertEqual((len(transport.sent), transport.producer, sender.said), (PIECE, None, ["sending"]))

    def test_transport_gone(self) -> None:
        """
        Nothing waits for a transport that is gone, and late calls of it do nothing.
        """
        box, transport, sender, clock = outbox(0)
        box.send(b"x" * (SMALL + 1), memoryview(b"y" * PIECE * 4))
        box.stopProducing()
        box.resumeProducing()
        self.assertEqual((box.waiting, sender.said), (False, ["sending"]))
        turn(clock)
        self.assertEqual(len(transport.held), PIECE)

    def test_producer(self) -> None:
        """
        A producer is paused when more than a piece waits, and resumed when it does not, each once.
        """
        box, transport, _, clock = outbox(0)
        body = SlowBody(None)
        box.attach(body)
        for _ in range(3):
            box.write(b"x" * (PIECE // 2))
        self.assertEqual(body.calls, [])
        box.write(b"x")
        box.write(b"x" * PIECE)
        self.assertEqual(body.calls, ["pause"])
        transport.drain()
        turn(clock)
        self.assertEqual((body.calls, len(transport.sent)), (["pause", "resume"], PIECE * 5 // 2 + 1))

    def test_detached_producer(self) -> None:
        """
        One that has gone is left alone.
        """
        box, transport, _, clock = outbox(0)
        body = SlowBody(None)
        box.attach(body)
        box.write(b"x" * PIECE * 3)
        box.detach()
        transport.drain()
        turn(clock)
        self.assertEqual((body.calls, len(transport.sent)), (["pause"], PIECE * 3))


class UploadTests(SynchronousTestCase):
    """
    `Upload`.
    """

    def upload(self, length: int | None) -> tuple[Upload, SlowBody, _Owner, FakeTransport]:
        """
        An upload that has begun.
        """
        box, transport, _, clock = outbox()
        self.clock = clock
        body, owner = SlowBody(length), _Owner()
        made = Upload(owner, box, body, length)
        made.start()
        return made, body, owner, transport

    def test_interface(self) -> None:
        """
        It is a consumer, for which registering changes nothing.
        """
        made, body, _, transport = self.upload(3)
        self.assertTrue(verifyObject(IConsumer, made))
        made.registerProducer(body, True)
        made.unregisterProducer()
        made.write(b"abc")
        self.assertEqual((transport.sent, body.calls), (b"abc", []))

    def test_stop(self) -> None:
        """
        Nothing is written after it was stopped, and its end is nobody's business any more.
        """
        made, body, owner, transport = self.upload(3)
        made.stop()
        made.stop()
        made.write(b"abc")
        body.finish()
        self.assertEqual((transport.sent, body.stopped, owner.ends), (b"", 1, []))

    def test_stop_after_the_end(self) -> None:
        """
        A producer that is done is not stopped.
        """
        made, body, owner, _ = self.upload(3)
        made.write(b"abc")
        body.finish()
        made.stop()
        self.assertEqual((body.stopped, owner.ends), (0, ["uploaded"]))

    def test_failed_after_stop(self) -> None:
        """
        A failure that comes after it was stopped is dropped, not logged as unhandled.
        """
        made, body, owner, _ = self.upload(None)
        made.stop()
        body.fail(ValueError())
        self.assertEqual(owner.ends, [])

    def test_too_long(self) -> None:
        """
        Not a byte beyond the declared length is written.
        """
        made, body, owner, transport = self.upload(3)
        made.write(b"abcd")
        self.assertEqual((transport.sent, body.stopped, owner.ends), (b"", 1, [ValueError]))


@given(pieces=st.lists(st.binary(max_size=30), max_size=12), rooms=st.lists(st.integers(0, 40), max_size=20))
def test_order(pieces: list[bytes], rooms: list[int]) -> None:
    """
    Bytes leave in the order in which they were written, all of them, however the transport drains.
    """
    box, transport, _, clock = outbox(0)
    for number in range(max(len(pieces), len(rooms))):
        if number < len(pieces):
            box.write(pieces[number])
        if number < len(rooms):
            transport.drain(rooms[number])
        turn(clock)
    transport.drain()
    turn(clock)
    assert transport.sent == b"".join(pieces)
    assert not box.waiting
