"""
The backend that asks a Coder deployment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

from hypothesis import given, settings
from hypothesis import strategies as st
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, eventAsText, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface.verify import verifyObject

from aibridge.auth.settings import AuthSettings
from aibridge.errors import BridgeError, IdentityUnavailable, TooManyFailures, Unauthenticated
from aibridge.identity.coder import (
    AT_ONCE,
    MOST_TOKEN,
    REMEMBERED,
    REMEMBERED_UNKNOWN,
    UNKNOWN_S,
    CoderIdentity,
)
from aibridge.identity.coderclient import MOST_BYTES, Client, treq_client
from aibridge.identity.failures import Failures
from aibridge.identity.lookupqueue import MOST_EACH, MOST_WAITING
from aibridge.interfaces import IIdentity
from aibridge.model import Class, Principal

TOKEN = b"0123456789-abcdefghijklmnopqrstuv"
ID = "11111111-2222-3333-4444-555555555555"
HOST = "192.0.2.1"
URL = "https://coder.example.com"
USER = {"id": ID, "username": "ada", "status": "active", "email": "ada@example.com"}


class Coder(Resource):
    """
    A Coder deployment, as far as anybody asks it.

    :ivar users: token → user.
    :ivar answer: renders every request instead, if there is one.
    :ivar pending: requests that wait, while `holds`.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[bytes, dict[str, Any]] = {TOKEN: USER}
        self.asked: list[Request] = []
        self.answer: Callable[[Request], bytes | int] | None = None
        self.holds = False
        self.pending: list[Request] = []

    def always(self, status: int, body: bytes) -> None:
        """
        Answer whoever asks like this.
        """

        def answer(request: Request) -> bytes:
            request.setResponseCode(status)
            return body

        self.answer = answer

    def render(self, request: Request) -> bytes | int:
        """
        Say who asks.
        """
        self.asked.append(request)
        if self.answer is not None:
            return self.answer(request)
        if self.holds:
            self.pending.append(request)
            return NOT_DONE_YET
        return self.say(request)

    def say(self, request: Request) -> bytes:
        """
        The user whose token was shown.
        """
        user = self.users.get(request.getHeader(b"coder-session-token") or b"")
        if user is None:
            request.setResponseCode(401)
            return b'{"message":"You are signed out or your session has expired."}'
        return json.dumps(user).encode()

    def release(self) -> None:
        """
        Answer those that wait.
        """
        self.holds = False
        for request in self.pending:
            request.write(self.say(request))
            request.finish()
        self.pending.clear()


