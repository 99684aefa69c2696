"""
One policy at work; that it agrees with all others is tested with `aibridge.admission.policies`.
"""

from __future__ import annotations

from aibridge.admission.bucket import Buckets
from aibridge.admission.meter import Meter
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.model import Principal

ADA = Principal(id="a", name="ada")
OWN = Principal(id="o", name="own", rate_limit=0.0)


def per_principal(**changes: object) -> Meter:
    """
    A limit of 4 requests for each principal.
    """
    return Meter(Policy(**{"scope": Scope.PRINCIPAL, "limit": 1.0, "burst": 4.0, **changes}), True)  # type: ignore[arg-type]  # as the test has them


def fill(meter: Meter, principal: Principal, times: int) -> None:
    """
    So many requests.
    """
    limit = meter.limit_for(principal, "p", None)
    assert limit is not None
    for _ in range(times):
        meter.fill(meter.key_for(principal, "p"), limit, None, 0.0)


def test_levels_are_parts_of_what_buckets_hold() -> None:
    """
    Empty ones do not count, and those in debt are more than full.
    """
    meter = per_principal()
    for number in range(1, 7):
        fill(meter, Principal(id=f"p{number}", name=""), number)
    assert sorted(meter.levels(0.0, 100)) == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert sorted(meter.levels(4.0, 100)) == [0.25, 0.5]


def test_of_many_buckets_some_are_looked_at() -> None:
    """
    As many as are asked for, at most.
    """
    meter = per_principal()
    for number in range(1000):
        fill(meter, Principal(id=f"p{number}", name=""), 1)
    assert 30 <= len(meter.levels(0.0, 40)) <= 40


def test_a_meter_without_a_policy_has_no_levels() -> None:
    """
    It is there for limits of principals' own.
    """
    meter = Meter(None, True)
    assert meter.levels(0.0, 10) == []
    assert meter.limit_for(ADA, "p", None) is None


def test_a_limit_of_ones_own_stands_in() -> None:
    """
    None at all, where it is 0.
    """
    meter = per_principal()
    assert meter.limit_for(OWN, "p", None) is None
    own = meter.limit_for(Principal(id="x", name="x", rate_limit=2.0, rate_burst=9.0), "p", None)
    assert own is not None
    assert (own.rate, own.burst) == (2.0, 9.0)


def test_tokens_are_for_requests_that_use_them() -> None:
    """
    A policy for tokens has nothing to say about the others.
    """
    meter = per_principal(unit=Unit.TOKENS_PER_MINUTE, limit=600.0, burst=600.0)
    assert meter.limit_for(ADA, "p", None) is None
    assert meter.limit_for(ADA, "p", 5.0) is not None


def test_a_sample_of_buckets_is_even() -> None:
    """
    Over all keys, not the first ones alone.
    """
    buckets = Buckets()
    for number in range(100):
        buckets.fill(f"k{number}", 0.0, float(number + 1))
    sample = buckets.sample(0.0, 10)
    assert len(sample) == 10
    assert sample[0] < 20 < 80 < sample[-1]
