"""
A response as its consumer sees it, apart from any connection.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface.verify import verifyObject

from aibridge import errors
from aibridge.relay.response import PERHAPS_WHOLE, WHOLE, Response, headers_of
from upstreams import Body

PAIRS = [(b"X-B", b"2"), (b"x-a", b"1"), (b"X-B", b"3")]


class _Source:
    """
    Remembers what it was told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_body(self) -> None:
        self.told.append("pause")

    def resume_body(self) -> None:
        self.told.append("resume")

    def abort_body(self) -> None:
        self.told.append("abort")


class ResponseTests(SynchronousTestCase):
    """
    `Response`.
    """

    def setUp(self) -> None:
        self.source = _Source()
        request: Any = object()
        self.request = request
        self.response = Response(self.source, request, (b"HTTP", 1, 1), 200, b"OK", PAIRS, None)

    def test_interfaces(self) -> None:
        """
        It is a response, and the push producer of its body.
        """
        self.assertTrue(verifyObject(IResponse, self.response))
        self.assertTrue(verifyObject(IPushProducer, self.response))

    def test_head(self) -> None:
        """
        The head is there, as pairs and as headers, which are made once.
        """
        response = self.response
        self.assertEqual((response.version, response.code, response.phrase), ((b"HTTP", 1, 1), 200, b"OK"))
        self.assertEqual(response.pairs, PAIRS)
        self.assertEqual(response.headers.getRawHeaders(b"x-b"), [b"2", b"3"])
        self.assertIs(response.headers, response.headers)
        self.assertIs(response.request, self.request)

    def test_length(self) -> None:
        """
        A length that was not declared is unknown in Twisted's way.
        """
        self.assertIs(self.response.length, UNKNOWN_LENGTH)
        counted = Response(self.source, self.response.request, (b"HTTP", 1, 1), 200, b"OK", [], 5)
        self.assertEqual(counted.length, 5)

    def test_previous(self) -> None:
        """
        What wraps agents may chain responses.
        """
        self.assertIsNone(self.response.previousResponse)
        other = object()
        self.response.setPreviousResponse(other)
        self.assertIs(self.response.previousResponse, other)

    def test_delivery(self) -> None:
        """
        The response is the consumer's transport; pieces and the end come as they come.
        """
        body = Body()
        self.response.deliverBody(body)
        self.assertIs(body.transport, self.response)
        self.response.received(b"a")
        self.response.received(b"b")
        self.response.ended(WHOLE)
        self.assertEqual((body.pieces, body.endings), ([b"a", b"b"], 1))
        self.assertIsInstance(body.reason, ResponseDone)

    def test_held(self) -> None:
        """
        What comes first is held and pauses the source, once; it is delivered as one piece.
        """
        self.assertFalse(self.response.is_held)
        self.response.received(b"a")
        self.response.received(b"b")
        self.assertEqual((self.response.is_held, self.source.told), (True, ["pause"]))
        body = Body()
        self.response.deliverBody(body)
        self.assertEqual((body.pieces, self.source.told), ([b"ab"], ["pause", "resume"]))

    def test_held_for_a_consumer_that_pauses(self) -> None:
        """
        A consumer that wants no more after what was held leaves the source paused.
        """

        class Full(Body):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.pauseProducing()  # type: ignore[attr-defined]  # a body's transport is a push producer

        self.response.received(b"a")
        self.response.deliverBody(Full())
        self.assertNotIn("resume", self.source.told)
        self.response.resumeProducing()
        self.assertEqual(self.source.told[-1], "resume")

    def test_resumed_while_held(self) -> None:
        """
        Resuming a response that has no consumer yet does not let more in.
        """
        self.response.received(b"a")
        self.response.resumeProducing()
        self.assertEqual(self.source.told, ["pause"])

    def test_end_before_a_consumer(self) -> None:
        """
        An end that came early is told after what was held.
        """
        self.response.received(b"a")
        self.response.ended(Failure(errors.SilenceTimeout()))
        body = Body()
        self.response.deliverBody(body)
        self.assertEqual((body.data, body.endings), (b"a", 1))
        self.assertIsInstance(body.reason, errors.SilenceTimeout)

    def test_one_end(self) -> None:
        """
        The first end is the only one.
        """
        body = Body()
        self.response.deliverBody(body)
        self.response.ended(PERHAPS_WHOLE)
        self.response.ended(WHOLE)
        self.assertEqual((body.endings, body.reason), (1, PERHAPS_WHOLE.value))
        early = Response(self.source, self.response.request, (b"HTTP", 1, 1), 200, b"OK", [], 5)
        early.ended(PERHAPS_WHOLE)
        early.ended(WHOLE)
        late = Body()
        early.deliverBody(late)
        self.assertEqual((late.endings, late.reason), (1, PERHAPS_WHOLE.value))

    def test_steering(self) -> None:
        """
        The consumer steers the source as long as there is one.
        """
        self.response.deliverBody(Body())
        self.response.pauseProducing()
        self.response.resumeProducing()
        self.response.stopProducing()
        self.response.loseConnection()
        self.response.abortConnection()
        self.assertEqual(self.source.told, ["pause", "resume", "abort", "abort", "abort"])
        self.response.ended(WHOLE)
        self.response.pauseProducing()
        self.response.resumeProducing()
        self.response.abortConnection()
        self.assertEqual(len(self.source.told), 5)

    def test_headers_of_nothing(self) -> None:
        """
        No pairs make no headers.
        """
        self.assertEqual(list(headers_of([]).getAllRawHeaders()), [])
