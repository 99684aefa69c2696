"""
The calls of one exchange: further keys, retries, and that each of them ends.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from aibridge import errors
from aibridge.admission.keypool import KeyPool
from aibridge.admission.pace import HOLD_S
from aibridge.admission.retries import RetryBudget
from aibridge.errors import BridgeError
from aibridge.providers.types import KeyStyle
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.attempts import MOST_DISCARDED, PAUSE_S, Attempts, Discarded, error_of
from aibridge.web.upstreamrequest import UpstreamRequest
from fakes import Answer, BodyTransport, Upstream

JSON = (b"Content-Type", b"application/json")


def waits(seconds: int) -> list[tuple[bytes, bytes]]:
    """
    The fields of an answer that asks for it.
    """
    return [JSON, (b"Retry-After", b"%d" % seconds)]


@attrs.define(eq=False)
class Asker:
    """
    Remembers what it is told.
    """

    answers: list[Any] = attrs.Factory(list)
    errors: list[BridgeError] = attrs.Factory(list)
    defects: list[Failure] = attrs.Factory(list)

    def answered(self, response: Any) -> None:
        """
        An answer.
        """
        self.answers.append(response)

    def unanswered(self, error: BridgeError) -> None:
        """
        None.
        """
        self.errors.append(error)

    def broken(self, failure: Failure) -> None:
        """
        A defect.
        """
        self.defects.append(failure)

    @property
    def kinds(self) -> list[str]:
        """
        What went wrong.
        """
        return [error.kind for error in self.errors]


class AttemptsTests(SynchronousTestCase):
    """
    `Attempts`.
    """

    def begin(
        self,
        *keys: str,
        retries: int = 0,
        heeds: bool = False,
        method: bytes = b"POST",
        body: Any = b"{}",
        shown: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """
        Ask a provider that has these keys.
        """
        self.clock = Clock()
        self.clock.advance(100.0)
        self.upstream = Upstream()
        self.asker = Asker()
        self.budget = RetryBudget()
        self.pool = KeyPool(map(Secret, keys)) if keys else None
        account = Account(self.upstream, self.pool, self.budget, retries=retries, heeds=heeds)
        self.attempts = Attempts(self.asker, account, self.clock, lambda: 1.7e9, lambda: 0.0, KeyStyle.BEARER)
        request = UpstreamRequest(method, b"http://p/", [(b"A", b"1")], shown, body, input_tokens=10, output_tokens=20)
        self.attempts.begin(request)

    @property
    def keys(self) -> list[bytes]:
        """
        What each call has shown.
        """
        return [dict(call.headers).get(b"Authorization", b"").removeprefix(b"Bearer ") for call in self.upstream.calls]

    def answer(self, code: int, pairs: list[tuple[bytes, bytes]] | None = None) -> Answer:
        """
        The provider answers the latest call.
        """
        return self.upstream.calls[-1].answer(Answer(code, pairs))

    def test_one(self) -> None:
        """
        Mostly there is one call, with the configured key behind the fields.
        """
        self.begin("sk-one-0123456789")
        (call,) = self.upstream.calls
        self.assertEqual((call.method, call.url, call.data), (b"POST", b"http://p/", b"{}"))
        self.assertEqual(call.headers, [(b"A", b"1"), (b"Authorization", b"Bearer sk-one-0123456789")])
        answer = self.answer(200)
        self.assertEqual(self.asker.answers, [answer])
        self.assertEqual((self.attempts.count, self.attempts.key, self.attempts.hint), (1, 1, "sk...89"))

    def test_a_key_of_the_clients_own(self) -> None:
        """
        Is what is shown; nothing is concluded from how it is answered.
        """
        self.begin("sk-one", "sk-two", shown=[(b"X-Api-Key", b"own")], heeds=True)
        self.assertEqual(self.upstream.calls[0].headers, [(b"A", b"1"), (b"X-Api-Key", b"own")])
        self.answer(429, waits(9))
        self.assertEqual((len(self.asker.answers), len(self.upstream.calls), self.attempts.key), (1, 1, 0))
        assert self.pool is not None
        self.assertFalse(any(key.is_resting(100.0) for key in self.pool.keys))

    def test_no_key(self) -> None:
        """
        A provider that needs none is shown none.
        """
        self.begin()
        self.assertEqual(self.upstream.calls[0].headers, [(b"A", b"1")])
        self.assertEqual((self.attempts.key, self.attempts.hint), (0, ""))

    # -- further keys --------------------------------------------------------------------------------------------

    def test_the_next_key(self) -> None:
        """
        After 429 and 401, before the client has heard anything; the client gets the answer to the last one.
        """
        self.begin("one", "two", "three")
        first, second = self.answer(429, waits(9)), self.answer(401)
        last = self.answer(200)
        self.assertEqual(self.keys, [b"one", b"two", b"three"])
        self.assertEqual(self.asker.answers, [last])
        self.assertEqual((self.attempts.count, self.attempts.key), (3, 3))
        for answer in (first, second):
            answer.body(b"{}")
            self.assertFalse(answer.transport.aborted)

    def test_403_is_about_the_request(self) -> None:
        """
        It is passed on, and so is everything else.
        """
        for status in (200, 400, 403, 404, 500, 503, 529):
            self.begin("one", "two")
            answer = self.answer(status)
            self.assertEqual((self.asker.answers, self.keys), ([answer], [b"one"]))

    def test_all_keys_rest(self) -> None:
        """
        The client is told when the first may be used again.
        """
        self.begin("one", "two")
        self.answer(429, waits(9))
        self.clock.advance(2)
        self.answer(429, waits(30))
        self.assertEqual(self.asker.kinds, ["keys_resting"])
        assert isinstance(self.asker.errors[0], errors.KeysResting)
        self.assertEqual(self.asker.errors[0].retry_after_s, 7.0)
        self.assertEqual(self.asker.answers, [])

    def test_all_keys_refused(self) -> None:
        """
        502, which no client takes for its own token's fault.
        """
        self.begin("one", "two")
        self.answer(401)
        self.answer(401)
        self.assertEqual(self.asker.kinds, ["keys_refused"])

    def test_a_single_key(self) -> None:
        """
        Its answers are passed on, whatever they say.
        """
        for status in (401, 429):
            self.begin("one")
            answer = self.answer(status, waits(9))
            self.assertEqual((self.asker.answers, self.asker.errors), ([answer], []))

    def test_a_body_that_is_gone(self) -> None:
        """
        Cannot be sent again: the key rests, and the answer is passed on.
        """
        self.begin("one", "two", body=object())
        answer = self.answer(429)
        self.assertEqual((self.asker.answers, self.keys), ([answer], [b"one"]))
        assert self.pool is not None
        self.assertTrue(self.pool.keys[0].is_resting(100.0))

    # -- heeding -------------------------------------------------------------------------------------------------

    def test_a_provider_is_heeded(self) -> None:
        """
        What it says of its limits counts for the requests that follow.
        """
        for heeds in (True, False):
            self.begin("one", heeds=heeds)
            self.answer(429, waits(9))
            assert self.pool is not None
            self.assertEqual(self.pool.keys[0].pace.wait(101.0), 8.0 if heeds else 0.0)

    def test_nobody_may_go(self) -> None:
        """
        Then nothing is asked.
        """
        self.begin("one", heeds=True)
        self.answer(429, waits(9))
        account = Account(self.upstream, self.pool, self.budget, heeds=True)
        attempts = Attempts(self.asker, account, self.clock, lambda: 1.7e9, lambda: 0.0, KeyStyle.BEARER)
        with self.assertRaises(errors.ProviderWait):
            attempts.begin(UpstreamRequest(b"POST", b"http://p/", [], None, b"{}"))
        self.assertEqual((len(self.upstream.calls), attempts.count), (1, 0))

    def test_the_provider_takes_more_again(self) -> None:
        """
        After it said "wait" every answer counts, also those that say nothing of limits: each doubles how many may have
        been sent.
        """
        self.begin("one", heeds=True)
        self.answer(429, waits(9))
        self.clock.advance(9)
        account = Account(self.upstream, self.pool, self.budget, heeds=True)
        for most in (1, 1, 2, 12):
            before = len(self.upstream.calls)
            with self.assertRaises(errors.ProviderWait):
                for _ in range(20):
                    attempts = Attempts(self.asker, account, self.clock, lambda: 1.7e9, lambda: 0.0, KeyStyle.BEARER)
                    attempts.begin(UpstreamRequest(b"POST", b"http://p/", [], None, b"{}"))
            sent = self.upstream.calls[before:]
            self.assertEqual(len(sent), most)
            for call in sent:
                call.answer(Answer(200))

    def test_a_key_that_is_taken_away(self) -> None:
        """
        Is none of the configured ones any more.
        """
        self.begin("one", "two")
        self.answer(429, waits(9))
        self.assertEqual(self.attempts.key, 2)
        assert self.pool is not None
        self.pool.adopt([Secret("three")])
        self.assertEqual(self.attempts.key, 0)

    # -- retries -------------------------------------------------------------------------------------------------

    def test_retries_are_off(self) -> None:
        """
        By default a failure is told at once.
        """
        self.begin("one")
        self.upstream.calls[0].fail(errors.ConnectFailed())
        self.assertEqual((self.asker.kinds, self.clock.getDelayedCalls()), (["connect"], []))

    def test_a_retry(self) -> None:
        """
        After a pause, which is twice as long each time; at the end the failure is told.
        """
        self.begin("one", retries=2)
        for number in (1, 2):
            self.upstream.calls[-1].fail(errors.ConnectFailed())
            self.clock.advance(PAUSE_S * 2 ** (number - 1) * 0.99)
            self.assertEqual(len(self.upstream.calls), number)
            self.clock.advance(PAUSE_S)
            self.assertEqual(len(self.upstream.calls), number + 1)
        self.upstream.calls[-1].fail(errors.ConnectFailed())
        self.assertEqual((self.asker.kinds, self.attempts.count), (["connect"], 3))

    def test_a_retry_that_succeeds(self) -> None:
        """
        Its answer is the answer.
        """
        self.begin("one", retries=1)
        first = self.answer(503, waits(1))
        self.clock.advance(1)
        answer = self.answer(200)
        self.assertEqual(self.asker.answers, [answer])
        first.body(b"x" * (MOST_DISCARDED + 1))
        self.assertTrue(first.transport.aborted)

    def test_as_long_as_the_provider_asks_for(self) -> None:
        """
        Unless that is long: then the client is told, who may do something else.
        """
        self.begin("one", retries=1)
        self.answer(429, waits(3))
        self.clock.advance(2.9)
        self.assertEqual(len(self.upstream.calls), 1)
        self.clock.advance(0.1)
        self.assertEqual(len(self.upstream.calls), 2)
        self.begin("one", retries=1)
        answer = self.answer(429, waits(6))
        self.assertEqual((self.asker.answers, self.clock.getDelayedCalls()), ([answer], []))

    def test_as_long_as_the_key_has_to_wait(self) -> None:
        """
        Also where the provider named no time, so that the retry is not refused here.
        """
        self.begin("one", retries=1, heeds=True)
        self.answer(429)
        self.clock.advance(HOLD_S * 0.99)
        self.assertEqual(len(self.upstream.calls), 1)
        self.clock.advance(HOLD_S * 0.02)
        answer = self.answer(200)
        self.assertEqual((self.asker.answers, self.asker.kinds), ([answer], []))

    def test_what_may_have_been_done(self) -> None:
        """
        Is not asked for again; what is safe to repeat is.
        """
        for method, again in ((b"POST", 0), (b"GET", 1)):
            for error in (errors.UpstreamReset(), errors.FirstByteTimeout()):
                self.begin("one", retries=1, method=method, body=None)
                self.upstream.calls[0].fail(error)
                self.assertEqual(len(self.clock.getDelayedCalls()), again)
            self.begin("one", retries=1, method=method, body=None)
            self.answer(503)
            self.assertEqual(len(self.clock.getDelayedCalls()), again)

    def test_the_budget(self) -> None:
        """
        When it is used up there are no retries; what succeeds fills it.
        """
        self.begin("one", retries=5)
        for _ in range(4):
            self.upstream.calls[-1].fail(errors.ConnectFailed())
            self.clock.advance(10)
        self.assertEqual((len(self.upstream.calls), self.asker.kinds), (4, ["connect"]))
        self.begin("one", retries=5)
        before = self.budget.balance(100.0)
        self.answer(200)
        self.assertGreater(self.budget.balance(100.0), before)

    def test_a_body_that_is_gone_is_not_sent_again(self) -> None:
        """
        Whatever the failure.
        """
        self.begin("one", retries=5, body=object())
        self.upstream.calls[0].fail(errors.ConnectFailed())
        self.assertEqual(self.asker.kinds, ["connect"])

    # -- endings -------------------------------------------------------------------------------------------------

    def test_cancelled_while_asking(self) -> None:
        """
        The call ends, and nobody is told anything.
        """
        self.begin("one", retries=1)
        self.attempts.cancel()
        self.assertTrue(self.upstream.calls[0].cancelled)
        self.answer(200)
        self.upstream.calls[0].fail(errors.ConnectFailed())
        self.assertEqual((self.asker.answers, self.asker.errors, self.asker.defects), ([], [], []))

    def test_cancelled_while_pausing(self) -> None:
        """
        There is no retry.
        """
        self.begin("one", retries=1)
        self.upstream.calls[0].fail(errors.ConnectFailed())
        self.attempts.cancel()
        self.clock.advance(60)
        self.assertEqual((len(self.upstream.calls), self.clock.getDelayedCalls()), (1, []))

    def test_failures_of_others(self) -> None:
        """
        Those of Twisted's agents become ours; what is nobody's is a defect.
        """
        for raised, kind in ((Refused(), "connect"), (ResponseFailed([]), "reset"), (CancelledError(), "reset")):
            self.begin("one")
            self.upstream.calls[0].fail(raised)
            self.assertEqual(self.asker.kinds, [kind])
        self.begin("one")
        self.upstream.calls[0].fail(KeyError("odd"))
        self.assertEqual([failure.type for failure in self.asker.defects], [KeyError])
        self.assertIsNone(error_of(Failure(ValueError())))

    def test_a_defect_on_the_way_back(self) -> None:
        """
        Is told as one, not raised into whoever brought the answer.
        """
        self.begin("one", heeds=True)
        self.upstream.calls[0].receiver.answered(object())
        self.assertEqual([failure.type for failure in self.asker.defects], [AttributeError])

    def test_told_before_it_was_asked(self) -> None:
        """
        A call that fails at once is not kept, nor one that is answered at once.
        """

        class Hasty(Upstream):
            def ask(self, receiver: Any, *arguments: Any) -> Any:
                call = super().ask(receiver, *arguments)
                if len(self.calls) == 1:
                    call.answer(Answer(429))
                else:
                    call.fail(errors.PoolTimeout())
                return call

        upstream, asker, clock = Hasty(), Asker(), Clock()
        account = Account(upstream, KeyPool([Secret("one"), Secret("two")]), RetryBudget())
        attempts = Attempts(asker, account, clock, lambda: 1.7e9, lambda: 0.0, KeyStyle.BEARER)
        attempts.begin(UpstreamRequest(b"POST", b"http://p/", [], None, b"{}"))
        self.assertEqual((len(upstream.calls), asker.kinds), (2, ["pool_timeout"]))
        attempts.cancel()
        self.assertFalse(any(call.cancelled for call in upstream.calls))


class DiscardedTests(SynchronousTestCase):
    """
    `Discarded`.
    """

    def test_a_short_body_is_read(self) -> None:
        """
        To its end, so that the connection can be used again; a long one is given up, once.
        """
        transport, discarded = BodyTransport(), Discarded()
        discarded.makeConnection(transport)
        discarded.dataReceived(b"x" * MOST_DISCARDED)
        self.assertFalse(transport.aborted)
        discarded.dataReceived(b"x")
        self.assertTrue(transport.aborted)
        discarded.dataReceived(b"x")
        discarded.connectionLost()
