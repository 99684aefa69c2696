"""
Tests for `aibridge.web.link`: back-pressure, stalls, and the ways in which a connection ends.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer, ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from aibridge.web.link import SECURED_READ
from aibridge.web.site import LINGER_S
from channels import CLIENT, FULL, Talk, Transport, get, post


@implementer(IPushProducer)
class Push:
    """
    Is told when to wait.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """
        Wait.
        """
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        self.told.append("resume")

    def stopProducing(self) -> None:
        """
        Stop.
        """
        self.told.append("stop")


@implementer(IPullProducer)
class Pull:
    """
    Gives a piece whenever it is asked.
    """

    def __init__(self, request: Any, pieces: int, piece: bytes) -> None:
        self.request = request
        self.left = pieces
        self.piece = piece
        self.stopped = False

    def resumeProducing(self) -> None:
        """
        Give one.
        """
        if self.left:
            self.left -= 1
            self.request.write(self.piece)
        else:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        """
        Remember it.
        """
        self.stopped = True


class PushTests(SynchronousTestCase):
    """
    An answer that somebody else produces.
    """

    def setUp(self) -> None:
        """
        Begin one, to a client that does not read.
        """
        self.talk = Talk(write_timeout=600.0, keep_alive_timeout=75.0)
        self.talk.send(get())
        self.request = self.talk.request
        self.producer = Push()
        self.request.respond(200, [], None)
        self.talk.transport.takes = False

    def test_t6_the_producer_waits_for_the_client(self) -> None:
        """
        Not before there is more than a little, and until the client has taken all of it.
        """
        self.request.registerProducer(self.producer, True)
        self.request.write(b"x" * (FULL // 2))
        self.assertEqual(self.producer.told, [])
        self.request.write(b"x" * FULL)
        self.assertEqual(self.producer.told, ["pause"])
        self.talk.transport.take(FULL)
        self.assertEqual(self.producer.told, ["pause"])
        self.talk.transport.take()
        self.assertEqual(self.producer.told, ["pause", "resume"])

    def test_one_that_comes_when_it_is_full_waits_at_once(self) -> None:
        """
        As an answer behind another one does.
        """
        self.request.write(b"x" * FULL * 2)
        self.request.registerProducer(self.producer, True)
        self.assertEqual(self.producer.told, ["pause"])

    def test_only_one_may_produce(self) -> None:
        """
        A second one is a mistake.
        """
        self.request.registerProducer(self.producer, True)
        self.assertRaises(RuntimeError, self.request.registerProducer, Push(), True)

    def test_one_that_comes_too_late_is_stopped(self) -> None:
        """
        When the client is gone, or the answer complete.
        """
        self.talk.transport.leave()
        self.request.registerProducer(self.producer, True)
        self.assertEqual(self.producer.told, ["stop"])

    def test_a_departure_stops_it(self) -> None:
        """
        After whoever asked for it was told, so that the blame is the client's.
        """
        self.request.registerProducer(self.producer, True)
        self.request.on_departure = lambda: self.producer.told.append("departure")
        self.talk.transport.leave()
        self.assertEqual(self.producer.told, ["departure", "stop"])

    def test_one_that_is_gone_is_told_nothing(self) -> None:
        """
        Nor one that was forgotten at the end.
        """
        self.request.registerProducer(self.producer, True)
        self.request.unregisterProducer()
        self.request.write(b"x" * FULL * 2)
        self.assertEqual(self.producer.told, [])
        self.request.registerProducer(self.producer, True)
        self.request.finish()
        self.talk.transport.take()
        self.assertEqual(self.producer.told, ["pause"])

    def test_a_client_that_takes_nothing_counts_as_gone(self) -> None:
        """
        After its time.
        """
        left: list[str] = []
        self.request.on_departure = lambda: left.append("left")
        self.request.write(b"x" * FULL * 2)
        self.talk.wait(599.9)
        self.assertEqual(self.talk.transport.ended, "")
        self.talk.wait(0.1)
        self.assertEqual(self.talk.transport.ended, "aborted")
        self.talk.wait(0)
        self.assertEqual(left, ["left"])

    def test_a_client_that_takes_a_byte_in_time_does_not(self) -> None:
        """
        However slow it is.
        """
        self.request.write(b"x" * FULL * 2)
        for _ in range(10):
            self.talk.wait(599)
            self.talk.transport.take(1)
        self.assertEqual(self.talk.transport.ended, "")
        self.talk.wait(600)
        self.talk.wait(600)
        self.assertEqual(self.talk.transport.ended, "aborted")

    def test_a_client_that_has_taken_everything_is_not_waited_for(self) -> None:
        """
        An answer may be silent for as long as it likes.
        """
        self.request.write(b"x" * FULL * 2)
        self.talk.transport.take()
        self.talk.wait(100000)
        self.assertEqual(self.talk.transport.ended, "")

    def test_t10_a_large_answer_is_not_idleness(self) -> None:
        """
        The connection is idle when the client has taken all of it.
        """
        self.request.write(b"x" * FULL * 2)
        self.request.finish()
        self.talk.wait(500)
        self.assertEqual(self.talk.transport.ended, "")
        self.talk.transport.takes = True
        self.talk.transport.take()
        self.talk.send(get())
        self.assertEqual(len(self.talk.resource.requests), 2)

    def test_idleness_begins_when_all_is_taken(self) -> None:
        """
        From then on it counts.
        """
        self.request.write(b"x" * FULL * 2)
        self.request.finish()
        self.talk.transport.take()
        self.talk.wait(74)
        self.assertEqual(self.talk.transport.ended, "")
        self.talk.wait(2)
        self.assertTrue(self.talk.transport.is_lost)


class PullTests(SynchronousTestCase):
    """
    An answer that is asked for piece by piece.
    """

    def test_each_piece_is_asked_for_when_the_one_before_it_is_taken(self) -> None:
        """
        And the connection goes on behind the last one.
        """
        talk = Talk()
        talk.transport.takes = False
        talk.send(get())
        request = talk.request
        producer = Pull(request, 5, b"x" * 100)
        request.respond(200, [], 500)
        request.registerProducer(producer, False)
        for left in (4, 3, 2, 1, 0):
            self.assertEqual(producer.left, left)
            self.assertFalse(request.finished)
            talk.transport.take()
        self.assertTrue(request.finished)
        talk.transport.takes = True
        talk.send(get())
        talk.request.respond(204, [], None)
        talk.request.finish()
        self.assertEqual([len(answer.body) for answer in talk.answers()], [500, 0])

    def test_a_client_that_takes_nothing_counts_as_gone(self) -> None:
        """
        Whether or not more than a little waits.
        """
        talk = Talk(write_timeout=600.0)
        talk.transport.takes = False
        talk.send(get())
        producer = Pull(talk.request, 5, b"x" * 100)
        talk.request.respond(200, [], 500)
        talk.request.registerProducer(producer, False)
        talk.wait(599)
        talk.transport.take()
        talk.wait(599)
        self.assertEqual(talk.transport.ended, "")
        talk.wait(600)
        talk.wait(600)
        self.assertEqual(talk.transport.ended, "aborted")
        talk.wait(0)
        self.assertTrue(producer.stopped)

    def test_a_slow_producer_is_not_the_clients_fault(self) -> None:
        """
        As long as nothing waits for the client.
        """
        talk = Talk(write_timeout=600.0)
        talk.send(get())
        talk.request.respond(200, [], 500)
        talk.request.registerProducer(Pull(talk.request, 5, b"x" * 100), False)
        talk.wait(100000)
        self.assertEqual(talk.transport.ended, "")


class EndTests(SynchronousTestCase):
    """
    How a connection ends.
    """

    def test_a_closed_connection_delivers_what_waits(self) -> None:
        """
        For as long as the client takes any of it.
        """
        talk = Talk(write_timeout=600.0)
        talk.transport.takes = False
        talk.send(get(b"/", b"Connection: close"))
        talk.request.respond(200, [], FULL * 2)
        talk.request.write(b"x" * FULL * 2)
        talk.request.finish()
        self.assertEqual(talk.transport.ended, "closed")
        for _ in range(5):
            talk.wait(599)
            talk.transport.take(FULL // 4)
        self.assertFalse(talk.transport.is_lost)
        talk.transport.take()
        self.assertTrue(talk.transport.is_lost)
        self.assertEqual(len(talk.answers()[0].body), FULL * 2)

    def test_a_closed_connection_that_takes_nothing_is_cut(self) -> None:
        """
        After its time, little as it may be that waits.
        """
        talk = Talk(write_timeout=600.0)
        talk.transport.takes = False
        talk.send(get(b"/", b"Connection: close"))
        talk.request.respond(200, [], 10)
        talk.request.write(b"x" * 10)
        talk.request.finish()
        talk.wait(601)
        self.assertEqual(talk.transport.ended, "aborted")

    def test_a_closed_connection_that_will_not_go_is_cut(self) -> None:
        """
        As a TLS peer that never says goodbye.
        """
        talk = Talk()
        talk.transport.loseConnection = lambda: None  # type: ignore[method-assign]  # a peer that does not answer
        talk.send(get(b"/", b"Connection: close"))
        talk.request.respond(200, [], 0)
        talk.request.finish()
        talk.wait(LINGER_S)
        self.assertEqual(talk.transport.ended, "aborted")

    def test_nothing_is_served_once_it_is_closing(self) -> None:
        """
        However much is sent.
        """
        talk = Talk()
        talk.send(get(b"/", b"Connection: close"))
        talk.request.respond(200, [], 0)
        talk.request.finish()
        talk.channel.dataReceived(post(b"abc"))
        talk.channel.close()
        talk.channel.linger()
        self.assertEqual(len(talk.resource.requests), 1)
        self.assertEqual(talk.transport.ended, "closed")

    def test_a_paused_connection_is_watched_for_its_end(self) -> None:
        """
        T1, where a body waits that nobody reads.
        """

        class Watched:
            def __init__(self) -> None:
                self.gone: Any = None
                self.forgotten: list[int] = []

            def watch(self, transport: Any, gone: Any) -> int:
                self.gone = gone
                return 7

            def forget(self, number: int) -> None:
                self.forgotten.append(number)

        talk = Talk()
        watched: Any = Watched()
        talk.site.hangups = watched
        left: list[str] = []
        talk.send(get(b"/", b"Content-Length: 1000000", method=b"POST"))
        talk.request.on_departure = lambda: left.append("left")
        talk.send(b"x" * 100000)
        self.assertFalse(talk.transport.reads)
        watched.gone()
        self.assertEqual(talk.transport.ended, "aborted")
        talk.wait(0)
        self.assertEqual(left, ["left"])
        self.assertEqual(watched.forgotten, [7])

    def test_tls_is_closed_and_not_half_closed(self) -> None:
        """
        It has a goodbye of its own.
        """
        talk = Talk()
        alsoProvides(talk.transport, ISSLTransport)
        self.assertTrue(talk.channel.isSecure())
        talk.send(b"nonsense\r\n\r\n")
        self.assertEqual(talk.transport.ended, "closed")


class SecuredTests(SynchronousTestCase):
    """
    Connections with TLS.
    """

    def test_little_is_decrypted_at_once(self) -> None:
        """
        What is read in one turn is decrypted in one turn, so that less is read than without TLS.
        """

        class Socket:
            bufferSize = 65536

        for is_secure in (True, False):
            talk = Talk()
            transport: Any = Transport(talk.clock, talk.channel)
            transport.transport = Socket()
            if is_secure:
                alsoProvides(transport, ISSLTransport)
            talk.site.buildProtocol(CLIENT).makeConnection(transport)
            self.assertEqual(transport.transport.bufferSize, SECURED_READ if is_secure else 65536)
