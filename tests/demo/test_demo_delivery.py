"""
Answers on their way through the stock server, in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface.verify import verifyClass

from aibridge.demo.delivery import MOST_HELD_S, RESET_AFTER_S, Delivery, Stage
from aibridge.demo.plan import Ending, Plan

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Transport(StringTransport):
    """
    A transport that knows whether it was reset, and may count what was read.
    """

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Planned(Resource):
    """
    Answers every request with one plan.
    """

    isLeaf = True

    def __init__(self, stage: Stage, plan: Plan) -> None:
        super().__init__()
        self.stage = stage
        self.plan = plan

    def render(self, request: Request) -> int:
        self.delivery = self.stage.deliver(request, self.plan)
        return NOT_DONE_YET


class DeliveryTests(SynchronousTestCase):
    """
    What a client sees of a plan, and when.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.stage = Stage(self.clock)
        self.transport = Transport()
        self.read: list[bytes] = []

    def chunks(self, *chunks: bytes) -> Iterator[bytes]:
        """
        Chunks that say when they have been read.
        """
        for chunk in chunks:
            self.read.append(chunk)
            yield chunk

    def ask(self, plan: Plan) -> None:
        """
        Send a request that is answered by `plan`.
        """
        site = Site(Planned(self.stage, plan), reactor=self.clock)
        self.channel = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(REQUEST)

    def body(self) -> bytes:
        """
        What has arrived behind the head.
        """
        sent: bytes = self.transport.value()
        return sent.partition(b"\r\n\r\n")[2]

    def full(self) -> None:
        """
        The client takes no more.
        """
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def drained(self) -> None:
        """
        The client has taken what there was.
        """
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    def leave(self) -> None:
        """
        The client goes away.
        """
        self.channel.connectionLost(Failure(ConnectionDone()))

    def test_the_interface(self) -> None:
        """
        A delivery is a push producer.
        """
        self.assertTrue(verifyClass(IPushProducer, Delivery))

    def test_an_answer_without_pace_comes_at_once(self) -> None:
        """
        Without an interval, all of it is sent in the turn of the request, and the connection can be used again.
        """
        self.ask(Plan(status=200, headers=[(b"Content-Length", b"4")], chunks=self.chunks(b"ab", b"cd")))
        self.assertEqual(self.body(), b"abcd")
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(len(self.stage), 0)
        self.channel.dataReceived(REQUEST)
        self.assertEqual(self.transport.value().count(b"HTTP/1.1 200 OK"), 2)

    def test_a_status_has_its_phrase(self) -> None:
        """
        The status line has the phrase of its status, also of those that few know.
        """
        self.ask(Plan(status=529))
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 529 Overloaded\r\n"))

    def test_the_pace(self) -> None:
        """
        The first event comes at once, the others after an interval each, the end with the last of them.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab", b"cd", b"ef"), interval_s=1.0))
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.clock.advance(0.9)
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.clock.advance(0.1)
        self.assertEqual(self.body(), b"2\r\nab\r\n2\r\ncd\r\n")
        self.clock.advance(1)
        self.assertEqual(self.body(), b"2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n")
        self.assertEqual(len(self.stage), 0)

    def test_a_delay(self) -> None:
        """
        Nothing is sent before the delay is over.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab"), delay_s=3.0))
        self.clock.advance(2.9)
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(0.1)
        self.assertEqual(self.body(), b"2\r\nab\r\n0\r\n\r\n")

    def test_a_client_that_does_not_read(self) -> None:
        """
        While the client takes nothing, nothing is sent or even made; then it goes on where it was.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab", b"cd", b"ef", b"gh"), interval_s=1.0))
        self.full()
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.assertEqual(self.read, [b"ab", b"cd"])
        self.drained()
        self.assertEqual(self.body(), b"2\r\nab\r\n2\r\ncd\r\n")
        self.clock.advance(1)
        self.assertEqual(self.body(), b"2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n")

    def test_a_pause_shorter_than_the_interval(self) -> None:
        """
        A pause that ends before the next event is due changes nothing.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab", b"cd"), interval_s=1.0))
        self.full()
        self.drained()
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.clock.advance(1)
        self.assertEqual(self.body(), b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")

    def test_a_client_that_stops_reading_a_large_body(self) -> None:
        """
        An answer without pace stops between two chunks as well.
        """

        class Full(Transport):
            def write(self, data: bytes) -> None:
                super().write(data)
                if self.producer is not None and b"ab" in data:
                    self.producer.pauseProducing()

        self.transport = Full()
        self.ask(Plan(status=200, headers=[(b"Content-Length", b"6")], chunks=self.chunks(b"ab", b"cd", b"ef")))
        self.assertEqual(self.body(), b"ab")
        self.assertEqual(self.read, [b"ab", b"cd"])
        self.drained()
        self.assertEqual(self.body(), b"abcdef")

    def test_a_client_that_leaves(self) -> None:
        """
        When the client leaves, nothing more is made, and no timer is left.
        """
        for delay_s, pause in ((0.0, False), (0.0, True), (5.0, False)):
            self.transport = Transport()
            self.read.clear()
            self.ask(Plan(status=200, chunks=self.chunks(b"ab", b"cd", b"ef"), interval_s=1.0, delay_s=delay_s))
            if pause:
                self.full()
                self.clock.advance(1)
            before = list(self.read)
            self.leave()
            self.assertEqual(len(self.stage), 0)
            self.clock.pump([1.0] * 10)
            self.assertEqual(self.read, before)

    def test_a_stopped_producer(self) -> None:
        """
        A delivery that is told to stop stops; being told again, or resumed, changes nothing.
        """
        plan = Plan(status=200, chunks=self.chunks(b"ab", b"cd", b"ef"), interval_s=1.0)
        self.ask(plan)
        delivery = self.channel.site.resource.delivery
        for _ in range(2):
            delivery.stopProducing()
        delivery.resumeProducing()
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.assertEqual(len(self.stage), 0)

    def test_holding(self) -> None:
        """
        A connection on which nothing more comes stays open for a long time, and is then reset.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab"), ending=Ending.HOLDS))
        self.clock.advance(MOST_HELD_S - 1)
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(len(self.stage), 0)

    def test_never_answering(self) -> None:
        """
        A plan without head and chunks sends nothing.
        """
        self.ask(Plan(status=None, ending=Ending.HOLDS))
        self.clock.advance(100)
        self.assertEqual(self.transport.value(), b"")
        self.leave()
        self.assertEqual(len(self.stage), 0)

    def test_dying(self) -> None:
        """
        A reset within an answer comes after what was sent before it, in time for that to be written.
        """
        self.ask(Plan(status=200, chunks=self.chunks(b"ab"), ending=Ending.RESETS))
        self.assertEqual(self.body(), b"2\r\nab\r\n")
        self.assertFalse(self.transport.aborted)
        self.clock.advance(RESET_AFTER_S)
        self.assertTrue(self.transport.aborted)

    def test_resetting_at_once(self) -> None:
        """
        A reset before a head has nothing to wait for.
        """
        self.ask(Plan(status=None, ending=Ending.RESETS))
        self.assertEqual((self.transport.value(), self.transport.aborted), (b"", True))

    def test_closing(self) -> None:
        """
        A truncated answer is closed, not finished and not reset.
        """
        headers = [(b"Content-Length", b"9")]
        self.ask(Plan(status=200, headers=headers, chunks=self.chunks(b"ab"), ending=Ending.CLOSES))
        self.assertEqual(self.body(), b"ab")
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)
        self.leave()
        self.assertEqual(len(self.stage), 0)

    def test_garbage(self) -> None:
        """
        Without a status, the chunks are all that is sent.
        """
        self.ask(Plan(status=None, chunks=self.chunks(b"garbage"), ending=Ending.CLOSES))
        self.assertEqual((self.transport.value(), self.transport.disconnecting), (b"garbage", True))

    def test_an_abort_of_the_requests_own(self) -> None:
        """
        A request that can abort by itself is asked to.
        """
        aborted = []

        class Own(Request):
            def abort(self) -> None:
                aborted.append(self)

        site = Site(Planned(self.stage, Plan(status=None, ending=Ending.RESETS)), Own, reactor=self.clock)
        channel = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        channel.makeConnection(self.transport)
        channel.dataReceived(REQUEST)
        self.assertEqual((len(aborted), self.transport.aborted), (1, False))

    def test_many_streams_share_one_timer(self) -> None:
        """
        However many streams wait equally long, one timer is pending for them.
        """
        for _ in range(50):
            self.transport = Transport()
            self.ask(Plan(status=200, chunks=iter([b"ab"] * 5), interval_s=1.0))
        # The other calls are the server's own timers, one for each connection at most.
        due = [call for call in self.clock.getDelayedCalls() if call.getTime() == 1.0]
        self.assertEqual((len(self.stage), len(due)), (50, 1))
        self.clock.pump([1.0] * 5)
        self.assertEqual(len(self.stage), 0)
