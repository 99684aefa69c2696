"""
How often one address may show a bad token, or none.

Note [Failures]: what is limited are failures, never the tokens that are good. Many people share an address (an office,
a cluster behind one gateway), and one of them with a wrong token in a loop must not lock the others out; nor may
somebody who sends rubbish on purpose. So a token that can be looked up without I/O is looked up first, and only a
failure beyond the limit is answered 429 in place of 401. Where a look-up costs a request to somebody else, an address
beyond the limit gets none for tokens that are not known yet, and those known to be good still pass. There a failure is
counted before the look-up, so that not everything that is shown at once is looked up at once, and forgiven if it was
none; and once for each token, however often that is shown. Guessing is made hopeless by the length of a token's secret;
the limit keeps a loop from costing more than it has to, and says so to whoever runs it.

Note [Sites]: a site of IPv6 has 65,536 networks to come from, and may fail as often as a few of them.
"""

from __future__ import annotations

from typing import Final

from aibridge.admission.bucket import Buckets
from aibridge.auth.settings import AuthSettings
from aibridge.errors import BridgeError, TooManyFailures, Unauthenticated
from aibridge.identity.address import place_of, site_of

PLACES_OF_SITE: Final = 4.0
"""How many addresses of a site may fail as if each were alone. See Note [Sites]."""


class Failures:
    """
    A leaky bucket of failures for each address, in a table of fixed size. See Note [Failures].

    :param rate: failures per second on average; 0 means no limit.
    :param burst: failures at once.
    :param addresses: how many addresses are remembered.
    """

    __slots__ = ("_addresses", "_buckets", "_burst", "_rate", "_sites")

    def __init__(self, rate: float, burst: float, addresses: int) -> None:
        self._rate = rate
        self._burst = burst
        self._addresses = addresses
        self._buckets = Buckets(addresses)
        self._sites = Buckets(addresses)

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
        wait = self.take(client_host, now)
        return TooManyFailures(retry_after_s=wait) if wait else error

    def take(self, client_host: str, now: float) -> float:
        """
        Count a failure, if that is not one too many.

        :return: 0.0 when it was counted, or seconds until one more would fit.
        """
        wait = self.wait(client_host, now)
        if self._rate and not wait:
            place, site = _counted(client_host)
            self._buckets.fill(place, now, 1.0 / self._rate, site)
            if site:
                self._sites.fill(site, now, 1.0 / self._rate / PLACES_OF_SITE)
        return wait

    def forgive(self, client_host: str, now: float, since: float) -> None:
        """
        What was counted at `since` was no failure.
        """
        if self._rate:
            place, site = _counted(client_host)
            self._buckets.take_back(place, now, since, 1.0 / self._rate, site)
            if site:
                self._sites.take_back(site, now, since, 1.0 / self._rate / PLACES_OF_SITE)

    def wait(self, client_host: str, now: float) -> float:
        """
        Seconds until one more failure would fit, without counting one; 0.0 if it would now.
        """
        if not self._rate:
            return 0.0
        place, site = _counted(client_host)
        wait = self._buckets.wait_for(place, now, self._rate, self._burst, 1.0, site)
        if site:
            rate, burst = self._rate * PLACES_OF_SITE, self._burst * PLACES_OF_SITE
            wait = max(wait, self._sites.wait_for(site, now, rate, burst))
        return wait

    def another(self) -> Failures:
        """
        The same limit, for failures of another kind.
        """
        return Failures(self._rate, self._burst, self._addresses)

    def __len__(self) -> int:
        return len(self._buckets)


def _counted(client_host: str) -> tuple[str, str]:
    """
    An address, and the site that can have many, or an empty text.
    """
    place = place_of(client_host)
    site = site_of(place)
    return place, "" if site == place else site
