"""
One exchange, at every point where it can wait, fail or be left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import PotentialDataLoss

from aibridge import errors
from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.policies import Refusal
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.model import Class, Principal
from aibridge.web.bodies import PLACE
from aibridge.web.body import WINDOW
from fakes import KEY, TOKEN, Answer, Asked, AsksSomebody, Fixture, KnowsOne, bridge


class BytesConsumer:
    """
    Takes a body that is passed on.
    """

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """
        Take a piece.
        """
        self.data += data


STREAM = [(b"Content-Type", b"text/event-stream")]


def begin(fixture: Fixture, request: Asked | None = None) -> Asked:
    """
    Begin an exchange.
    """
    return (request or Asked()).ask(fixture.bridge)


class FieldsTests(SynchronousTestCase):
    """
    What the provider is sent beside the body.
    """

    TENANCY = [(b"OpenAI-Organization", b"org-foo"), (b"openai-project", b"p"), (b"Anthropic-Workspace-Id", b"w")]

    def sent(self, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """
        The fields that reach the provider, keys left out.
        """
        fixture = bridge()
        begin(fixture, Asked(pairs=[*pairs, *self.TENANCY]))
        return [pair for pair in fixture.upstream.calls[0].headers if pair in self.TENANCY]

    def test_whose_organization(self) -> None:
        """
        A client's choice of an organization, a project or a workspace goes with a key of its own, and not with ours.
        """
        self.assertEqual(self.sent([(b"Authorization", b"Bearer " + TOKEN)]), [])
        own = [(b"X-Coder-Token", TOKEN), (b"Authorization", b"Bearer sk-own")]
        self.assertEqual(self.sent(own), self.TENANCY)


class AdmissionTests(SynchronousTestCase):
    """
    What is decided on the head.
    """

    def refused(self, fixture: Fixture, request: Asked, status: int, reason: bytes) -> dict[str, Any]:
        """
        Check a refusal that left nothing behind.
        """
        begin(fixture, request)
        self.assertEqual(request.status, status)
        self.assertEqual(request.told(b"x-ai-bridge-reason"), reason)
        self.assertEqual(request.told(b"x-ai-bridge-request-id"), b"id-0")
        self.assertTrue(request.finished)
        self.assertEqual(fixture.upstream.calls, [])
        self.assertEqual(fixture.in_use, 0)
        self.assertEqual(fixture.bridge.exchanges, set())
        (completion,) = fixture.done
        self.assertEqual((completion.status, completion.reason), (status, reason.decode()))
        self.assertEqual(request.told(b"content-length"), b"%d" % len(request.written))
        body: dict[str, Any] = json.loads(request.written)
        return body

    def test_no_token(self) -> None:
        """
        A request without a token is told so in the dialect of its route.
        """
        body = self.refused(bridge(), Asked(pairs=[]), 401, b"auth")
        self.assertIn("Incorrect API key provided", body["error"]["message"])

    def test_no_token_anthropic(self) -> None:
        """
        Likewise in the other dialect.
        """
        body = self.refused(bridge(), Asked(uri=b"/anthropic/v1/messages", pairs=[]), 401, b"auth")
        self.assertEqual(body["error"]["type"], "authentication_error")

    def test_unknown_route(self) -> None:
        """
        A path that is not allowed is not found.
        """
        self.refused(bridge(), Asked(uri=b"/openai/v1/nothing"), 404, b"route")

    def test_what_the_configured_key_is_not_used_for(self) -> None:
        """
        Administration and lists of what everybody has are refused with it, in the dialect, and cross with a key of the
        client's own.
        """
        for method, uri in ((b"DELETE", b"/openai/v1/models/ft:m"), (b"GET", b"/openai/v1/files")):
            body = self.refused(bridge(), Asked(method=method, uri=uri, body=b""), 403, b"route")
            self.assertEqual(body["error"]["code"], "not_allowed")
            fixture = bridge()
            own = [(b"X-Coder-Token", TOKEN), (b"Authorization", b"Bearer sk-own")]
            begin(fixture, Asked(method=method, uri=uri, body=b"", pairs=own))
            self.assertEqual(fixture.upstream.calls[0].method, method)
        body = self.refused(
            bridge(), Asked(method=b"GET", uri=b"/anthropic/v1/messages/batches", body=b""), 403, b"route"
        )
        self.assertEqual(body["error"]["type"], "permission_error")

    def test_unknown_provider(self) -> None:
        """
        Outside every provider the answer has no dialect.
        """
        body = self.refused(bridge(), Asked(uri=b"/nowhere"), 404, b"route")
        self.assertEqual(list(body), ["message"])

    def test_dotted_path(self) -> None:
        """
        A path that would leave its place is not well formed.
        """
        self.refused(bridge(), Asked(uri=b"/openai/v1/responses/%2e%2e/admin"), 400, b"request")

    def test_upgrade(self) -> None:
        """
        An upgrade is refused whatever the route and whoever asks.
        """
        self.refused(bridge(), Asked(method=b"GET", uri=b"/nowhere", pairs=[], wants_upgrade=True), 426, b"upgrade")

    def test_body_declared_too_large(self) -> None:
        """
        A length that is too large is refused before the body is asked for, and does not count towards the rate.
        """
        fixture = bridge(max_body=10, rate_limit=1.0)
        request = Asked(body=b"x" * 11)
        self.refused(fixture, request, 413, b"body")
        self.assertFalse(request.request.claimed)
        self.assertEqual(fixture.bridge.terms.policies.bytes_used, 0)

    def test_gate(self) -> None:
        """
        The exchange beyond the last permit is refused, and the others go on.
        """
        fixture = bridge(limit=1)
        begin(fixture)
        third = begin(fixture)
        self.assertEqual(third.status, 503)
        self.assertEqual(third.told(b"x-ai-bridge-reason"), b'gate; policy="daemon"')
        self.assertTrue(1 <= int(third.told(b"retry-after") or 0) <= 45)
        self.assertEqual(
            json.loads(third.written)["error"]["message"], "AI Bridge is currently at capacity. Please try again later."
        )
        self.assertEqual(fixture.in_use, 1)

    def test_rate(self) -> None:
        """
        A request over the rate is told exactly when to come back; its body is not read.
        """
        fixture = bridge(rate_limit=0.5, rate_burst=1.0)
        begin(fixture)
        fixture.clock.advance(0.75)
        second = begin(fixture, Asked(body_comes_at_once=False))
        self.assertEqual(second.status, 429)
        self.assertEqual((second.told(b"retry-after"), second.told(b"retry-after-ms")), (b"2", b"1250"))
        self.assertFalse(second.request.claimed)
        fixture.clock.advance(1.25)
        self.assertEqual(begin(fixture).status, 0)
        self.assertEqual(len(fixture.upstream.calls), 2)

    def test_rate_for_clients_that_give_up(self) -> None:
        """
        SDKs, which say how often they have come back, are told to come one after the other; others, when there is room.
        """
        fixture = bridge(rate_limit=2.0, rate_burst=2.0)
        for _ in range(2):
            begin(fixture)
        pairs = [(b"Authorization", b"Bearer " + TOKEN), (b"X-Stainless-Retry-Count", b"0")]
        told = [begin(fixture, Asked(pairs=pairs)).told(b"retry-after-ms") for _ in range(3)]
        self.assertEqual(told, [b"500", b"1000", b"1500"])
        self.assertEqual(begin(fixture).told(b"retry-after-ms"), b"500")
        self.assertEqual(begin(fixture, Asked(pairs=pairs)).told(b"ratelimit"), b'"per-principal";r=0;t=1')

    def test_nobody_is_told_to_wait_too_long(self) -> None:
        """
        Nor are those who are told to come after others.
        """
        fixture = bridge(rate_limit=0.03, rate_burst=1.0, max_retry_after_s=35.0)
        begin(fixture)
        pairs = [(b"Authorization", b"Bearer " + TOKEN), (b"X-Stainless-Retry-Count", b"0")]
        told = [begin(fixture, Asked(pairs=pairs)).told(b"retry-after") for _ in range(3)]
        self.assertEqual(told, [b"34", b"35", b"35"])

    def test_rate_at_the_gate(self) -> None:
        """
        Whoever would have to wait at the gate to be refused at the bucket is refused at once.
        """
        fixture = bridge(limit=1, rate_limit=0.001, rate_burst=1.0, seats={"queue_size": 5})
        begin(fixture)
        second = begin(fixture)
        self.assertEqual((second.status, second.told(b"x-ai-bridge-reason")), (429, b'rate; policy="per-principal"'))
        self.assertEqual(fixture.bridge.turns.seats.waiting, 0)
        registry = fixture.bridge.metrics.registry
        labels = {"class": "default", "outcome": "rate_limited"}
        self.assertIsNone(registry.get_sample_value("aibridge_queue_wait_seconds_count", labels))

    def test_nobody_makes_room_in_vain(self) -> None:
        """
        Nor is another one displaced for it.
        """
        fixture = bridge(limit=1, seats={"queue_size": 1})
        fixture.identity.principal = Principal(id="a", name="a", class_=Class.INTERACTIVE, rate_limit=0.001)
        begin(fixture)
        hasty, fixture.identity.principal = fixture.identity.principal, Principal(id="b", name="b", class_=Class.BATCH)
        waiting = begin(fixture)
        fixture.identity.principal = hasty
        self.assertEqual(begin(fixture).status, 429)
        self.assertEqual((waiting.status, fixture.bridge.turns.seats.waiting), (0, 1))

    def test_a_refusal_at_the_bucket_holds_no_permit(self) -> None:
        """
        Nor does one at the gate fill a bucket.
        """
        fixture = bridge(limit=1, rate_limit=0.001, rate_burst=2.0)
        begin(fixture)
        self.assertEqual(begin(fixture).status, 503)
        (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
        self.assertEqual(state.remaining, 1)
        fixture.upstream.calls[0].fail(errors.ConnectFailed())
        begin(fixture)
        fixture.upstream.calls[1].fail(errors.ConnectFailed())
        self.assertEqual(begin(fixture).status, 429)
        self.assertEqual(fixture.in_use, 0)

    def test_what_is_refused_behind_the_buckets_counts_in_none(self) -> None:
        """
        By a breaker, or since all keys cool down; what was sent to a provider counts, whatever became of it.
        """
        used_up = [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", b"60s")]
        for fixture, status in (
            (bridge(rate_limit=0.001, rate_burst=5.0, breaker=BreakerTerms(failure_threshold=1)), 503),
            (bridge(rate_limit=0.001, rate_burst=5.0, keys=("sk-one", "sk-two"), account={"heeds": True}), 429),
        ):
            asked = begin(fixture)
            while not asked.status:
                fixture.upstream.calls[-1].answer(Answer(status, used_up)).end()
            for _ in range(3):
                refused = begin(fixture)
                self.assertEqual(refused.status, status)
                (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
                self.assertEqual(state.remaining, 4)
                self.assertIn(b'"per-principal";r=4;', refused.told(b"ratelimit") or b"")

    def test_all_buckets_or_none(self) -> None:
        """
        Policies of all scopes are met; the one that has the longest wait is named in header and body.
        """
        policies = [
            Policy(scope=Scope.PRINCIPAL, limit=5),
            Policy(scope=Scope.GLOBAL, limit=1, unit=Unit.REQUESTS_PER_MINUTE),
        ]
        fixture = bridge(policies=policies)
        begin(fixture)
        second = begin(fixture)
        self.assertEqual((second.status, second.told(b"retry-after")), (429, b"45"))
        self.assertEqual(second.told(b"x-ai-bridge-reason"), b'rate; policy="global"')
        self.assertIn('The policy is "global"', json.loads(second.written)["error"]["message"])
        states = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
        self.assertEqual([state.remaining for state in states], [4, 0])

    def test_tokens_on_the_head(self) -> None:
        """
        A body that cannot fit is not waited for; one of which that is not sure is.
        """
        tokens = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=1000)
        fixture = bridge(policies=[tokens], default_output=10)
        begin(fixture, Asked(body=b'{"model":"m","max_tokens":10}'.ljust(3600)))
        for size, before, after in ((1500, 429, 429), (800, 0, 429), (340, 0, 429), (300, 0, 0)):
            body = b'{"model":"m","max_tokens":10}'.ljust(size)
            asked = begin(fixture, Asked(body=body, body_comes_at_once=False))
            self.assertEqual((asked.status, asked.request.claimed), (before, not before), size)
            asked.send(body)
            self.assertEqual(asked.status, after, size)

    def test_tokens_are_waited_for_as_far_as_they_are_known(self) -> None:
        """
        Those of the whole request where its body is there, else those of its length and of a usual answer; also by one
        that is refused before it would have to wait for a permit.
        """
        tokens = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=6000, burst=1000)
        for queue_size in (0, 5):
            fixture = bridge(limit=2, policies=[tokens], default_output=200, seats={"queue_size": queue_size})
            if queue_size:
                begin(fixture, Asked(method=b"GET", uri=b"/openai/v1/models", body=b""))
            begin(fixture, Asked(body=b'{"model":"m","max_tokens":200}'.ljust(3200)))
            small = begin(fixture, Asked(body=b'{"model":"m","max_tokens":520}'.ljust(40)))
            self.assertEqual((small.status, small.told(b"retry-after-ms")), (429, b"2300"))
            fixture.clock.advance(1)
            large = begin(fixture, Asked(body=b" " * 2400, body_comes_at_once=False))
            self.assertEqual((large.status, large.told(b"retry-after-ms")), (429, b"7625"))

    def test_tokens_of_what_has_no_output(self) -> None:
        """
        A request for embeddings is taken for its input, and no more.
        """
        tokens = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=10000)
        fixture = bridge(policies=[tokens])
        begin(fixture, Asked(uri=b"/openai/v1/embeddings", body=b'{"model":"m","input":"Hi"}'.ljust(400)))
        (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
        self.assertEqual(state.level, 100)

    def test_an_absurd_maximum_in_a_bucket_of_all(self) -> None:
        """
        Leaves room for others: one request alone does not fill what everybody shares, whatever it allows.
        """
        tokens = Policy(scope=Scope.GLOBAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=10000)
        fixture = bridge(policies=[tokens])
        for most in (2**53 - 1, 131072, 100):
            body = b'{"model":"m","max_tokens":%d}' % most
            self.assertEqual(begin(fixture, Asked(body=body.ljust(400))).status, 0)

    def test_what_the_provider_is_taken_to_count(self) -> None:
        """
        Follows the vendor's rule: with OpenAI the most that is allowed, with Anthropic what is expected, and so
        where more is asked for than any model writes.
        """
        for uri, most, left in (
            (b"/openai/v1/chat/completions", 5000, 200000 - 5000),
            (b"/openai/v1/chat/completions", 2**53 - 1, 200000 - 100 - 1024),
            (b"/anthropic/v1/messages", 5000, 200000 - 100 - 1024),
            (b"/anthropic/v1/messages", 2**53 - 1, 200000 - 100 - 1024),
        ):
            fixture = bridge(account={"heeds": True})
            pair = [(b"x-ratelimit-remaining-tokens", b"200000"), (b"x-ratelimit-reset-tokens", b"60s")]
            body = b'{"model":"m","max_tokens":%d}' % most
            begin(fixture, Asked(uri=uri, body=body.ljust(400)))
            fixture.upstream.calls[0].answer(Answer(200, pair)).end()
            begin(fixture, Asked(uri=uri, body=body.ljust(400)))
            ((key,),) = [
                account.keys.keys
                for name, account in fixture.bridge.terms.accounts.items()
                if name.encode() in uri and account.keys is not None
            ]
            self.assertEqual(key.pace(("", "m")).told(1000.0), {"tokens_left": left}, uri)

    def test_breaker(self) -> None:
        """
        A model that fails is left alone, with the time that remains; others go on.
        """
        fixture = bridge(breaker=BreakerTerms(failure_threshold=1, timeout_s=30.0))
        begin(fixture)
        fixture.upstream.calls[0].fail(errors.ConnectFailed())
        fixture.clock.advance(10)
        asked = begin(fixture)
        self.assertEqual((asked.status, asked.told(b"retry-after")), (503, b"20"))
        self.assertEqual(asked.told(b"x-ai-bridge-reason"), b"breaker")
        self.assertEqual(json.loads(asked.written)["error"]["message"], "circuit breaker is open")
        self.assertEqual(begin(fixture, Asked(body=b'{"model":"other"}')).status, 0)
        self.assertEqual(begin(fixture, Asked(method=b"GET", uri=b"/openai/v1/models", body=b"")).status, 0)

    def test_shadows(self) -> None:
        """
        Refuse nothing, and are told in the log.
        """
        shadow = Policy(scope=Scope.PRINCIPAL, limit=0.001, shadow=True)
        breaker = BreakerTerms(failure_threshold=1, shadow=True)
        fixture = bridge(limit=1, policies=[shadow], seats={"shadow": True}, breaker=breaker)
        begin(fixture)
        fixture.upstream.calls[0].fail(errors.ConnectFailed())
        begin(fixture)
        begin(fixture)
        for call in fixture.upstream.calls[1:]:
            call.answer(Answer()).end()
        self.assertEqual(
            [done.shadowed for done in fixture.done],
            ["", "rate:per-principal,breaker", "gate,rate:per-principal,breaker"],
        )

    def test_passthrough_does_not_count(self) -> None:
        """
        Passthrough requests count only if they are told to.
        """
        for counts, last in ((False, 0), (True, 429)):
            fixture = bridge(rate_limit=0.5, rate_burst=1.0, count_passthrough=counts)
            for _ in range(3):
                request = begin(fixture, Asked(method=b"GET", uri=b"/openai/v1/models", body=b""))
            self.assertEqual(request.status, last)

    def test_own_rate(self) -> None:
        """
        A principal with limits of its own has those.
        """
        fixture = bridge(rate_limit=0.5, rate_burst=1.0)
        assert isinstance(fixture.identity, KnowsOne)
        fixture.identity.principal = Principal(id="p", name="p", rate_limit=0.001, rate_burst=3.0)
        self.assertEqual([begin(fixture).status for _ in range(5)], [0, 0, 0, 429, 429])

    def test_no_key(self) -> None:
        """
        Without any key for the provider nothing is asked of it, and nothing counted.
        """
        fixture = bridge(keys=(), rate_limit=1.0)
        self.refused(fixture, Asked(), 403, b"credential")
        self.assertEqual(fixture.bridge.terms.policies.bytes_used, 0)

    def test_token_in_the_url(self) -> None:
        """
        A URL with the token in it goes nowhere.
        """
        uri = b"/openai/v1/models?key=" + TOKEN
        self.refused(bridge(), Asked(method=b"GET", uri=uri, body=b""), 400, b"request")

    def test_draining(self) -> None:
        """
        Once draining, nothing begins.
        """
        fixture = bridge()
        fixture.bridge.draining = True
        self.refused(fixture, Asked(), 503, b"drain")

    def test_probe(self) -> None:
        """
        Claude Code's first breath is answered without a token, a log line or an upstream call.
        """
        fixture = bridge()
        request = begin(fixture, Asked(method=b"HEAD", uri=b"/anthropic/api/hello", pairs=[], body=b""))
        self.assertEqual((request.status, request.finished), (200, True))
        self.assertEqual((fixture.done, fixture.upstream.calls), ([], []))
        self.assertEqual(fixture.bridge.exchanges, set())

    def test_defect(self) -> None:
        """
        A defect of the bridge is logged with its traceback, and told as a 500 with a request id alone.
        """

        class Broken(KnowsOne):
            def identify(self, *_: Any) -> Any:
                raise RuntimeError("sk-in-a-traceback")

        body = self.refused(bridge(identity=Broken()), Asked(), 500, b"internal")
        self.assertNotIn("sk-in", str(body))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class QueueTests(SynchronousTestCase):
    """
    A turn that has to be waited for.
    """

    def queued(self, **terms: Any) -> tuple[Fixture, Asked, Asked]:
        """
        One that runs, and one that waits.
        """
        fixture = bridge(limit=1, seats={"queue_size": 2, "queue_timeout_s": 10.0}, **terms)
        return fixture, begin(fixture), begin(fixture)

    def test_its_turn_comes(self) -> None:
        """
        Then it goes on; the log says how long it waited.
        """
        fixture, _, second = self.queued()
        self.assertEqual((second.status, second.request.claimed, len(fixture.upstream.calls)), (0, True, 1))
        fixture.clock.advance(3)
        fixture.upstream.calls[0].answer(Answer()).end()
        fixture.upstream.calls[1].answer(Answer()).end()
        self.assertEqual((second.status, fixture.in_use), (200, 0))
        self.assertEqual([done.queued_s for done in fixture.done], [0.0, 3.0])
        registry = fixture.bridge.metrics.registry
        labels = {"class": "default", "outcome": "admitted"}
        self.assertEqual(registry.get_sample_value("aibridge_queue_wait_seconds_sum", labels), 3.0)

    def test_it_waits_too_long(self) -> None:
        """
        And is told so, and when to come back.
        """
        fixture, _, second = self.queued()
        fixture.clock.advance(10)
        self.assertEqual((second.status, second.told(b"x-ai-bridge-reason")), (503, b'gate; policy="timeout"'))
        self.assertIsNotNone(second.told(b"retry-after"))
        (done,) = fixture.done
        self.assertEqual((done.policy, done.queued_s), ("timeout", 10.0))

    def test_it_leaves(self) -> None:
        """
        It leaves no trace but in the log, and in the metrics.
        """
        fixture, _, second = self.queued()
        fixture.clock.advance(3)
        second.leave()
        self.assertEqual(fixture.bridge.turns.seats.waiting, 0)
        (done,) = fixture.done
        self.assertEqual((done.cause, done.queued_s), ("client_left", 3.0))
        registry = fixture.bridge.metrics.registry
        labels = {"class": "default", "outcome": "client_left"}
        self.assertEqual(registry.get_sample_value("aibridge_queue_wait_seconds_sum", labels), 3.0)
        fixture.upstream.calls[0].answer(Answer()).end()
        self.assertEqual((len(fixture.upstream.calls), fixture.in_use), (1, 0))

    def test_it_waits_with_its_body(self) -> None:
        """
        Nobody waits for a permit before his body is there; then all of it is held.
        """
        fixture = bridge(limit=1, seats={"queue_size": 1}, max_body=1 << 22)
        begin(fixture)
        body = b'{"model":"m","messages":"' + b"x" * (1 << 20) + b'"}'
        second = Asked(body=body, body_comes_at_once=False).ask(fixture.bridge)
        second.send(body[:-1])
        self.assertEqual(fixture.bridge.turns.seats.waiting, 0)
        second.send(body[-1:])
        self.assertEqual(fixture.bridge.turns.seats.waiting, 1)
        self.assertEqual(fixture.bridge.bodies.held, len(body) + 13)
        self.assertTrue(second.reads)
        fixture.upstream.calls[0].answer(Answer()).end()
        self.assertEqual(fixture.upstream.calls[1].data, body)
        self.assertEqual(fixture.bridge.bodies.held, len(body))
        fixture.upstream.calls[1].answer(Answer())
        self.assertEqual(fixture.bridge.bodies.held, 0)

    def test_the_bucket_is_full_by_then(self) -> None:
        """
        It was not when it came: what was told then is told now, and the permit goes to the next.
        """
        fixture, _, second = self.queued(policies=[Policy(scope=Scope.GLOBAL, limit=0.001, burst=2.0)])
        admitted = fixture.bridge.terms.policies.check(Principal(id="x", name="x"), "openai", 1000.0)
        self.assertNotIsInstance(admitted, Refusal)
        third = begin(fixture)
        self.assertEqual((second.status, third.status), (0, 429))
        fixture.upstream.calls[0].answer(Answer()).end()
        self.assertEqual((second.status, fixture.in_use), (429, 0))

    def test_fewer_for_one_principal(self) -> None:
        """
        Of its own, or by configuration; others pass.
        """
        fixture = bridge(limit=5, max_in_flight=1)
        begin(fixture)
        asked = begin(fixture)
        self.assertEqual((asked.status, asked.told(b"x-ai-bridge-reason")), (503, b'gate; policy="principal"'))
        fixture.identity.principal = Principal(id="other", name="other", max_in_flight=2)
        self.assertEqual([begin(fixture).status for _ in range(3)], [0, 0, 503])

    def test_a_full_provider(self) -> None:
        """
        Does not stand in the way to another.
        """
        fixture = bridge(seats={"providers": {"openai": 1}})
        begin(fixture)
        asked = begin(fixture)
        self.assertEqual((asked.status, asked.told(b"x-ai-bridge-reason")), (503, b'gate; policy="provider"'))
        self.assertEqual(begin(fixture, Asked(uri=b"/anthropic/v1/messages")).status, 0)


class LimitFieldsTests(SynchronousTestCase):
    """
    What answers say of the buckets.
    """

    def test_on_every_answer(self) -> None:
        """
        Of the provider's, and of the bridge's own; in the standard's fields and in those of the dialect.
        """
        fixture = bridge(rate_limit=0.1, rate_burst=3.0)
        first = begin(fixture)
        fixture.upstream.calls[0].answer(Answer()).end()
        self.assertEqual(first.told(b"ratelimit-policy"), b'"per-principal";q=3;w=30')
        self.assertEqual(first.told(b"ratelimit"), b'"per-principal";r=2;t=10')
        self.assertEqual(first.told(b"x-ratelimit-limit-requests"), b"3")
        self.assertEqual(first.told(b"x-ratelimit-remaining-requests"), b"2")
        anthropic = begin(fixture, Asked(uri=b"/anthropic/v1/messages"))
        fixture.upstream.calls[1].answer(Answer()).end()
        self.assertEqual(anthropic.told(b"anthropic-ratelimit-requests-remaining"), b"1")
        begin(fixture)
        refused = begin(fixture)
        self.assertEqual((refused.status, refused.told(b"ratelimit")), (429, b'"per-principal";r=0;t=10'))
        self.assertEqual(refused.told(b"retry-after"), b"10")

    def test_the_providers_own_are_left_alone(self) -> None:
        """
        All of them, beside the standard's, which are lists.
        """
        fixture = bridge(rate_limit=1.0)
        asked = begin(fixture)
        pairs = [(b"Content-Type", b"application/json"), (b"X-RateLimit-Remaining-Requests", b"7")]
        fixture.upstream.calls[0].answer(Answer(200, pairs)).end()
        self.assertEqual(asked.told(b"x-ratelimit-remaining-requests"), b"7")
        self.assertIsNone(asked.told(b"x-ratelimit-limit-requests"))
        self.assertIsNotNone(asked.told(b"ratelimit"))

    def test_where_nothing_is_limited(self) -> None:
        """
        Nothing is said: without policies, on routes that do not count, and to nobody.
        """
        for fixture, asked in (
            (bridge(), Asked()),
            (bridge(rate_limit=1.0), Asked(method=b"GET", uri=b"/openai/v1/models", body=b"")),
            (bridge(rate_limit=1.0), Asked(pairs=[])),
        ):
            begin(fixture, asked)
            for call in fixture.upstream.calls:
                call.answer(Answer()).end()
            self.assertIsNone(asked.told(b"ratelimit"))


class LookupTests(SynchronousTestCase):
    """
    An identity that has to be asked for.
    """

    def waiting(self) -> tuple[Fixture, AsksSomebody, Asked]:
        """
        An exchange that waits for it.
        """
        identity = AsksSomebody()
        fixture = bridge(identity=identity, limit=1)
        return fixture, identity, begin(fixture)

    def test_found(self) -> None:
        """
        It goes on when the answer is there.
        """
        fixture, identity, _ = self.waiting()
        identity.waiting[0].callback(identity.principal)
        self.assertEqual(len(fixture.upstream.calls), 1)

    def test_the_time_it_took_is_not_the_gates(self) -> None:
        """
        It waits for a permit from when it is known who asks.
        """
        identity = AsksSomebody()
        fixture = bridge(identity=identity, limit=1, seats={"queue_size": 2, "queue_timeout_s": 10.0})
        first, second, third = begin(fixture), begin(fixture), begin(fixture)
        fixture.clock.advance(6)
        for waiting in identity.waiting:
            waiting.callback(identity.principal)
        fixture.clock.advance(9)
        self.assertEqual((second.status, third.status), (0, 0))
        fixture.upstream.calls[0].answer(Answer()).end()
        fixture.clock.advance(1)
        self.assertEqual((first.status, second.status, third.status), (200, 0, 503))
        self.assertEqual([done.queued_s for done in fixture.done], [0.0, 10.0])
        second.leave()
        self.assertEqual((fixture.done[2].queued_s, fixture.in_use), (9.0, 0))

    def test_failures(self) -> None:
        """
        A deployment that is away is no bad token.
        """
        for error, status in (
            (errors.Unauthenticated(), 401),
            (errors.IdentityUnavailable(), 503),
            (errors.TooManyFailures(retry_after_s=3), 429),
        ):
            fixture, identity, request = self.waiting()
            identity.waiting[0].errback(error)
            self.assertEqual((request.status, fixture.in_use), (status, 0))

    def test_defect(self) -> None:
        """
        Any other failure is a defect.
        """
        _, identity, request = self.waiting()
        identity.waiting[0].errback(ValueError("odd"))
        self.assertEqual(request.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_left(self) -> None:
        """
        A client that leaves meanwhile takes its look-up and its permit along.
        """
        fixture, identity, request = self.waiting()
        request.leave()
        self.assertEqual((identity.cancelled, fixture.in_use), (1, 0))
        self.assertEqual(fixture.done[0].status, 499)
        self.assertEqual(request.status, 0)


class RequestTests(SynchronousTestCase):
    """
    What the provider is asked.
    """

    def test_bytes_cross(self) -> None:
        """
        Method, URL and body cross as they are; the key is the configured one and the token is gone.
        """
        fixture = bridge()
        pairs = [(b"Authorization", b"Bearer " + TOKEN), (b"X-Custom", b"1"), (b"X-Coder-Chat-Id", b"c")]
        begin(fixture, Asked(uri=b"/openai/v1/responses?a=b%20c", pairs=pairs, body=b'{"model": "m" }\n'))
        (call,) = fixture.upstream.calls
        self.assertEqual((call.method, call.url), (b"POST", b"https://api.openai.com/v1/responses?a=b%20c"))
        self.assertEqual(call.data, b'{"model": "m" }\n')
        self.assertEqual(call.headers, [(b"X-Custom", b"1"), (b"Authorization", b"Bearer " + KEY.encode())])

    def test_passthrough_streams(self) -> None:
        """
        A passthrough body that goes on is not collected: it is passed on once a window of it has come.
        """
        fixture = bridge(limit=1, max_body=1 << 20)
        body = b"x" * (WINDOW + 1000)
        request = begin(fixture, Asked(uri=b"/openai/v1/files", body=body, body_comes_at_once=False))
        request.send(body[: WINDOW - 1])
        self.assertEqual((fixture.upstream.calls, fixture.in_use), ([], 0))
        request.send(body[WINDOW - 1 : WINDOW])
        self.assertEqual((fixture.upstream.calls[0].data.length, fixture.in_use), (len(body), 1))
        sent = BytesConsumer()
        uploaded = fixture.upstream.calls[0].data.startProducing(sent)
        self.assertNoResult(uploaded)
        request.send(body[WINDOW:])
        self.successResultOf(uploaded)
        self.assertEqual(sent.data, body)

    def test_short_passthrough(self) -> None:
        """
        One that is shorter is passed on when it is there, in one piece.
        """
        for body_comes_at_once in (True, False):
            fixture = bridge(limit=1)
            asked = Asked(uri=b"/openai/v1/files", body=b"0123456789abc", body_comes_at_once=body_comes_at_once)
            begin(fixture, asked)
            if not body_comes_at_once:
                asked.send(b"012345678")
                self.assertEqual((fixture.upstream.calls, fixture.in_use), ([], 0))
                asked.send(b"9abc")
            data = fixture.upstream.calls[0].data
            if not isinstance(data, bytes):
                sent = BytesConsumer()
                self.successResultOf(data.startProducing(sent))
                data = sent.data
            self.assertEqual(data, b"0123456789abc")

    def test_passthrough_without_a_body(self) -> None:
        """
        Nothing is sent where there is nothing.
        """
        fixture = bridge()
        begin(fixture, Asked(method=b"GET", uri=b"/openai/v1/models/m", body=b""))
        self.assertIsNone(fixture.upstream.calls[0].data)

    def test_body_fails(self) -> None:
        """
        A body that is too large or too slow is told, and gives the permit back.
        """
        pairs = [(b"Authorization", b"Bearer " + TOKEN), (b"Transfer-Encoding", b"chunked")]
        for sent, seconds, status in ((b"2711\r\n" + b"x" * 10001, 0, 413), (b"", 3600, 408)):
            fixture = bridge(limit=1)
            request = begin(fixture, Asked(pairs=pairs, body=b""))
            request.send(sent)
            request.wait(seconds)
            self.assertEqual((request.status, fixture.in_use), (status, 0))
            self.assertEqual(fixture.upstream.calls, [])

    def test_left_within_the_body(self) -> None:
        """
        A client that leaves within its body leaves nothing behind.
        """
        fixture = bridge(limit=1)
        request = begin(fixture, Asked(body_comes_at_once=False))
        request.send(b"{")
        self.assertEqual((fixture.in_use, fixture.bridge.bodies.held), (0, PLACE + 13))
        request.leave()
        self.assertEqual((fixture.in_use, fixture.bridge.bodies.held), (0, 0))
        self.assertEqual((fixture.upstream.calls, len(fixture.done)), ([], 1))


class AnswerTests(SynchronousTestCase):
    """
    The way back.
    """

    def answered(self, answer: Answer, **asked: Any) -> tuple[Fixture, Asked]:
        """
        An exchange whose provider has begun to answer.
        """
        fixture = bridge(limit=1)
        request = begin(fixture, Asked(**asked))
        fixture.upstream.calls[0].answer(answer)
        return fixture, request

    def test_whole(self) -> None:
        """
        Status, fields and bytes cross; then everything is given back.
        """
        pairs = [(b"Content-Type", b"x/y"), (b"Retry-After", b"7"), (b"Set-Cookie", b"a=b"), (b"request-id", b"r")]
        answer = Answer(418, pairs, 6)
        fixture, request = self.answered(answer)
        self.assertEqual((request.status, request.told(b"content-length")), (418, b"6"))
        self.assertEqual(
            request.answer_pairs,
            [
                (b"Content-Type", b"x/y"),
                (b"Retry-After", b"7"),
                (b"request-id", b"r"),
                (b"X-AI-Bridge-Request-Id", b"id-0"),
            ],
        )
        answer.body(b"abc")
        self.assertEqual((request.written, fixture.in_use), (b"abc", 1))
        answer.body(b"def")
        answer.end()
        self.assertEqual((request.written, request.finished, request.aborted), (b"abcdef", True, False))
        self.assertEqual(fixture.in_use, 0)
        (completion,) = fixture.done
        self.assertEqual((completion.cause, completion.bytes_out, completion.upstream_status), ("completed", 6, 418))

    def test_close_delimited(self) -> None:
        """
        A body that ends with its connection ends well.
        """
        answer = Answer()
        _, request = self.answered(answer)
        answer.end(PotentialDataLoss())
        self.assertEqual((request.finished, request.aborted), (True, False))

    def test_back_pressure(self) -> None:
        """
        The provider's connection is the one that is paused.
        """
        answer = Answer()
        _, request = self.answered(answer)
        request.request.producer.pauseProducing()
        self.assertTrue(answer.transport.paused)
        request.request.producer.resumeProducing()
        self.assertFalse(answer.transport.paused)
        answer.end()
        self.assertIsNone(request.request.producer)

    def test_head(self) -> None:
        """
        An answer to HEAD has the length that it says, and no body.
        """
        answer = Answer(200, [(b"Content-Length", b"42")], 0)
        _, request = self.answered(answer, method=b"HEAD", uri=b"/openai/v1/models", body=b"")
        self.assertEqual(request.told(b"content-length"), b"42")

    def test_breaks_between_events(self) -> None:
        """
        A stream that breaks between two events gets the dialect's error event, and no end.
        """
        for uri, sign in (
            (b"/openai/v1/chat/completions", b'data: {"error":'),
            (b"/openai/v1/responses", b'event: error\ndata: {"type":"error","code":'),
            (b"/anthropic/v1/messages", b'event: error\ndata: {"type":"error","error":{"type":"api_error"'),
        ):
            answer = Answer(200, STREAM)
            fixture, request = self.answered(answer, uri=uri)
            answer.body(b"data: 1\n\n")
            answer.end(errors.UpstreamTruncated())
            self.assertTrue(request.written.startswith(b"data: 1\n\n" + sign), request.written)
            self.assertTrue(request.written.endswith(b"\n\n"))
            self.assertNotIn(b"[DONE]", request.written)
            self.assertEqual((request.finished, request.aborted), (False, True))
            self.assertEqual((fixture.in_use, fixture.done[0].cause), (0, "truncated"))

    def test_breaks_within_an_event(self) -> None:
        """
        Within an event nothing can be said, so the connection breaks without it.
        """
        answer = Answer(200, STREAM)
        _, request = self.answered(answer)
        answer.body(b'data: {"a')
        answer.end(errors.SilenceTimeout())
        self.assertEqual((request.written, request.aborted), (b'data: {"a', True))

    def test_breaks_encoded(self) -> None:
        """
        Nothing is added to a stream that is encoded.
        """
        answer = Answer(200, [*STREAM, (b"Content-Encoding", b"gzip")])
        _, request = self.answered(answer)
        answer.end(errors.UpstreamTruncated())
        self.assertEqual((request.written, request.aborted), (b"", True))

    def test_breaks_blocking(self) -> None:
        """
        A body that is no stream just breaks.
        """
        answer = Answer(200, None, 100)
        _, request = self.answered(answer)
        answer.body(b'{"a":')
        answer.end(errors.UpstreamTruncated())
        self.assertEqual((request.written, request.finished, request.aborted), (b'{"a":', False, True))

    def test_odd_reason(self) -> None:
        """
        A failure that nobody named is a truncation.
        """
        answer = Answer()
        fixture, request = self.answered(answer)
        answer.end(RuntimeError())
        self.assertEqual((request.aborted, fixture.done[0].cause), (True, "truncated"))

    def test_left(self) -> None:
        """
        A client that leaves within a stream cancels the upstream call; what still comes is not heard.
        """
        answer = Answer(200, STREAM)
        fixture, request = self.answered(answer)
        answer.body(b"data: 1\n\n")
        request.leave()
        self.assertTrue(answer.transport.aborted)
        self.assertEqual(fixture.in_use, 0)
        (completion,) = fixture.done
        self.assertEqual((completion.status, completion.cause), (499, "client_left"))
        answer.end(errors.UpstreamReset())
        self.assertEqual((len(fixture.done), request.written), (1, b"data: 1\n\n"))

    def test_left_before_the_answer(self) -> None:
        """
        A client that leaves before cancels the call.
        """
        fixture = bridge(limit=1)
        request = begin(fixture)
        request.leave()
        self.assertTrue(fixture.upstream.calls[0].cancelled)
        self.assertEqual((request.status, fixture.in_use), (0, 0))

    def test_cut(self) -> None:
        """
        A drain that is over ends what still runs, honestly.
        """
        answer = Answer(200, STREAM)
        fixture, request = self.answered(answer)
        answer.body(b"data: 1\n\n")
        for exchange in list(fixture.bridge.exchanges):
            exchange.cut(errors.Draining())
        self.assertIn(b"shutting down", request.written)
        self.assertEqual((request.aborted, answer.transport.aborted), (True, True))

    def test_emptied(self) -> None:
        """
        Whoever waits for the last exchange is told when it has ended.
        """
        answer = Answer()
        fixture, _ = self.answered(answer)
        told: list[bool] = []
        fixture.bridge.emptied = lambda: told.append(True)
        answer.end()
        self.assertEqual(told, [True])


class UpstreamFailureTests(SynchronousTestCase):
    """
    Failures before the first byte.
    """

    def test_each(self) -> None:
        """
        Each has its status, is told in the dialect, and counted by its kind.
        """
        cases: list[tuple[Callable[[], Exception], int, str]] = [
            (errors.ConnectFailed, 502, "connect"),
            (errors.ConnectTimeout, 504, "connect_timeout"),
            (errors.FirstByteTimeout, 504, "first_byte_timeout"),
            (errors.UpstreamViolation, 502, "protocol"),
            (errors.TLSFailed, 502, "tls"),
            (Refused, 502, "connect"),
        ]
        for error, status, kind in cases:
            fixture = bridge(limit=1)
            request = begin(fixture)
            fixture.upstream.calls[0].fail(error())
            self.assertEqual((request.status, request.told(b"x-ai-bridge-reason")), (status, b"upstream"))
            self.assertEqual((fixture.done[0].cause, fixture.in_use), (kind, 0))
            registry = fixture.bridge.metrics.registry
            labels = {"provider": "openai", "kind": kind}
            self.assertEqual(registry.get_sample_value("aibridge_upstream_errors_total", labels), 1)
            inflight = {"provider": "openai", "model": "other", "route": "/v1/chat/completions"}
            self.assertEqual(registry.get_sample_value("aibridge_interceptions_inflight", inflight), 0)

    def test_defect(self) -> None:
        """
        A failure that is none of the provider's is a defect.
        """
        request = begin(fixture := bridge())
        fixture.upstream.calls[0].fail(KeyError("odd"))
        self.assertEqual(request.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