class CoderCase(SynchronousTestCase):
    """
    An identity before a Coder deployment in memory.
    """

    def setUp(self) -> None:
        """
        Answers are good for a minute, and questions for five seconds.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.coder = Coder()
        self.agent = RequestTraversalAgent(self.coder)
        self.events: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.identity = self.make()

    def make(self, client: Client | None = None, failures: Failures | None = None, **settings: Any) -> CoderIdentity:
        """
        An identity that asks the deployment.
        """
        return CoderIdentity(
            AuthSettings(backend="coder", coder_url=settings.pop("coder_url", URL), **settings),
            treq_client(self.agent) if client is None else client,
            Failures(0, 1, 1) if failures is None else failures,
            self.clock,
        )

    def identify(self, token: bytes | None = TOKEN, host: str = HOST) -> Deferred[Principal]:
        """
        The answer, whether it came at once or not.
        """
        try:
            found = self.identity.identify(token, host, self.clock.seconds())
        except BridgeError:
            failed: Deferred[Principal] = Deferred()
            failed.errback(Failure())
            return failed
        return found if isinstance(found, Deferred) else succeed(found)

    def refused(self, error: type[BridgeError], token: bytes | None = TOKEN, host: str = HOST) -> Any:
        """
        The refusal of a token.
        """
        return self.failureResultOf(self.identify(token, host), error).value

    def logged(self, level: LogLevel) -> list[str]:
        """
        What was logged at a level, as text, and take it away.
        """
        found = [
            eventAsText(event, includeTimestamp=False, includeSystem=False)
            for event in self.events
            if event["log_level"] is level
        ]
        self.events[:] = [event for event in self.events if event["log_level"] is not level]
        return found


class AskTests(CoderCase):
    """
    One question and its answer.
    """

    def test_interface(self) -> None:
        """
        It keeps the interface's promises, and verifies tokens.
        """
        self.assertTrue(verifyObject(IIdentity, self.identity))
        self.assertTrue(self.identity.verifies_tokens)
        self.identity.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_good_token(self) -> None:
        """
        It belongs to the user that Coder names.
        """
        principal = self.successResultOf(self.identify())
        self.assertEqual(principal, Principal(id=ID, name="ada"))
        (request,) = self.coder.asked
        self.assertEqual((request.method, request.uri), (b"GET", b"/api/v2/users/me"))
        self.assertEqual(request.getHeader(b"host"), b"coder.example.com")
        self.assertEqual(request.getHeader(b"coder-session-token"), TOKEN)
        self.assertIsNone(request.getHeader(b"authorization"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_class(self) -> None:
        """
        Coder knows of no classes, so everybody has the configured one.
        """
        self.identity = self.make(default_class="batch")
        self.assertIs(self.successResultOf(self.identify()).class_, Class.BATCH)

    def test_by_name(self) -> None:
        """
        Whose token was shown lately is found by name or id, without asking; nobody else is.
        """
        self.assertIsNone(self.identity.principal_named("ada"))
        principal = self.successResultOf(self.identify())
        self.assertEqual(self.identity.principal_named("ada"), principal)
        self.assertEqual(self.identity.principal_named(ID), principal)
        self.assertIsNone(self.identity.principal_named("eve"))
        self.assertEqual(len(self.coder.asked), 1)

    def test_a_deployment_below_a_path(self) -> None:
        """
        The path of the configured URL is kept, with a slash at its end or without.
        """
        for url in (f"{URL}/coder", f"{URL}/coder/"):
            self.identity = self.make(coder_url=url)
            self.successResultOf(self.identify())
            self.assertEqual(self.coder.asked[-1].uri, b"/coder/api/v2/users/me")

    def test_a_bad_token(self) -> None:
        """
        401, 403 and 404 all mean that it is nobody's.
        """
        for status in (401, 403, 404):
            self.coder.always(status, b"no")
            self.assertIn("does not know", self.refused(Unauthenticated, b"bad-%d" % status).detail)
        self.assertEqual(len(self.coder.asked), 3)

    def test_a_suspended_user(self) -> None:
        """
        Somebody who is suspended is nobody.
        """
        self.coder.users[TOKEN] = {**USER, "status": "suspended"}
        self.refused(Unauthenticated)

    def test_no_token(self) -> None:
        """
        Nobody is asked about no token.
        """
        self.assertEqual(self.refused(Unauthenticated, None).detail, "")
        self.assertEqual(self.coder.asked, [])

    def test_what_is_no_token(self) -> None:
        """
        Nobody is asked about what no token can be, and what no header may have never goes out.
        """
        for token in (b"", b"a b", b"a\r\nb", b"\xff", b"\x00", b"x" * (MOST_TOKEN + 1)):
            self.refused(Unauthenticated, token)
        self.assertEqual(self.coder.asked, [])

    def test_stop(self) -> None:
        """
        Stopping gives up what the client keeps open, and waits for that.
        """
        closing: Deferred[None] = Deferred()
        identity = CoderIdentity(
            AuthSettings(coder_url=URL), treq_client(self.agent), Failures(0, 1, 1), self.clock, lambda: closing
        )
        self.assertIs(identity.stop(), closing)
        self.assertIsNone(self.identity.stop())


class AwayTests(CoderCase):
    """
    Answers that say nothing about a token.
    """

    def test_odd_answers(self) -> None:
        """
        An answer that is not Coder's is the deployment's failure and not the client's: 503, and worth asking again.
        """
        answers: list[tuple[int, bytes]] = [
            (500, b"{}"),
            (502, b"<html>"),
            (503, b""),
            (429, b"{}"),
            (302, b""),
            (204, b""),
            (200, b""),
            (200, b"<html>"),
            (200, b"[]"),
            (200, b"null"),
            (200, b"{}"),
            (200, b"\xff"),
            (200, b"[" * 60000),
            (200, json.dumps({**USER, "id": "me"}).encode()),
            (200, json.dumps({**USER, "id": 5}).encode()),
            (200, json.dumps({"id": ID}).encode()),
            (200, json.dumps({**USER, "username": ""}).encode()),
            (200, json.dumps({**USER, "username": 5}).encode()),
            (200, json.dumps({**USER, "username": "a\nb"}).encode()),
            (200, json.dumps({**USER, "username": "a" * 200}).encode()),
        ]
        for status, body in answers:
            self.coder.always(status, body)
            self.assertEqual(self.refused(IdentityUnavailable).retry_after_s, 5.0)
        self.assertEqual(len(self.coder.asked), len(answers))
        self.coder.answer = None
        self.successResultOf(self.identify())

    def test_a_large_answer(self) -> None:
        """
        An answer is not read beyond what one of Coder's could be.
        """
        self.coder.answer = lambda request: json.dumps({**USER, "avatar_url": "x" * MOST_BYTES}).encode()
        self.refused(IdentityUnavailable)
        self.coder.answer = lambda request: json.dumps({**USER, "avatar_url": "x" * (MOST_BYTES // 2)}).encode()
        self.successResultOf(self.identify())

    def test_an_endless_answer(self) -> None:
        """
        Nor for ever: the connection is given up.
        """

        def endless(request: Request) -> int:
            request.write(b"x" * (MOST_BYTES + 1))
            return NOT_DONE_YET

        self.coder.answer = endless
        left = self.coder.asked
        answer = self.identify()
        self.agent.flush()
        self.failureResultOf(answer, IdentityUnavailable)
        self.agent.flush()
        self.assertEqual(len(left), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_redirects(self) -> None:
        """
        A redirect is not followed: the token goes nowhere but to the deployment.
        """

        def elsewhere(request: Request) -> bytes:
            request.redirect(b"https://elsewhere.example.com/")
            return b""

        self.coder.answer = elsewhere
        self.refused(IdentityUnavailable)
        self.assertEqual(len(self.coder.asked), 1)

    def test_cookies(self) -> None:
        """
        A cookie that was set with one user's answer is not shown with another's question.
        """

        def with_cookie(request: Request) -> bytes:
            request.addCookie(b"coder_session_token", b"session-of-ada", path=b"/")
            return self.coder.say(request)

        self.coder.answer = with_cookie
        self.successResultOf(self.identify())
        self.coder.users[b"other"] = {**USER, "username": "bob"}
        self.assertEqual(self.successResultOf(self.identify(b"other")).name, "bob")
        self.assertIsNone(self.coder.asked[-1].getHeader(b"cookie"))

    def test_silence(self) -> None:
        """
        A deployment that does not answer in time is away, and is not waited for any longer.
        """
        self.coder.holds = True
        answer = self.identify()
        self.clock.advance(4.9)
        self.assertNoResult(answer)
        self.clock.advance(0.2)
        self.failureResultOf(answer, IdentityUnavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("did not answer in time", self.logged(LogLevel.error)[0])

    def test_half_an_answer(self) -> None:
        """
        The time is for the whole answer; when it is up, the connection is given up as well.
        """
        gone: list[object] = []

        def half(request: Request) -> int:
            request.setHeader(b"content-length", b"1000")
            request.write(b"{")
            request.notifyFinish().addErrback(gone.append)
            return NOT_DONE_YET

        self.coder.answer = half
        answer = self.identify()
        self.agent.flush()
        self.clock.advance(5.1)
        self.failureResultOf(answer, IdentityUnavailable)
        self.agent.flush()
        self.assertEqual(len(gone), 1)

    def test_no_connection(self) -> None:
        """
        A deployment that cannot be connected to is away, whatever the error.
        """
        errors: list[Exception] = [
            ConnectionRefusedError(),
            ResponseNeverReceived([Failure(ValueError("x"))]),
            RuntimeError(),
        ]
        for error in errors:
            self.identity = self.make(client=FailingClient(error))
            self.refused(IdentityUnavailable)
        (refused, tls, odd) = self.logged(LogLevel.error)
        self.assertIn("ConnectionRefusedError", refused)
        self.assertIn("ResponseNeverReceived: ValueError", tls)
        self.assertIn("RuntimeError", odd)

    def test_one_line_for_each_change(self) -> None:
        """
        That it is away, and that it is back, is logged once each.
        """
        self.coder.always(502, b"")
        for _ in range(5):
            self.refused(IdentityUnavailable)
        self.assertEqual(
            self.logged(LogLevel.error), [f"Coder cannot be asked at {URL}/api/v2/users/me: it answered 502."]
        )
        self.coder.answer = None
        for token in (b"bad", TOKEN, b"bad-2"):
            self.failureResultOf(self.identify(token)) if token != TOKEN else self.successResultOf(self.identify(token))
        self.assertEqual(len(self.logged(LogLevel.info)), 1)


class FailingClient:
    """
    A client that reaches nobody, and says with what it was asked.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, url: str, **keywords: Any) -> Deferred[Any]:
        """
        Fail.
        """
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure(self.error))
        return failed


