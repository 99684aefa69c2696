"""
Which key of a provider is used.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.keypool import KeyPool
from aibridge.admission.pace import APART_S, BEHIND_S
from aibridge.admission.retries import RetryBudget
from aibridge.dialects.limits import UNKNOWN, Limits
from aibridge.secret import Secret
from aibridge.web.account import Account
from aibridge.web.upstreamrequest import UpstreamRequest
from fakes import Upstream


def account(*keys: str, heeds: bool = True) -> tuple[Account, KeyPool]:
    """
    A provider with these keys.
    """
    pool = KeyPool(map(Secret, keys))
    return Account(Upstream(), pool, RetryBudget(), heeds=heeds), pool


class ChooseTests(SynchronousTestCase):
    """
    `Account.choose`.
    """

    def chosen(self, account: Account, pool: KeyPool, now: float, *tried: Any) -> str:
        """
        The text of the key.
        """
        return account.choose(pool, tried, now, UpstreamRequest(b"GET", b"http://p/", [])).secret.reveal()

    def test_the_first_that_is_usable(self) -> None:
        """
        Neither one that rests, nor one that the exchange has used.
        """
        made, pool = account("one", "two", "three")
        self.assertEqual(self.chosen(made, pool, 0.0), "one")
        pool.report(pool.keys[0], 429, 5.0, 0.0)
        self.assertEqual(self.chosen(made, pool, 1.0), "two")
        self.assertEqual(self.chosen(made, pool, 1.0, pool.keys[1]), "three")
        self.assertEqual(self.chosen(made, pool, 5.0), "one")

    def test_one_that_was_told_to_wait_is_passed_over(self) -> None:
        """
        Where providers are heeded.
        """
        for heeds, chosen in ((True, "two"), (False, "one")):
            made, pool = account("one", "two", heeds=heeds)
            pool.keys[0].pace.heard(Limits(retry_after_s=5.0), 429, 0.0, (0, 0, 0))
            self.assertEqual(self.chosen(made, pool, 1.0), chosen)

    def test_the_key_that_is_asked_for(self) -> None:
        """
        Is used, or none is: if it was used before, or is not there any more.
        """
        made, pool = account("one", "two")
        request = UpstreamRequest(b"GET", b"http://p/", [], key_id=pool.keys[1].id)
        self.assertIs(made.choose(pool, (), 0.0, request), pool.keys[1])
        self.assertRaises(errors.KeysRefused, made.choose, pool, (pool.keys[1],), 0.0, request)
        pool.adopt([Secret("one")])
        self.assertRaises(errors.KeysRefused, made.choose, pool, (), 0.0, request)

    def test_all_have_to_wait(self) -> None:
        """
        The shortest time is told, and to the next one to come behind that.
        """
        made, pool = account("one", "two")
        for key, wait in zip(pool.keys, (7.0, 5.0), strict=True):
            key.pace.heard(Limits(retry_after_s=wait), 429, 0.0, (0, 0, 0))
        for behind in range(3):
            error = self.assertRaises(errors.ProviderWait, self.chosen, made, pool, 1.0)
            self.assertAlmostEqual(error.retry_after_s, 4.0 + BEHIND_S + behind * APART_S)

    def test_all_rest(self) -> None:
        """
        429 with the shortest rest, or 502 where none is accepted.
        """
        made, pool = account("one", "two", heeds=False)
        pool.report(pool.keys[0], 429, 9.0, 0.0)
        pool.report(pool.keys[1], 401, None, 0.0)
        error = self.assertRaises(errors.KeysResting, self.chosen, made, pool, 1.0)
        self.assertEqual(error.retry_after_s, 8.0)
        made, pool = account("one", "two", heeds=False)
        for key in pool.keys:
            pool.report(key, 401, None, 0.0)
        self.assertRaises(errors.KeysRefused, self.chosen, made, pool, 1.0)

    def test_a_single_key_does_not_rest(self) -> None:
        """
        There is nothing to use instead; but it waits as long as it is told.
        """
        made, pool = account("one")
        self.assertFalse(made.may_change_keys)
        pool.report(pool.keys[0], 401, None, 0.0)
        self.assertEqual(self.chosen(made, pool, 1.0), "one")
        pool.keys[0].pace.heard(Limits(retry_after_s=5.0), 429, 1.0, (1, 0, 0))
        error = self.assertRaises(errors.ProviderWait, self.chosen, made, pool, 2.0)
        self.assertEqual(error.retry_after_s, 4.0 + BEHIND_S)
        pool.keys[0].pace.heard(UNKNOWN, 200, 6.0, (1, 0, 0))
        self.assertEqual(self.chosen(made, pool, 6.0), "one")
