"""
What a policy says.
"""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from aibridge.admission.policy import LEAST, MOST, Limit, Policy, Scope, State, Unit
from aibridge.model import Class


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (Policy(scope=Scope.PRINCIPAL, limit=1), "per-principal"),
        (Policy(scope=Scope.PRINCIPAL, limit=1, unit=Unit.REQUESTS_PER_MINUTE), "per-principal"),
        (Policy(scope=Scope.PRINCIPAL, limit=1, unit=Unit.TOKENS_PER_MINUTE), "per-principal-tokens"),
        (Policy(scope=Scope.PRINCIPAL_PROVIDER, limit=1), "per-principal-provider"),
        (Policy(scope=Scope.PRINCIPAL_PROVIDER, limit=1, provider="openai"), "per-principal-provider-openai"),
        (Policy(scope=Scope.CLASS, limit=1, class_=Class.BATCH), "per-class-batch"),
        (
            Policy(scope=Scope.CLASS, limit=1, class_=Class.BATCH, unit=Unit.TOKENS_PER_MINUTE),
            "per-class-batch-tokens",
        ),
        (Policy(scope=Scope.GLOBAL, limit=1), "global"),
        (Policy(scope=Scope.GLOBAL, limit=1, unit=Unit.TOKENS_PER_MINUTE, provider="openai"), "global-openai-tokens"),
        (Policy(scope=Scope.GLOBAL, limit=1, name="night"), "night"),
    ],
)
def test_names(policy: Policy, name: str) -> None:
    """
    They follow from what a policy counts, unless it was given one.
    """
    assert policy.name == name
    assert re.fullmatch("[a-z-]+", policy.name)


@pytest.mark.parametrize(
    ("unit", "limit", "burst", "rate", "size"),
    [
        (Unit.REQUESTS_PER_SECOND, 5, 0, 5, 5),
        (Unit.REQUESTS_PER_SECOND, 5, 10, 5, 10),
        (Unit.REQUESTS_PER_SECOND, 0.5, 0, 0.5, 1),
        (Unit.REQUESTS_PER_MINUTE, 120, 0, 2, 120),
        (Unit.REQUESTS_PER_MINUTE, 120, 10, 2, 10),
        (Unit.TOKENS_PER_MINUTE, 60000, 0, 1000, 60000),
    ],
)
def test_rates_and_bursts(unit: Unit, limit: float, burst: float, rate: float, size: float) -> None:
    """
    Rates are told per second; a bucket holds the burst, or as much as the limit, and always one.
    """
    policy = Policy(scope=Scope.GLOBAL, unit=unit, limit=limit, burst=burst)
    assert (policy.rate, policy.size) == (rate, size)
    assert policy.counts_tokens is (unit is Unit.TOKENS_PER_MINUTE)


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": LEAST / 2},
        {"limit": MOST * 2},
        {"limit": float("nan")},
        {"limit": float("inf")},
        {"burst": 0.5},
        {"burst": -1},
        {"burst": MOST * 2},
        {"burst": float("nan")},
        {"name": 'a"b'},
        {"name": "A"},
        {"name": "a-"},
    ],
)
def test_what_is_no_policy(changes: dict[str, Any]) -> None:
    """
    Limits that nobody can wait for or count to, bursts that no request fits into, and names that would need an escape.
    """
    good = Policy(scope=Scope.GLOBAL, limit=1)
    with pytest.raises(ValueError, match=r"."):
        attrs.evolve(good, **changes)


def test_classes_without_saying_which() -> None:
    """
    Such a policy stands for three, each with a bucket of its own; all others stand for themselves.
    """
    policy = Policy(scope=Scope.CLASS, limit=3, burst=4, shadow=True)
    spread = list(policy.for_each_class())
    assert [one.name for one in spread] == ["per-class-interactive", "per-class-default", "per-class-batch"]
    assert [one.class_ for one in spread] == list(Class)
    assert all((one.limit, one.burst, one.shadow) == (3, 4, True) for one in spread)
    named = attrs.evolve(policy, name="fair")
    assert [one.name for one in named.for_each_class()] == ["fair-interactive", "fair-default", "fair-batch"]
    for other in (spread[0], Policy(scope=Scope.GLOBAL, limit=1)):
        assert list(other.for_each_class()) == [other]


def test_a_state_tells_its_level() -> None:
    """
    In requests or tokens, debts included.
    """
    assert State(Limit("a", True, 2.0, 10.0, False), 0, 7.5).level == 15
