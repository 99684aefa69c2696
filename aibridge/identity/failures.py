"""
How often one address may show a bad token, or none.

Note [Failures]: what is limited are failures, never the tokens that are good. Many people share an address (an office,
a cluster behind one gateway), and one of them with a wrong token in a loop must not lock the others out; nor may
somebody who sends rubbish on purpose. So a token that can be looked up without I/O is looked up first, and only a
failure beyond the limit is answered 429 in place of 401. Where a look-up costs a request to somebody else, an address
beyond the limit gets none for tokens that are not known yet, and those known to be good still pass. Guessing is made
hopeless by the length of a token's secret; the limit keeps a loop from costing more than it has to, and says so to
whoever runs it.
"""

from __future__ import annotations

from aibridge.admission.bucket import Buckets
from aibridge.auth.settings import AuthSettings
from aibridge.errors import BridgeError, TooManyFailures, Unauthenticated
from aibridge.identity.address import place_of


class Failures:
    """
    A leaky bucket of failures for each address, in a table of fixed size. See Note [Failures].

    :param rate: failures per second on average; 0 means no limit.
    :param burst: failures at once.
    :param addresses: how many addresses are remembered.
    """

    __slots__ = ("_buckets", "_burst", "_rate")

    def __init__(self, rate: float, burst: float, addresses: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets = Buckets(addresses)

    @classmethod
    def from_settings(cls, settings: AuthSettings) -> Failures:
        """
        What `settings` allow.
        """
        return cls(settings.failure_rate, settings.failure_burst, settings.failure_addresses)

    def count(self, error: Unauthenticated, client_host: str, now: float) -> BridgeError:
        """
        Count a failure.

        :return: what to raise: `error`, or `TooManyFailures` if this was one too many.
        """
        if not self._rate:
            return error
        wait = self._buckets.take(place_of(client_host), now, self._rate, self._burst)
        return TooManyFailures(retry_after_s=wait) if wait else error

    def wait(self, client_host: str, now: float) -> float:
        """
        Seconds until one more failure would fit, without counting one; 0.0 if it would now.
        """
        if not self._rate:
            return 0.0
        level = self._buckets.level(place_of(client_host), now, self._rate)
        wait = (level + 1.0 - self._burst) / self._rate
        return wait if wait > 2e-8 else 0.0

    def __len__(self) -> int:
        return len(self._buckets)
