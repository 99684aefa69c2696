"""
From what is configured to what admission works with: the policies of the buckets, the terms of the gate, and those of
the breakers.
"""

from __future__ import annotations

from collections.abc import Iterable

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.policy import BY_SCOPE, Policy, Scope, Unit
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.model import Class
from aibridge.providers.settings import ProviderSettings


def policies_of(admission: AdmissionSettings, limits: Iterable[LimitSettings]) -> dict[str, Policy]:
    """
    All policies, in the order in which violations are told, each by the option that says it: ``admission.rate_limit``,
    ``limit[0]``, ``limit[1]`` …

    :raises ValueError: one of them is no policy; `aibridge check` says which, and why.
    """
    policies = {}
    short = short_form(admission)
    if short is not None:
        policies["admission.rate_limit"] = short
    for index, limit in enumerate(limits):
        policies[f"limit[{index}]"] = policy_of(limit)
    return policies


def short_form(admission: AdmissionSettings) -> Policy | None:
    """
    The policy for which ``rate_limit`` and ``rate_burst`` are short, if there is one.

    :raises ValueError: as above.
    """
    if not admission.rate_limit:
        return None
    return Policy(
        scope=Scope.PRINCIPAL,
        limit=admission.rate_limit,
        burst=admission.rate_burst,
        name=BY_SCOPE[Scope.PRINCIPAL],
    )


def policy_of(limit: LimitSettings) -> Policy:
    """
    The policy that one ``[[limit]]`` says.

    :raises ValueError: as above.
    """
    return Policy(
        scope=Scope(limit.scope),
        unit=Unit(limit.unit),
        limit=limit.limit,
        burst=limit.burst,
        shadow=limit.shadow,
        class_=Class(limit.class_) if limit.class_ else None,
        provider=limit.provider,
        name=limit.name,
    )


def seat_terms(admission: AdmissionSettings, providers: Iterable[ProviderSettings]) -> SeatTerms:
    """
    The terms of the gate. How many exchanges one principal may have in flight is no part of them: it goes with each
    claim, `max_in_flight` of the principal or else of ``[admission]``.
    """
    return SeatTerms(
        max_concurrency=admission.max_concurrency,
        providers={provider.name: provider.max_concurrency for provider in providers if provider.max_concurrency},
        queue_size=admission.queue_size,
        queue_timeout_s=admission.queue_timeout,
        interactive_share=admission.interactive_share,
        weights={
            Class.INTERACTIVE: admission.interactive_weight,
            Class.DEFAULT: admission.default_weight,
            Class.BATCH: admission.batch_weight,
        },
        max_retry_after_s=admission.max_retry_after,
        shadow=admission.gate_shadow,
    )


def breaker_terms(breaker: BreakerSettings) -> BreakerTerms | None:
    """
    The terms of the breakers, or None where there are to be none.
    """
    if not breaker.enabled:
        return None
    return BreakerTerms(
        failure_threshold=breaker.failure_threshold,
        interval_s=breaker.interval,
        timeout_s=breaker.timeout,
        max_requests=breaker.max_requests,
        shadow=breaker.shadow,
    )
