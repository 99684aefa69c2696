"""
A call apart from any connection: it ends once, and takes its deadlines with it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IClientRequest
from zope.interface.verify import verifyObject

from aibridge import errors
from aibridge.providers.settings import TransportSettings
from aibridge.relay.call import CLOSING_S, Call, Later, Waits
from aibridge.relay.response import Response


class _Place:
    """
    Remembers who left.
    """

    def __init__(self) -> None:
        self.left: list[Call] = []

    def leave(self, call: Call) -> None:
        self.left.append(call)


class _Body(Protocol):
    """
    Who reads the response.
    """

    def __init__(self) -> None:
        self.ends: list[Failure] = []

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ends.append(reason)


class _Source:
    """
    Where the response would come from.
    """

    def pause_body(self) -> None:
        pass

    def resume_body(self) -> None:
        pass

    def abort_body(self) -> None:
        pass


class CallTests(SynchronousTestCase):
    """
    `Call`.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.waits = Waits(self.clock, TransportSettings(total_timeout=10.0))
        self.place = _Place()
        self.later = Later()
        self.call = self.later.call = Call(
            self.waits, self.later, b"POST", b"http://a/", [(b"a", b"b")], b"POST / HTTP/1.1", memoryview(b"x")
        )
        self.call.place = self.place
        self.deferred = self.later.deferred

    def answered(self) -> _Body:
        request: Any = self.call
        response = Response(_Source(), request, (b"HTTP", 1, 1), 200, b"OK", [], None)
        self.call.answered(response)
        self.assertIs(self.successResultOf(self.deferred), response)
        body = _Body()
        response.deliverBody(body)
        return body

    def test_request(self) -> None:
        """
        It says what was asked.
        """
        self.assertTrue(verifyObject(IClientRequest, self.call))
        self.assertEqual((self.call.method, self.call.absoluteURI), (b"POST", b"http://a/"))
        self.assertEqual(self.call.headers.getRawHeaders(b"a"), [b"b"])

    def test_fail(self) -> None:
        """
        A call that fails leaves its place, forgets what it was to send, and tells whoever waits for it; once.
        """
        for wait in (self.waits.pool, self.waits.first_byte, self.waits.silence):
            wait.start(self.call)
        self.call.fail(errors.UpstreamReset())
        self.call.fail(errors.UpstreamTruncated())
        self.failureResultOf(self.deferred, errors.UpstreamReset)
        self.assertEqual((self.place.left, self.call.first, self.call.rest), ([self.call], b"", None))
        self.assertEqual([len(wait) for wait in (self.waits.pool, self.waits.silence, self.waits.total)], [0, 0, 0])

    def test_fail_with_a_failure(self) -> None:
        """
        A failure is passed on as it is.
        """
        failure = Failure(errors.ClientLeft())
        self.call.fail(failure)
        self.assertIs(self.failureResultOf(self.deferred), failure)

    def test_fail_after_the_head(self) -> None:
        """
        It is the response's consumer who is told then.
        """
        body = self.answered()
        self.call.fail(errors.SilenceTimeout())
        self.call.fail(errors.TotalTimeout())
        self.assertEqual([type(end.value) for end in body.ends], [errors.SilenceTimeout])

    def test_ended(self) -> None:
        """
        A call that has ended well cannot fail.
        """
        body = self.answered()
        self.call.ended()
        self.clock.advance(20)
        self.call.fail(errors.UpstreamReset())
        self.assertEqual((body.ends, self.place.left), ([], []))

    def test_cancel(self) -> None:
        """
        Cancelling leaves its place as failing does.
        """
        self.deferred.cancel()
        self.failureResultOf(self.deferred, CancelledError)
        self.assertEqual(self.place.left, [self.call])
        self.call.fail(errors.UpstreamReset())

    def test_deadlines(self) -> None:
        """
        Each deadline has its error.
        """
        transport = TransportSettings(
            pool_timeout=1.0, first_byte_timeout=1.0, silence_timeout=1.0, total_timeout=1.0, idle_timeout=1.0
        )
        waits = Waits(self.clock, transport)
        for wait, error in (
            (waits.pool, errors.PoolTimeout),
            (waits.first_byte, errors.FirstByteTimeout),
            (waits.silence, errors.SilenceTimeout),
            (waits.total, errors.TotalTimeout),
        ):
            later = Later()
            call = Call(waits, later, b"GET", b"http://a/", [], b"")
            waits.total.cancel(call)
            wait.start(call)
            self.clock.advance(1)
            self.failureResultOf(later.deferred, error)

    def test_stop(self) -> None:
        """
        Stopping leaves no timer behind.
        """
        self.waits.pool.start(self.call)
        self.waits.first_byte.start(self.call)
        connection: Any = object()
        self.waits.closing.start(connection)
        self.assertEqual(self.waits.closing.seconds, CLOSING_S)
        self.waits.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