class RememberTests(CoderCase):
    """
    Answers that are remembered.
    """

    def test_a_good_one(self) -> None:
        """
        Within the configured time the answer is there at once, and for most of it nobody is asked again.
        """
        self.successResultOf(self.identify())
        self.clock.advance(47.9)
        self.assertIsInstance(self.identity.identify(TOKEN, HOST, self.clock.seconds()), Principal)
        self.assertEqual(len(self.coder.asked), 1)
        self.clock.advance(12.2)
        self.coder.users.clear()
        self.refused(Unauthenticated)
        self.assertEqual(len(self.coder.asked), 2)

    def test_a_bad_one(self) -> None:
        """
        That there is no such token is remembered shortly, so that a new one is good soon.
        """
        self.refused(Unauthenticated, b"new")
        self.coder.users[b"new"] = USER
        self.clock.advance(UNKNOWN_S - 0.1)
        self.refused(Unauthenticated, b"new")
        self.assertEqual(len(self.coder.asked), 1)
        self.clock.advance(0.2)
        self.successResultOf(self.identify(b"new"))

    def test_not_at_all(self) -> None:
        """
        With a time of 0 nothing is remembered.
        """
        self.identity = self.make(coder_cache=0.0)
        for _ in range(3):
            self.successResultOf(self.identify())
            self.refused(Unauthenticated, b"bad")
        self.assertEqual(len(self.coder.asked), 6)

    def test_not_when_it_is_away(self) -> None:
        """
        A failure of the deployment is not remembered, nor does it make an answer good for longer.
        """
        self.successResultOf(self.identify())
        self.coder.always(500, b"")
        self.clock.advance(61)
        self.refused(IdentityUnavailable)
        self.coder.answer = None
        self.successResultOf(self.identify())

    def test_tables_of_fixed_size(self) -> None:
        """
        Bad tokens without end push no good one out, and good ones without end only the one unused for longest.
        """
        client = AnsweringClient()
        self.identity = self.make(client=client)
        client.user = USER
        self.successResultOf(self.identify())
        client.user = None
        for number in range(REMEMBERED_UNKNOWN + 1):
            self.refused(Unauthenticated, b"bad-%d" % number)
        self.assertEqual(client.asked, REMEMBERED_UNKNOWN + 2)
        self.refused(Unauthenticated, b"bad-1")
        self.successResultOf(self.identify())
        self.assertEqual(client.asked, REMEMBERED_UNKNOWN + 2)
        self.refused(Unauthenticated, b"bad-0")
        self.assertEqual(client.asked, REMEMBERED_UNKNOWN + 3)
        client.user, client.asked = USER, 0
        for number in range(REMEMBERED):
            self.successResultOf(self.identify(b"good-%d" % number))
        self.successResultOf(self.identify(b"good-0"))
        self.assertEqual(client.asked, REMEMBERED)
        self.successResultOf(self.identify())
        self.assertEqual(client.asked, REMEMBERED + 1)

    def test_asked_again_before_it_is_too_old(self) -> None:
        """
        Once, for whoever uses it late in its time, and nobody waits for that; the new answer is good for as long again.
        """
        self.successResultOf(self.identify())
        self.clock.advance(50)
        self.coder.holds = True
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.identify()).name, "ada")
        self.assertEqual(len(self.coder.asked), 2)
        self.coder.release()
        self.agent.flush()
        self.clock.advance(40)
        self.successResultOf(self.identify())
        self.assertEqual(len(self.coder.asked), 2)

    def test_revoked(self) -> None:
        """
        A token that is found to have been revoked is good no more, sooner than it had to be found.
        """
        self.successResultOf(self.identify())
        self.coder.users.clear()
        self.clock.advance(50)
        self.successResultOf(self.identify())
        self.refused(Unauthenticated)

    def test_never_longer_than_configured(self) -> None:
        """
        Its time begins when Coder is asked, not when that has answered.
        """
        self.coder.holds = True
        answer = self.identify()
        self.clock.advance(4)
        self.coder.release()
        self.agent.flush()
        self.successResultOf(answer)
        self.clock.advance(55.9)
        self.coder.holds = True
        self.assertIsInstance(self.identity.identify(TOKEN, HOST, self.clock.seconds()), Principal)
        self.clock.advance(0.2)
        self.assertNoResult(self.identify())

    def test_a_question_again_that_fails(self) -> None:
        """
        It changes nothing while the answer is good, and is asked again a second later, not with each request.
        """
        self.successResultOf(self.identify())
        self.coder.always(500, b"")
        self.clock.advance(50)
        for _ in range(5):
            self.successResultOf(self.identify())
        self.assertEqual(len(self.coder.asked), 2)
        self.clock.advance(1.1)
        self.successResultOf(self.identify())
        self.assertEqual(len(self.coder.asked), 3)
        self.clock.advance(10)
        self.refused(IdentityUnavailable)

    def test_a_while_longer(self) -> None:
        """
        Where that is configured, an answer is good for longer while Coder cannot be asked, and not if it can.
        """
        self.identity = self.make(coder_grace=300.0)
        self.successResultOf(self.identify())
        self.coder.always(502, b"")
        for _ in range(30):
            self.clock.advance(10)
            self.successResultOf(self.identify())
        self.refused(IdentityUnavailable, b"another")
        self.clock.advance(61)
        self.refused(IdentityUnavailable)
        self.coder.answer = None
        self.successResultOf(self.identify())
        self.coder.users.clear()
        self.clock.advance(61)
        self.refused(Unauthenticated)


