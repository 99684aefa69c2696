"""
Tests for `aibridge.web.request`: what a request says, and how it is answered.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge.web.request import HOLD_S, Request
from channels import CLIENT, DATE, Talk, chunked, get, post


def answering(status: int, body: bytes | None, length: int | None) -> Callable[[Request], None]:
    """
    What answers every request so.
    """

    def answer(request: Request) -> None:
        request.respond(status, [(b"X-A", b"b")], length)
        if body is not None:
            request.write(body)
        request.finish()

    return answer


class AskedTests(SynchronousTestCase):
    """
    What can be read from a request.
    """

    def test_it_says_what_was_sent(self) -> None:
        """
        Names as sent, values by their names in lower case.
        """
        talk = Talk()
        talk.send(post(b"abc", b"X-One: 1", b"x-one: 2", path=b"/a/b%20c?d=e&d=f"))
        request = talk.request
        self.assertEqual(request.method, b"POST")
        self.assertEqual(request.uri, b"/a/b%20c?d=e&d=f")
        self.assertEqual(request.clientproto, b"HTTP/1.1")
        self.assertEqual(request.client_host, CLIENT.host)
        self.assertEqual(request.declared_length, 3)
        self.assertEqual(
            request.pairs,
            [(b"Host", b"bridge.test"), (b"Content-Length", b"3"), (b"X-One", b"1"), (b"x-one", b"2")],
        )
        self.assertEqual(request.header(b"x-one"), b"1")
        self.assertEqual(request.headers_named(b"x-one"), [b"1", b"2"])
        self.assertIsNone(request.header(b"x-two"))
        self.assertEqual(request.headers_named(b"x-two"), [])
        self.assertIs(request.site, talk.site)
        self.assertFalse(request.wants_upgrade)

    def test_a_length_that_is_not_declared_is_none(self) -> None:
        """
        And that of no body is 0.
        """
        talk = Talk()
        talk.send(chunked(b"abc"))
        self.assertIsNone(talk.request.declared_length)
        talk = Talk()
        talk.send(get())
        self.assertEqual(talk.request.declared_length, 0)

    def test_its_fields_may_be_forgotten(self) -> None:
        """
        By an answer that goes on for long; it ends as it would have.
        """
        talk = Talk()
        talk.send(post(b"abc", b"X-One: 1"))
        talk.request.respond(200, [], None)
        talk.request.forget_fields()
        self.assertIsNone(talk.request.header(b"x-one"))
        self.assertEqual((talk.request.pairs, talk.request.headers_named(b"x-one")), ([], []))
        talk.request.write(b"abc")
        talk.request.finish()
        self.assertEqual(talk.answers()[0].body, b"abc")
        self.assertEqual(talk.transport.ended, "")

    def test_its_body_is_not_kept(self) -> None:
        """
        Once somebody has it.
        """
        talk = Talk()
        talk.send(post(b"abc"))
        bodies: list[bytes] = []
        talk.request.read_body(10, bodies.append, self.fail)
        self.assertEqual((bodies, talk.request.body), ([b"abc"], b""))


class RespondTests(SynchronousTestCase):
    """
    How answers are framed.
    """

    def received(self, answer: Callable[[Request], None], raw: bytes) -> bytes:
        """
        What a client gets.
        """
        talk = Talk(answer)
        talk.send(raw)
        return talk.received

    def test_a_declared_length_is_said(self) -> None:
        """
        With the standard phrase and the date, before the fields as they were given.
        """
        self.assertEqual(
            self.received(answering(429, b"abc", 3), get()),
            b"HTTP/1.1 429 Too Many Requests\r\nDate: " + DATE + b"\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc",
        )

    def test_an_unknown_length_is_chunked(self) -> None:
        """
        Up to the last chunk.
        """
        self.assertEqual(
            self.received(answering(200, b"abc", None), get()),
            b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n",
        )

    def test_http_1_0_ends_with_the_connection(self) -> None:
        """
        As it knows no chunks.
        """
        self.assertEqual(
            self.received(answering(200, b"abc", None), b"GET / HTTP/1.0\r\n\r\n"),
            b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nX-A: b\r\nConnection: close\r\n\r\nabc",
        )

    def test_no_body_goes_where_none_belongs(self) -> None:
        """
        To a HEAD, or with 204 and 304, whatever is written; only a HEAD is told a length.
        """
        for raw, status, length, framing in (
            (get(method=b"HEAD"), 200, 600, b"Content-Length: 600\r\n"),
            (get(method=b"HEAD"), 200, None, b""),
            (get(method=b"HEAD"), 204, None, b""),
            (get(), 204, None, b""),
            (get(), 204, 0, b""),
            (get(), 304, 600, b""),
            (get(), 200, 0, b"Content-Length: 0\r\n"),
        ):
            body = None if length == 0 else b"x" * 600
            received = self.received(answering(status, body, length), raw)
            head, separator, rest = received.partition(b"X-A: b\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status))
            self.assertTrue(separator)
            self.assertEqual(rest, framing + b"\r\n")

    def test_an_unknown_status_has_no_phrase(self) -> None:
        """
        Vendors have their own.
        """
        self.assertTrue(self.received(answering(529, b"", 0), get()).startswith(b"HTTP/1.1 529 \r\n"))

    def test_there_may_be_no_fields_at_all(self) -> None:
        """
        The wire's own remain.
        """
        talk = Talk()
        talk.send(get())
        talk.request.respond(200, [], 0)
        talk.request.finish()
        self.assertEqual(talk.received, b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nContent-Length: 0\r\n\r\n")

    def test_a_field_cannot_break_the_head(self) -> None:
        """
        Nor can a phrase of it be smuggled in; nothing has been sent then.
        """
        for name, value in (
            (b"X-A", b"b\r\nX-B: c"),
            (b"X-A", b"b\nX-B: c"),
            (b"X-A", b"b\rX-B: c"),
            (b"X-A", b"b\0"),
            (b"X-A\r\nX-B", b"c"),
            (b"X-A", b"b\r\n\r\nabc"),
        ):
            talk = Talk()
            talk.send(get())
            self.assertRaises(ValueError, talk.request.respond, 200, [(b"X-0", b"0"), (name, value)], None)
            self.assertEqual(talk.received, b"")
            talk.request.respond(500, [], 0)
            talk.request.finish()
            self.assertEqual([answer.status for answer in talk.answers()], [500])

    def test_there_is_one_answer(self) -> None:
        """
        A second one is a mistake.
        """
        talk = Talk()
        talk.send(get())
        talk.request.respond(200, [], 0)
        self.assertRaises(RuntimeError, talk.request.respond, 200, [], 0)

    def test_the_connection_is_closed_where_it_cannot_go_on(self) -> None:
        """
        And kept where it can.
        """
        for fields, draining, closes in (
            ((), False, False),
            ((b"Connection: keep-alive",), False, False),
            ((b"Connection: close",), False, True),
            ((b"Connection: upgrade", b"Upgrade: websocket"), False, True),
            ((b"Connection: upgrade", b"Upgrade: h2c"), False, False),
            ((), True, True),
        ):
            talk = Talk(answering(200, b"", 0))
            talk.site.draining = draining
            talk.send(get(b"/", *fields))
            (answer,) = talk.answers()
            self.assertEqual(answer.closes, closes)
            self.assertEqual(talk.transport.ended, "closed" if closes else "")

    @settings(deadline=None)
    @given(pieces=st.lists(st.binary(max_size=30)), declared=st.booleans(), minor=st.sampled_from([b"0", b"1"]))
    def test_what_is_written_is_what_is_read(self, pieces: list[bytes], declared: bool, minor: bytes) -> None:
        """
        Whatever the framing, and however it is cut.
        """
        talk = Talk()
        talk.send(b"GET / HTTP/1.%b\r\nHost: a\r\n\r\n" % minor)
        request = talk.request
        request.respond(200, [], sum(map(len, pieces)) if declared else None)
        for piece in pieces:
            request.write(piece)
        request.finish()
        (answer,) = talk.answers()
        self.assertEqual(answer.body, b"".join(pieces))
        self.assertEqual(request.bytes_written, len(answer.body))


class SegmentTests(SynchronousTestCase):
    """
    When bytes leave.
    """

    def test_the_head_leaves_with_the_first_bytes(self) -> None:
        """
        In one write; each later piece leaves by itself, at once.
        """
        talk = Talk()
        talk.send(get())
        talk.request.respond(200, [], None)
        self.assertEqual(talk.transport.writes, [])
        talk.request.write(b"abc")
        self.assertEqual(len(talk.transport.writes), 1)
        self.assertTrue(talk.transport.writes[0].endswith(b"\r\n\r\n3\r\nabc\r\n"))
        talk.request.write(b"de")
        self.assertEqual(talk.transport.writes[1:], [b"2\r\nde\r\n"])
        talk.wait(1)
        self.assertEqual(len(talk.transport.writes), 2)

    def test_the_head_does_not_wait_for_long(self) -> None:
        """
        Where the body keeps silent.
        """
        talk = Talk()
        talk.send(get())
        talk.request.respond(200, [], None)
        talk.wait(HOLD_S)
        (head,) = talk.transport.writes
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        talk.request.write(b"abc")
        self.assertEqual(talk.transport.writes[1:], [b"3\r\nabc\r\n"])

    def test_a_whole_answer_is_one_write(self) -> None:
        """
        With a body, without one, and with an empty one in chunks.
        """
        for body, length in ((b"abc", 3), (None, 0), (None, None)):
            talk = Talk(answering(200, body, length))
            talk.send(get())
            self.assertEqual(len(talk.transport.writes), 1)

    def test_an_empty_write_is_none(self) -> None:
        """
        It would be the last chunk.
        """
        talk = Talk()
        talk.send(get())
        talk.request.respond(200, [], None)
        talk.request.write(b"")
        self.assertEqual(talk.transport.writes, [])


class FinishTests(SynchronousTestCase):
    """
    How answers end.
    """

    def begun(self, length: int | None, version: bytes = b"1.1") -> Talk:
        """
        An answer of which three bytes are written.
        """
        talk = Talk()
        talk.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
        talk.request.respond(200, [], length)
        talk.request.write(b"abc")
        return talk

    def test_t10_the_end_may_be_said_twice(self) -> None:
        """
        And nothing that is written behind it is sent.
        """
        talk = self.begun(None)
        for _ in range(2):
            talk.request.finish()
            talk.request.write(b"more")
            talk.request.abort()
            talk.request.flush()
        self.assertEqual([answer.body for answer in talk.answers()], [b"abc"])
        self.assertEqual(talk.transport.ended, "")
        self.assertTrue(talk.request.finished)

    def test_t10_whoever_asks_after_the_end_is_told_at_once(self) -> None:
        """
        How it ended.
        """
        talk = self.begun(None)
        before = talk.request.notifyFinish()
        self.assertNoResult(before)
        talk.request.finish()
        self.assertIsNone(self.successResultOf(before))
        self.assertIsNone(self.successResultOf(talk.request.notifyFinish()))
        talk = self.begun(None)
        before = talk.request.notifyFinish()
        reason = ConnectionLost()
        talk.transport.leave(reason)
        self.assertIs(self.failureResultOf(before).value, reason)
        self.failureResultOf(talk.request.notifyFinish(), ConnectionAborted)

    def test_t8_an_answer_that_is_given_up_does_not_look_whole(self) -> None:
        """
        What was written arrives if it shows that there was more to come; otherwise the connection is reset.
        """
        for length, version, ended in ((None, b"1.1", "closed"), (5, b"1.1", "closed"), (None, b"1.0", "aborted")):
            talk = self.begun(length, version)
            gone = talk.request.notifyFinish()
            talk.request.on_departure = self.fail
            talk.request.abort()
            self.failureResultOf(gone, ConnectionAborted)
            self.assertEqual(talk.transport.ended, ended)
            self.assertNotIn(b"0\r\n\r\n", talk.received)
            self.assertIn(b"abc", talk.received)
            self.assertTrue(talk.request.departed)
            self.assertFalse(talk.request.finished)

    def test_an_answer_that_is_given_up_before_its_body_is_not_whole_either(self) -> None:
        """
        Its head is sent if it promises more; a complete one, or none, is followed by a reset.
        """
        for status, length, ended in (
            (200, None, "closed"),
            (200, 5, "closed"),
            (200, 0, "aborted"),
            (204, None, "aborted"),
        ):
            talk = Talk()
            talk.send(get())
            talk.request.respond(status, [], length)
            talk.request.abort()
            self.assertEqual(talk.transport.ended, ended)
            self.assertEqual(talk.received != b"", ended == "closed")
        talk = Talk()
        talk.send(get())
        talk.request.abort()
        self.assertEqual(talk.transport.ended, "aborted")
        self.assertEqual(talk.received, b"")

    def test_no_answer_is_longer_than_it_said(self) -> None:
        """
        It would be read as the next one.
        """
        talk = self.begun(5)
        talk.request.write(b"def")
        self.assertEqual(talk.transport.ended, "closed")
        self.assertTrue(talk.received.endswith(b"\r\n\r\nabc"))

    def test_no_answer_is_shorter_than_it_said(self) -> None:
        """
        The next one would be read as a part of it.
        """
        talk = self.begun(5)
        talk.request.finish()
        self.assertEqual(talk.transport.ended, "closed")
        self.assertTrue(talk.request.departed)

    def test_a_failure_is_told_with_its_reason(self) -> None:
        """
        To those who wait for the end.
        """
        talk = self.begun(None)
        first, second = talk.request.notifyFinish(), talk.request.notifyFinish()
        talk.transport.leave()
        for told in (first, second):
            self.assertIsInstance(self.failureResultOf(told), Failure)
