"""
Which key of a provider is used.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge import errors
from aibridge.admission.keypool import KeyPool
from aibridge.admission.retries import RetryBudget
from aibridge.admission.verdict import GOOD, judge
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import Allowance, Limits
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

    def test_what_is_asked_for(self) -> None:
        """
        Whose it is, the model or the route, and how large it is estimated, are what a key is chosen by.
        """
        made, pool = account("one")
        limits = Limits(requests=Allowance(9, 60.0), output_tokens=Allowance(100, 60.0))
        request = UpstreamRequest(b"POST", b"http://p/", [], model="m", principal="bob", output_tokens=70)
        choice = made.choose(pool, (), 0.0, request)
        pool.heard(choice, limits, GOOD, 200, 0.0)
        made.choose(pool, (), 0.0, request)
        self.assertRaises(errors.ProviderWait, made.choose, pool, (), 0.0, request)
        for name, value in (("principal", "alice"), ("model", "n"), ("route", "/r"), ("output_tokens", 0)):
            other = UpstreamRequest(b"POST", b"http://p/", [], model="m", principal="bob", output_tokens=70)
            setattr(other, name, value)
            self.assertIs(made.choose(pool, (), 0.0, other).key, pool.keys[0])

    def test_providers_that_are_not_heeded(self) -> None:
        """
        A single key never waits.
        """
        made, pool = account("one", heeds=False)
        request = UpstreamRequest(b"POST", b"http://p/", [])
        limits = Limits(requests=Allowance(0, 60.0))
        pool.heard(made.choose(pool, (), 0.0, request), limits, judge(429, limits, NOTHING), 429, 0.0)
        self.assertIs(made.choose(pool, (), 0.0, request).key, pool.keys[0])

    def test_the_key_that_is_asked_for(self) -> None:
        """
        Is used, or none is: if it was used before, or is not there any more.
        """
        made, pool = account("one", "two")
        request = UpstreamRequest(b"GET", b"http://p/", [], key_id=pool.keys[1].id)
        self.assertIs(made.choose(pool, (), 0.0, request).key, pool.keys[1])
        self.assertRaises(errors.KeysRefused, made.choose, pool, (pool.keys[1],), 0.0, request)
        pool.adopt([Secret("one")])
        self.assertRaises(errors.KeysRefused, made.choose, pool, (), 0.0, request)
