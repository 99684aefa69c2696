"""
Which buckets a request meets: several policies at once, all checked before any is filled.

A policy limits requests or tokens for each principal, for each principal at each provider, for a class, or for all
together. A request that one of them refuses fills none of them. Policies that are only tried out, `shadow`, count what
they would have refused and refuse nothing; each of them is kept as if it alone were added to those that hold.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from aibridge.admission.bucket import ROUNDING_S, Buckets
from aibridge.admission.charge import Charge, Charges
from aibridge.errors import RateLimited
from aibridge.model import Class, Principal

MEMORY: Final = 64 * 1024 * 1024
"""Bytes that all buckets together may take, unless told otherwise."""

MOST: Final = 1e12
"""Largest limit and burst."""

_NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
_MOST_OWN = 1000


class Scope(enum.Enum):
    """
    Whom a policy counts together.
    """

    PRINCIPAL = "principal"
    PRINCIPAL_PROVIDER = "principal-provider"
    """Each principal at each provider."""
    CLASS = "class"
    """All principals of a class."""
    GLOBAL = "global"


class Unit(enum.Enum):
    """
    What a policy counts, and in what time.
    """

    REQUESTS_PER_SECOND = "requests/s"
    REQUESTS_PER_MINUTE = "requests/min"
    TOKENS_PER_MINUTE = "tokens/min"
    """Input and output together."""


_BY_SCOPE = {
    Scope.PRINCIPAL: "per-principal",
    Scope.PRINCIPAL_PROVIDER: "per-principal-provider",
    Scope.CLASS: "per-class",
    Scope.GLOBAL: "global",
}


@attrs.frozen(kw_only=True)
class Policy:
    """
    One limit, as configured.

    :ivar limit: how many of the unit on average.
    :ivar burst: requests or tokens at once; 0 means as many as `limit`, but at least 1.
    :ivar shadow: it counts what it would have refused, and refuses nothing.
    :ivar class_: only requests of this class count; None for all. A policy for a class without one stands for three,
        one for each class.
    :ivar provider: only requests to this provider count; empty for all.
    :ivar name: how clients, logs and metrics know it; empty for the name that follows from the rest, such as
        ``per-principal``, ``per-class-batch`` or ``global-tokens``.
    """

    scope: Scope
    unit: Unit = Unit.REQUESTS_PER_SECOND
    limit: float = attrs.field(validator=[attrs.validators.gt(0), attrs.validators.le(MOST)])
    burst: float = attrs.field(default=0.0, validator=attrs.validators.le(MOST))
    shadow: bool = False
    class_: Class | None = None
    provider: str = ""
    name: str = attrs.field(default="", validator=attrs.validators.matches_re(f"({_NAME})?"))

    def __attrs_post_init__(self) -> None:
        if self.burst and not self.burst >= 1:
            raise ValueError(f"the burst of a policy is 0 or at least 1, not {self.burst}")
        if not self.name:
            object.__setattr__(self, "name", self._derived_name())

    def _derived_name(self) -> str:
        parts = [_BY_SCOPE[self.scope]]
        if self.class_ is not None:
            parts.append(self.class_.value)
        if self.provider:
            parts.append(self.provider)
        if self.counts_tokens:
            parts.append("tokens")
        return "-".join(parts)

    @property
    def counts_tokens(self) -> bool:
        """
        Whether it counts tokens, and not requests.
        """
        return self.unit is Unit.TOKENS_PER_MINUTE

    @property
    def rate(self) -> float:
        """
        Requests or tokens per second.
        """
        return self.limit if self.unit is Unit.REQUESTS_PER_SECOND else self.limit / 60.0

    @property
    def size(self) -> float:
        """
        What a bucket holds, in requests or tokens.
        """
        return max(1.0, self.burst or self.limit)

    def for_each_class(self) -> Iterator[Policy]:
        """
        Itself; or, for classes without saying which, the same for each of them.
        """
        if self.scope is not Scope.CLASS or self.class_ is not None:
            yield self
            return
        for class_ in Class:
            derived = "" if self.name == self._derived_name() else f"{self.name}-{class_.value}"
            yield attrs.evolve(self, class_=class_, name=derived)


@attrs.frozen(eq=False)
class Limit:
    """
    What holds for a request under one policy.

    :ivar rate: requests or tokens per second.
    :ivar burst: what the bucket holds.
    """

    name: str
    counts_tokens: bool
    rate: float
    burst: float
    shadow: bool


@attrs.frozen
class State:
    """
    How a bucket stands at one moment.

    :ivar remaining: whole requests that would be admitted now, or tokens that one request may be estimated at.
    :ivar empty_in_s: seconds until the bucket is empty, if nothing is added.
    """

    limit: Limit
    remaining: int
    empty_in_s: float

    @property
    def level(self) -> float:
        """
        How full the bucket is, in requests or tokens; above the burst when it is in debt.
        """
        return self.empty_in_s * self.limit.rate


@attrs.frozen
class Refusal:
    """
    A request that may not go now. Nothing was filled.

    :ivar policy: the name of the policy that has the longest wait.
    :ivar wait_s: seconds after which all policies admit it, unless others take the room.
    :ivar violated: the names of all policies that refused it, in the order of the configuration.
    """

    policy: str
    wait_s: float
    violated: tuple[str, ...]

    def error(self) -> RateLimited:
        """
        The refusal as it is raised.
        """
        return RateLimited(
            f'You\'ve been rate limited by the policy "{self.policy}". Please try again later.',
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


class _Meter:
    """
    One policy at work: whom it counts, in which bucket.

    :ivar policy: None for requests of principals that have limits of their own where none are configured.
    :ivar refused: requests that it refused, or would have.
    """

    __slots__ = ("_class", "_limit", "_own", "_provider", "_takes_own", "buckets", "charges", "policy", "refused")

    def __init__(self, policy: Policy | None, buckets: Buckets, charges: Charges | None) -> None:
        self.policy = policy
        self.buckets = buckets
        self.charges = charges
        self.refused = 0
        self._class = None if policy is None else policy.class_
        self._provider = "" if policy is None else policy.provider
        self._limit = None if policy is None else _limit_of(policy)
        self._takes_own = takes_own(policy)
        self._own: dict[tuple[float | None, float | None], Limit | None] = {}

    @property
    def name(self) -> str:
        return _BY_SCOPE[Scope.PRINCIPAL] if self.policy is None else self.policy.name

    @property
    def id(self) -> tuple[str, Scope, bool]:
        """
        What a policy of the next configuration has to have in common to go on with the same buckets.
        """
        if self.policy is None:
            return self.name, Scope.PRINCIPAL, False
        return self.policy.name, self.policy.scope, self.policy.counts_tokens

    def limit_for(self, principal: Principal, provider: str, tokens: float | None) -> Limit | None:
        """
        What holds for a request; None if the policy has nothing to say about it.
        """
        if self._class is not None and self._class is not principal.class_:
            return None
        if self._provider and self._provider != provider:
            return None
        if tokens is None and self.charges is not None:
            return None
        if self._takes_own and (principal.rate_limit is not None or principal.rate_burst is not None):
            return self._own_limit(principal.rate_limit, principal.rate_burst)
        return self._limit

    def key_for(self, principal: Principal, provider: str) -> str:
        """
        The key of the bucket that counts a request.
        """
        scope = Scope.PRINCIPAL if self.policy is None else self.policy.scope
        if scope is Scope.PRINCIPAL:
            return principal.id
        if scope is Scope.PRINCIPAL_PROVIDER:
            return f"{provider}\0{principal.id}"
        return ""

    def wait_for(self, key: str, limit: Limit, tokens: float | None, now: float) -> float:
        """
        Seconds until a request fits; 0.0 if it does now.
        """
        if self.charges is None:
            return self.buckets.wait_for(key, now, limit.rate, limit.burst)
        return self.charges.wait_for(key, now, limit.burst, tokens or 0.0)

    def fill(self, key: str, limit: Limit, tokens: float | None, now: float) -> Charge | None:
        """
        Add a request that fits.
        """
        if self.charges is None:
            self.buckets.fill(key, now, 1.0 / limit.rate)
            return None
        return self.charges.charge(key, now, limit.burst, tokens or 0.0)

    def state(self, key: str, limit: Limit, now: float) -> State:
        """
        How the bucket stands.
        """
        left = self.buckets.seconds_left(key, now)
        room = limit.burst + (ROUNDING_S - left) * limit.rate
        return State(limit, math.floor(room) if room > 0 else 0, left)

    def _own_limit(self, rate: float | None, burst: float | None) -> Limit | None:
        try:
            return self._own[rate, burst]
        except KeyError:
            pass
        limit = self._limit
        if rate is not None:
            # A limit of a principal's own holds, whatever is tried out for the others.
            limit = Limit(self.name, False, rate, max(1.0, rate), False) if rate > 0 else None
        if limit is not None and burst is not None:
            limit = attrs.evolve(limit, burst=max(1.0, burst))
        if len(self._own) >= _MOST_OWN:
            self._own.clear()
        self._own[rate, burst] = limit
        return limit


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
    :raises ValueError: two policies have one name.
    """

    __slots__ = ("_meters", "_sole")

    def __init__(
        self,
        policies: Iterable[Policy] = (),
        *,
        memory: float = MEMORY,
        before: Policies | None = None,
        now: float = 0.0,
    ) -> None:
        spread = [one for policy in policies for one in policy.for_each_class()]
        chosen: list[Policy | None] = [*spread]
        if not any(map(takes_own, spread)):
            chosen.append(None)
        old = {} if before is None else {meter.id: meter for meter in before._meters}
        share = memory / max(1, sum(map(_has_many, chosen)))
        self._meters = tuple(_made(policy, share if _has_many(policy) else math.inf, old, now) for policy in chosen)
        names = [meter.name for meter in self._meters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two policies are called "{name}": give one of them a name of its own')
        self._sole = self._find_sole()

    def _find_sole(self) -> tuple[Buckets, float, float] | None:
        """
        The buckets, rate and burst of the one policy there is, if that is how it mostly is: so many requests per
        principal, and no more to it.
        """
        if len(self._meters) > 1:
            return None
        policy, buckets = self._meters[0].policy, self._meters[0].buckets
        if policy is None or policy.shadow or not takes_own(policy):
            return None
        return buckets, policy.rate, policy.size

    def check(
        self, principal: Principal, provider: str, now: float, tokens: float | None = None
    ) -> Admission | Refusal:
        """
        Decide on a request, and fill every bucket that it meets or none.

        :param tokens: estimate of what it will use, input and output; None for a request that uses none, to which
            policies for tokens do not apply.
        """
        if self._sole is not None and principal.rate_limit is None and principal.rate_burst is None:
            buckets, rate, burst = self._sole
            wait = buckets.take(principal.id, now, rate, burst)
            if not wait:
                return ADMITTED
            meter = self._meters[0]
            meter.refused += 1
            return Refusal(meter.name, wait, (meter.name,))
        return self._check(principal, provider, now, tokens)

    def _check(self, principal: Principal, provider: str, now: float, tokens: float | None) -> Admission | Refusal:
        passed: list[tuple[_Meter, str, Limit]] = []
        violated: list[_Meter] = []
        shadowed: list[_Meter] = []
        longest, worst = 0.0, ""
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, tokens)
            if limit is None:
                continue
            key = meter.key_for(principal, provider)
            wait = meter.wait_for(key, limit, tokens, now)
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
        charges = [
            charge for meter, key, limit in passed if (charge := meter.fill(key, limit, tokens, now)) is not None
        ]
        return Admission(charges, _counted(shadowed)) if charges or shadowed else ADMITTED

    def states(self, principal: Principal, provider: str, now: float, *, tokens: bool = True) -> list[State]:
        """
        How the buckets stand that a request meets, shadows among them, in the order of the configuration.

        :param tokens: whether it meets those for tokens.
        """
        found = []
        for meter in self._meters:
            limit = meter.limit_for(principal, provider, 0.0 if tokens else None)
            if limit is not None:
                found.append(meter.state(meter.key_for(principal, provider), limit, now))
        return found

    def refusals(self) -> dict[str, int]:
        """
        How many requests each policy has refused, or would have if it were no shadow, since the daemon began.
        """
        return {meter.name: meter.refused for meter in self._meters}

    @property
    def bytes_used(self) -> int:
        """
        Bytes that the buckets take.
        """
        return sum(meter.buckets.bytes_used for meter in self._meters)


def takes_own(policy: Policy | None) -> bool:
    """
    Whether limits of a principal's own stand in for this policy.
    """
    if policy is None:
        return True
    return (
        policy.scope is Scope.PRINCIPAL
        and not policy.counts_tokens
        and policy.class_ is None
        and not policy.provider
    )


def _limit_of(policy: Policy) -> Limit:
    return Limit(policy.name, policy.counts_tokens, policy.rate, policy.size, policy.shadow)


def _has_many(policy: Policy | None) -> bool:
    return policy is None or policy.scope in (Scope.PRINCIPAL, Scope.PRINCIPAL_PROVIDER)


def _made(
    policy: Policy | None, memory: float, old: dict[tuple[str, Scope, bool], _Meter], now: float
) -> _Meter:
    raise NotImplementedError


def _counted(meters: list[_Meter]) -> tuple[str, ...]:
    for meter in meters:
        meter.refused += 1
    return tuple([meter.name for meter in meters])
