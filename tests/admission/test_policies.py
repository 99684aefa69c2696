"""
Several policies at once: all of them are asked, and all buckets are filled or none.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.limit import Limit
from aibridge.admission.policies import ADMITTED, Admission, Policies, Refusal
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.errors import RateLimited
from aibridge.model import Class, Principal

ADA = Principal(id="a", name="ada")
BOB = Principal(id="b", name="bob", class_=Class.BATCH)
CYN = Principal(id="c", name="cyn", class_=Class.INTERACTIVE)
DAN = Principal(id="d", name="dan", rate_limit=2.0)


def told(refusal: Admission | Refusal | None) -> tuple[str, float, tuple[str, ...]]:
    """
    What a refusal says.
    """
    assert isinstance(refusal, Refusal)
    return refusal.policy, refusal.wait_s, refusal.violated


STARTS = st.sampled_from([0.0, 0.1, 1234.5, 1e7])


def spread(policies: list[Policy]) -> list[Policy]:
    """
    Those that have a name of their own, even if each class has one.
    """
    names: set[str] = set()
    kept = []
    for one in policies:
        found = {each.name for each in one.for_each_class()}
        if not found & names:
            names |= found
            kept.append(one)
    return kept


SPREAD = st.lists(
    st.builds(
        Policy,
        scope=st.sampled_from(Scope),
        unit=st.sampled_from(Unit),
        limit=st.sampled_from([0.5, 1.0, 3.0, 10.0, 600.0]),
        burst=st.sampled_from([0.0, 1.0, 2.5, 7.0]),
        shadow=st.booleans(),
        class_=st.sampled_from([None, None, Class.BATCH]),
        provider=st.sampled_from(["", "", "openai"]),
    ),
    min_size=1,
    max_size=5,
).map(spread)

POLICIES = SPREAD.map(Policies)


@attrs.frozen
class Asked:
    """
    One request.

    :ivar step: seconds after the one before it.
    """

    step: float
    principal: Principal
    provider: str
    tokens: float | None
    used: float


REQUESTS = st.lists(
    st.builds(
        Asked,
        step=st.sampled_from([0.0, 0.0, 0.25, 1.0, 7.0]) | st.floats(0, 3),
        principal=st.sampled_from([ADA, BOB, CYN, DAN]),
        provider=st.sampled_from(["openai", "anthropic"]),
        tokens=st.sampled_from([None, 0.0, 1.0, 3.0, 100.0]),
        used=st.sampled_from([0.0, 2.0, 9.0]),
    ),
    max_size=30,
)


def policy(scope: Scope = Scope.PRINCIPAL, **changes: Any) -> Policy:
    """
    Two requests per second, unless told otherwise.
    """
    return Policy(scope=scope, **{"limit": 2, **changes})


def made(*policies: Policy, **options: Any) -> Policies:
    """
    These policies, with empty buckets.
    """
    return Policies(policies, **options)


def outcomes(policies: Policies, principal: Principal, now: float, count: int, provider: str = "openai") -> list[str]:
    """
    Who refused each of so many requests; empty for nobody.
    """
    found = [policies.check(principal, provider, now) for _ in range(count)]
    return [one.policy if isinstance(one, Refusal) else "" for one in found]


def stops(found: Admission | Refusal) -> bool:
    """
    Whether that is a refusal, or would be one if there were no shadows.
    """
    return isinstance(found, Refusal) or bool(found.shadowed)


def bucket_of(limit: Limit, principal: Principal, provider: str) -> tuple[str, str]:
    """
    A policy by its name, and whom it counts a request for.
    """
    if limit.name.startswith("per-principal-provider"):
        return limit.name, f"{principal.id} at {provider}"
    return limit.name, principal.id if limit.name.startswith("per-principal") else ""


def levels(policies: Policies, now: float) -> dict[tuple[str, str], float]:
    """
    Every bucket that anybody here may meet.
    """
    return {
        bucket_of(state.limit, principal, provider): state.level
        for principal in (ADA, BOB, CYN, DAN)
        for provider in ("openai", "anthropic")
        for state in policies.states(principal, provider, now)
    }


# -- one policy ----------------------------------------------------------------------------------------------------


def test_without_policies() -> None:
    """
    Everybody may go, and nobody is remembered.
    """
    policies = made()
    assert outcomes(policies, ADA, 0, 100) == [""] * 100
    assert policies.states(ADA, "openai", 0) == []
    assert policies.bytes_used == 0


def test_each_principal() -> None:
    """
    Has a bucket of its own, whatever the provider.
    """
    policies = made(policy())
    assert outcomes(policies, ADA, 0, 2, "anthropic") == ["", ""]
    assert outcomes(policies, ADA, 0, 1) == ["per-principal"]
    assert outcomes(policies, BOB, 0, 3) == ["", "", "per-principal"]


def test_each_principal_at_each_provider() -> None:
    """
    What was asked of one provider is none of the other's business.
    """
    policies = made(policy(Scope.PRINCIPAL_PROVIDER))
    assert outcomes(policies, ADA, 0, 3) == ["", "", "per-principal-provider"]
    assert outcomes(policies, ADA, 0, 3, "anthropic") == ["", "", "per-principal-provider"]
    assert outcomes(policies, BOB, 0, 1) == [""]


def test_each_class() -> None:
    """
    Its principals share a bucket.
    """
    policies = made(policy(Scope.CLASS))
    assert outcomes(policies, ADA, 0, 2) == ["", ""]
    assert outcomes(policies, attrs.evolve(ADA, id="z"), 0, 1) == ["per-class-default"]
    assert outcomes(policies, BOB, 0, 3) == ["", "", "per-class-batch"]


def test_all_together() -> None:
    """
    There is one bucket.
    """
    policies = made(policy(Scope.GLOBAL))
    assert [outcomes(policies, one, 0, 1) for one in (ADA, BOB, CYN)] == [[""], [""], ["global"]]


def test_only_a_class_and_only_a_provider() -> None:
    """
    A policy for some requests does not see the others.
    """
    policies = made(policy(class_=Class.BATCH, provider="openai"))
    assert outcomes(policies, BOB, 0, 3) == ["", "", "per-principal-batch-openai"]
    assert outcomes(policies, BOB, 0, 3, "anthropic") == [""] * 3
    assert outcomes(policies, ADA, 0, 3) == [""] * 3
    assert [state.limit.name for state in policies.states(BOB, "openai", 0)] == ["per-principal-batch-openai"]
    assert policies.states(ADA, "openai", 0) == []


def test_per_minute() -> None:
    """
    Three a minute are one in twenty seconds, and three at once.
    """
    policies = made(policy(unit=Unit.REQUESTS_PER_MINUTE, limit=3))
    assert outcomes(policies, ADA, 0, 4) == ["", "", "", "per-principal"]
    assert outcomes(policies, ADA, 20, 2) == ["", "per-principal"]


def test_tokens_per_minute() -> None:
    """
    What is estimated is charged at once, and what was used in the end.
    """
    policies = made(policy(unit=Unit.TOKENS_PER_MINUTE, limit=6000))
    admitted = policies.check(ADA, "openai", 0, 5000)
    assert isinstance(admitted, Admission)
    assert told(policies.check(ADA, "openai", 0, 1500)) == ("per-principal-tokens", 5.0, ("per-principal-tokens",))
    admitted.settle(2000, 0, 0)
    admitted.settle(0, 0, 0)
    assert policies.states(ADA, "openai", 0)[0].remaining == 4000
    assert isinstance(policies.check(ADA, "openai", 0, 1500), Admission)


def test_an_answer_that_broke_off() -> None:
    """
    Is charged what was seen of it, and a request that never went anywhere nothing.
    """
    policies = made(policy(unit=Unit.TOKENS_PER_MINUTE, limit=6000))
    for seen in (700, 0):
        admitted = policies.check(ADA, "openai", 0, 5000)
        assert isinstance(admitted, Admission)
        admitted.settle(None, seen, 0)
        assert policies.states(ADA, "openai", 0)[0].remaining == 5300


def test_requests_that_use_no_tokens() -> None:
    """
    Listing models is possible for those who are in debt.
    """
    policies = made(policy(unit=Unit.TOKENS_PER_MINUTE, limit=6000))
    admitted = policies.check(ADA, "openai", 0, 100)
    assert isinstance(admitted, Admission)
    admitted.settle(50000, 0, 0)
    assert isinstance(policies.check(ADA, "openai", 0, 0), Refusal)
    assert policies.check(ADA, "openai", 0) is ADMITTED
    assert policies.states(ADA, "openai", 0, tokens=False) == []
    assert policies.states(ADA, "openai", 0)[0].remaining == 0


# -- several ---------------------------------------------------------------------------------------------------------


def test_all_or_nothing() -> None:
    """
    What the last policy refuses has filled no bucket of the others.
    """
    policies = made(policy(limit=10), policy(Scope.GLOBAL, limit=1))
    assert outcomes(policies, ADA, 0, 3) == ["", "global", "global"]
    assert [state.remaining for state in policies.states(ADA, "openai", 0)] == [9, 0]


def test_the_longest_wait_is_told() -> None:
    """
    With the policy it is for; the others that refused are told by name.
    """
    policies = made(policy(limit=1), policy(Scope.GLOBAL, limit=0.1), policy(Scope.CLASS, limit=100))
    assert policies.check(ADA, "openai", 0) is ADMITTED
    refusal = policies.check(ADA, "openai", 0)
    assert told(refusal) == ("global", 10.0, ("per-principal", "global"))
    assert policies.refusals()["per-principal"] == policies.refusals()["global"] == 1


def test_a_refusal_for_the_least_it_could_be() -> None:
    """
    Decided is by the least that a request may be estimated at, told is how long to wait for what it likely is.
    """
    policies = made(policy(unit=Unit.TOKENS_PER_MINUTE, limit=6000, burst=1000))
    policies.check(ADA, "openai", 0, 950)
    assert policies.refuse(ADA, "openai", 0, 50, 500) is None
    for likely, wait in ((None, 0.5), (100.0, 0.5), (500.0, 4.5), (5000.0, 9.5)):
        refusal = policies.refuse(ADA, "openai", 0, 100, likely)
        assert refusal is not None
        assert refusal.wait_s == pytest.approx(wait)


def test_taking_a_request_back() -> None:
    """
    It is counted by none of those that counted it; what it was charged in tokens is for its admission to settle.
    """
    policies = Policies(
        [
            Policy(scope=Scope.PRINCIPAL, limit=0.001, burst=5),
            Policy(scope=Scope.GLOBAL, limit=0.001, burst=2, shadow=True),
            Policy(scope=Scope.CLASS, class_=Class.BATCH, limit=0.001, burst=5),
            Policy(scope=Scope.GLOBAL, unit=Unit.TOKENS_PER_MINUTE, limit=1, burst=1000),
        ]
    )
    principal = Principal(id="a", name="a")

    def levels() -> list[float]:
        return [round(state.level) for state in policies.states(principal, "p", 10.0)]

    for _ in range(2):
        assert isinstance(policies.check(principal, "p", 10.0, 100.0), Admission)
    admitted = policies.check(principal, "p", 10.0, 100.0)
    assert isinstance(admitted, Admission)
    assert (levels(), admitted.shadowed) == ([3, 2, 300], ("global",))
    policies.take_back(principal, "p", 10.0, 10.0, admitted.shadowed)
    assert levels() == [2, 2, 300]
    policies.take_back(principal, "p", 10.0, 10.0)
    assert levels() == [1, 1, 300]
    own = Principal(id="b", name="b", rate_limit=0.0)
    policies.take_back(own, "p", 10.0, 10.0, ("global",))
    assert levels() == [1, 1, 300]


def test_two_of_one_name() -> None:
    """
    Cannot be told apart, and are refused; a name of its own helps.
    """
    second = policy(unit=Unit.REQUESTS_PER_MINUTE, limit=30)
    with pytest.raises(ValueError, match='two policies are called "per-principal"'):
        made(policy(), second)
    policies = made(policy(), attrs.evolve(second, name="per-principal-minute"))
    assert [state.limit.name for state in policies.states(ADA, "openai", 0)] == [
        "per-principal",
        "per-principal-minute",
    ]


def test_a_refusal_as_an_error() -> None:
    """
    It names the policy, and the time to come back.
    """
    error = Refusal("global", 2.5, ("global",)).error()
    assert isinstance(error, RateLimited)
    assert (error.policy, error.retry_after_s) == ("global", 2.5)
    assert '"global"' in error.detail


# -- limits of a principal's own -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "burst", "holds"),
    [
        (None, None, 2),
        (None, 4.0, 4),
        (None, 0.5, 1),
        (5.0, None, 5),
        (0.5, None, 1),
        (5.0, 3.0, 3),
        (0.0, None, 50),
        (0.0, 3.0, 50),
        (1e-320, 1.0, 1),
    ],
)
def test_limits_of_its_own(own: float | None, burst: float | None, holds: int) -> None:
    """
    Go before what is configured for each principal; 0 is none at all, and a burst holds one request at least.
    """
    principal = attrs.evolve(ADA, rate_limit=own, rate_burst=burst)
    for policies in (made(policy()), made(policy(Scope.GLOBAL, limit=1000), policy())):
        assert outcomes(policies, principal, 0, 50).count("") == holds
        refusal = policies.check(principal, "openai", 0)
        assert isinstance(refusal, Refusal) is (holds < 50)


def test_limits_of_its_own_without_others() -> None:
    """
    They hold where nothing is configured; a burst alone limits nothing then.
    """
    policies = made()
    assert outcomes(policies, attrs.evolve(ADA, rate_limit=1.0), 0, 2) == ["", "per-principal"]
    assert outcomes(policies, attrs.evolve(BOB, rate_burst=1.0), 0, 9) == [""] * 9
    assert outcomes(policies, CYN, 0, 9) == [""] * 9


def test_limits_of_its_own_stand_in_for_one_policy() -> None:
    """
    The first for each principal, whatever the class; all others hold for it too.
    """
    batch = policy(class_=Class.BATCH, limit=4)
    minute = policy(unit=Unit.REQUESTS_PER_MINUTE, limit=7, name="minute")
    policies = made(batch, policy(), minute)
    assert outcomes(policies, attrs.evolve(ADA, rate_limit=5.0), 0, 6) == ["", "", "", "", "", "per-principal"]
    assert outcomes(policies, attrs.evolve(CYN, rate_limit=0.0), 0, 8) == [*[""] * 7, "minute"]
    assert outcomes(policies, attrs.evolve(BOB, rate_limit=9.0), 0, 5) == [*[""] * 4, "per-principal-batch"]


def test_limits_of_its_own_are_remembered_only_so_far() -> None:
    """
    Thousands of different ones are worked out anew, and not kept.
    """
    policies = made(policy())
    for number in range(2500):
        principal = attrs.evolve(ADA, id=str(number), rate_limit=number + 1.0)
        assert policies.states(principal, "openai", 0)[0].limit.rate == number + 1
    assert len(policies._meters[0]._own) <= 1000


# -- shadows ---------------------------------------------------------------------------------------------------------


def test_a_shadow_refuses_nothing() -> None:
    """
    It counts what it would have refused, and says so of each request.
    """
    policies = made(policy(shadow=True))
    found = [policies.check(ADA, "openai", 0) for _ in range(5)]
    assert [isinstance(one, Admission) and one.shadowed for one in found] == [(), (), *[("per-principal",)] * 3]
    assert policies.refusals() == {"per-principal": 3}
    assert policies.states(ADA, "openai", 0)[0].limit.shadow


def test_a_shadow_is_filled_as_if_it_refused() -> None:
    """
    It counts, of three requests a second with a limit of two, those that would have been refused: every third.
    """
    shadow, real = made(policy(shadow=True)), made(policy())
    for number in range(300):
        tried = [policies.check(ADA, "openai", number / 3) for policies in (shadow, real)]
        assert stops(tried[0]) is stops(tried[1])
    assert shadow.refusals() == real.refusals()
    assert 95 < shadow.refusals()["per-principal"] <= 100


def test_what_is_refused_anyway_is_not_counted_by_shadows() -> None:
    """
    They tell how many refusals they would add.
    """
    policies = made(policy(limit=5, shadow=True), policy(Scope.GLOBAL, limit=8))
    outcomes(policies, ADA, 0, 100)
    assert policies.refusals() == {"per-principal": 3, "global": 92}


def test_a_shadow_of_tokens() -> None:
    """
    What it would have refused is not charged, and settled for nothing.
    """
    policies = made(policy(unit=Unit.TOKENS_PER_MINUTE, limit=6000, shadow=True))
    found = [policies.check(ADA, "openai", 0, 4000) for _ in range(2)]
    for one in found:
        assert isinstance(one, Admission)
        one.settle(1000, 0, 0)
    assert policies.states(ADA, "openai", 0)[0].remaining == 5000


def test_limits_of_its_own_are_no_shadow() -> None:
    """
    Who has one is held to it while another is tried out for everybody else; a burst of its own is tried out too.
    """
    policies = made(policy(shadow=True))
    assert outcomes(policies, attrs.evolve(ADA, rate_limit=1.0), 0, 2) == ["", "per-principal"]
    assert outcomes(policies, attrs.evolve(BOB, rate_burst=1.0), 0, 2) == ["", ""]


# -- other configurations ----------------------------------------------------------------------------------------------


def test_buckets_outlive_a_configuration() -> None:
    """
    What was used, what was refused and what is owed stays, under the new limits.
    """
    tokens = policy(Scope.GLOBAL, unit=Unit.TOKENS_PER_MINUTE, limit=6000)
    before = made(policy(burst=4), tokens)
    running = before.check(ADA, "openai", 0, 3000)
    assert isinstance(running, Admission)
    before.check(ADA, "openai", 0, 9000)
    after = Policies([policy(burst=5), attrs.evolve(tokens, limit=12000)], before=before, now=0.0)
    assert [state.remaining for state in after.states(ADA, "openai", 0)] == [4, 9000]
    assert after.refusals() == {"per-principal": 0, "global-tokens": 1}
    running.settle(1000, 0, 0)
    assert [state.remaining for state in after.states(ADA, "openai", 0)] == [4, 11000]
    assert isinstance(after.check(ADA, "openai", 0, 11000), Admission)
    assert isinstance(before.check(ADA, "openai", 0, 1000), Refusal)


def test_what_was_only_tried_out_is_counted_apart() -> None:
    """
    Of a policy that comes out of shadow, or goes into it, and of one that some are held to all the same.
    """
    shadow = made(policy(limit=1, shadow=True))
    outcomes(shadow, ADA, 0, 3)
    outcomes(shadow, attrs.evolve(BOB, rate_limit=1.0), 0, 5)
    assert (shadow.refusals(), shadow.would_have_refused()) == ({"per-principal": 2}, {"per-principal": 2})
    enforced = Policies([policy(limit=1)], before=shadow, now=0.0)
    assert outcomes(enforced, ADA, 0, 1) == ["per-principal"]
    assert (enforced.refusals(), enforced.would_have_refused()) == ({"per-principal": 5}, {"per-principal": 2})
    again = Policies([policy(limit=1, shadow=True)], before=enforced, now=0.0)
    assert again.would_have_refused() == {"per-principal": 2}
    assert made(policy(limit=1)).would_have_refused() == {}


def test_a_policy_of_another_kind_begins_anew() -> None:
    """
    Even under the same name.
    """
    before = made(policy(name="night"))
    before.check(ADA, "openai", 0)
    for other in (policy(Scope.GLOBAL, name="night"), policy(unit=Unit.TOKENS_PER_MINUTE, name="night")):
        after = Policies([other], before=before, now=0.0)
        assert after.states(ADA, "openai", 0)[0].level == 0


def test_own_limits_outlive_a_configuration() -> None:
    """
    Also where nothing is configured, before or after.
    """
    principal = attrs.evolve(ADA, rate_limit=1.0)
    before = made()
    before.check(principal, "openai", 0)
    after = Policies([policy()], before=before, now=0.0)
    assert outcomes(after, principal, 0, 1) == ["per-principal"]
    assert outcomes(Policies([], before=after, now=0.0), principal, 0, 1) == ["per-principal"]


# -- memory ------------------------------------------------------------------------------------------------------------


def test_memory_is_shared() -> None:
    """
    However many principals and policies: all buckets together stay within what they may take, and nobody gets past.
    """
    tokens = policy(Scope.PRINCIPAL_PROVIDER, unit=Unit.TOKENS_PER_MINUTE, limit=1e6)
    policies = made(policy(limit=0.01), tokens, policy(Scope.GLOBAL, limit=1e9), memory=100_000)
    for number in range(1000):
        policies.check(Principal(id=f"{number:032d}", name=""), "openai", 0, 30)
    assert 80_000 < policies.bytes_used <= 100_300
    for number in (0, 999):
        assert outcomes(policies, Principal(id=f"{number:032d}", name=""), 0, 1) == ["per-principal"]


@pytest.mark.parametrize(
    "policies",
    [
        [policy(limit=0.001, burst=1)],
        [policy(Scope.PRINCIPAL_PROVIDER, limit=0.001, burst=1)],
        [policy(unit=Unit.TOKENS_PER_MINUTE, limit=1, burst=10)],
        [policy(limit=0.001, burst=1), policy(limit=0.002, burst=2, class_=Class.DEFAULT, name="more")],
    ],
)
def test_made_up_principals_cost_their_origin(policies: list[Policy]) -> None:
    """
    Whatever counts each principal: those that one address makes up take no memory from those who come from elsewhere.
    """
    found = made(*policies, memory=100_000)
    for number in range(3000):
        flood = Principal(id=f"made up {number}", name="", origin="192.0.2.1")
        for _ in range(3):
            found.check(flood, "openai", 1.0, 10.0)
    assert found.bytes_used <= 100_000
    for number in range(20):
        newcomer = Principal(id=f"new {number}", name="", origin=f"198.51.100.{number}")
        assert found.refuse(newcomer, "openai", 1.0, 10.0) is None
        assert all(state.level < 1e-6 for state in found.states(newcomer, "openai", 1.0))
        assert isinstance(found.check(newcomer, "openai", 1.0, 10.0), Admission)
        assert isinstance(found.check(newcomer, "openai", 1.0, 10.0), Refusal)
    last = Principal(id="made up at last", name="", origin="192.0.2.1")
    assert isinstance(found.check(last, "openai", 1.0, 10.0), Refusal)


def test_memory_may_change() -> None:
    """
    A new configuration gives the same buckets more room, or less.
    """
    before = made(policy(), memory=0)
    before.check(ADA, "openai", 0)
    assert before.bytes_used == 0
    after = Policies([policy()], before=before, now=0.0)
    after.check(ADA, "openai", 0)
    assert after.bytes_used > 0
    assert after.states(ADA, "openai", 0)[0].remaining == 0


# -- laws --------------------------------------------------------------------------------------------------------------


@given(STARTS, POLICIES, REQUESTS)
def test_a_refused_request_fills_nothing(start: float, policies: Policies, requests: list[Asked]) -> None:
    """
    And one that is admitted fills every bucket that it meets by what it is charged, and no other.
    """
    now = start
    for asked in requests:
        now += asked.step
        before = levels(policies, now)
        met = policies.states(asked.principal, asked.provider, now, tokens=asked.tokens is not None)
        found = policies.check(asked.principal, asked.provider, now, asked.tokens)
        charged = dict.fromkeys(before, 0.0)
        if isinstance(found, Refusal):
            assert {*found.violated} <= {state.limit.name for state in met}
        else:
            for state in met:
                limit = state.limit
                if limit.name not in found.shadowed:
                    amount = min(asked.tokens or 0.0, limit.burst) if limit.counts_tokens else 1.0
                    charged[bucket_of(limit, asked.principal, asked.provider)] += amount
        after = levels(policies, now)
        for bucket, amount in charged.items():
            assert after[bucket] - before[bucket] == pytest.approx(amount, abs=1e-4)
        if isinstance(found, Admission):
            found.settle(asked.used, 0, now)


@given(STARTS, POLICIES, REQUESTS)
def test_waits_are_exact(start: float, policies: Policies, requests: list[Asked]) -> None:
    """
    Whoever is refused, by however many policies, and waits as long as told is let in; a second less is too early.
    """
    now = start
    for asked in requests:
        now += asked.step
        found = policies.check(asked.principal, asked.provider, now, asked.tokens)
        if isinstance(found, Admission):
            found.settle(asked.used, 0, now)
            continue
        if found.wait_s >= 1:
            early = policies.refuse(asked.principal, asked.provider, now + found.wait_s - 1, asked.tokens)
            assert early is not None
            assert early.policy in found.violated
            assert early.wait_s == pytest.approx(1, abs=1e-6)
        assert policies.refuse(asked.principal, asked.provider, now + found.wait_s, asked.tokens) is None


@given(STARTS, POLICIES, REQUESTS)
def test_never_more_than_burst_and_rate(start: float, policies: Policies, requests: list[Asked]) -> None:
    """
    In any window, of what a policy counts together: at most the burst, and what has leaked.
    """
    now = start
    admitted: dict[tuple[str, str], list[tuple[float, float]]] = {}
    limits: dict[tuple[str, str], Limit] = {}
    for asked in requests:
        now += asked.step
        found = policies.check(asked.principal, asked.provider, now, asked.tokens)
        if isinstance(found, Refusal):
            continue
        for state in policies.states(asked.principal, asked.provider, now, tokens=asked.tokens is not None):
            bucket, limit = bucket_of(state.limit, asked.principal, asked.provider), state.limit
            if not limit.shadow and limits.setdefault(bucket, limit) is limit:
                amount = min(asked.tokens or 0.0, limit.burst) if limit.counts_tokens else 1.0
                admitted.setdefault(bucket, []).append((now, amount))
        # Settled at what was estimated, or at the burst where that is less, so that it all stays.
        found.settle(asked.tokens or 0.0, 0, now)
    for bucket, taken in admitted.items():
        limit = limits[bucket]
        for first, (begin, _) in enumerate(taken):
            total = 0.0
            for at, amount in taken[first:]:
                total += amount
                assert total <= limit.burst + limit.rate * (at - begin) + 1e-4


@given(STARTS, SPREAD, REQUESTS)
def test_what_remains_is_what_is_admitted(start: float, spread: list[Policy], requests: list[Asked]) -> None:
    """
    As many requests as are told to remain pass a policy, at once, and one more does not; one request with as many
    tokens does, and with one more does not unless that fills the whole bucket.
    """
    times = [*accumulate((asked.step for asked in requests), initial=start)]
    now = times[-1]

    def after(only: str = "") -> Policies:
        policies = Policies(spread)
        for at, asked in zip(times[1:], requests, strict=True):
            policies.check(asked.principal, asked.provider, at, asked.tokens)
        if only:
            policies._meters = tuple(meter for meter in policies._meters if meter.name == only)
        return policies

    for principal in (ADA, BOB):
        for state in after().states(principal, "openai", now):
            alone = after(state.limit.name)
            if state.limit.counts_tokens:
                less, more = after(state.limit.name), state.remaining + 1.0
                assert stops(alone.check(principal, "openai", now, more)) or more > state.limit.burst
                assert not state.remaining or not stops(less.check(principal, "openai", now, state.remaining))
            else:
                count = min(state.remaining, 50)
                assert not any(stops(alone.check(principal, "openai", now)) for _ in range(count))
                assert count == 50 or stops(alone.check(principal, "openai", now))
