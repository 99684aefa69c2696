"""
What a policy says.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aibridge.admission.policies import Policies, Refusal
from aibridge.admission.policy import LEAST, MOST, Policy, Scope, Unit
from aibridge.model import Class, Principal


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


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({}, True),
        ({"unit": Unit.REQUESTS_PER_MINUTE}, True),
        ({"shadow": True, "name": "x"}, True),
        ({"unit": Unit.TOKENS_PER_MINUTE}, False),
        ({"class_": Class.BATCH}, False),
        ({"provider": "openai"}, False),
        ({"scope": Scope.GLOBAL}, False),
        ({"scope": Scope.PRINCIPAL_PROVIDER}, False),
    ],
)
def test_what_stands_for_each_principal(changes: dict[str, Any], plain: bool) -> None:
    """
    Requests of each principal, of all classes and to all providers.
    """
    assert Policy(**{"scope": Scope.PRINCIPAL, "limit": 1, **changes}).is_per_principal is plain


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ({"scope": Scope.GLOBAL}, {"scope": Scope.PRINCIPAL}, True),
        ({"scope": Scope.GLOBAL}, {"scope": Scope.PRINCIPAL, "limit": 5}, False),
        ({"scope": Scope.GLOBAL}, {"scope": Scope.PRINCIPAL, "burst": 5}, False),
        ({"scope": Scope.GLOBAL, "limit": 600, "unit": Unit.REQUESTS_PER_MINUTE, "burst": 10}, {}, True),
        ({"scope": Scope.GLOBAL}, {"unit": Unit.TOKENS_PER_MINUTE}, False),
        ({"scope": Scope.GLOBAL, "class_": Class.BATCH}, {"class_": Class.BATCH}, True),
        ({"scope": Scope.GLOBAL, "class_": Class.BATCH}, {}, False),
        ({"scope": Scope.GLOBAL, "provider": "a"}, {"provider": "a"}, True),
        ({"scope": Scope.GLOBAL, "provider": "a"}, {"provider": "b"}, False),
        ({"scope": Scope.GLOBAL, "shadow": True}, {}, False),
        ({"scope": Scope.GLOBAL, "shadow": True}, {"shadow": True}, True),
        ({}, {"scope": Scope.GLOBAL, "limit": 100}, False),
        ({}, {"scope": Scope.PRINCIPAL_PROVIDER}, True),
        ({"scope": Scope.PRINCIPAL_PROVIDER}, {}, False),
        ({"scope": Scope.PRINCIPAL_PROVIDER}, {"provider": "a"}, True),
        ({"scope": Scope.PRINCIPAL_PROVIDER}, {"scope": Scope.PRINCIPAL_PROVIDER, "limit": 20}, True),
    ],
)
def test_covering(one: dict[str, Any], other: dict[str, Any], covers: bool) -> None:
    """
    Whoever counts all that the other does, in fewer buckets that are no larger and no faster.
    """
    plain: dict[str, Any] = {"scope": Scope.PRINCIPAL, "limit": 10}
    assert Policy(**{**plain, **one}).covers(Policy(**{**plain, **other})) is covers


_ALL = [
    Policy(scope=scope, limit=limit, burst=burst, class_=class_, provider=provider, name="other")
    for scope in (Scope.PRINCIPAL, Scope.PRINCIPAL_PROVIDER, Scope.GLOBAL)
    for limit in (1, 2)
    for burst in (0, 4)
    for class_ in (None, Class.BATCH)
    for provider in ("", "a")
]
_COVERING = [(one, other) for one, other in itertools.product(_ALL, _ALL) if one.covers(other)]
_PRINCIPALS = [
    Principal(id=str(n), name="", class_=class_) for n, class_ in enumerate((Class.BATCH, Class.DEFAULT) * 2)
]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_PRINCIPALS), st.sampled_from(["a", "b"]), st.sampled_from([0.0, 0.1, 0.5])),
        min_size=30,
        max_size=60,
    )
)
def test_who_is_covered_makes_no_difference(requests: list[Any]) -> None:
    """
    Whatever comes, a policy that another covers is never the only one that refuses.
    """
    for one, other in _COVERING:
        policies = Policies([attrs.evolve(one, name="one"), other])
        now = 0.0
        for principal, provider, pause in requests:
            now += pause
            decision = policies.check(principal, provider, now)
            assert not isinstance(decision, Refusal) or "one" in decision.violated, (one, other)
