"""
From what is configured to what admission works with.
"""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.configured import breaker_terms, policies_of, policy_of, seat_terms, short_form
from aibridge.admission.policies import Policies
from aibridge.admission.policy import LEAST, MOST, Policy, Scope, Unit
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.model import Class
from aibridge.providers.settings import ProviderSettings

TOKENS = LimitSettings(scope="principal", unit="tokens/min", limit=50000)


def test_nothing_configured() -> None:
    """
    There are no policies, no breakers, and the gate is open.
    """
    assert policies_of(AdmissionSettings(), ()) == {}
    assert breaker_terms(BreakerSettings()) is None
    assert seat_terms(AdmissionSettings(), ()) == SeatTerms()


def test_the_short_form() -> None:
    """
    It is the first policy, for each principal, and has the burst that goes with it; the others follow in their order.
    """
    admission = AdmissionSettings(rate_limit=5.0, rate_burst=20.0)
    short = Policy(scope=Scope.PRINCIPAL, limit=5.0, burst=20.0, name="per-principal")
    assert short_form(admission) == short
    assert policies_of(admission, (TOKENS, TOKENS)) == {
        "admission.rate_limit": short,
        "limit[0]": policy_of(TOKENS),
        "limit[1]": policy_of(TOKENS),
    }
    assert list(policies_of(admission, (TOKENS, TOKENS))) == ["admission.rate_limit", "limit[0]", "limit[1]"]


@given(
    st.builds(
        LimitSettings,
        scope=st.sampled_from([scope.value for scope in Scope]),
        unit=st.sampled_from([unit.value for unit in Unit]),
        limit=st.floats(LEAST, MOST),
        burst=st.just(0.0) | st.floats(1, MOST),
        class_=st.sampled_from(["", *(class_.value for class_ in Class)]),
        provider=st.sampled_from(["", "openai"]),
        name=st.sampled_from(["", "night"]),
        shadow=st.booleans(),
    )
)
def test_every_limit_is_a_policy(limit: LimitSettings) -> None:
    """
    Whatever its options allow, with the same in each of its fields, and buckets can be made of it.
    """
    policy = policy_of(limit)
    assert (policy.scope.value, policy.unit.value) == (limit.scope, limit.unit)
    assert (policy.limit, policy.burst, policy.shadow) == (limit.limit, limit.burst, limit.shadow)
    assert policy.class_ is (Class(limit.class_) if limit.class_ else None)
    assert (policy.provider, policy.name) == (limit.provider, limit.name or policy.name)
    assert Policies([policy]).refusals()


@pytest.mark.parametrize(
    ("admission", "limits"),
    [
        (AdmissionSettings(rate_limit=5, rate_burst=0.5), ()),
        (AdmissionSettings(rate_limit=1e-9), ()),
        (AdmissionSettings(), (attrs.evolve(TOKENS, limit=0.0),)),
        (AdmissionSettings(), (attrs.evolve(TOKENS, burst=0.5),)),
        (AdmissionSettings(), (attrs.evolve(TOKENS, scope=""),)),
    ],
)
def test_what_is_no_policy(admission: AdmissionSettings, limits: tuple[LimitSettings, ...]) -> None:
    """
    It is refused, as the daemon would not start with it.
    """
    with pytest.raises(ValueError, match=r"."):
        policies_of(admission, limits)


def test_terms_of_the_gate() -> None:
    """
    Every option of the gate is in them, and of the providers those that have a limit of their own.
    """
    admission = AdmissionSettings(
        max_concurrency=100,
        queue_size=50,
        queue_timeout=2.5,
        interactive_share=0.25,
        interactive_weight=8.0,
        default_weight=3.0,
        batch_weight=0.5,
        max_retry_after=30.0,
        gate_shadow=True,
    )
    providers = [
        ProviderSettings(name="one", type="openai", max_concurrency=10),
        ProviderSettings(name="two", type="openai"),
    ]
    assert seat_terms(admission, providers) == SeatTerms(
        max_concurrency=100,
        providers={"one": 10},
        queue_size=50,
        queue_timeout_s=2.5,
        interactive_share=0.25,
        weights={Class.INTERACTIVE: 8.0, Class.DEFAULT: 3.0, Class.BATCH: 0.5},
        max_retry_after_s=30.0,
        shadow=True,
    )


def test_terms_of_the_breakers() -> None:
    """
    Every option of theirs is in them, once they are there at all.
    """
    settings = BreakerSettings(
        enabled=True, failure_threshold=2, interval=20.0, timeout=7.0, max_requests=1, shadow=True
    )
    assert breaker_terms(settings) == BreakerTerms(
        failure_threshold=2, interval_s=20.0, timeout_s=7.0, max_requests=1, shadow=True
    )
    assert breaker_terms(attrs.evolve(settings, enabled=False)) is None
    assert breaker_terms(BreakerSettings(enabled=True)) == BreakerTerms()
