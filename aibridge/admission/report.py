"""
What those who run the daemon are told of its limits: which there are, where each comes from, how full they are.

The report is made of plain values, ready for JSON. A limit that does not exist is None. Nothing in it is a token or a
key, whole or in part; keys have numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from aibridge.admission.breaker import State as BreakerState
from aibridge.admission.breakers import Breakers
from aibridge.admission.keypool import Key, KeyPool
from aibridge.admission.learned import Learned
from aibridge.admission.limit import State
from aibridge.admission.policies import Policies
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.model import Class, Principal

TOKEN: Final = "token"
"""Where a limit comes from that a principal brings along."""

Told = dict[str, Any]


@attrs.frozen(kw_only=True, eq=False)
class Limiters:
    """
    What a report is made of: the limits as they are configured, and what enforces them.

    :ivar providers: the names of all, in the order of the configuration.
    :ivar max_in_flight: exchanges that a principal without a limit of its own may have; 0 is no limit.
    :ivar configured: option → policy, see `aibridge.admission.configured.policies_of`.
    :ivar memory: bytes that the buckets may take.
    :ivar breakers: None where there are none.
    :ivar pools: provider → keys, of those that have any.
    :ivar budgets: provider → retries, of those that have any.
    :ivar learned: what exchanges are expected to use, or None where none has been.
    :ivar sources: option, dotted → where its value comes from.
    """

    providers: Sequence[str]
    terms: SeatTerms
    seats: Seats
    max_in_flight: int
    configured: Mapping[str, Policy]
    policies: Policies
    memory: int
    breakers: Breakers | None = None
    pools: Mapping[str, KeyPool] = attrs.Factory(dict)
    budgets: Mapping[str, RetryBudget] = attrs.Factory(dict)
    learned: Learned | None = None
    sources: Mapping[str, str] = attrs.Factory(dict)

    def source(self, option: str) -> str:
        """
        Where an option's value comes from.
        """
        return self.sources.get(option, "")


def report(limiters: Limiters, principal: Principal | None, now: float) -> Told:
    """
    All limits, as they are now.

    Of each limit ``own`` says that a token's own stands in for it; of its ``buckets`` each has what really holds.

    :param principal: whose buckets are told as well, or None for those alone that all share.
    :param now: monotonic seconds.
    """
    return {
        "principal": None if principal is None else {"name": principal.name, "class": principal.class_.value},
        "gate": _gate(limiters, principal),
        "limits": [*_limits(limiters, principal, now)],
        "memory": {
            "used": limiters.policies.bytes_used,
            "limit": limiters.memory,
            "option": "admission.bucket_memory",
            "source": limiters.source("admission.bucket_memory"),
        },
        "expected": [*_expected(limiters, principal)],
        "breakers": None if limiters.breakers is None else _breakers(limiters, limiters.breakers, now),
        "providers": [_provider(limiters, name, now) for name in limiters.providers],
    }


def _expected(limiters: Limiters, principal: Principal | None) -> Iterator[Told]:
    """
    What a principal's answers are expected to have; of those alone whose bucket is asked for.
    """
    if limiters.learned is None or principal is None:
        return
    for (model, client), output in limiters.learned.kinds(principal.id).items():
        yield {"model": model, "client": client or None, "output_tokens": math.ceil(output)}


# -- the gate ----------------------------------------------------------------------------------------------------


def _gate(limiters: Limiters, principal: Principal | None) -> Told:
    terms, seats = limiters.terms, limiters.seats
    in_use = seats.in_use_by_provider()
    limits = [_permits(limiters, "all", "admission.max_concurrency", terms.max_concurrency, seats.in_use)]
    limits.extend(
        _permits(
            limiters,
            f"provider {name}",
            f"provider[{index}].max_concurrency",
            terms.providers.get(name, 0),
            in_use.get(name, 0),
        )
        for index, name in enumerate(limiters.providers)
    )
    return {
        "shadow": terms.shadow,
        "limits": [*limits, _in_flight(limiters, principal)],
        "queue": {
            "waiting": seats.waiting,
            "waiting_by_class": {class_.value: count for class_, count in seats.waiting_by_class().items()},
            "limit": terms.queue_size or None,
            "timeout_s": terms.queue_timeout_s,
            "option": "admission.queue_size",
            "source": limiters.source("admission.queue_size"),
        },
        "would_have_refused": {why.value: count for why, count in seats.would_have_refused.items() if count},
    }


def _permits(limiters: Limiters, what: str, option: str, limit: int, in_use: int) -> Told:
    return {
        "what": what,
        "limit": limit or None,
        "in_use": in_use,
        "remaining": max(0, limit - in_use) if limit else None,
        "kept_for_interactive": limiters.terms.kept(limit),
        "option": option,
        "source": limiters.source(option),
    }


def _in_flight(limiters: Limiters, principal: Principal | None) -> Told:
    limit, option = limiters.max_in_flight, "admission.max_in_flight"
    # The share is one of the limits that classes have in common.
    nothing_kept = {"kept_for_interactive": 0}
    if principal is None:
        told = _permits(limiters, "each principal", option, limit, 0) | nothing_kept
        return told | {"in_use": None, "remaining": None}
    held = limiters.seats.held(principal.id)
    told = _permits(limiters, f"principal {principal.name}", option, limit, held) | nothing_kept
    if principal.max_in_flight is not None:
        limit = principal.max_in_flight
        remaining = max(0, limit - told["in_use"]) if limit else None
        told |= {"limit": limit or None, "remaining": remaining, "option": TOKEN, "source": TOKEN}
    return told


# -- the buckets -------------------------------------------------------------------------------------------------


class _Standing:
    """
    How buckets stand, looked up once for each principal and provider: there may be hundreds of limits.
    """

    def __init__(self, policies: Policies, now: float) -> None:
        self.refusals = policies.refusals()
        self._policies = policies
        self._now = now
        self._found: dict[tuple[str, Class, str], dict[str, list[State]]] = {}

    def of(self, principal: Principal, provider: str, policy: str) -> list[State]:
        """
        Those of one policy.
        """
        key = principal.id, principal.class_, provider
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = {}
            for state in self._policies.states(principal, provider, self._now):
                found.setdefault(state.limit.name, []).append(state)
        return found.get(policy, [])


def _limits(limiters: Limiters, principal: Principal | None, now: float) -> Iterator[Told]:
    standing = _Standing(limiters.policies, now)
    brings_own = principal is not None and (principal.rate_limit is not None or principal.rate_burst is not None)
    taken = False
    for option, configured in limiters.configured.items():
        for policy in configured.for_each_class():
            # Limits of a principal's own stand in for the first such policy.
            own = brings_own and policy.is_per_principal and not taken
            taken = taken or policy.is_per_principal
            yield _limit(limiters, standing, policy, option, [*_buckets(limiters, standing, policy, principal)], own)
    if brings_own and not taken:
        policy = Policy(scope=Scope.PRINCIPAL, limit=1)
        for bucket in _buckets(limiters, standing, policy, principal):
            of_its_own = {"limit": bucket["limit"], "burst": bucket["burst"], "source": TOKEN}
            yield _limit(limiters, standing, policy, TOKEN, [bucket], True) | of_its_own


def _limit(
    limiters: Limiters, standing: _Standing, policy: Policy, option: str, buckets: list[Told], own: bool
) -> Told:
    return {
        "policy": policy.name,
        "scope": policy.scope.value,
        "unit": policy.unit.value,
        "limit": policy.limit,
        "burst": policy.size,
        "class": "" if policy.class_ is None else policy.class_.value,
        "provider": policy.provider,
        "shadow": policy.shadow,
        "refused": standing.refusals.get(policy.name, 0),
        "option": option,
        "source": limiters.source(option),
        "own": own,
        "buckets": buckets,
    }


def _buckets(limiters: Limiters, standing: _Standing, policy: Policy, principal: Principal | None) -> Iterator[Told]:
    """
    The buckets of one policy that are to be told: the one that all share, or those of the principal.
    """
    per_principal = policy.scope in (Scope.PRINCIPAL, Scope.PRINCIPAL_PROVIDER)
    if not per_principal:
        # Anybody of the class meets it.
        principal = Principal(id="", name="", class_=policy.class_ or Class.DEFAULT)
    if principal is None:
        return
    names = [policy.provider] if policy.provider else [*limiters.providers] or [""]
    if policy.scope is not Scope.PRINCIPAL_PROVIDER:
        del names[1:]
    for name in names:
        for state in standing.of(principal, name, policy.name):
            yield _bucket(policy, name if policy.scope is Scope.PRINCIPAL_PROVIDER else "", state)


def _bucket(policy: Policy, provider: str, state: State) -> Told:
    per_second = policy.unit is Unit.REQUESTS_PER_SECOND
    return {
        "provider": provider,
        "limit": round(state.limit.rate * (1 if per_second else 60), 9),
        "burst": state.limit.burst,
        "level": round(state.level, 3),
        "remaining": state.remaining,
        "empty_in_s": round(state.empty_in_s, 3),
    }


# -- breakers and keys -------------------------------------------------------------------------------------------


def _breakers(limiters: Limiters, breakers: Breakers, now: float) -> Told:
    terms = breakers.terms
    entries = [*breakers.entries.items(), *breakers.shared.items()]
    return {
        "shadow": terms.shadow,
        "failure_threshold": terms.failure_threshold,
        "interval_s": terms.interval_s,
        "timeout_s": terms.timeout_s,
        "max_requests": terms.max_requests,
        "option": "breaker.enabled",
        "source": limiters.source("breaker.enabled"),
        "would_have_refused": breakers.would_have_refused,
        "failing": sum(entry.state is BreakerState.CLOSED for _, entry in entries),
        "open": [
            {
                "provider": provider,
                "endpoint": endpoint,
                "model": model,
                "principals": 0 if entry.core.state is not BreakerState.CLOSED else len(entry.apart),
                "state": entry.state.name.lower().replace("_", "-"),
                "retry_in_s": round(max(0.0, entry.until - now), 3),
            }
            for (provider, endpoint, model), entry in entries
            if entry.state is not BreakerState.CLOSED
        ],
    }


def _provider(limiters: Limiters, name: str, now: float) -> Told:
    pool, budget = limiters.pools.get(name), limiters.budgets.get(name)
    return {
        "provider": name,
        "key_order": None if pool is None else ("round-robin" if pool.round_robin else "first"),
        "keys": [] if pool is None else [_key(number, key, now) for number, key in enumerate(pool.keys, 1)],
        "retries_left": None if budget is None else round(budget.balance(now), 3),
    }


def _key(number: int, key: Key, now: float) -> Told:
    """
    A key, and each model, or route that names none, of which its provider has said something that holds.
    """
    return {
        "key": number,
        "state": key.state(now),
        "rests_s": round(max(0.0, key.cooldown.until - now), 3),
        "models": [
            {"route": route, "model": model, **{name: round(value, 3) for name, value in told.items()}}
            for (route, model), pace in key.paces()
            if (told := pace.told(now))
        ],
    }
