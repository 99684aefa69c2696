"""
Which buckets a request meets: several policies at once, all checked before any is filled.

A policy limits requests or tokens for each principal, for each principal at each provider, for a class, or for all
together. A request that one of them refuses fills none of them. Policies that are only tried out, `shadow`, count what
they would have refused and refuse nothing; each of them is kept as if it alone were added to those that hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from aibridge.admission.bucket import Buckets
from aibridge.admission.charge import Charge
from aibridge.admission.limit import Limit, State
from aibridge.admission.meter import Meter
from aibridge.admission.policy import Policy, Scope
from aibridge.admission.promises import MOST_APART_S
from aibridge.admission.reservation import OVERSHOOT
from aibridge.errors import RateLimited
from aibridge.model import Principal

MEMORY: Final = 64 * 1024 * 1024
"""Bytes that all buckets together may take, unless told otherwise."""


class Refusal:
    """
    A request that may not go now. Nothing was filled.

    :ivar policy: the name of the policy that has the longest wait.
    :ivar wait_s: seconds after which all policies admit it, unless others take the room.
    :ivar violated: the names of all policies that refused it, in the order of the configuration.
    """

    __slots__ = ("policy", "violated", "wait_s")

    def __init__(self, policy: str, wait_s: float, violated: tuple[str, ...]) -> None:
        self.policy = policy
        self.wait_s = wait_s
        self.violated = violated

    def error(self) -> RateLimited:
        """
        The refusal as an exchange is told it.
        """
        return RateLimited(
            # Coder's words to the letter, and what they leave open.
            f'You\'ve been rate limited. Please try again later. The policy is "{self.policy}".',
            retry_after_s=self.wait_s,
            policy=self.policy,
        )


class Admission:
    """
    A request that may go. It must be settled once, however it ends.

    :ivar shadowed: names of the policies that would have refused it if they were not shadows.
    """

    __slots__ = ("_charges", "shadowed")

    def __init__(self, charges: list[Charge] | None = None, shadowed: tuple[str, ...] = ()) -> None:
        self._charges = charges
        self.shadowed = shadowed

    def settle(self, usage_tokens: float | None, seen_tokens: float, now: float) -> None:
        """
        Charge what was used instead of the estimate. Only the first call counts.

        :param usage_tokens: what the provider reported, input and output; None where it did not.
        :param seen_tokens: charged in that case: what was seen of an answer that broke off, with its input; 0 where
            nothing went to a provider.
        """
        charges, self._charges = self._charges, None
        if charges is not None:
            for charge in charges:
                charge.settle(seen_tokens if usage_tokens is None else usage_tokens, now)


ADMITTED: Final = Admission()
"""A request that may go, and was charged no tokens."""


class Policies:
    """
    All policies of one configuration, and their buckets. See Note [Forgetting] in `aibridge.admission.bucket`.

    Limits of a principal's own stand in for the first policy that counts requests for each principal, whatever its
    class or provider; a rate of 0 is none at all. They hold where there is no such policy.

    :param policies: in the order in which violations are told; no two of one name.
    :param memory: bytes that buckets may take; each policy with many buckets gets the same part.
    :param before: those that held until now. Policies that have the same name, scope and kind of unit go on with the
        buckets they had.
    :param now: monotonic seconds.
    :param overshoot: how many times over a limit of tokens may be used at once, at most, by requests that use more than
        was expected of them; see Note [The bound] in `aibridge.admission.reservation`.
    :ivar counts_tokens: one of them at least is for tokens.
    :raises ValueError: two policies have one name.
    """

    __slots__ = ("_meters", "_sole", "counts_tokens")

    def __init__(
        self,
        policies: Iterable[Policy] = (),
        *,
        memory: float = MEMORY,
        before: Policies | None = None,
        now: float = 0.0,
        overshoot: float = OVERSHOOT,
    ) -> None:
        spread = [one for policy in policies for one in policy.for_each_class()]
        first = next((policy for policy in spread if policy.is_per_principal), None)
        meters = [Meter(policy, policy is first, overshoot) for policy in spread]
        if first is None:
            meters.append(Meter(None, True))
        names = [meter.name for meter in meters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two policies are called "{name}": give one of them a name of its own')
        old = {} if before is None else {_lasting(meter): meter for meter in before._meters}
        share = memory / max(1, sum(meter.has_many_keys for meter in meters))
        for meter in meters:
            known = old.get(_lasting(meter))
            if known is not None:
                meter.go_on_with(known, now)
            meter.buckets.memory = share if meter.has_many_keys else math.inf
        self._meters: tuple[Meter, ...] = tuple(meters)
        self.counts_tokens = any(meter.counts_tokens for meter in meters)
        self._sole = self._find_sole()

    def _find_sole(self) -> tuple[Meter, Buckets, float, float] | None:
        """
        The one policy, its buckets, rate and burst, if that is how it mostly is: so many requests for each principal,
        and no more to it.
        """
        meter = self._meters[0]
        if len(self._meters) > 1 or not meter.takes_own or meter.limit is None or meter.limit.shadow:
            return None
        return meter, meter.buckets, meter.limit.rate, meter.limit.burst

    def check(
        self, principal: Principal, provider: str, now: float, tokens: float | None = None, beyond: float = 0.0
    ) -> Admission | Refusal:
        """
        Decide on a request, and fill every bucket that it meets or none.

        :param tokens: what it is expected to use, input and output; None for a request that uses none, to which
            policies for tokens do not apply.
        :param beyond: what it may use beyond that.
        """
        if self._sole is not None and principal.rate_limit is None and principal.rate_burst is None:
            meter, buckets, rate, burst = self._sole
            wait = buckets.take(principal.id, now, rate, burst, 1.0, principal.origin)
            if not wait:
                return ADMITTED
            meter.refused += 1
            return Refusal(meter.name, wait, (meter.name,))
        return self._check(principal, provider, now, tokens, beyond)

    def refuse(
        self,
        principal: Principal,
        provider: str,
        now: float,
        tokens: float | None = None,
        likely: float | None = None,
        beyond: float = 0.0,
    ) -> Refusal | None:
        """
        Refuse a request that `check` would refuse now, or return None. Nothing is filled either way.

        :param tokens: what it is expected to use, or the least that it can be expected to; None as in `check`.
        :param likely: what it is told to wait for, where `tokens` is only the least.
        :param beyond: what it may use beyond `likely`, or beyond `tokens` where that is all.
        """
        violated: list[Meter] = []
        longest, worst = 0.0, ""
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, tokens)
            if limit is None or limit.shadow:
                continue
            key = meter.key_for(principal, provider)
            wait = meter.wait_for(key, limit, tokens, now, principal.origin, beyond if likely is None else 0.0)
            if wait:
                if likely is not None:
                    wait = meter.wait_for(key, limit, likely, now, principal.origin, beyond)
                violated.append(meter)
                if wait > longest:
                    longest, worst = wait, limit.name
        return Refusal(worst, longest, _counted(violated)) if violated else None

    def promise(
        self,
        refusal: Refusal,
        principal: Principal,
        provider: str,
        now: float,
        tokens: float | None = None,
        beyond: float = 0.0,
    ) -> float:
        """
        When a refused request is to come back, if those who were told so before it come first; see
        `aibridge.admission.promises`. It is remembered, so that the next one is told to come after it.

        :param refusal: of this request, just now.
        :return: seconds, no fewer than the refusal has; and no more if nobody else was told to come back.
        """
        wait = refusal.wait_s
        found = []
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, tokens)
            if limit is None or limit.shadow:
                continue
            key, cost_s = meter.key_for(principal, provider), meter.cost_s(limit, tokens, beyond)
            left_s = meter.buckets.seconds_left(key, now, principal.origin)
            burst_s = limit.burst / limit.rate
            found.append((meter, key, left_s, cost_s, burst_s))
            wait = max(wait, meter.promises.wait_for(key, now, left_s, cost_s, burst_s))
        if wait > refusal.wait_s + MOST_APART_S:
            return refusal.wait_s + MOST_APART_S
        for meter, key, left_s, cost_s, burst_s in found:
            meter.promises.add(key, now, left_s, cost_s, burst_s, wait)
        return wait

    def take_back(
        self, principal: Principal, provider: str, since: float, now: float, shadowed: Sequence[str] = ()
    ) -> None:
        """
        Count a request no longer that was admitted, and that something else than a policy has refused then. What it was
        charged in tokens is for its `Admission` to settle.

        :param since: when it was admitted.
        :param shadowed: names of the policies that would have refused it, which therefore do not count it.
        """
        for meter in self._meters:
            limit = None if meter.counts_tokens else meter.limit_for(principal, provider, None)
            if limit is not None and meter.name not in shadowed:
                key = meter.key_for(principal, provider)
                meter.buckets.take_back(key, now, since, 1.0 / limit.rate, principal.origin)

    def _check(
        self, principal: Principal, provider: str, now: float, tokens: float | None, beyond: float
    ) -> Admission | Refusal:
        passed: list[tuple[Meter, str, Limit]] = []
        violated: list[Meter] = []
        shadowed: list[Meter] = []
        longest, worst = 0.0, ""
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, tokens)
            if limit is None:
                continue
            key = meter.key_for(principal, provider)
            wait = meter.wait_for(key, limit, tokens, now, principal.origin, beyond)
            if not wait:
                passed.append((meter, key, limit))
            elif limit.shadow:
                shadowed.append(meter)
            else:
                violated.append(meter)
                if wait > longest:
                    longest, worst = wait, limit.name
        if violated:
            return Refusal(worst, longest, _counted(violated))
        charges = []
        for meter, key, limit in passed:
            charge = meter.fill(key, limit, tokens, now, principal.origin, beyond)
            if charge is not None:
                charges.append(charge)
        for meter in shadowed:
            meter.would_have_refused += 1
        return Admission(charges, _names(shadowed)) if charges or shadowed else ADMITTED

    def states(self, principal: Principal, provider: str, now: float, *, tokens: bool = True) -> list[State]:
        """
        How the buckets stand that a request meets, shadows among them, in the order of the configuration.

        :param tokens: whether it meets those for tokens.
        """
        if self._sole is not None and principal.rate_limit is None and principal.rate_burst is None:
            meter, limit = self._sole[0], self._sole[0].limit
            assert limit is not None
            return [meter.state(principal.id, limit, now, principal.origin)]
        found = []
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, 0.0 if tokens else None)
            if limit is not None:
                found.append(meter.state(meter.key_for(principal, provider), limit, now, principal.origin))
        return found

    def levels(self, now: float, most: int = 1000) -> dict[str, list[float]]:
        """
        How full the buckets of each policy are that are not empty, as parts of what they hold; of `most` at most.
        """
        return dict(self.each_levels(now, most))

    def each_levels(self, now: float, most: int = 1000) -> Iterator[tuple[str, list[float]]]:
        """
        The same, one policy after the other.
        """
        for meter in self._meters:
            yield meter.name, meter.levels(now, most)

    def refusals(self) -> dict[str, int]:
        """
        How many requests each policy has refused since the daemon began; what shadows would have.
        """
        return {meter.name: meter.would_have_refused if meter.in_shadow else meter.refused for meter in self._meters}

    def would_have_refused(self) -> dict[str, int]:
        """
        What shadows would have refused since the daemon began, those that are none any more included.
        """
        return {one.name: one.would_have_refused for one in self._meters if one.in_shadow or one.would_have_refused}

    @property
    def bytes_used(self) -> int:
        """
        Bytes that the buckets take.
        """
        return sum(meter.buckets.bytes_used for meter in self._meters)


def _lasting(meter: Meter) -> tuple[str, Scope, bool]:
    """
    What a policy has in common with one of another configuration that goes on with its buckets.
    """
    return meter.name, meter.scope, meter.counts_tokens


def _counted(meters: list[Meter]) -> tuple[str, ...]:
    for meter in meters:
        meter.refused += 1
    return _names(meters)


def _names(meters: list[Meter]) -> tuple[str, ...]:
    return tuple([meter.name for meter in meters])