class AnsweringClient:
    """
    A client that answers at once, without HTTP.
    """

    def __init__(self) -> None:
        self.user: dict[str, Any] | None = None
        self.asked = 0

    def get(self, url: str, **keywords: Any) -> Deferred[Any]:
        """
        The same user for everybody, or nobody.
        """
        self.asked += 1
        return succeed(AnsweredResponse(self.user))


class AnsweredResponse:
    """
    As much of a response as is looked at.
    """

    def __init__(self, user: dict[str, Any] | None) -> None:
        self.code = 401 if user is None else 200
        self.body = json.dumps(user).encode()

    def deliverBody(self, protocol: Any) -> None:
        """
        All of it, now.
        """
        protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))


class NextTurns(Clock):
    """
    A clock on which what is to be done in the next turn takes a thousandth of a second until then.
    """

    def callLater(self, delay: float, *rest: Any, **more: Any) -> IDelayedCall:
        """
        As `Clock` does, which would do it in the same one.
        """
        return super().callLater(delay or 0.001, *rest, **more)


class SingleFlightTests(CoderCase):
    """
    Many who ask the same at once.
    """

    def test_one_question(self) -> None:
        """
        All get the answer to one question.
        """
        self.coder.holds = True
        answers = [self.identify() for _ in range(5)]
        self.assertEqual(len(self.coder.asked), 1)
        self.coder.release()
        self.agent.flush()
        self.assertEqual([self.successResultOf(answer).name for answer in answers], ["ada"] * 5)

    def test_a_crowd_is_told_bit_by_bit(self) -> None:
        """
        Of many who wait for one answer some are told in each turn of the reactor; those who leave meanwhile hear
        nothing of it.
        """
        self.clock = NextTurns()
        self.identity = self.make()
        for token, is_known in ((TOKEN, True), (b"bad", False)):
            self.coder.holds = True
            told: list[object] = []
            answers = [self.identify(token).addBoth(told.append) for _ in range(3 * AT_ONCE)]
            self.coder.release()
            self.agent.flush()
            self.assertEqual(len(told), AT_ONCE)
            answers[-1].cancel()
            self.clock.advance(0.001)
            self.clock.advance(0.001)
            self.assertEqual(len(told), 3 * AT_ONCE)
            cancelled = [each for each in told if isinstance(each, Failure) and each.check(CancelledError)]
            self.assertEqual(len(cancelled), 1)
            self.assertEqual(sum(isinstance(each, Principal) for each in told), (3 * AT_ONCE - 1) * is_known)

    def test_those_that_wait_in_vain_are_told_bit_by_bit(self) -> None:
        """
        When the deployment falls silent.
        """
        self.clock = NextTurns()
        self.identity = self.make()
        self.coder.holds = True
        told: list[object] = []
        for number in range(300):
            self.clock.advance(0)
            self.identify(b"%d" % number, f"127.0.0.{number}").addBoth(told.append)
        before, most = 0, 0
        self.clock.advance(4.999)
        for _ in range(40):
            self.clock.advance(0.001)
            most, before = max(most, len(told) - before), len(told)
        self.assertLessEqual(most, 2 * AT_ONCE)
        self.assertGreaterEqual(len(told), 290)

    def test_other_tokens(self) -> None:
        """
        Each token has a question of its own.
        """
        self.coder.holds = True
        good, bad = self.identify(), self.identify(b"bad")
        self.assertEqual(len(self.coder.asked), 2)
        self.coder.release()
        self.agent.flush()
        self.successResultOf(good)
        self.failureResultOf(bad, Unauthenticated)

    def test_everybody_gets_a_refusal_of_their_own(self) -> None:
        """
        A bad answer and an absent one reach everybody, each as a new error.
        """
        self.coder.holds = True
        bad = [self.identify(b"bad") for _ in range(2)]
        self.coder.release()
        self.agent.flush()
        self.coder.holds = True
        away = [self.identify(b"other") for _ in range(2)]
        self.clock.advance(6)
        for answers, error in ((bad, Unauthenticated), (away, IdentityUnavailable)):
            one, other = (self.failureResultOf(answer, error).value for answer in answers)
            self.assertIsNot(one, other)

    def test_one_who_leaves(self) -> None:
        """
        Whoever leaves is told nothing, and takes the answer from nobody else, the first who asked included.
        """
        self.coder.holds = True
        answers = [self.identify() for _ in range(3)]
        answers[0].cancel()
        answers[2].cancel()
        self.coder.release()
        self.agent.flush()
        self.failureResultOf(answers[0], CancelledError)
        self.failureResultOf(answers[2], CancelledError)
        self.assertEqual(self.successResultOf(answers[1]).name, "ada")

    def test_all_leave(self) -> None:
        """
        The answer is remembered all the same.
        """
        self.coder.holds = True
        answer = self.identify()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.coder.release()
        self.agent.flush()
        self.successResultOf(self.identify())
        self.assertEqual(len(self.coder.asked), 1)

    def test_one_who_makes_another_leave(self) -> None:
        """
        Being told may end somebody else's waiting.
        """
        self.coder.holds = True
        one, other = self.identify(), self.identify()
        one.addCallback(lambda principal: other.cancel())
        self.coder.release()
        self.agent.flush()
        self.successResultOf(one)
        self.failureResultOf(other, CancelledError)

    def test_many_questions(self) -> None:
        """
        Of one address only so many are on their way at once, so many wait, and more are told to come again. Those that
        have waited for too long are too.
        """
        self.coder.holds = True
        answers = [self.identify(b"token-%d" % number) for number in range(MOST_EACH + MOST_WAITING)]
        self.assertEqual(len(self.coder.asked), MOST_EACH)
        self.assertEqual(self.refused(IdentityUnavailable, b"one-more").retry_after_s, 1.0)
        joined = self.identify(b"token-0")
        self.assertNoResult(joined)
        self.clock.advance(6)
        for answer in (*answers, joined):
            self.failureResultOf(answer, IdentityUnavailable)
        self.coder.holds = False
        self.refused(Unauthenticated, b"one-more")
        self.clock.advance(6)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_that_nobody_waits_for_do_not_go(self) -> None:
        """
        A question whose turn has not come is not asked when everybody has left.
        """
        self.coder.holds = True
        first = [self.identify(b"token-%d" % number) for number in range(MOST_EACH)]
        left, stayed = self.identify(b"left"), [self.identify(b"stayed") for _ in range(2)]
        left.cancel()
        stayed[0].cancel()
        for answer in (left, stayed[0]):
            self.failureResultOf(answer, CancelledError)
        self.coder.release()
        self.agent.flush()
        for answer in (*first, stayed[1]):
            self.failureResultOf(answer, Unauthenticated)
        self.assertEqual(len(self.coder.asked), MOST_EACH + 1)


