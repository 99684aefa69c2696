"""
Tests for `aibridge.web.channel`: requests in, answers out, on whole connections in memory.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aibridge.errors import BadRequest, BodyTooLarge, BodyTooSlow, ClientLeft
from aibridge.web.body import MOST_DISCARDED, WINDOW
from aibridge.web.channel import MOST_AT_ONCE
from aibridge.web.request import Request
from aibridge.web.site import LINGER_S
from channels import Deciding, Echo, Reading, Talk, Transport, chunked, get, post
from wire_corpus import CASES, SECOND, Case


def outcome(raw: bytes, size: int) -> tuple[object, ...]:
    """
    What a connection that was sent `raw` in segments of `size` bytes has come to.
    """
    echo = Echo()
    talk = Talk(echo)
    talk.send_bytes(raw, size)
    told = [(answer.status, answer.body, answer.closes) for answer in talk.answers()]
    return echo.seen, told, talk.transport.ended


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_corpus_is_refused_or_served_as_one_request(case: Case) -> None:
    """
    T3, T7, T13. A refusal is one answer that closes the connection, one debug line and no traceback, and nothing of
    what follows is taken for a request.
    """
    with capturedLogs() as logs:
        seen, told, ended = outcome(case.raw, len(case.raw))
    assert isinstance(seen, list) and isinstance(told, list)
    if case.status:
        assert [(status, closes) for status, _, closes in told] == [(case.status, True)]
        assert seen == []
        assert ended == "half"
        assert [event["log_level"] for event in logs] in ([LogLevel.debug], [])
    else:
        assert [status for status, _, _ in told] == [200]
        assert [body for _, _, body in seen] == [case.body]
        assert not logs
    assert all("corpus-token" not in str(event) for event in logs)


SMALL = [case.raw for case in CASES if len(case.raw) < 1000]


@settings(deadline=None)
@given(
    raws=st.lists(st.sampled_from([*SMALL, get(), post(b"hello"), chunked(b"hel", b"lo")]), min_size=1, max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=2),
    size=st.integers(1, 300),
)
def test_segments_make_no_difference(raws: list[bytes], flips: list[tuple[int, int]], size: int) -> None:
    """
    Any bytes, cut anywhere, come to the same requests, the same answers and the same end; never to an exception.
    """
    raw = bytearray(b"".join(raws))
    for at, value in flips:
        raw[at % len(raw)] = value
    with capturedLogs() as logs:
        assert outcome(bytes(raw), size) == outcome(bytes(raw), len(raw))
    assert all(event["log_level"] is LogLevel.debug for event in logs)


class RefusalTests(SynchronousTestCase):
    """
    What is said to those who are refused.
    """

    def test_a_refusal_says_why_and_who(self) -> None:
        """
        In JSON, with the reason's word, and the connection ends when the client has had time to read it.
        """
        talk = Talk()
        talk.send(b"GET / HTTP/1.1\r\n\r\n")
        (answer,) = talk.answers()
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.named(b"x-ai-bridge-reason"), [b"request"])
        self.assertEqual(answer.named(b"content-type"), [b"application/json"])
        self.assertEqual(json.loads(answer.body), {"message": "There is no Host field."})
        self.assertTrue(answer.closes)

    def test_what_follows_a_refusal_is_dropped(self) -> None:
        """
        For a while, so that the client can read; then the connection is cut.
        """
        talk = Talk(Echo())
        talk.send(b"BREW / HTTP/1.1\r\n\r\n", SECOND, b"x" * 1000000)
        self.assertEqual([answer.status for answer in talk.answers()], [501])
        self.assertEqual(talk.transport.ended, "half")
        self.assertTrue(talk.transport.reads)
        talk.wait(LINGER_S)
        self.assertEqual(talk.transport.ended, "aborted")

    def test_a_refusal_waits_for_the_answers_before_it(self) -> None:
        """
        Answers come in the order of the requests, also the last one.
        """
        talk = Talk()
        talk.send(get(b"/1") + b"nonsense\r\n\r\n")
        self.assertEqual(talk.received, b"")
        talk.request.respond(204, [], None)
        talk.request.finish()
        self.assertEqual([answer.status for answer in talk.answers()], [204, 400])


class PipelineTests(SynchronousTestCase):
    """
    Several requests, sent without waiting.
    """

    def test_one_in_a_turn(self) -> None:
        """
        What else was sent ahead waits until others have had their turn.
        """
        talk = Talk(Echo())
        talk.send(get() * 5)
        self.assertEqual(talk.transport.received.count(b"HTTP/1.1 200"), 1)
        self.assertFalse(talk.transport.reads)
        self.assertEqual(len(talk.answers()), 5)
        self.assertTrue(talk.transport.reads)

    def test_one_request_is_in_flight_at_a_time(self) -> None:
        """
        The next one is not even seen before the one before it is answered (CVE-2023-46137, CVE-2024-41671).
        """
        talk = Talk()
        talk.send(get(b"/1") + post(b"abc", path=b"/2") + get(b"/3"))
        for number in (1, 2, 3):
            self.assertEqual([request.uri for request in talk.resource.requests][-1], b"/%d" % number)
            self.assertEqual(len(talk.resource.requests), number)
            talk.request.respond(200, [(b"X-Number", b"%d" % number)], 0)
            talk.request.finish()
        self.assertEqual([answer.named(b"x-number") for answer in talk.answers()], [[b"1"], [b"2"], [b"3"]])

    def test_nothing_is_served_behind_a_close(self) -> None:
        """
        Whether the client or the server asks for it.
        """
        talk = Talk(Echo())
        talk.send(get(b"/1", b"Connection: close") + get(b"/2"))
        self.assertEqual([answer.closes for answer in talk.answers()], [True])
        self.assertTrue(talk.transport.is_lost)

    def test_a_crowd_in_one_segment_does_not_hold_up_the_reactor(self) -> None:
        """
        After some of them it is the others' turn, and every one is answered in the end.
        """
        echo = Echo()
        talk = Talk(echo)
        talk.send(get() * (2 * MOST_AT_ONCE + 1))
        self.assertEqual(len(echo.seen), MOST_AT_ONCE)
        self.assertFalse(talk.transport.reads)
        talk.wait(0)
        self.assertEqual(len(echo.seen), 2 * MOST_AT_ONCE + 1)
        self.assertTrue(talk.transport.reads)
        talk.send(get())
        self.assertEqual(len(talk.answers()), 2 * MOST_AT_ONCE + 2)

    def test_a_crowd_may_leave_before_its_turn(self) -> None:
        """
        Nothing is left to do then.
        """
        echo = Echo()
        talk = Talk(echo)
        talk.send(get() * (MOST_AT_ONCE + 1))
        talk.transport.leave()
        talk.wait(0)
        self.assertEqual(len(echo.seen), MOST_AT_ONCE)

    def test_t1_departure_is_noticed_while_pipelined_bytes_wait(self) -> None:
        """
        However much is waiting, the connection is still read.
        """
        left: list[str] = []
        talk = Talk(max_pipelined=65536)
        talk.send(get(b"/1"))
        talk.request.on_departure = lambda: left.append("left")
        talk.send(get(b"/2") * 1000)
        self.assertTrue(talk.transport.reads)
        talk.transport.leave()
        self.assertEqual(left, ["left"])
        self.assertEqual(len(talk.resource.requests), 1)

    def test_t1_too_much_ahead_cuts_the_connection(self) -> None:
        """
        Rather than stop reading, which would hide a departure.
        """
        left: list[str] = []
        talk = Talk(max_pipelined=1024)
        talk.send(get(b"/1"))
        talk.request.on_departure = lambda: left.append("left")
        talk.send(b"x" * 1024)
        self.assertEqual(talk.transport.ended, "")
        talk.send(b"x")
        self.assertEqual(talk.transport.ended, "aborted")
        talk.wait(0)
        self.assertEqual(left, ["left"])

    def test_t6_a_client_that_does_not_read_is_not_served_on(self) -> None:
        """
        Requests wait once answers do, so that what waits is bounded.
        """
        big = b"x" * 100000

        def answer(request: Request) -> None:
            request.respond(200, [], len(big))
            request.write(big)
            request.finish()

        talk = Talk(answer)
        talk.transport.takes = False
        talk.send(get() * 10)
        self.assertEqual(len(talk.resource.requests), 1)
        talk.transport.take(50000)
        self.assertEqual(len(talk.resource.requests), 1)
        talk.transport.take()
        self.assertEqual(len(talk.resource.requests), 2)
        talk.transport.takes = True
        talk.transport.take()
        self.assertEqual(len(talk.answers()), 10)

    def test_a_client_that_does_not_read_may_not_send_ahead_without_end_either(self) -> None:
        """
        The limit is the same.
        """
        talk = Talk(lambda request: _whole(request, b"x" * 100000), max_pipelined=1024)
        talk.transport.takes = False
        talk.send(get())
        talk.send(b"x" * 1025)
        self.assertEqual(talk.transport.ended, "aborted")


def _whole(request: Request, body: bytes = b"", status: int = 200) -> None:
    request.respond(status, [], len(body))
    request.write(body)
    request.finish()


class BodyTests(SynchronousTestCase):
    """
    When bodies are read, and what becomes of those that are not.
    """

    def read(self, talk: Talk, limit: int = 1000) -> Reading:
        """
        Read the body of the latest request.
        """
        reading = Reading()
        talk.request.read_body(limit, reading.done, reading.failed)
        return reading

    def test_t5_a_request_is_seen_before_its_body(self) -> None:
        """
        Nothing is read, and nobody is told to go on, before somebody asks for it.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 3", b"Expect: 100-continue", method=b"POST"))
        self.assertEqual(len(talk.resource.requests), 1)
        self.assertEqual(talk.received, b"")
        reading = self.read(talk)
        self.assertEqual(talk.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.send(b"abc")
        self.assertEqual(reading.body, b"abc")

    def test_no_continue_without_a_need(self) -> None:
        """
        Not when it was not asked for, nor when the body is there, nor behind the answer.
        """
        for raw in (
            get(b"/", b"Content-Length: 3", method=b"POST"),
            post(b"abc", b"Expect: 100-continue"),
        ):
            talk = Talk()
            talk.send(raw)
            self.read(talk)
            self.assertEqual(talk.received, b"")
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 3", b"Expect: 100-continue", method=b"POST"))
        talk.request.respond(200, [], None)
        self.read(talk)
        self.assertNotIn(b"100 Continue", talk.received)

    def test_t5_a_declared_length_is_refused_on_the_head(self) -> None:
        """
        Before `100 Continue` is said, and without waiting for a byte.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 1099511627776", b"Expect: 100-continue", method=b"POST"))
        reading = self.read(talk)
        self.assertIsInstance(reading.error, BodyTooLarge)
        self.assertEqual(reading.calls, 1)
        _whole(talk.request, b"no", 413)
        (answer,) = talk.answers()
        self.assertTrue(answer.closes)
        self.assertEqual(talk.transport.ended, "half")

    def test_t5_an_undeclared_length_is_cut_off_at_the_limit(self) -> None:
        """
        To the byte.
        """
        talk = Talk()
        talk.send(chunked(b"x" * 1000))
        self.assertEqual(self.read(talk).body, b"x" * 1000)
        talk = Talk()
        talk.send(chunked(b"x" * 999, b"yz"))
        reading = self.read(talk)
        self.assertIsInstance(reading.error, BodyTooLarge)
        _whole(talk.request, b"no", 413)
        self.assertTrue(talk.answers()[0].closes)

    def test_a_body_may_come_before_it_is_asked_for(self) -> None:
        """
        It is kept until then.
        """
        for raw in (post(b"hello"), chunked(b"hel", b"lo")):
            for size in (1, 1000):
                talk = Talk()
                talk.send_bytes(raw, size)
                self.assertEqual(self.read(talk).body, b"hello")
                _whole(talk.request)
                talk.send(get(b"/next"))
                self.assertEqual(talk.request.uri, b"/next")

    def test_a_body_that_nobody_reads_is_kept_up_to_a_window(self) -> None:
        """
        Then the client waits; when it is read, it goes on.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 1000000", method=b"POST"))
        talk.send(b"x" * (WINDOW - 1))
        self.assertTrue(talk.transport.reads)
        talk.send(b"x")
        self.assertFalse(talk.transport.reads)
        reading = self.read(talk, 1000000)
        self.assertTrue(talk.transport.reads)
        talk.send(b"x" * (1000000 - WINDOW))
        self.assertEqual(reading.body, b"x" * 1000000)

    def test_malformed_chunks_end_the_reading(self) -> None:
        """
        Whether somebody reads already or not; the connection is not kept.
        """
        for early in (True, False):
            talk = Talk()
            head, _, rest = chunked(b"abc", end=b"x\r\n").partition(b"\r\n\r\n")
            talk.send(head + b"\r\n\r\n")
            if early:
                reading = self.read(talk)
                talk.send(rest)
            else:
                talk.send(rest)
                reading = self.read(talk)
            self.assertIsInstance(reading.error, BadRequest)
            self.assertEqual(reading.calls, 1)
            talk.send(SECOND)
            _whole(talk.request, b"", 400)
            self.assertTrue(talk.answers()[0].closes)
            self.assertEqual(len(talk.resource.requests), 1)

    def test_a_modest_rest_is_dropped_and_the_connection_kept(self) -> None:
        """
        The next request begins behind it.
        """
        talk = Talk()
        talk.send(get(b"/1", b"Content-Length: %d" % MOST_DISCARDED, method=b"POST") + b"x" * WINDOW)
        self.assertFalse(talk.transport.reads)
        _whole(talk.request, b"", 401)
        self.assertFalse(talk.answers()[0].closes)
        self.assertTrue(talk.transport.reads)
        talk.send(b"x" * (MOST_DISCARDED - WINDOW - 1))
        talk.send(b"x" + get(b"/2"))
        self.assertEqual(talk.request.uri, b"/2")

    def test_a_modest_rest_has_to_come_soon(self) -> None:
        """
        The connection is cut otherwise.
        """
        talk = Talk()
        talk.send(get(b"/1", b"Content-Length: 10", method=b"POST"))
        _whole(talk.request, b"", 401)
        talk.send(b"x")
        talk.wait(LINGER_S)
        self.assertEqual(talk.transport.ended, "aborted")

    def test_a_long_rest_ends_the_connection_gently(self) -> None:
        """
        It is read on for a while, so that the answer is not lost to a reset.
        """
        for raw in (
            get(b"/1", b"Content-Length: %d" % (MOST_DISCARDED + 1), method=b"POST"),
            chunked(b"x" * 10, end=b""),
        ):
            talk = Talk()
            talk.send(raw)
            _whole(talk.request, b"no", 413)
            (answer,) = talk.answers()
            self.assertTrue(answer.closes)
            self.assertEqual(talk.transport.ended, "half")
            talk.send(b"x" * 100000)
            self.assertTrue(talk.transport.reads)
            talk.transport.leave(ConnectionDone())
            self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_who_waits_for_a_continue_is_closed_upon(self) -> None:
        """
        Whether its body will come is not known (RFC 9110, 10.1.1).
        """
        talk = Talk()
        talk.send(get(b"/1", b"Content-Length: 10", b"Expect: 100-continue", method=b"POST"))
        _whole(talk.request, b"", 401)
        self.assertTrue(talk.answers()[0].closes)

    def test_a_body_may_end_before_its_answer_and_leave_nothing_open(self) -> None:
        """
        A chunked body that was read whole keeps the connection, one that was not does not.
        """
        talk = Talk()
        talk.send(chunked(b"abc"))
        self.read(talk)
        _whole(talk.request)
        self.assertFalse(talk.answers()[0].closes)
        talk = Talk()
        talk.send(chunked(b"abc"))
        _whole(talk.request)
        self.assertTrue(talk.answers()[0].closes)


class Drain:
    """
    Takes a body that is passed on.
    """

    def write(self, data: bytes) -> None:
        """
        Take a piece.
        """


class DeadlineTests(SynchronousTestCase):
    """
    How long a client is waited for.
    """

    def test_t4_a_head_has_one_deadline_however_it_drips(self) -> None:
        """
        From the start of a new connection.
        """
        talk = Talk(header_timeout=30.0)
        for byte in get()[:29]:
            talk.send(bytes([byte]))
            talk.wait(1)
        self.assertEqual(talk.answers(), [])
        talk.wait(1)
        (answer,) = talk.answers()
        self.assertEqual(answer.status, 408)
        self.assertTrue(answer.closes)
        self.assertEqual(answer.named(b"x-ai-bridge-reason"), [b"request"])

    def test_a_later_head_has_its_time_from_its_first_byte(self) -> None:
        """
        What the connection waited before does not count.
        """
        talk = Talk(lambda request: _whole(request), header_timeout=30.0, keep_alive_timeout=75.0)
        talk.send(get())
        talk.wait(74)
        talk.send(b"G")
        talk.wait(29)
        talk.send(b"E")
        self.assertEqual(len(talk.answers()), 1)
        talk.wait(1)
        self.assertEqual([answer.status for answer in talk.answers()], [200, 408])

    def test_a_pipelined_head_has_its_time_from_the_answer_before_it(self) -> None:
        """
        It could not be looked at before.
        """
        talk = Talk(header_timeout=30.0)
        talk.send(get() + b"G")
        talk.wait(100)
        _whole(talk.request)
        talk.wait(29)
        self.assertEqual(len(talk.answers()), 1)
        talk.wait(1)
        self.assertEqual([answer.status for answer in talk.answers()], [200, 408])

    def test_a_silent_connection_is_closed_without_a_word(self) -> None:
        """
        It asked nothing.
        """
        talk = Talk(header_timeout=30.0)
        talk.wait(30)
        self.assertEqual(talk.received, b"")
        self.assertTrue(talk.transport.is_lost)

    def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        """
        Its time starts anew with each answer.
        """
        talk = Talk(lambda request: _whole(request), keep_alive_timeout=75.0)
        for _ in range(3):
            talk.send(get())
            talk.wait(74)
        self.assertFalse(talk.transport.is_lost)
        talk.wait(2)
        self.assertEqual(len(talk.answers()), 3)
        self.assertTrue(talk.transport.is_lost)

    def test_t4_a_body_has_one_deadline_however_it_drips(self) -> None:
        """
        From the moment somebody reads it.
        """
        talk = Talk(body_timeout=300.0, min_body_rate=1.0)
        talk.send(get(b"/", b"Content-Length: 1000", method=b"POST"))
        talk.wait(1000)
        reading = Reading()
        talk.request.read_body(1000, reading.done, reading.failed)
        for _ in range(299):
            talk.send(b"x")
            talk.wait(1)
        self.assertEqual(reading.calls, 0)
        talk.wait(1)
        self.assertIsInstance(reading.error, BodyTooSlow)
        _whole(talk.request, b"", 408)
        self.assertTrue(talk.answers()[0].closes)
        self.assertEqual(reading.calls, 1)

    def test_a_body_has_to_come_fast_enough(self) -> None:
        """
        From the moment somebody reads it, taken over a while: one that pauses for longer is not waited for.
        """
        for pauses in (False, True):
            talk = Talk(body_timeout=300.0, min_body_rate=10.0)
            talk.send(get(b"/", b"Content-Length: 1000", method=b"POST"))
            talk.wait(100)
            reading = Reading()
            talk.request.read_body(1000, reading.done, reading.failed)
            for _ in range(3):
                talk.send(b"x" * 200)
                talk.wait(20)
            self.assertEqual(reading.calls, 0)
            talk.send(b"x" * (0 if pauses else 199))
            talk.wait(20)
            self.assertIsInstance(reading.error, BodyTooSlow)
            _whole(talk.request, b"", 408)
            self.assertEqual(reading.calls, 1)

    def test_whoever_is_not_read_is_not_slow(self) -> None:
        """
        A body counts as slow only while it could have come.
        """
        talk = Talk(body_timeout=300.0, min_body_rate=10.0)
        talk.send(post(b"x" * 1000)[:-900])
        producer: Any = talk.request.body_producer(1000)
        ended: list[Any] = []
        producer.startProducing(Drain()).addErrback(ended.append)
        producer.pauseProducing()
        for _ in range(3):
            talk.wait(20)
        self.assertEqual(ended, [])
        producer.resumeProducing()
        for _ in range(2):
            talk.wait(20)
        (failure,) = ended
        self.assertIsInstance(failure.value, BodyTooSlow)

    def test_a_body_in_time_has_no_deadline_left(self) -> None:
        """
        Nor has a request that is being answered.
        """
        talk = Talk(body_timeout=300.0, header_timeout=30.0, keep_alive_timeout=75.0)
        talk.send(get(b"/", b"Content-Length: 3", method=b"POST"))
        reading = Reading()
        talk.request.read_body(1000, reading.done, reading.failed)
        talk.send(b"abc")
        talk.wait(100000)
        self.assertEqual(reading.body, b"abc")
        self.assertFalse(talk.transport.is_lost)

    def test_no_timer_is_left_behind(self) -> None:
        """
        A closed connection costs nothing more.
        """
        talk = Talk(Echo())
        talk.send(post(b"abc"), get(b"/")[:5])
        talk.transport.leave()
        self.assertEqual(talk.site.connections, set())
        for deadlines in (talk.site.header, talk.site.body, talk.site.keep_alive, talk.site.write, talk.site.linger):
            self.assertNotIn(talk.channel, deadlines)
            self.assertEqual(len(deadlines), 0)


class DepartureTests(SynchronousTestCase):
    """
    A client that goes away, in every state.
    """

    def test_in_every_state_it_is_told_once(self) -> None:
        """
        The answer, the body and whoever waits for the end all learn of it, and nothing that is said later matters.
        """

        def headless(talk: Talk) -> None:
            talk.send(get()[:10])

        def waiting(talk: Talk) -> None:
            talk.send(get())

        def reading(talk: Talk) -> None:
            talk.send(get(b"/", b"Content-Length: 3", method=b"POST"))

        def begun(talk: Talk) -> None:
            talk.send(get())
            talk.request.respond(200, [], None)

        def streaming(talk: Talk) -> None:
            begun(talk)
            talk.request.write(b"abc")
            talk.wait(1)

        def full(talk: Talk) -> None:
            begun(talk)
            talk.transport.takes = False
            talk.request.write(b"x" * 100000)

        for state in (headless, waiting, reading, begun, streaming, full):
            for error in (ConnectionDone(), ConnectionLost()):
                with self.subTest(state=state.__name__, error=error):
                    self.depart(state, error)

    def depart(self, state: Any, error: Exception) -> None:
        """
        Leave in a state.
        """
        told: list[object] = []
        body = Reading()
        talk = Talk()
        state(talk)
        if talk.resource.requests:
            request = talk.request
            request.on_departure = lambda: told.append("left")
            request.notifyFinish().addErrback(lambda failure: told.append(failure.value))
            request.read_body(10, body.done, body.failed)
        talk.transport.leave(error)
        self.assertEqual(talk.site.connections, set())
        if not talk.resource.requests:
            return
        self.assertEqual(told, ["left", error])
        self.assertTrue(request.departed)
        if request.declared_length:
            self.assertIsInstance(body.error, ClientLeft)
            self.assertEqual(body.calls, 1)
        before = talk.transport.received
        if not request.started:
            request.respond(200, [], 3)
        request.write(b"abc")
        request.finish()
        request.abort()
        talk.wait(100000)
        self.assertEqual(talk.transport.received, before)
        self.assertEqual(told, ["left", error])

    def test_a_departure_after_the_answer_concerns_nobody(self) -> None:
        """
        The request was served.
        """
        talk = Talk()
        talk.send(get())
        request = talk.request
        request.on_departure = self.fail
        _whole(request)
        talk.transport.leave()
        self.assertTrue(request.finished)
        self.assertFalse(request.departed)

    def test_a_departure_handler_that_fails_harms_nobody(self) -> None:
        """
        It is logged, and the rest is told all the same.
        """
        talk = Talk()
        talk.send(get(b"/", b"Content-Length: 3", method=b"POST"))
        body = Reading()

        def fails() -> None:
            raise ZeroDivisionError

        talk.request.on_departure = fails
        talk.request.read_body(10, body.done, body.failed)
        talk.transport.leave()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsInstance(body.error, ClientLeft)


class EndTests(SynchronousTestCase):
    """
    How a site's connections end.
    """

    def test_idle_connections_close_at_once_and_busy_ones_with_their_answer(self) -> None:
        """
        While a site drains.
        """
        idle, partial, busy = (Talk(), Talk(), Talk())
        partial.send(get()[:10])
        busy.send(get())
        for talk in (idle, partial, busy):
            talk.site.draining = True
            talk.site.close_idle()
        self.assertEqual([talk.transport.ended for talk in (idle, partial, busy)], ["closed", "", ""])
        partial.send(get()[10:])
        for talk in (partial, busy):
            _whole(talk.request)
            self.assertTrue(talk.answers()[0].closes)
            self.assertTrue(talk.transport.is_lost)

    def test_the_client_is_known_by_its_address(self) -> None:
        """
        Without port, and the same for both spellings of an IPv4 address.
        """
        for address, host in (
            (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7"),
            (IPv6Address("TCP", "2001:db8::7", 1), "2001:db8::7"),
            (IPv6Address("TCP", "::ffff:192.0.2.7", 1), "192.0.2.7"),
            (UNIXAddress(None), "unix"),
        ):
            talk = Talk(address=address)
            talk.send(get())
            self.assertEqual(talk.request.client_host, host)
            self.assertEqual(talk.transport.no_delay, host != "unix")


class StateTests(SynchronousTestCase):
    """
    What stays behind between requests.
    """

    def test_nothing_of_a_request_is_kept(self) -> None:
        """
        An idle connection holds no request and no bytes.
        """
        talk = Talk(Echo())
        talk.send(post(b"x" * 1000))
        self.assertIsNone(talk.channel.request)
        self.assertEqual(talk.channel._input, b"")
        self.assertIsNone(talk.channel._body)

    def test_a_site_serves_many(self) -> None:
        """
        Connections do not know of each other.
        """
        one = Talk(Deciding())
        two = Talk(site=one.site)
        one.send(get(b"/1"))
        two.send(get(b"/2"))
        requests = one.resource.requests
        self.assertEqual([request.uri for request in requests], [b"/1", b"/2"])
        _whole(requests[1])
        self.assertEqual(len(two.answers()), 1)
        self.assertEqual(one.answers(), [])
        self.assertIsInstance(one.transport, Transport)


class HandOverTests(SynchronousTestCase):
    """
    A connection that goes on in another protocol.
    """

    def test_the_transport_is_free(self) -> None:
        """
        Nothing of the channel is left on it, or in what its site holds; what came behind the head is handed on.
        """
        talk = Talk()
        talk.send(get() + b"\x16\x03 and so on")
        transport, rest = talk.request.hand_over()
        self.assertIs(transport, talk.transport)
        self.assertEqual(rest, b"\x16\x03 and so on")
        transport.registerProducer(object(), True)
        self.assertEqual(talk.site.connections, set())
        self.assertEqual([len(waits) for waits in (talk.site.header, talk.site.keep_alive, talk.site.held)], [0, 0, 0])
        self.assertEqual((talk.received, transport.ended), (b"", ""))

    def test_the_request_is_over(self) -> None:
        """
        Whatever is still asked of it is nobody's business any more, its client's departure among it.
        """
        talk = Talk()
        talk.send(get())
        request, departures = talk.request, []
        request.on_departure = lambda: departures.append(1)
        request.hand_over()
        request.write(b"late")
        request.finish()
        request.abort()
        talk.transport.leave()
        self.assertEqual((talk.received, talk.transport.ended, departures), (b"", "", []))

    def test_what_has_an_answer_or_a_body_stays(self) -> None:
        """
        Nobody could tell whose bytes came next.
        """
        answered, uploading = Talk(), Talk()
        answered.send(get())
        answered.request.respond(200, [], 0)
        uploading.send(post(b"body"))
        for talk in (answered, uploading):
            self.assertRaises(RuntimeError, talk.request.hand_over)

    def test_it_is_read_again(self) -> None:
        """
        Also if it had stopped being read for the sake of others.
        """
        talk = Talk()
        talk.send(get())
        talk.channel.stop_reading()
        talk.request.hand_over()
        self.assertTrue(talk.transport.reads)

    def test_others_find_room(self) -> None:
        """
        It counts as a client of the site's no longer.
        """
        talk = Talk(max_connections=1)
        talk.send(get())
        crowding = Talk(site=talk.site)
        crowding.send(get())
        self.assertTrue(talk.site.crowded)
        talk.resource.requests[0].hand_over()
        crowding.transport.leave()
        self.assertFalse(talk.site.crowded)
