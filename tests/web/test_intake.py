"""
How the body of one exchange comes in, seen from the exchange.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.policy import Policy, Scope
from aibridge.model import Class, Principal
from aibridge.web.bodies import PLACE
from aibridge.web.intake import FIRST
from fakes import TOKEN, Answer, Asked, Fixture, bridge

MIB = 1 << 20
AUTH = (b"Authorization", b"Bearer " + TOKEN)
CHUNKED = [AUTH, (b"Transfer-Encoding", b"chunked")]
KINDS = (b"/openai/v1/chat/completions", b"/openai/v1/embeddings", b"/anthropic/v1/messages/count_tokens")


def half(uri: bytes = KINDS[0], size: int = 100, sent: bytes = b"{") -> Asked:
    """
    A request of whose body one byte has come.
    """
    return Asked(uri=uri, body=sent.ljust(size), body_comes_at_once=False)


class HalfSentTests(SynchronousTestCase):
    """
    Requests whose bodies do not come.
    """

    def test_nobody_else_is_kept_out(self) -> None:
        """
        They hold no permit, whatever the route and however the body is framed.
        """
        for uri in KINDS:
            for chunked in (False, True):
                fixture = bridge(limit=10)
                fixture.identity.principal = Principal(id="b", name="b", class_=Class.BATCH)
                for _ in range(10):
                    asked = (Asked(uri=uri, pairs=CHUNKED, body=b"") if chunked else half(uri)).ask(fixture.bridge)
                    asked.send(b"5\r\n{" if chunked else b"{")
                    self.assertEqual(asked.status, 0)
                self.assertEqual(fixture.in_use, 0)
                fixture.identity.principal = Principal(id="i", name="i", class_=Class.INTERACTIVE)
                Asked().ask(fixture.bridge)
                self.assertEqual((len(fixture.upstream.calls), fixture.in_use), (1, 1))

    def test_nobody_is_told_to_go_on_in_vain(self) -> None:
        """
        What would be refused anyway is refused before ``100 Continue``.
        """
        pairs = [AUTH, (b"Expect", b"100-continue")]
        full = bridge(limit=1)
        spent = bridge(rate_limit=0.001, rate_burst=1.0)
        queued = bridge(limit=1, seats={"queue_size": 1})
        for fixture, status in ((full, 503), (spent, 429), (queued, 503)):
            Asked().ask(fixture.bridge)
            if fixture is queued:
                Asked().ask(fixture.bridge)
            asked = Asked(pairs=pairs, body_comes_at_once=False).ask(fixture.bridge)
            self.assertEqual(asked.status, status)
            self.assertNotIn(b"100 Continue", asked.received)
        free = bridge(limit=1)
        for uri in KINDS:
            asked = Asked(uri=uri, pairs=pairs, body_comes_at_once=False).ask(free.bridge)
            self.assertTrue(asked.received.startswith(b"HTTP/1.1 100 Continue\r\n"), uri)

    def test_they_count_in_the_end(self) -> None:
        """
        A body that comes too slowly, is malformed or too long, or is given up by its client, has cost a request; one
        whose room is not there has not.
        """
        for uri, counts in ((KINDS[0], False), (KINDS[1], True)):
            for wrong in ("late", "left", "long", "bad"):
                fixture = bridge(rate_limit=0.0001, rate_burst=2.0, max_body=1000, count_passthrough=counts)
                asked = (half(uri) if wrong in ("late", "left") else Asked(uri=uri, pairs=CHUNKED, body=b"")).ask(
                    fixture.bridge
                )
                (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
                self.assertEqual(state.remaining, 2)
                if wrong == "late":
                    asked.wait(3600)
                elif wrong == "left":
                    asked.leave()
                else:
                    asked.send(b"7d1\r\n" + b"x" * 2001 if wrong == "long" else b"zz\r\n")
                (done,) = fixture.done
                self.assertEqual(done.status, {"late": 408, "left": 499, "long": 413, "bad": 400}[wrong])
                (state,) = fixture.bridge.terms.policies.states(fixture.identity.principal, "openai", 1000.0)
                self.assertEqual((state.remaining, fixture.bridge.bodies.held), (1, 0), (uri, wrong))

    def test_one_byte_at_a_time(self) -> None:
        """
        Is too slow, also for a route that passes bodies on, and gives the permit back.
        """
        for uri in KINDS:
            fixture = bridge(limit=1)
            asked = half(uri, size=1000).ask(fixture.bridge)
            for _ in range(41):
                if not asked.status:
                    asked.send(b"x")
                    asked.wait(1)
            self.assertEqual((asked.status, fixture.in_use, fixture.upstream.calls), (408, 0, []))


class RoomTests(SynchronousTestCase):
    """
    Bodies in memory, all together.
    """

    def many(self, fixture: Fixture, count: int = 40, size: int = 32 * MIB) -> list[Asked]:
        """
        Requests of one principal, each of which lacks the last byte.
        """
        return [half(size=size).ask(fixture.bridge) for _ in range(count)]

    def test_most_wait_unread(self) -> None:
        """
        One principal's large bodies have a third of the memory at most; another principal is served at once; those that
        wait are told 503 in the words of their dialect when there is no room in time.
        """
        fixture = bridge(max_body=32 * MIB)
        asked = self.many(fixture)
        self.assertTrue(64 * MIB <= fixture.bridge.bodies.held <= 70 * MIB)
        piece = b" " * 65536
        for one in asked:
            for part in (b"{", piece, piece):
                one.send(part)
        self.assertEqual([one.reads for one in asked], [True] * 2 + [False] * 38)
        fixture.identity.principal = Principal(id="other", name="other")
        other = Asked(body=b"{" + b" " * (16 * MIB - 2) + b"}").ask(fixture.bridge)
        self.assertEqual(len(fixture.upstream.calls), 1)
        fixture.clock.advance(30)
        for one in asked[2:]:
            self.assertEqual((one.status, one.told(b"x-ai-bridge-reason")), (503, b"body"))
            self.assertIsNotNone(one.told(b"retry-after"))
            self.assertIn(b"service_unavailable", one.written)
        self.assertEqual((asked[0].status, other.status), (0, 0))

    def test_the_next_one_is_read(self) -> None:
        """
        When one has gone, and room is given back when an answer begins, or never will.
        """
        fixture = bridge(max_body=32 * MIB)
        first, second, third = self.many(fixture, 3)
        self.assertEqual(fixture.bridge.bodies.waiting, 1)
        first.leave()
        self.assertEqual(fixture.bridge.bodies.waiting, 0)
        second.send(b"{" + b" " * (32 * MIB - 2))
        self.assertEqual(fixture.upstream.calls, [])
        second.send(b"}")
        self.assertEqual(fixture.bridge.bodies.held, 64 * MIB + PLACE)
        fixture.upstream.calls[0].answer(Answer())
        self.assertEqual(fixture.bridge.bodies.held, 32 * MIB + PLACE)
        third.leave()
        self.assertEqual(fixture.bridge.bodies.held, 0)

    def test_of_unknown_length(self) -> None:
        """
        A body in chunks has room for a usual one; a long one takes more on the way, and waits for it if it has to.
        """
        fixture = bridge(max_body=32 * MIB)
        asked = Asked(pairs=CHUNKED, body=b"").ask(fixture.bridge)
        self.assertEqual(fixture.bridge.bodies.held, PLACE + FIRST)
        large = [half(size=32 * MIB).ask(fixture.bridge) for _ in range(2)]
        for _ in range(5):
            asked.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        self.assertEqual(fixture.bridge.bodies.waiting, 1)
        asked.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        self.assertFalse(asked.reads)
        large[0].leave()
        self.assertTrue(asked.reads)
        asked.send(b"1\r\nx\r\n0\r\n\r\n")
        (call,) = fixture.upstream.calls
        self.assertEqual(call.data, b"x" * (6 * 65536 + 1))
        self.assertEqual(fixture.bridge.bodies.held, 32 * MIB + PLACE + len(call.data))

    def test_small_ones_are_not_waited_for(self) -> None:
        """
        They are in memory already, or nearly; where even they have no room, they are refused at once.
        """
        fixture = bridge(max_body=MIB)
        fixture.bridge.bodies.most = MIB
        fixture.bridge.bodies.take("p", MIB)
        for asked in (Asked(), half()):
            self.assertEqual(asked.ask(fixture.bridge).status, 503)
        self.assertEqual(len(fixture.done), 2)

    def test_what_is_refused_holds_nothing(self) -> None:
        """
        At the gate, at a bucket, by the provider.
        """
        policies = [Policy(scope=Scope.GLOBAL, limit=0.001, burst=1.0)]
        for fixture in (bridge(limit=1), bridge(policies=policies)):
            Asked().ask(fixture.bridge)
            self.assertIn(Asked().ask(fixture.bridge).status, (429, 503))
            fixture.upstream.calls[0].answer(Answer(500)).end()
            self.assertEqual(fixture.bridge.bodies.held, 0)
