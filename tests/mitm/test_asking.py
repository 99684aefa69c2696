"""
Tests for `aibridge.mitm.asking`: who asks, and how all askings end.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.identity.anyone import Anyone
from aibridge.mitm.asking import DRAIN_RETRY_S, Asking, refusal_of
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.model import Principal
from fakes import TOKEN, AsksSomebody, KnowsOne
from proxies import Rig, shows
from standins import Asked


class Wish(Asking):
    """
    Wants to be identified, and then whatever a test says.
    """

    __slots__ = ("granted", "grants")

    def __init__(self, rig: Rig, request: Asked) -> None:
        super().__init__(rig.proxy, request)  # type: ignore[arg-type]  # it stands for one
        self.granted = 0
        self.grants: Any = lambda: None

    def _enter(self) -> None:
        self._identify()

    def _admitted(self) -> None:
        self.granted += 1
        self.grants()


class AskingTests(SynchronousTestCase):
    """
    One of them.
    """

    def wish(self, *fields: bytes, identity: Any = None, grants: Any = lambda: None) -> Wish:
        """
        Begin one.
        """
        self.rig = Rig(identity=identity)
        pairs = [tuple(field.split(b": ")) for field in fields]
        self.request = Asked(b"CONNECT", b"host.test:443", pairs, b"")  # type: ignore[arg-type]  # they are pairs
        wish = Wish(self.rig, self.request)
        wish.grants = grants
        wish.begin()
        return wish

    def assertRefused(self, refusal: Refusal, **fields: str) -> None:
        """
        It was refused, once, and left nothing behind.
        """
        self.assertEqual((self.request.status, self.request.finished), (refusal.status, 1))
        self.assertEqual(self.request.told(b"x-ai-bridge-reason"), refusal.reason.encode())
        (line,) = self.rig.lines
        self.assertEqual((line.kind, line.status, line.cause), ("refused", refusal.status, refusal.kind))
        self.assertEqual(self.request.told(b"x-ai-bridge-request-id"), line.session.encode())
        self.assertEqual(self.rig.count("refusals_total", reason=refusal.reason, kind=refusal.kind), 1)
        self.assertEqual(self.rig.proxy.running, 0)
        self.assertIsNone(self.request.on_departure)

    def test_a_good_token(self) -> None:
        """
        Is enough, whoever its user is.
        """
        wish = self.wish(shows(TOKEN, b"anybody"))
        self.assertEqual((wish.granted, self.request.status), (1, 0))
        self.assertEqual(self.rig.identity.asked, [(TOKEN, "192.0.2.1")])
        self.assertEqual(self.rig.proxy.running, 1)

    def test_no_token_and_bad_ones(self) -> None:
        """
        Are challenged; what cannot be read is none.
        """
        bad = (b"Proxy-Authorization: Basic !!", shows(b"wrong"), shows(b""), b"Authorization: x")
        for fields in ((), *((field,) for field in bad)):
            wish = self.wish(*fields)
            self.assertEqual(wish.granted, 0)
            self.assertRefused(Refusal.UNAUTHENTICATED)
            self.assertEqual(self.request.told(b"proxy-authenticate"), b'Basic realm="AI Bridge Proxy"')

    def test_no_token_is_no_failure(self) -> None:
        """
        Clients that wait for the challenge show none first, on every connection; that is not held against them.
        """
        for field in (b"X-None: 1", b"Proxy-Authorization: Bearer x"):
            self.wish(field)
            self.assertEqual(self.rig.identity.asked, [])
        self.wish(shows(b"wrong"))
        self.assertEqual(self.rig.identity.asked, [(b"wrong", "192.0.2.1")])

    def test_nobody_needs_a_token(self) -> None:
        """
        Where everyone passes, so does who shows none.
        """
        wish = self.wish(identity=Anyone())
        self.assertEqual((wish.granted, self.request.status), (1, 0))

    def test_two_tokens(self) -> None:
        """
        Are not chosen from.
        """
        self.wish(shows(TOKEN), shows(b"other"))
        self.assertRefused(Refusal.MALFORMED)
        self.assertIn(b"more than once", self.request.written)

    def test_who_cannot_be_identified(self) -> None:
        """
        Through no fault of theirs, or through too many.
        """
        for error, refusal, wait in (
            (errors.TooManyFailures(retry_after_s=3.2), Refusal.TOO_MANY_FAILURES, b"4"),
            (errors.IdentityUnavailable(retry_after_s=5.0), Refusal.IDENTITY_UNAVAILABLE, b"5"),
        ):

            class Fails(KnowsOne):
                """
                Says no.
                """

                def identify(self, token: bytes | None, client_host: str, now: float) -> Any:
                    raise error  # noqa: B023  # it is asked at once

            self.wish(shows(TOKEN), identity=Fails())
            self.assertRefused(refusal)
            self.assertEqual(self.request.told(b"retry-after"), wait)

    def test_somebody_has_to_be_asked(self) -> None:
        """
        The answer is waited for.
        """
        identity = AsksSomebody()
        wish = self.wish(shows(TOKEN), identity=identity)
        self.assertEqual((wish.granted, self.request.status), (0, 0))
        identity.waiting[0].callback(Principal(id="p", name="ada"))
        self.assertEqual(wish.granted, 1)

    def test_the_answer_is_no(self) -> None:
        """
        However late.
        """
        identity = AsksSomebody()
        self.wish(shows(TOKEN), identity=identity)
        identity.waiting[0].errback(errors.Unauthenticated())
        self.assertRefused(Refusal.UNAUTHENTICATED)

    def test_the_client_leaves_meanwhile(self) -> None:
        """
        The question is withdrawn, and the log has it.
        """
        identity = AsksSomebody()
        wish = self.wish(shows(TOKEN), identity=identity)
        self.request.leave()
        self.assertEqual(identity.cancelled, 1)
        (line,) = self.rig.lines
        self.assertEqual((line.kind, line.status, line.cause), ("refused", 499, "client_left"))
        self.assertEqual((wish.granted, self.request.status, self.rig.proxy.running), (0, 0, 0))

    def test_the_daemon_stops_meanwhile(self) -> None:
        """
        Whoever waits is told.
        """
        identity = AsksSomebody()
        self.wish(shows(TOKEN), identity=identity).cut()
        self.assertRefused(Refusal.DRAINING)
        self.assertEqual(self.request.told(b"retry-after"), b"%d" % DRAIN_RETRY_S)

    def test_a_defect(self) -> None:
        """
        Is told as one, and logged with its traceback.
        """

        def breaks() -> None:
            raise ZeroDivisionError

        self.wish(shows(TOKEN), grants=breaks)
        self.assertRefused(Refusal.INTERNAL)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_defect_of_somebody_else(self) -> None:
        """
        Likewise, if it comes later.
        """
        identity = AsksSomebody()
        self.wish(shows(TOKEN), identity=identity)
        identity.waiting[0].errback(ZeroDivisionError())
        self.assertRefused(Refusal.INTERNAL)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_drain_waits_for_it(self) -> None:
        """
        And hears of its end.
        """
        identity = AsksSomebody()
        self.wish(shows(TOKEN), identity=identity)
        emptied: list[int] = []
        self.rig.proxy.emptied = lambda: emptied.append(self.rig.proxy.running)
        self.request.leave()
        self.assertEqual(emptied, [0])

    def test_steps_that_fail(self) -> None:
        """
        A step that was waited for may refuse by itself.
        """
        step: Deferred[Any] = Deferred()
        wish = self.wish(shows(TOKEN))
        wish._wait(step, self.fail)
        step.errback(Failure(Refused(Refusal.RESOLVE)))
        self.assertRefused(Refusal.RESOLVE)


class RefusalTests(SynchronousTestCase):
    """
    From errors to refusals.
    """

    def test_all_that_an_identity_may_say(self) -> None:
        """
        Each has its own; what it should never say is a defect.
        """
        for error, refusal in (
            (errors.Unauthenticated(), Refusal.UNAUTHENTICATED),
            (errors.TooManyFailures(), Refusal.TOO_MANY_FAILURES),
            (errors.IdentityUnavailable(), Refusal.IDENTITY_UNAVAILABLE),
            (errors.BadRequest("why"), Refusal.MALFORMED),
            (errors.RouteUnknown(), Refusal.INTERNAL),
        ):
            self.assertIs(refusal_of(error).refusal, refusal)
