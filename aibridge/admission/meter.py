"""
One policy at work: whom it counts, in which bucket, and how full that is.
"""

from __future__ import annotations

import math

from aibridge.admission.bucket import ROUNDING_S, Buckets
from aibridge.admission.charge import Charge, Charges
from aibridge.admission.limit import Limit, State
from aibridge.admission.policy import BY_SCOPE, LEAST, MOST, Policy, Scope
from aibridge.admission.promises import Promises
from aibridge.admission.reservation import OVERSHOOT, reserved
from aibridge.model import Principal

_MOST_OWN = 1000


class Meter:
    """
    One policy at work: whom it counts, in which bucket.

    :param policy: None for one that only has what principals have of their own.
    :param takes_own: limits of a principal's own stand in for it.
    :param overshoot: see Note [The bound] in `aibridge.admission.reservation`.
    :ivar charges: the buckets as they are charged, if they are for tokens.
    :ivar promises: what those were told who are to come back one after the other.
    :ivar refused: requests that it refused.
    :ivar would_have_refused: those that went through only because it was in shadow.
    """

    __slots__ = (
        "_class",
        "_limit",
        "_overshoot",
        "_own",
        "_provider",
        "buckets",
        "charges",
        "counts_tokens",
        "name",
        "promises",
        "refused",
        "scope",
        "takes_own",
        "would_have_refused",
    )

    def __init__(self, policy: Policy | None, takes_own: bool, overshoot: float = OVERSHOOT) -> None:
        self.takes_own = takes_own
        self._overshoot = overshoot
        self.refused = self.would_have_refused = 0
        self._own: dict[tuple[float | None, float | None], Limit | None] = {}
        self.charges: Charges | None = None
        if policy is None:
            self.name, self.scope, self.counts_tokens = BY_SCOPE[Scope.PRINCIPAL], Scope.PRINCIPAL, False
            self._class, self._provider, self._limit = None, "", None
        else:
            self.name, self.scope, self.counts_tokens = policy.name, policy.scope, policy.counts_tokens
            self._class, self._provider = policy.class_, policy.provider
            self._limit = Limit(policy.name, policy.counts_tokens, policy.rate, policy.size, policy.shadow)
        self.buckets = Buckets()
        self.promises = Promises()
        if self.counts_tokens and self._limit is not None:
            self.charges = Charges(self.buckets, self._limit.rate)

    @property
    def has_many_keys(self) -> bool:
        """
        Whether it has a bucket for each principal.
        """
        return self.scope is Scope.PRINCIPAL or self.scope is Scope.PRINCIPAL_PROVIDER

    @property
    def limit(self) -> Limit | None:
        """
        What holds for principals that have no limits of their own.
        """
        return self._limit

    @property
    def in_shadow(self) -> bool:
        """
        Whether it refuses nothing. Principals with limits of their own are refused all the same.
        """
        return self._limit is not None and self._limit.shadow

    def go_on_with(self, before: Meter, now: float) -> None:
        """
        Use the buckets of one that held until now.
        """
        self.refused, self.would_have_refused = before.refused, before.would_have_refused
        self.buckets, self.charges, self.promises = before.buckets, before.charges, before.promises
        if self.charges is not None and self._limit is not None:
            self.charges.set_rate(self._limit.rate, now)

    def limit_for(self, principal: Principal, provider: str, tokens: float | None) -> Limit | None:
        """
        What holds for a request; None if the policy has nothing to say about it.
        """
        if self._class is not None and self._class is not principal.class_:
            return None
        if self._provider and self._provider != provider:
            return None
        if tokens is None and self.counts_tokens:
            return None
        if self.takes_own and (principal.rate_limit is not None or principal.rate_burst is not None):
            return self._own_limit(principal.rate_limit, principal.rate_burst)
        return self._limit

    def key_for(self, principal: Principal, provider: str) -> str:
        """
        The key of the bucket that counts a request.
        """
        if self.scope is Scope.PRINCIPAL:
            return principal.id
        if self.scope is Scope.PRINCIPAL_PROVIDER:
            return f"{provider}\0{principal.id}"
        return ""

    def wait_for(
        self, key: str, limit: Limit, tokens: float | None, now: float, origin: str = "", beyond: float = 0.0
    ) -> float:
        """
        Seconds until a request fits; 0.0 if it does now.

        :param tokens: that it is expected to use.
        :param beyond: that it may use beyond those.
        """
        if self.charges is None:
            return self.buckets.wait_for(key, now, limit.rate, limit.burst, 1.0, origin)
        return self.charges.wait_for(key, now, limit.burst, self._reserved(limit, tokens, beyond), origin)

    def cost_s(self, limit: Limit, tokens: float | None, beyond: float = 0.0) -> float:
        """
        How long a request takes to leak.
        """
        return (min(self._reserved(limit, tokens, beyond), limit.burst) if self.counts_tokens else 1.0) / limit.rate

    def fill(
        self, key: str, limit: Limit, tokens: float | None, now: float, origin: str = "", beyond: float = 0.0
    ) -> Charge | None:
        """
        Add a request that fits.

        :param origin: of the principal, as in the other methods.
        """
        if self.charges is None:
            self.buckets.fill(key, now, 1.0 / limit.rate, origin)
            return None
        return self.charges.charge(key, now, limit.burst, self._reserved(limit, tokens, beyond), origin)

    def _reserved(self, limit: Limit, tokens: float | None, beyond: float) -> float:
        return reserved(0.0 if tokens is None else tokens, beyond, limit.burst, self._overshoot)

    def state(self, key: str, limit: Limit, now: float, origin: str = "") -> State:
        """
        How the bucket stands.
        """
        left = self.buckets.seconds_left(key, now, origin)
        room = limit.burst + (ROUNDING_S - left) * limit.rate
        return State(limit, math.floor(room) if room > 0 else 0, left)

    def levels(self, now: float, most: int) -> list[float]:
        """
        How full its buckets are, as parts of what they hold; of some of them, evenly chosen, where there are more than
        `most`. Those that are empty do not count. Limits of principals' own are not considered.
        """
        limit = self._limit
        if limit is None:
            return []
        return [seconds * limit.rate / limit.burst for seconds in self.buckets.sample(now, most)]

    def _own_limit(self, rate: float | None, burst: float | None) -> Limit | None:
        asked = rate, burst
        if asked in self._own:
            return self._own[asked]
        limit = self._limit
        if rate is not None:
            # A limit of a principal's own holds, whatever is tried out for the others.
            rate = min(max(LEAST, rate), MOST) if rate > 0 else 0.0
            limit = Limit(self.name, False, rate, max(1.0, rate), False) if rate else None
        if limit is not None and burst is not None:
            limit = Limit(limit.name, False, limit.rate, min(max(1.0, burst), MOST), limit.shadow)
        if len(self._own) >= _MOST_OWN:
            self._own.clear()
        self._own[asked] = limit
        return limit