class FailureTests(CoderCase):
    """
    Bad tokens are limited by address, and good ones are not.
    """

    def setUp(self) -> None:
        """
        Two failures at once, one every other second.
        """
        super().setUp()
        self.identity = self.make(failures=Failures(0.5, 2, 10))

    def exhaust(self) -> None:
        """
        Use all failures that there are.
        """
        for number in range(2):
            self.refused(Unauthenticated, b"bad-%d" % number)

    def test_no_questions_beyond_the_limit(self) -> None:
        """
        An address that has failed too often gets no more questions asked for tokens that are not known.
        """
        self.exhaust()
        for number in range(5):
            self.assertEqual(self.refused(TooManyFailures, b"worse-%d" % number).retry_after_s, 2.0)
        self.assertEqual(len(self.coder.asked), 2)
        self.refused(Unauthenticated, b"bad-0", "192.0.2.2")
        self.clock.advance(2)
        self.refused(Unauthenticated, b"worse-0")
        self.assertEqual(len(self.coder.asked), 3)

    def test_known_good_tokens_pass(self) -> None:
        """
        One that is known to be good passes, whatever else came from its address.
        """
        self.successResultOf(self.identify())
        self.exhaust()
        self.refused(TooManyFailures, b"worse")
        self.successResultOf(self.identify())

    def test_one_bad_token_counts_once(self) -> None:
        """
        However often it is shown, what is remembered of it is told each time, and its address has one failure.
        """
        for _ in range(100):
            self.refused(Unauthenticated, b"bad")
        self.assertEqual(len(self.coder.asked), 1)
        self.refused(Unauthenticated, b"worse")
        self.refused(TooManyFailures, b"worst")

    def test_what_costs_no_question_takes_none(self) -> None:
        """
        No tokens, and what can be none, are limited by themselves: they keep nobody's token from being looked up.
        """
        self.refused(Unauthenticated, None)
        self.refused(Unauthenticated, b"a b")
        self.refused(TooManyFailures, None)
        self.refused(TooManyFailures, b"a b")
        self.successResultOf(self.identify())

    def test_good_tokens_are_no_failures(self) -> None:
        """
        As many as there are may be looked up from one address, also at once.
        """
        for number in range(50):
            self.coder.users[b"good-%d" % number] = USER
        self.coder.holds = True
        answers = [self.identify(b"good-%d" % number) for number in range(50)]
        while self.coder.pending:
            self.coder.release()
            self.agent.flush()
        for answer in answers:
            self.successResultOf(answer)

    def test_no_more_at_once_than_may_fail(self) -> None:
        """
        A failure is counted before the look-up: of a hundred bad tokens that come at once no more are looked up than
        of a hundred that come one after the other.
        """
        self.coder.holds = True
        answers = [self.identify(b"bad-%d" % number) for number in range(100)]
        self.assertEqual(len(self.coder.asked), 2)
        self.coder.release()
        self.agent.flush()
        told = [self.failureResultOf(answer).type for answer in answers]
        self.assertEqual(told, [Unauthenticated] * 2 + [TooManyFailures] * 98)
        self.assertEqual(len(self.coder.asked), 2)

    def test_leaving_is_no_way_out(self) -> None:
        """
        A failure counts for whoever asked, even if they did not stay to hear of it.
        """
        self.coder.holds = True
        for number in range(2):
            answer = self.identify(b"bad-%d" % number)
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.coder.release()
        self.agent.flush()
        self.refused(TooManyFailures, b"worse")

    def test_each_counts_once(self) -> None:
        """
        Those who wait for the same bad answer are one failure of each address, and not one each.
        """
        self.coder.holds = True
        answers = [self.identify(b"bad", host) for host in (HOST, "192.0.2.2", HOST, "192.0.2.2", "192.0.2.2")]
        self.coder.release()
        self.agent.flush()
        for answer in answers:
            self.failureResultOf(answer, Unauthenticated)
        for host in (HOST, "192.0.2.2"):
            self.refused(Unauthenticated, b"worse-" + host.encode(), host)
            self.refused(TooManyFailures, b"worst-" + host.encode(), host)

    def test_an_absent_deployment_is_nobodys_failure(self) -> None:
        """
        That Coder is away counts against no address.
        """
        self.coder.always(500, b"")
        for number in range(5):
            self.refused(IdentityUnavailable, b"token-%d" % number)


