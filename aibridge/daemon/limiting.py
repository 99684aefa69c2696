"""
From a configuration to what `aibridge.admission.report` tells of its limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from aibridge.admission.breakers import Breakers
from aibridge.admission.configured import breaker_terms, policies_of, seat_terms
from aibridge.admission.keypool import KeyPool
from aibridge.admission.learned import Learned
from aibridge.admission.policies import Policies
from aibridge.admission.report import Limiters
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.daemon.config import Loaded


def limiters(
    loaded: Loaded,
    seats: Seats,
    policies: Policies,
    breakers: Breakers | None = None,
    pools: Mapping[str, KeyPool] | None = None,
    budgets: Mapping[str, RetryBudget] | None = None,
    learned: Learned | None = None,
) -> Limiters:
    """
    The limits of a configuration, and what enforces them.

    :param pools: by the provider's name, and so are `budgets`.
    """
    settings = loaded.settings
    return Limiters(
        providers=[provider.name for provider in settings.provider],
        terms=seat_terms(settings.admission, settings.provider),
        seats=seats,
        max_in_flight=settings.admission.max_in_flight,
        configured=policies_of(settings.admission, settings.limit),
        policies=policies,
        memory=settings.admission.bucket_memory,
        breakers=breakers,
        pools=pools or {},
        budgets=budgets or {},
        learned=learned,
        sources=sources(loaded),
    )


def configured_limiters(loaded: Loaded) -> Limiters:
    """
    The limits of a configuration as if a daemon had just started with it, for when none can be asked.
    """
    settings = loaded.settings
    terms = breaker_terms(settings.breaker)
    return limiters(
        loaded,
        Seats(seat_terms(settings.admission, settings.provider), lambda: 0.0, lambda: 0.0),
        Policies(policies_of(settings.admission, settings.limit).values()),
        None if terms is None else Breakers(terms),
    )


def sources(loaded: Loaded) -> dict[str, str]:
    """
    Where each option's value comes from, by its dotted name; a ``[[limit]]`` as a whole comes from where its number
    does.
    """
    told = {name: str(origin) for name, origin in loaded.origins.items()}
    for index in range(len(loaded.settings.limit)):
        told[f"limit[{index}]"] = told.get(f"limit[{index}].limit", "")
    return told
