"""
Which key one exchange uses, and what is made of its answers.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.keypool import KeyPool
from aibridge.admission.retries import RetryBudget
from aibridge.admission.verdict import Subject
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.collected import Collected
from aibridge.web.hearing import Hearing, speaks_of_the_request
from aibridge.web.upstreamrequest import UpstreamRequest
from fakes import Answer, Upstream

REQUEST = UpstreamRequest(b"POST", b"http://p/", [], None, b"{}", model="m", principal="bob")


class HearingTests(SynchronousTestCase):
    """
    `Hearing`.
    """

    def setUp(self) -> None:
        """
        Three keys.
        """
        self.clock = Clock()
        self.pool = KeyPool(map(Secret, ("one", "two", "three")))
        self.account = Account(Upstream(), self.pool, RetryBudget(), heeds=True)
        self.hearing = Hearing(self.account, self.clock, lambda: 1.7e9)

    def error(self, status: int, body: bytes = b"{}") -> Collected:
        """
        An error that has come as a whole.
        """
        answer = Answer(status)
        collected = Collected(answer, self.clock, lambda _: None)
        answer.body(body)
        answer.end()
        return collected

    def test_none_is_used(self) -> None:
        """
        Where the client shows a key of its own, or there is none; then nothing is concluded.
        """
        self.hearing.choose(UpstreamRequest(b"POST", b"http://p/", [], [(b"X-Api-Key", b"own")]))
        self.assertEqual((self.hearing.choice, self.hearing.number, self.hearing.matters), (None, 0, False))
        self.hearing.good(Answer(200))
        self.hearing.end()

    def test_at_most_two(self) -> None:
        """
        The second answer is the last one.
        """
        self.hearing.choose(REQUEST)
        self.assertEqual((self.hearing.number, self.hearing.matters), (1, True))
        verdict = self.hearing.error(self.error(429), REQUEST)
        self.assertEqual((verdict.subject, self.hearing.may_try_another), (Subject.MODEL, True))
        self.assertEqual(self.hearing.number, 2)
        self.hearing.error(self.error(429), REQUEST)
        self.assertEqual((self.hearing.may_try_another, self.hearing.number), (False, 2))
        self.assertEqual(self.pool.counts(0)["usable"], 3)

    def test_different_answers(self) -> None:
        """
        Each counts for what it is: here a hint of one principal's.
        """
        self.hearing.choose(REQUEST)
        self.hearing.error(self.error(429), REQUEST)
        self.hearing.error(self.error(500), REQUEST)
        self.assertEqual(self.pool.counts(0)["usable"], 3)
        scope = ("", "m")
        self.assertTrue(self.pool.keys[0].pace(scope).cooldown.is_hinted("bob", 0.0))
        self.assertFalse(self.pool.keys[1].pace(scope).cooldown.is_hinted("bob", 0.0))

    def test_what_cannot_be_sent_again(self) -> None:
        """
        Is no matter of another key.
        """
        request = UpstreamRequest(b"POST", b"http://p/", [], None, object(), model="m", principal="bob")
        self.hearing.choose(request)
        self.hearing.error(self.error(429), request)
        self.assertFalse(self.hearing.may_try_another)

    def test_only_one_key_may_be_used(self) -> None:
        """
        Then no other is.
        """
        request = UpstreamRequest(b"GET", b"http://p/", [], key_id=self.pool.keys[2].id)
        self.hearing.choose(request)
        self.hearing.error(self.error(401), request)
        self.assertEqual((self.hearing.number, self.hearing.may_try_another), (3, False))

    def test_no_answer(self) -> None:
        """
        What the first key was answered is a hint, after all; and what was counted is put back, once.
        """
        self.hearing.choose(REQUEST)
        self.hearing.error(self.error(429), REQUEST)
        for _ in range(2):
            self.hearing.end()
        cooldown = self.pool.keys[0].pace(("", "m")).cooldown
        self.assertTrue(cooldown.is_hinted("bob", 0.0))
        self.assertFalse(cooldown.is_closed(0.0))

    def test_a_key_that_is_taken_away(self) -> None:
        """
        Has no number any more; how long it cools down is still known.
        """
        self.hearing.choose(REQUEST)
        self.pool.adopt([Secret("four")])
        self.assertEqual((self.hearing.number, self.hearing.wait_s), (0, 0.0))
        self.assertRaises(errors.KeysRefused, self.hearing.choose, UpstreamRequest(b"GET", b"", [], key_id="gone"))

    def test_of_the_request(self) -> None:
        """
        An answer that would be the same a little later.
        """
        self.hearing.choose(REQUEST)
        verdict = self.hearing.error(self.error(429, b'{"error": {"message": "Request too large"}}'), REQUEST)
        self.assertTrue(speaks_of_the_request(verdict))
