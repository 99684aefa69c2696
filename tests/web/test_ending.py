"""
What an exchange leaves behind, however it ends: nothing that it held, one line, and what was used.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.breaker import BreakerTerms, State
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.model import Class, Principal
from fakes import Answer, Asked, AsksSomebody, Fixture, bridge

STREAM = [(b"Content-Type", b"text/event-stream")]
JSON = [(b"Content-Type", b"application/json")]
PROMPT = b'{"model":"m","max_tokens":100,"stream":true,"messages":"' + b"x" * 342 + b'"}'
"""Of 400 bytes: 100 tokens, and 100 that it may be answered with."""
CHUNK = b'data: {"id":"c","model":"m","choices":[{"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":%d}}\n\n'
DONE = b"data: [DONE]\n\n"

TOKENS = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=1000)


class LeavingTests(SynchronousTestCase):
    """
    Every state in which an exchange can be, left for every reason.
    """

    def looked_up(self) -> tuple[Fixture, Asked]:
        """
        It waits to hear who asks.
        """
        fixture = bridge(limit=1, identity=AsksSomebody())
        return fixture, Asked().ask(fixture.bridge)

    def queued(self) -> tuple[Fixture, Asked]:
        """
        It waits for its turn.
        """
        fixture = bridge(limit=1, seats={"queue_size": 1})
        first = Asked().ask(fixture.bridge)
        second = Asked().ask(fixture.bridge)
        self.assertEqual(fixture.bridge.turns.seats.waiting, 1)
        self.addCleanup(first.leave)
        return fixture, second

    def uploading(self) -> tuple[Fixture, Asked]:
        """
        It waits for the body.
        """
        fixture = bridge(limit=1)
        return fixture, Asked(body_comes_at_once=False).ask(fixture.bridge)

    def asking(self) -> tuple[Fixture, Asked]:
        """
        It waits for the provider.
        """
        fixture = bridge(limit=1, policies=[TOKENS], breaker=BreakerTerms())
        return fixture, Asked().ask(fixture.bridge)

    def pausing(self) -> tuple[Fixture, Asked]:
        """
        It waits before a retry.
        """
        fixture = bridge(limit=1, account={"retries": 1})
        asked = Asked().ask(fixture.bridge)
        fixture.upstream.calls[0].fail(errors.ConnectFailed())
        self.assertEqual(len(fixture.clock.getDelayedCalls()), 1)
        return fixture, asked

    def answering(self) -> tuple[Fixture, Asked]:
        """
        It is being answered.
        """
        fixture = bridge(limit=1, policies=[TOKENS])
        asked = Asked().ask(fixture.bridge)
        fixture.upstream.calls[0].answer(Answer(200, STREAM)).body(CHUNK)
        return fixture, asked

    def test_each(self) -> None:
        """
        The client leaves, the daemon stops, or something breaks: one line, no permit, no call, no timer.
        """
        states = (self.looked_up, self.queued, self.uploading, self.asking, self.pausing, self.answering)
        for state in states:
            for cause in ("client_left", "draining", "internal"):
                fixture, asked = state()
                (exchange,) = (each for each in fixture.bridge.exchanges if each._request is asked.request)
                others = len(fixture.bridge.exchanges) - 1
                if cause == "client_left":
                    asked.leave()
                elif cause == "draining":
                    exchange.cut(errors.Draining())
                else:
                    exchange.broken(Failure(KeyError()))
                    self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
                self.assertEqual([done.cause for done in fixture.done], [cause], state)
                self.assertEqual((fixture.in_use, len(fixture.bridge.exchanges)), (others, others), state)
                self.assertEqual(fixture.bridge.turns.seats.waiting, 0, state)
                if state is self.asking:
                    self.assertTrue(fixture.upstream.calls[0].cancelled)
                if state is self.pausing:
                    self.assertEqual(fixture.clock.getDelayedCalls(), [])
                fixture.clock.advance(3600)
                exchange.cut(errors.Draining())
                self.assertEqual(len(fixture.done), 1, state)

    def test_a_defect_that_cannot_even_be_told(self) -> None:
        """
        Ends all the same: nothing is held any more, and the client sees a connection that breaks.
        """

        class Unheard(errors.UpstreamError):
            kind = "unheard"

        for answers in (True, False):
            fixture = bridge(limit=1)
            asked = Asked().ask(fixture.bridge)
            if answers:
                fixture.upstream.calls[0].answer(Answer(200, STREAM)).end(Unheard())
            else:
                fixture.upstream.calls[0].fail(Unheard())
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
            self.assertEqual((fixture.in_use, len(fixture.bridge.exchanges)), (0, 0))
            self.assertEqual([done.request_id for done in fixture.done], ["id-0"])
            self.assertTrue(asked.aborted)


class UsageTests(SynchronousTestCase):
    """
    What is charged in the end.
    """

    def charged(self, fixture: Fixture) -> float:
        """
        Tokens in the principal's bucket.
        """
        (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", fixture.clock.seconds())
        return round(state.level, 6)

    def asked(self, **asked: Any) -> tuple[Fixture, Asked]:
        """
        A request that is charged an estimate.
        """
        fixture = bridge(policies=[TOKENS])
        return fixture, Asked(**{"body": PROMPT, **asked}).ask(fixture.bridge)

    def test_an_estimate_at_first(self) -> None:
        """
        A token for four bytes, and what is configured, but no more than it allows; with a part of what it may use
        beyond that.
        """
        fixture, _ = self.asked()
        self.assertEqual(self.charged(fixture), 200)
        fixture = bridge(policies=[TOKENS], default_output=50)
        Asked(body=b'{"model":"m"}').ask(fixture.bridge)
        self.assertEqual(self.charged(fixture), 54 + 1000 / 16)

    def test_what_the_provider_reports(self) -> None:
        """
        In a stream, and in one piece; the line says what, and how it is known.
        """
        fixture, _ = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(200, STREAM))
        answer.body(CHUNK)
        answer.body(b'data: {"id":"c","model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
        answer.body(USAGE % 2 + DONE)
        answer.end()
        self.assertEqual(self.charged(fixture), 13)
        (done,) = fixture.done
        self.assertEqual((done.tokens_in, done.tokens_out, done.usage), (11, 2, "provider"))
        fixture, _ = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(200, JSON))
        answer.body(b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}')
        answer.end()
        self.assertEqual(self.charged(fixture), 11)

    def test_what_was_seen_of_an_answer_that_broke_off(self) -> None:
        """
        Whoever broke it off.
        """
        for end in (
            lambda _, asked: asked.leave(),
            lambda answer, _: answer.end(errors.UpstreamTruncated()),
        ):
            fixture, asked = self.asked()
            answer = fixture.upstream.calls[0].answer(Answer(200, STREAM))
            for _ in range(7):
                answer.body(CHUNK)
            end(answer, asked)
            self.assertEqual(self.charged(fixture), 107)
            done = fixture.done[0]
            self.assertEqual((done.tokens_in, done.tokens_out, done.usage), (100, 7, "estimated"))

    def test_nothing_where_nothing_was_asked(self) -> None:
        """
        A call that failed, and an answer that is an error.
        """
        fixture, _ = self.asked()
        fixture.upstream.calls[0].fail(errors.ConnectFailed())
        self.assertEqual(self.charged(fixture), 0)
        fixture, _ = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(400, JSON))
        answer.body(b'{"error":{"type":"invalid_request_error"}}')
        answer.end()
        self.assertEqual((self.charged(fixture), fixture.done[0].usage), (0, ""))
        fixture, _ = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(422, JSON))
        answer.body(b'{"detail":"unheard of"}')
        answer.end()
        self.assertEqual((self.charged(fixture), fixture.done[0].usage), (0, ""))
        fixture, _ = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(500, JSON))
        answer.body(b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}')
        answer.end()
        self.assertEqual((self.charged(fixture), fixture.done[0].usage), (11, "provider"))

    def test_a_client_that_left_before_the_answer(self) -> None:
        """
        Is charged what the provider had to read for it; nothing if that was not asked yet.
        """
        fixture, asked = self.asked()
        asked.leave()
        self.assertEqual((self.charged(fixture), fixture.done[0].usage), (100, "estimated"))
        fixture, asked = self.asked(body_comes_at_once=False)
        asked.leave()
        self.assertEqual((self.charged(fixture), fixture.done[0].usage), (0, ""))

    def test_others_are_taken_for_what_was_used(self) -> None:
        """
        What the provider told of a whole answer is learned, and so is what was seen of one of which it told nothing;
        what is seen of an answer that broke off can only raise it. Errors, and answers that cannot be read, teach
        nothing.
        """
        whole = b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":%d}}'
        error = b'{"error":{"type":"server_error"},"usage":{"prompt_tokens":0,"completion_tokens":0}}'
        prompt = PROMPT.replace(b"100", b"900").ljust(400)
        fixture = bridge(policies=[TOKENS], default_output=200)

        def output() -> float:
            return fixture.bridge.learned.kinds(fixture.identity.principal.id).get(("m", "Unknown"), 0.0)

        def answered(status: int, pairs: list[tuple[bytes, bytes]], *pieces: bytes, left: bool = False) -> None:
            fixture.clock.advance(10000)
            asked = Asked(body=prompt).ask(fixture.bridge)
            answer = fixture.upstream.calls[-1].answer(Answer(status, pairs))
            for piece in pieces:
                answer.body(piece)
            if left:
                asked.leave()
            else:
                answer.end()

        answered(400, JSON, error)
        answered(200, JSON, error)
        answered(200, [*JSON, (b"Content-Encoding", b"compress")], b"\x00\x01")
        self.assertEqual(output(), 0.0)
        answered(200, JSON, whole % 100)
        self.assertEqual(output(), 150.0)
        answered(200, STREAM, CHUNK * 7, left=True)
        self.assertEqual(output(), 150.0)
        answered(200, STREAM, *[CHUNK] * 600, left=True)
        self.assertEqual(output(), 300.0)
        answered(200, STREAM, *[CHUNK] * 40, DONE)
        self.assertEqual(output(), 235.0)

    def test_what_cannot_be_read(self) -> None:
        """
        Is charged as estimated, and crosses all the same.
        """
        fixture, asked = self.asked()
        answer = fixture.upstream.calls[0].answer(Answer(200, [*JSON, (b"Content-Encoding", b"compress")]))
        answer.body(b"\x00\x01")
        answer.end()
        self.assertEqual((self.charged(fixture), asked.written, fixture.done[0].usage), (200, b"\x00\x01", "estimated"))
        registry = fixture.bridge.metrics.registry
        labels = {"provider": "openai", "why": "encoded"}
        self.assertEqual(registry.get_sample_value("aibridge_unread_answers_total", labels), 1)

    def test_what_is_of_another_type(self) -> None:
        """
        Is charged as estimated, if it is an answer and no error.
        """
        plain = [(b"Content-Type", b"text/plain")]
        for status, charged, known in ((200, 200, "estimated"), (500, 0, "")):
            fixture, _ = self.asked()
            fixture.upstream.calls[0].answer(Answer(status, plain)).end()
            self.assertEqual((self.charged(fixture), fixture.done[0].usage), (charged, known))
            registry = fixture.bridge.metrics.registry
            labels = {"provider": "openai", "why": "other_type"}
            found = registry.get_sample_value("aibridge_unread_answers_total", labels)
            self.assertEqual(found, 1 if charged else None)


class AccountTests(SynchronousTestCase):
    """
    What is counted and told of an end.
    """

    def test_a_refusal(self) -> None:
        """
        By its reason, its policy, and the class of whom it refused.
        """
        fixture = bridge(rate_limit=0.001)
        fixture.identity.principal = Principal(id="b", name="b", class_=Class.BATCH)
        Asked().ask(fixture.bridge)
        Asked().ask(fixture.bridge)
        done = fixture.done[-1]
        self.assertEqual(
            (done.reason, done.policy, done.status, done.retry_after_s), ("rate", "per-principal", 429, 45.0)
        )
        labels = {"reason": "rate", "kind": "rate_limited", "policy": "per-principal", "class": "batch"}
        registry = fixture.bridge.metrics.registry
        self.assertEqual(registry.get_sample_value("aibridge_refusals_total", labels), 1)

    def test_a_refusal_of_nobody(self) -> None:
        """
        Has no class.
        """
        fixture = bridge()
        Asked(pairs=[]).ask(fixture.bridge)
        labels = {"reason": "auth", "kind": "unauthenticated", "policy": "", "class": ""}
        self.assertEqual(fixture.bridge.metrics.registry.get_sample_value("aibridge_refusals_total", labels), 1)

    def test_calls(self) -> None:
        """
        How many, and with which key.
        """
        fixture = bridge(keys=("sk-one-0123456789", "sk-two-0123456789abcdef"))
        Asked().ask(fixture.bridge)
        fixture.upstream.calls[0].answer(Answer(429)).end()
        fixture.upstream.calls[1].answer(Answer(200)).end()
        (done,) = fixture.done
        self.assertEqual((done.attempts, done.key, done.hint), (2, 2, "sk-t...cdef"))

    def test_what_was_never_sent(self) -> None:
        """
        Is no exchange with a provider.
        """
        used_up = [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", b"60s")]
        fixture = bridge(keys=("sk-one", "sk-two"), account={"heeds": True})
        registry = fixture.bridge.metrics.registry
        for _ in range(3):
            asked = Asked().ask(fixture.bridge)
            while not asked.status:
                fixture.upstream.calls[-1].answer(Answer(429, used_up)).end()
        self.assertEqual([done.attempts for done in fixture.done], [2, 0, 0])
        counted = [
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "aibridge_interceptions_total"
        ]
        self.assertEqual(counted, [1])
        self.assertEqual(registry.get_sample_value("aibridge_upstream_calls_total", {"provider": "openai"}), 2)

    def test_breakers_are_told_once(self) -> None:
        """
        By the head of an answer that begins badly, by the end of one that begins well, or by why there is none; and not
        by clients that leave.
        """
        terms = BreakerTerms(failure_threshold=1)

        def state(fixture: Fixture) -> State:
            return fixture.bridge.breakers.state("openai", "/v1/chat/completions", "m")

        for end, expected in (
            (lambda call, _: call.answer(Answer(200)).end(), State.CLOSED),
            (lambda call, _: call.answer(Answer(200)).end(errors.UpstreamTruncated()), State.OPEN),
            (lambda call, _: call.answer(Answer(200)).end(errors.TotalTimeout()), State.CLOSED),
            (lambda call, _: call.answer(Answer(503)).end(), State.OPEN),
            (lambda call, _: call.answer(Answer(429)).end(), State.CLOSED),
            (lambda call, _: call.fail(errors.ConnectFailed()), State.OPEN),
            (lambda call, _: call.fail(errors.PoolTimeout()), State.CLOSED),
            (lambda _, asked: asked.leave(), State.CLOSED),
        ):
            fixture = bridge(breaker=terms)
            asked = Asked().ask(fixture.bridge)
            end(fixture.upstream.calls[0], asked)
            self.assertEqual(state(fixture), expected)
