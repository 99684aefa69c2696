"""
The way of a body back to the client.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss

from aibridge.dialects.includeusage import TakenOut
from aibridge.dialects.sse import Boundary
from aibridge.errors import SilenceTimeout, UpstreamError, UpstreamTruncated
from aibridge.relay.pump import Pump
from aibridge.relay.slices import Slices
from fakes import BodyTransport


class Sink:
    """
    A client that remembers what it is given, and is as fast as the test wants.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producers: list[Any] = []
        self.registered: Any = None

    def write(self, data: bytes) -> None:
        """
        Remember it.
        """
        self.written.append(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        As a transport does: one at a time.
        """
        assert self.registered is None, "a second producer"
        assert streaming, "a pull producer"
        self.registered = producer
        self.producers.append(producer)

    def unregisterProducer(self) -> None:
        """
        Nobody to pause any more.
        """
        self.registered = None


class Closes:
    """
    A transport that is no push producer, and can only be closed.
    """

    def __init__(self) -> None:
        self.closed = 0

    def loseConnection(self) -> None:
        """
        Count it.
        """
        self.closed += 1


class Stops:
    """
    A transport that knows nothing but to stop.
    """

    def __init__(self) -> None:
        self.stopped = 0

    def stopProducing(self) -> None:
        """
        Count it.
        """
        self.stopped += 1


class PumpTests(SynchronousTestCase):
    """
    `Pump` between a transport and a sink.
    """

    def setUp(self) -> None:
        """
        A pump whose body is about to begin.
        """
        self.sink = Sink()
        self.transport = BodyTransport()
        self.ends: list[UpstreamError | None] = []

    def begin(self, boundary: Boundary | None = None, transport: Any = None) -> Pump:
        """
        The head has come.
        """
        pump = Pump(self.sink, boundary, self.ends.append)
        pump.makeConnection(transport or self.transport)
        return pump

    def test_pieces_cross_as_they_come(self) -> None:
        """
        Each by itself, unchanged, in the turn in which it came; and their bytes are counted.
        """
        pump = self.begin()
        for piece in (b"a", b"\0\xff", b"x" * 70000):
            pump.dataReceived(piece)
            self.assertIs(self.sink.written[-1], piece)
        self.assertEqual(len(self.sink.written), 3)
        self.assertEqual(pump.bytes, 70003)

    def test_the_provider_is_paused_by_the_client(self) -> None:
        """
        The client's transport has the pump for its producer, for as long as the body goes on.
        """
        pump = self.begin()
        self.assertIs(self.sink.registered, pump)
        self.sink.registered.pauseProducing()
        self.assertTrue(self.transport.paused)
        self.sink.registered.resumeProducing()
        self.assertFalse(self.transport.paused)
        pump.connectionLost(Failure(ResponseDone()))
        self.assertIsNone(self.sink.registered)

    def test_a_transport_that_cannot_be_paused(self) -> None:
        """
        It is not registered, and the body crosses all the same.
        """
        pump = self.begin(transport=Closes())
        pump.dataReceived(b"a")
        pump.connectionLost(Failure(ResponseDone()))
        self.assertEqual((self.sink.producers, self.sink.written, self.ends), ([], [b"a"], [None]))

    def test_a_whole_body(self) -> None:
        """
        By its length or its last chunk, or, where it has neither, by its connection's end.
        """
        for reason in (ResponseDone(), PotentialDataLoss()):
            self.begin().connectionLost(Failure(reason))
        self.assertEqual(self.ends, [None, None])

    def test_an_error_of_the_relay_is_told_as_it_is(self) -> None:
        """
        A deadline that passed within the body, for example.
        """
        error = SilenceTimeout("The provider fell silent.")
        self.begin().connectionLost(Failure(error))
        self.assertEqual(self.ends, [error])

    def test_any_other_end_is_a_cut(self) -> None:
        """
        Whatever it was, it was not the end of the body.
        """
        reasons = (ConnectionDone(), ConnectionLost(), ResponseFailed([Failure(ConnectionLost())]), ValueError())
        for reason in reasons:
            self.begin().connectionLost(Failure(reason))
            self.assertIsNone(self.sink.registered)
        self.assertEqual([type(end) for end in self.ends], [UpstreamTruncated] * len(reasons))

    def test_it_ends_once(self) -> None:
        """
        A second end is not heard of, nor is a cancellation after it.
        """
        pump = self.begin()
        pump.connectionLost(Failure(ResponseDone()))
        pump.connectionLost(Failure(ConnectionLost()))
        pump.cancel()
        self.assertEqual(self.ends, [None])
        self.assertFalse(self.transport.aborted)

    def test_cancel_ends_the_call_and_is_silent(self) -> None:
        """
        Nothing more is told, whatever the connection still brings; cancelling again changes nothing.
        """
        pump = self.begin()
        pump.dataReceived(b"a")
        pump.cancel()
        self.assertTrue(self.transport.aborted)
        self.transport.aborted = False
        pump.cancel()
        pump.dataReceived(b"late")
        pump.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((self.sink.written, self.ends, self.transport.aborted), ([b"a"], [], False))

    def test_cancel_before_the_body(self) -> None:
        """
        There is nothing to end yet.
        """
        pump = Pump(self.sink, None, self.ends.append)
        pump.cancel()
        self.assertEqual(self.ends, [])

    def test_cancel_of_what_can_only_be_closed(self) -> None:
        """
        It is closed; what can only be stopped, is stopped.
        """
        closes, stops = Closes(), Stops()
        self.begin(transport=closes).cancel()
        self.begin(transport=stops).cancel()
        self.assertEqual((closes.closed, stops.stopped), (1, 1))

    def test_cancel_from_within_the_end(self) -> None:
        """
        Whoever is told of the end may cancel: the one ending of an exchange always does.
        """
        pump = Pump(self.sink, None, lambda error: pump.cancel())
        pump.makeConnection(self.transport)
        pump.connectionLost(Failure(ResponseDone()))
        self.assertFalse(self.transport.aborted)

    def test_cancel_from_within_a_write(self) -> None:
        """
        A client that is found to have left while it is written to gets nothing more.
        """
        pump = self.begin()
        self.sink.write = lambda data: pump.cancel()  # type: ignore[method-assign]  # it is the test's own
        pump = self.begin_again(pump)
        pump.dataReceived(b"a")
        pump.dataReceived(b"b")
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.sink.written, [])

    def begin_again(self, old: Pump) -> Pump:
        """
        With the sink as it is now.
        """
        old.connectionLost(Failure(ResponseDone()))
        pump = Pump(self.sink, None, self.ends.append)
        self.sink.write = lambda data: pump.cancel()  # type: ignore[method-assign]  # as above
        pump = Pump(self.sink, None, self.ends.append)
        pump.makeConnection(self.transport)
        return pump

    def test_between_events(self) -> None:
        """
        Known for streams, from what has crossed; other bodies have no such place.
        """
        stream, other = self.begin(Boundary()), Pump(self.sink, None, self.ends.append)
        self.assertTrue(stream.between_events)
        self.assertFalse(other.between_events)
        stream.dataReceived(b"data: {}\n")
        self.assertFalse(stream.between_events)
        stream.dataReceived(b"\n")
        self.assertTrue(stream.between_events)

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=10))
    def test_bytes_are_unchanged(self, pieces: list[bytes]) -> None:
        """
        The same bytes, in the same pieces, of a stream as well.
        """
        sink = Sink()
        pump = Pump(sink, Boundary(), self.ends.append)
        pump.makeConnection(BodyTransport())
        for piece in pieces:
            pump.dataReceived(piece)
        self.assertEqual(sink.written, pieces)
        self.assertEqual(pump.bytes, sum(map(len, pieces)))

    def test_what_is_taken_out(self) -> None:
        """
        Does not cross, and is not counted; what waits is passed on at the end.
        """
        pump = Pump(self.sink, Boundary(), self.ends.append, taken_out=TakenOut())
        pump.makeConnection(self.transport)
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
        for piece in (b"data: 1\n\n" + usage[:9], usage[9:], b"data: 2"):
            pump.dataReceived(piece)
        pump.connectionLost(Failure(ResponseDone()))
        self.assertEqual(b"".join(self.sink.written), b"data: 1\n\ndata: 2")
        self.assertEqual((pump.bytes, self.ends), (16, [None]))

    def test_a_reader_that_is_behind(self) -> None:
        """
        The bytes cross at once; the provider is paused until they are read, and the end is told after that.
        """
        clock = Clock()
        reader = Slow(clock)
        pump = Pump(self.sink, None, self.ends.append, reader, Slices(clock))
        pump.makeConnection(self.transport)
        pump.dataReceived(b"a" * 100)
        self.assertEqual((self.sink.written, self.transport.paused), ([b"a" * 100], True))
        # The client is slow as well.
        pump.pauseProducing()
        pump.resumeProducing()
        self.assertTrue(self.transport.paused)
        pump.dataReceived(b"b" * 40000)
        while reader.left or reader.fed < 40100:
            clock.calls.pop(0).func()
        self.assertFalse(self.transport.paused)
        pump.dataReceived(b"c")
        pump.connectionLost(Failure(ResponseDone()))
        self.assertEqual(self.ends, [])
        while clock.calls:
            clock.calls.pop(0).func()
        self.assertEqual((self.ends, reader.fed, reader.most), ([None], 40101, 16384))

    def test_a_reader_that_is_behind_when_the_client_leaves(self) -> None:
        """
        Is not asked to go on.
        """
        clock = Clock()
        reader = Slow(clock)
        pump = Pump(self.sink, None, self.ends.append, reader, Slices(clock))
        pump.makeConnection(self.transport)
        pump.dataReceived(b"a")
        pump.cancel()
        left = reader.left
        while clock.calls:
            clock.calls.pop(0).func()
        self.assertEqual((reader.left, self.ends), (left, []))


class Slow:
    """
    A reader that takes ten steps of a millisecond for each piece.
    """

    def __init__(self, clock: Clock) -> None:
        self.left = self.fed = self.most = 0
        self._clock = clock

    def feed(self, data: bytes) -> bool:
        """
        The next piece.
        """
        self.fed += len(data)
        self.most = max(self.most, len(data))
        self.left += 10
        return True

    def go_on(self) -> bool:
        """
        A step.
        """
        self._clock.rightNow += 0.001
        self.left = max(0, self.left - 1)
        return self.left > 0
