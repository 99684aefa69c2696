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
from aibridge.admission.pace import BEHIND_S
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


def used_up(seconds: int) -> list[tuple[bytes, bytes]]:
    """
    The fields of an answer that says that no request is left for so long.
    """
    reset = (b"x-ratelimit-reset-requests", b"%ds" % seconds)
    return [JSON, (b"x-ratelimit-remaining-requests", b"0"), reset]


def read(response: Any) -> tuple[bytes, bool]:
    """
    The body of an answer that is whole, and whether it has ended.
    """

    class Reader:
        data, ended = b"", False

        def makeConnection(self, transport: Any) -> None:
            """
            It begins.
            """

        def dataReceived(self, data: bytes) -> None:
            """
            A piece.
            """
            self.data += data

        def connectionLost(self, reason: Failure) -> None:
            """
            The end.
            """
            self.ended = True

    reader = Reader()
    response.deliverBody(reader)
    return reader.data, reader.ended


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
        self.account = account
        request = UpstreamRequest(method, b"http://p/", [(b"A", b"1")], shown, body, principal="bob", input_tokens=10)
        self.attempts.begin(request)

    def again(self, principal: str = "bob") -> None:
        """
        Another request of somebody's, for the same account.
        """
        self.attempts = Attempts(self.asker, self.account, self.clock, lambda: 1.7e9, lambda: 0.0, KeyStyle.BEARER)
        self.attempts.begin(UpstreamRequest(b"POST", b"http://p/", [], None, b"{}", principal=principal))

    @property
    def keys(self) -> list[bytes]:
        """
        What each call has shown.
        """
        return [dict(call.headers).get(b"Authorization", b"").removeprefix(b"Bearer ") for call in self.upstream.calls]

    def answer(self, code: int, pairs: list[tuple[bytes, bytes]] | None = None, body: bytes = b"{}") -> Answer:
        """
        The provider answers the latest call; an error at once as a whole.
        """
        answer = self.upstream.calls[-1].answer(Answer(code, pairs))
        if code >= 400 and answer.is_delivered:
            answer.body(body)
            answer.end()
        return answer

    @property
    def codes(self) -> list[int]:
        """
        The answers that were passed on.
        """
        return [answer.code for answer in self.asker.answers]

    def states(self) -> dict[str, int]:
        """
        How the keys stand.
        """
        assert self.pool is not None
        return {state: count for state, count in self.pool.counts(self.clock.seconds()).items() if count}

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
        self.assertEqual(self.states(), {"usable": 2})

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
        After 429 and 401, before the client has heard anything; what the next one is answered is the client's, and
        tells that it was the key.
        """
        for status, state in ((429, "rate_limited"), (401, "unauthorized")):
            self.begin("one", "two", "three")
            first = self.answer(status, waits(9))
            last = self.answer(200)
            self.assertEqual(self.keys, [b"one", b"two"])
            self.assertEqual(self.asker.answers, [last])
            self.assertEqual((self.attempts.count, self.attempts.key), (2, 2))
            self.assertEqual(self.attempts.key_id, self.pool.keys[1].id if self.pool else "")
            self.assertEqual(self.states(), {"usable": 2, state: 1})
            self.assertFalse(first.transport.aborted)

    def test_two_keys_say_the_same(self) -> None:
        """
        Then the client gets that, no third is asked, and none cools down, however often and for whomever.
        """
        for status in (401, 402, 429):
            self.begin("one", "two", "three", heeds=True)
            for number in range(4):
                if number:
                    self.again(principal=f"p{number}")
                self.answer(status)
                self.answer(status, body=b'{"error": {"message": "second"}}')
                self.assertEqual(len(self.upstream.calls), 2 * number + 2)
                self.assertEqual(self.codes, [status] * (number + 1))
                self.assertEqual(self.states(), {"usable": 3})

    def test_what_the_body_says_is_about_the_request(self) -> None:
        """
        Is passed on, and no key cools down; where the size was refused, another key may have more room.
        """
        large = b'{"error": {"message": "Request too large for m on tokens per min (TPM): Limit 3, Requested 4"}}'
        tenancy = b'{"error": {"code": "mismatched_organization"}}'
        for status, body, calls in ((429, large, 2), (401, tenancy, 1)):
            for last in (status, 200):
                self.begin("one", "two", heeds=True)
                self.answer(status, waits(20), body=body)
                if calls == 2:
                    self.answer(last, waits(20), body=body)
                self.assertEqual((len(self.keys), self.codes), (calls, [last if calls == 2 else status]))
                self.assertEqual(self.states(), {"usable": 2})
                self.again()
                self.assertEqual(len(self.keys), calls + 1)

    def test_403_is_about_the_request(self) -> None:
        """
        It is passed on, and so is everything else.
        """
        for status in (200, 400, 403, 404, 500, 503, 529):
            self.begin("one", "two")
            self.answer(status)
            self.assertEqual((self.codes, self.keys), ([status], [b"one"]))

    def test_no_other_key_is_to_be_had(self) -> None:
        """
        Then the answer is passed on.
        """
        self.begin("one", "two")
        self.answer(429, used_up(30))
        self.answer(429, used_up(30))
        self.assertEqual((self.codes, self.states()), ([429], {"rate_limited": 2}))
        with self.assertRaises(errors.KeysResting) as caught:
            self.again()
        self.assertEqual(caught.exception.retry_after_s, 30 + BEHIND_S)
        self.begin("one", "two")
        self.answer(429, used_up(30))
        self.answer(200)
        self.clock.advance(0.5)
        self.again(principal="alice")
        self.answer(401)
        self.assertEqual((self.codes, self.keys), ([200, 401], [b"one", b"two", b"two"]))

    def test_all_keys_refused(self) -> None:
        """
        The last one is used all the same, as one alone would be, and its answers are passed on, whoever asks.
        """
        self.begin("one", "two", "three")
        self.answer(401)
        self.answer(200)
        self.again()
        self.answer(401)
        self.answer(200)
        assert self.pool is not None
        for who in ("a", "b"):
            self.again(principal=who)
            self.answer(401)
        self.assertEqual(self.states(), {"unauthorized": 2, "usable": 1})
        self.assertEqual(self.codes, [200, 200, 401, 401])

    def test_a_single_key(self) -> None:
        """
        Its answers are passed on, whatever they say.
        """
        for status in (401, 429):
            self.begin("one")
            self.answer(status, waits(9))
            self.assertEqual((self.codes, self.asker.errors), ([status], []))

    def test_a_body_that_is_gone(self) -> None:
        """
        Cannot be sent again: the answer is passed on, and the same principal's next request takes the other key.
        """
        self.begin("one", "two", body=object())
        self.answer(429)
        self.assertEqual((self.codes, self.keys), ([429], [b"one"]))
        self.again()
        self.assertEqual(self.keys, [b"one", b"two"])

    # -- the body of an error ------------------------------------------------------------------------------------

    def test_an_error_is_passed_on_as_it_came(self) -> None:
        """
        Its head at once when its body is whole, and that in one piece.
        """
        for heeds, keys in ((True, ("one",)), (True, ("one", "two")), (False, ("one", "two"))):
            self.begin(*keys, heeds=heeds)
            answer = self.upstream.calls[-1].answer(Answer(400, waits(7), 11))
            answer.body(b'{"error"')
            self.assertEqual(self.codes, [])
            answer.body(b": 1}")
            answer.end()
            (passed,) = self.asker.answers
            self.assertEqual((passed.code, passed.pairs, passed.length), (400, waits(7), 11))
            self.assertEqual(read(passed), (b'{"error": 1}', True))

    def test_what_is_not_judged_is_not_waited_for(self) -> None:
        """
        An error to a key of the client's own, or where nothing depends on it.
        """
        for heeds, shown in ((False, None), (True, [(b"X-Api-Key", b"own")])):
            self.begin("one", heeds=heeds, shown=shown)
            answer = self.upstream.calls[-1].answer(Answer(429))
            self.assertEqual(self.asker.answers, [answer])

    def test_left_while_an_error_comes(self) -> None:
        """
        Ends the call, and leaves nothing behind.
        """
        self.begin("one", heeds=True)
        answer = self.upstream.calls[-1].answer(Answer(429))
        self.attempts.cancel()
        self.assertTrue(answer.transport.aborted)
        answer.end()
        self.clock.advance(100)
        self.assertEqual((self.codes, self.clock.getDelayedCalls()), ([], []))

    # -- heeding -------------------------------------------------------------------------------------------------

    def test_a_provider_is_heeded(self) -> None:
        """
        What it says of its limits counts for the requests that follow.
        """
        for heeds in (True, False):
            self.begin("one", heeds=heeds)
            self.answer(429, used_up(9))
            self.again(principal="alice") if not heeds else self.assertRaises(errors.ProviderWait, self.again)
            self.assertEqual(len(self.upstream.calls), 1 if heeds else 2)

    def test_what_has_no_answer_is_put_back(self) -> None:
        """
        Whether the provider failed, or its client left: of two requests that were left, two may still be sent.
        """
        left = [JSON, (b"x-ratelimit-remaining-requests", b"2"), (b"x-ratelimit-reset-requests", b"60s")]
        self.begin("one", heeds=True)
        self.answer(200, left)
        for _ in range(5):
            self.again()
            self.upstream.calls[-1].fail(errors.UpstreamReset())
            self.again()
            self.attempts.cancel()
        for _ in range(2):
            self.again()
        self.assertRaises(errors.ProviderWait, self.again)

    def test_the_provider_takes_more_again(self) -> None:
        """
        After it said "wait" every answer counts, also those that say nothing of limits: each doubles how many may have
        been sent.
        """
        self.begin("one", heeds=True)
        self.answer(429, used_up(9))
        self.clock.advance(9)
        for most in (1, 1, 2, 12):
            before = len(self.upstream.calls)
            with self.assertRaises(errors.ProviderWait):
                for _ in range(20):
                    self.again()
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
        self.answer(200)
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
        self.answer(429, waits(6))
        self.assertEqual((self.codes, self.clock.getDelayedCalls()), ([429], []))

    def test_as_long_as_the_key_has_to_wait(self) -> None:
        """
        So that the retry is not refused here.
        """
        self.begin("one", retries=1, heeds=True)
        self.answer(429, used_up(2))
        self.clock.advance(1.99)
        self.assertEqual(len(self.upstream.calls), 1)
        self.clock.advance(0.02)
        answer = self.answer(200)
        self.assertEqual((self.asker.answers, self.asker.kinds), ([answer], []))

    def test_what_would_be_answered_the_same(self) -> None:
        """
        Is not sent again.
        """
        self.begin("one", retries=1, heeds=True)
        self.answer(429, body=b'{"error": {"message": "Request too large"}}')
        self.assertEqual((self.codes, self.clock.getDelayedCalls()), ([429], []))

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
                    call.answer(Answer(429)).end()
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
