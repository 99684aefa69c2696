"""
What one exchange has of the gate, the buckets and the breaker, and how all of it is let go of.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.reservation import Reservation
from aibridge.log import Completion
from aibridge.model import Dialect, Principal
from aibridge.web.entrance import Entrance
from fakes import Fixture, bridge

SOMEBODY = Principal(id="p", name="p")


def entrance(fixture: Fixture, *, gives_up: bool = False) -> Entrance:
    """
    One more exchange of somebody's.
    """
    made = fixture.bridge
    completion = Completion("id", "127.0.0.1", "POST")
    return Entrance(made, made.terms, completion, SOMEBODY, "openai", gives_up=gives_up)


class GateTests(SynchronousTestCase):
    """
    A permit, at once or in turn.
    """

    def wait(self, one: Entrance) -> tuple[Any, list[Any]]:
        """
        What asking says at once, and what becomes of it.
        """
        heard: list[Any] = []

        def turned_away(failure: Failure) -> None:
            heard.append(failure.value)

        return one.wait(lambda: heard.append("in"), turned_away), heard

    def test_one_after_the_other(self) -> None:
        """
        The second is told when the first has gone, and once.
        """
        fixture = bridge(limit=1, seats={"queue_size": 2})
        first, second = entrance(fixture), entrance(fixture)
        self.assertTrue(first.has_queue)
        self.assertEqual((first.is_open(1000.0), second.is_open(1000.0)), (True, False))
        said, heard = self.wait(second)
        self.assertEqual((said, heard), (False, []))
        first.release("completed", 1000.0)
        self.assertEqual((heard, fixture.in_use), (["in"], 1))
        second.release("completed", 1000.0)
        self.assertEqual((heard, fixture.in_use), (["in"], 0))

    def test_whoever_leaves_hears_nothing(self) -> None:
        """
        And leaves no trace.
        """
        fixture = bridge(limit=1, seats={"queue_size": 2})
        first, second = entrance(fixture), entrance(fixture)
        first.is_open(1000.0)
        _, heard = self.wait(second)
        second.release("client_left", 1001.0)
        first.release("completed", 1001.0)
        self.assertEqual((heard, fixture.in_use, fixture.bridge.turns.seats.waiting), ([], 0, 0))

    def test_no_place_to_wait(self) -> None:
        """
        Is said at once; one that waits for too long is told later.
        """
        fixture = bridge(limit=1)
        entrance(fixture).is_open(1000.0)
        said, _ = self.wait(entrance(fixture))
        self.assertIsInstance(said, errors.AtCapacity)
        fixture = bridge(limit=1, seats={"queue_size": 1, "queue_timeout_s": 5.0})
        entrance(fixture).is_open(1000.0)
        said, heard = self.wait(entrance(fixture))
        fixture.clock.advance(5)
        self.assertEqual((said, [error.policy for error in heard]), (False, ["timeout"]))

    def test_in_shadow(self) -> None:
        """
        There is always one.
        """
        fixture = bridge(limit=1, seats={"shadow": True})
        entrance(fixture).is_open(1000.0)
        second = entrance(fixture)
        self.assertEqual(self.wait(second), (True, []))


class BucketTests(SynchronousTestCase):
    """
    Requests and tokens.
    """

    def test_foreseen_and_charged(self) -> None:
        """
        Foreseeing fills nothing; what was charged can be taken back.
        """
        fixture = bridge(rate_limit=0.5, rate_burst=1.0)
        one, other = entrance(fixture), entrance(fixture)
        self.assertIsNone(one.foresee(None, None))
        self.assertIsNone(one.charge(None))
        for refusal in (other.foresee(None, None), other.charge(None)):
            assert refusal is not None
            self.assertEqual((refusal.policy, refusal.retry_after_s), ("per-principal", 2.0))
        one.uncharge()
        other.uncharge()
        self.assertIsNone(other.charge(None))
        self.assertIsNotNone(one.charge(None))

    def test_clients_that_give_up(self) -> None:
        """
        Are told to come one after the other.
        """
        fixture = bridge(rate_limit=2.0, rate_burst=2.0)
        for _ in range(2):
            entrance(fixture).charge(None)
        refusals = [entrance(fixture, gives_up=True).charge(None) for _ in range(2)]
        self.assertEqual([refusal and refusal.retry_after_s for refusal in refusals], [0.5, 1.0])

    def test_tokens_are_settled(self) -> None:
        """
        What was not used is there for the next one.
        """
        fixture = bridge(policies=[Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=100)])
        one, other = entrance(fixture), entrance(fixture)
        half = Reservation(20, 20, 30, 0, 30)
        self.assertIsNone(one.charge(Reservation(20, 20, 80, 0, 80)))
        self.assertIsNotNone(other.foresee(half))
        one.settle(10.0, fixture.bridge.now())
        one.settle(100.0, fixture.bridge.now())
        self.assertIsNone(other.foresee(half))

    def test_a_part_of_what_may_be_used_beyond(self) -> None:
        """
        Is reserved as well, no more than of a full bucket, and is waited for.
        """
        tokens = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=1000)
        for beyond, reserved in ((160, 10), (16000, 62.5)):
            fixture = bridge(policies=[tokens])
            self.assertIsNone(entrance(fixture).charge(Reservation(100, 100, 100, beyond, 100 + beyond)))
            (state,) = fixture.bridge.terms.policies.states(SOMEBODY, "openai", 1000.0)
            self.assertAlmostEqual(state.level, 200 + reserved)
            refusal = entrance(fixture).foresee(Reservation(500, 500, 300, beyond, None))
            assert refusal is not None
            self.assertAlmostEqual(refusal.retry_after_s or 0.0, 2 * reserved)

    def test_the_least_of_a_body_that_is_not_there(self) -> None:
        """
        Decides whether it is refused; then it is told to wait for what it is expected to use.
        """
        tokens = Policy(scope=Scope.PRINCIPAL, unit=Unit.TOKENS_PER_MINUTE, limit=60, burst=1000)
        fixture = bridge(policies=[tokens])
        expected = Reservation(400, 400, 200, 1600, None)
        self.assertIsNone(entrance(fixture).charge(Reservation(900, 900, 0, 0, 0)))
        self.assertIsNone(entrance(fixture).foresee(expected, 100.0))
        refusal = entrance(fixture).foresee(expected, 101.0)
        assert refusal is not None
        self.assertAlmostEqual(refusal.retry_after_s or 0.0, 900 + 600 + 1000 / 16 - 1000)


class BreakerTests(SynchronousTestCase):
    """
    A model that may be down.
    """

    def test_told_and_met(self) -> None:
        """
        One failure opens it here; without a breaker there is nothing to be told.
        """
        fixture = bridge(breaker=BreakerTerms(failure_threshold=1))
        one, other = entrance(fixture), entrance(fixture)
        other.tell_breaker(errors.ConnectFailed(), Dialect.CHAT, 1000.0)
        one.meet_breaker("/v1", "m", 1000.0)
        one.tell_breaker(errors.ConnectFailed(), Dialect.CHAT, 1000.0)
        self.assertRaises(errors.BreakerOpen, other.meet_breaker, "/v1", "m", 1000.0)
        other.meet_breaker("/v1", "other", 1000.0)
        other.release("completed", 1000.0)
