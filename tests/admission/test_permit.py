"""
A permit on its own: what giving back and leaving lead to, and in which order waiters are told.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.permit import SEATED, WAITING, Answers, Claim, Permit, State, Waiter
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Pool
from aibridge.errors import AtCapacity
from aibridge.model import Class


class FakeIssuer:
    """
    Notes what comes back.
    """

    def __init__(self) -> None:
        self.back: list[tuple[Permit, float]] = []

    def now(self) -> float:
        """
        Half past six.
        """
        return 6.5

    def returned(self, permit: Permit, now: float) -> None:
        """
        A permit came back.
        """
        self.back.append((permit, now))


def waiter(issuer: FakeIssuer, state: State = WAITING, class_: Class = Class.DEFAULT) -> Waiter:
    """
    Somebody who waits for a permit since 1.0.
    """
    pool: Pool[Waiter] = Pool(SeatTerms(), 1)
    return Waiter(issuer, Claim("alice", class_, "openai", 3), class_, pool, 1.0, state)


def deferred_of(waiting: Waiter) -> Deferred[Permit]:
    """
    What its caller waits for.
    """
    assert waiting.told is not None
    return waiting.told


class PermitTests(SynchronousTestCase):
    """
    A permit that was had at once, and one that was not.
    """

    def test_giving_back(self) -> None:
        """
        It goes to where it came from, with the time.
        """
        issuer = FakeIssuer()
        pool: Pool[Waiter] = Pool(SeatTerms(), 1)
        permit = Permit(issuer, "alice", pool, False, 1.0, SEATED)
        permit.give_back(2.0)
        self.assertEqual((issuer.back, permit.waited_s), ([(permit, 2.0)], 0.0))

    def test_a_waiter_knows_its_claim(self) -> None:
        """
        Principal, limit and class, and whether it counts as interactive.
        """
        made = waiter(FakeIssuer(), class_=Class.INTERACTIVE)
        self.assertEqual((made.principal, made.max_in_flight, made.since), ("alice", 3, 1.0))
        self.assertTrue(made.interactive)
        self.assertFalse(waiter(FakeIssuer(), class_=Class.BATCH).interactive)

    def test_leaving(self) -> None:
        """
        A caller that cancels gives back what it may or may not have got, and hears of its own cancellation only.
        """
        issuer = FakeIssuer()
        made = waiter(issuer)
        deferred = deferred_of(made)
        deferred.cancel()
        self.assertEqual(issuer.back, [(made, 6.5)])
        self.assertIsNone(made.told)
        self.failureResultOf(deferred, CancelledError)

    def test_in_shadow_nobody_waits(self) -> None:
        """
        There is nothing to fire.
        """
        self.assertIsNone(waiter(FakeIssuer(), State.BESIDE_WAITING).told)


class AnswersTests(SynchronousTestCase):
    """
    Telling those who waited.
    """

    def test_each_is_told_its_own(self) -> None:
        """
        The permit, or why there is none; not before it is time to tell.
        """
        answers, issuer = Answers(), FakeIssuer()
        first, second = waiter(issuer), waiter(issuer)
        happy, sad = deferred_of(first), deferred_of(second)
        answers.add(first, first)
        answers.add(second, AtCapacity(policy="timeout"))
        self.assertNoResult(happy)
        answers.tell()
        self.assertIs(self.successResultOf(happy), first)
        self.assertEqual(self.failureResultOf(sad, AtCapacity).value.policy, "timeout")

    def test_one_that_left_meanwhile_hears_nothing(self) -> None:
        """
        It has given back what was decided for it, and the next one is told.
        """
        answers, issuer = Answers(), FakeIssuer()
        first, second = waiter(issuer), waiter(issuer)
        gone, there = deferred_of(first), deferred_of(second)
        answers.add(first, first)
        answers.add(second, second)
        gone.cancel()
        answers.tell()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual([permit for permit, _ in issuer.back], [first])
        self.assertIs(self.successResultOf(there), second)

    def test_what_is_settled_while_telling_is_told_by_the_same_loop(self) -> None:
        """
        Each of five thousand, told, settles the next: they do not nest, and all are told.
        """
        answers, issuer, told = Answers(), FakeIssuer(), []
        waiters = [waiter(issuer) for _ in range(5000)]
        deferreds = [deferred_of(each) for each in waiters]

        def settle(_: Permit, number: int) -> None:
            told.append(number)
            if number + 1 < len(waiters):
                answers.add(waiters[number + 1], waiters[number + 1])
            answers.tell()
            self.assertEqual(len(told), number + 1)

        for number, deferred in enumerate(deferreds):
            deferred.addCallback(settle, number)
        answers.add(waiters[0], waiters[0])
        answers.tell()
        self.assertEqual(told, list(range(5000)))
        for deferred in deferreds:
            self.successResultOf(deferred)