class CrowdTests(CoderCase):
    """
    What one of many does to the others, in the time that it takes.
    """

    def setUp(self) -> None:
        """
        A deployment that takes some time to answer, with everything else as it is by default.
        """
        super().setUp()
        self.slow = SlowClient(self.clock)
        self.identity = self.make(client=self.slow, failures=Failures.from_settings(AuthSettings()))
        self.told: list[tuple[bytes, str]] = []

    def ask(self, token: bytes, host: str) -> None:
        """
        Ask, and keep what comes of it.
        """

        def came(result: object) -> None:
            word = "good" if isinstance(result, Principal) else type(cast(Failure, result).value).__name__
            self.told.append((token, word))

        self.identify(token, host).addBoth(came)

    def count(self, prefix: bytes) -> dict[str, int]:
        """
        What those were told whose tokens begin so.
        """
        words = [word for token, word in self.told if token.startswith(prefix)]
        return {word: words.count(word) for word in words}

    def crowd(self, seconds: int, wrong: Callable[[int], bytes], coming: int = 10) -> None:
        """
        Ten colleagues who ask nineteen times in ten seconds each, and beside them, from the same address, somebody with
        bad tokens, 45 in a second.
        """
        for step in range(seconds * 100):
            if step % 2:
                self.ask(wrong(step), HOST)
            if step % 100 < 95 and step % 5 == 0:
                self.ask(b"good-%d" % (step // 5 % coming), HOST)
            self.clock.advance(0.01)

    def test_a_neighbour_with_a_wrong_token(self) -> None:
        """
        Everybody is served all the time, also when their answers become too old, and also those who come new.
        """
        self.crowd(130, lambda step: b"bad")
        self.assertEqual(self.count(b"good"), {"good": 130 * 19})
        self.assertEqual(self.count(b"bad"), {"Unauthenticated": 6500})
        self.assertLess(self.slow.asked.count(b"bad"), 15)
        self.crowd(10, lambda step: b"bad", coming=20)
        self.assertEqual(self.count(b"good"), {"good": 140 * 19})

    def test_a_neighbour_with_many_wrong_tokens(self) -> None:
        """
        Those who have been good are served all the time; the others cost no more questions than they may.
        """
        self.crowd(1, lambda step: b"")
        self.crowd(130, lambda step: b"bad-%d" % step)
        self.assertEqual(self.count(b"good"), {"good": 131 * 19})
        self.assertLess(sum(token.startswith(b"bad") for token in self.slow.asked), 130 + 20 + 2)

    def test_one_who_was_away_for_long(self) -> None:
        """
        A token that was good an hour ago is asked about whatever its address has done since.
        """
        self.ask(b"good", HOST)
        self.clock.advance(3600)
        self.crowd(5, lambda step: b"bad-%d" % step, coming=1)
        self.assertEqual(self.count(b"good"), {"good": 1 + 95})

    def test_many_made_up_tokens_at_once(self) -> None:
        """
        From one address, round after round: whoever comes from another one waits for no more than his own look-up,
        and so does who has been good, wherever from.
        """
        for limit in (1.0, 0.0):
            self.identity = self.make(client=self.slow, failures=Failures(limit, 20, 1000))
            self.ask(b"good-known", HOST)
            self.clock.advance(61)
            for turn in range(20):
                self.told.clear()
                for number in range(256):
                    self.ask(b"bad-%d-%d" % (turn, number), HOST)
                self.ask(b"good-%d" % turn, "192.0.2.2")
                self.ask(b"good-known", HOST)
                self.clock.advance(self.slow.takes_s)
                self.assertEqual(self.count(b"good"), {"good": 2})
                self.clock.pump([0.3] * 20)

    def test_made_up_tokens_from_a_whole_site(self) -> None:
        """
        Addresses of one IPv6 site have one share together.
        """
        self.slow.takes_s = 1.0
        for number in range(1000):
            self.ask(b"bad-%d" % number, f"2001:db8:1:{number:x}::1")
        self.assertEqual(len(self.slow.asked), MOST_EACH)
        self.ask(b"good", "2001:db8:2::1")
        self.clock.advance(1.0)
        self.assertEqual(self.count(b"good"), {"good": 1})

    def test_made_up_tokens_from_everywhere(self) -> None:
        """
        When more addresses ask than can be served, they take turns: whoever comes new waits for one of each.
        """
        self.slow.takes_s = 1.0
        for address in range(100):
            for number in range(9):
                self.ask(b"bad-%d-%d" % (address, number), f"198.51.100.{address}")
        self.ask(b"good", HOST)
        # 48 go at once: those that were first, and then three times one of each.
        self.clock.pump([1.0] * 4)
        self.assertEqual(self.count(b"good"), {"good": 1})

    def test_those_who_were_here_have_look_ups_of_their_own(self) -> None:
        """
        However many unknown tokens there are, and however slow the deployment is.
        """
        for number in range(10):
            self.slow.takes_s = 0.01
            self.ask(b"good-%d" % number, HOST)
        self.clock.advance(61)
        self.slow.takes_s = 4.0
        for address in range(200):
            self.ask(b"bad-%d" % address, f"198.51.100.{address}")
        for number in range(10):
            self.ask(b"good-%d" % number, HOST)
        self.clock.advance(4.0)
        self.assertEqual(self.count(b"good"), {"good": 20})

    def test_silence(self) -> None:
        """
        A deployment that answers nobody: a few find that out at a time, and nobody waits for longer than the first of
        them. As soon as it answers, everybody is served.
        """
        self.slow.takes_s = 1e9
        self.ask(b"first", HOST)
        self.clock.advance(5.1)
        for number in range(50):
            self.ask(b"token-%d" % number, f"198.51.100.{number}")
        self.assertEqual(len(self.slow.asked), 1 + 4)
        self.clock.advance(5.1)
        self.assertEqual(self.count(b"token"), {"IdentityUnavailable": 50})
        self.slow.takes_s = 0.1
        for number in range(50):
            self.ask(b"good-%d" % number, f"198.51.100.{number}")
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.count(b"good"), {"good": 50})

    def test_one_question_that_is_lost(self) -> None:
        """
        It delays nobody else.
        """
        self.slow.lost = b"lost"
        self.ask(b"lost", HOST)
        for second in range(10):
            self.ask(b"good-%d" % second, HOST)
            self.clock.advance(1)
            self.assertIn((b"good-%d" % second, "good"), self.told)
        self.assertEqual(self.count(b"lost"), {"IdentityUnavailable": 1})


class SlowClient:
    """
    A deployment that takes its time. Tokens that begin with ``good`` are good.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes_s = 0.05
        self.lost = b""
        self.asked: list[bytes] = []

    def get(self, url: str, headers: dict[str, str], **keywords: Any) -> Deferred[Any]:
        """
        Answer in time, or never.
        """
        token = headers["Coder-Session-Token"].encode()
        self.asked.append(token)
        answer: Deferred[Any] = Deferred(lambda _: call.cancel() if call.active() else None)
        user = {**USER, "id": str(uuid5(NAMESPACE_URL, token.decode()))} if token.startswith(b"good") else None
        takes_s = 1e9 if token == self.lost else self.takes_s
        call = self.clock.callLater(takes_s, lambda: answer.callback(AnsweredResponse(user)))
        return answer


class SecrecyTests(CoderCase):
    """
    Tokens have no text.
    """

    @settings(deadline=None)
    @given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=64).map("canary~{}".format))
    def test_no_token_in_errors_and_logs(self, token: str) -> None:
        """
        Whatever happens to a question, the token is in no error and no line of the log; not even if a foreign
        exception says it.
        """
        self.events.clear()
        clients: list[Client] = [
            treq_client(self.agent),
            FailingClient(ValueError(token)),
            FailingClient(ResponseNeverReceived([Failure(ValueError(token))])),
        ]
        for client in clients:
            self.identity = self.make(client=client)
            error = self.failureResultOf(self.identify(token.encode())).value
            self.assertNotIn(token, f"{error!r} {error}")
        for event in self.events:
            self.assertNotIn(token, eventAsText(event))
            self.assertNotIn(token, repr({name: value for name, value in event.items() if name != "log_source"}))
