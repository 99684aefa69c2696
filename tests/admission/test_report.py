"""
What those who run the daemon are told of its limits.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.breakers import Breakers
from aibridge.admission.keypool import KeyPool, Wanted
from aibridge.admission.learned import Asked, Learned
from aibridge.admission.permit import Claim, Permit
from aibridge.admission.policies import Policies, Refusal
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.report import TOKEN, Limiters, report
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.verdict import GOOD, judge
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import UNKNOWN, Allowance, Limits
from aibridge.dialects.usage import Usage
from aibridge.model import Class, Principal
from aibridge.secret import Secret

ADA = Principal(id="1", name="ada")
NOW = 1000.0
CANARY = "sk-canary-4f9cKQ2mN8vX1bT7"


def limiters(*policies: Policy, terms: SeatTerms | None = None, **given: Any) -> Limiters:
    """
    Two providers, and these limits.
    """
    terms = terms or SeatTerms()
    return Limiters(
        providers=("one", "two"),
        terms=terms,
        seats=Seats(terms, lambda: NOW, lambda: 0.0),
        configured={f"limit[{index}]": policy for index, policy in enumerate(policies)},
        policies=Policies(policies),
        **{"max_in_flight": 0, "memory": 1000, **given},
    )


def gate(made: Limiters, principal: Principal | None = None) -> dict[str, dict[str, Any]]:
    """
    What is told of the gate's limits, by what each limits.
    """
    return {told["what"]: told for told in report(made, principal, NOW)["gate"]["limits"]}


def limits(made: Limiters, principal: Principal | None = None) -> list[dict[str, Any]]:
    """
    What is told of the policies.
    """
    found: list[dict[str, Any]] = report(made, principal, NOW)["limits"]
    return found


class TestGate:
    """
    Exchanges in flight, and the queue.
    """

    def test_no_limits(self) -> None:
        """
        A limit that does not exist is none, not zero; what is in flight is told all the same.
        """
        made = limiters()
        made.seats.enter(Claim("1", Class.DEFAULT, "one"), NOW)
        told = gate(made)
        assert list(told) == ["all", "provider one", "provider two", "each principal"]
        assert [(row["limit"], row["remaining"], row["in_use"]) for row in told.values()] == [
            (None, None, 1),
            (None, None, 1),
            (None, None, 0),
            (None, None, None),
        ]
        assert report(made, None, NOW)["gate"]["queue"]["limit"] is None

    def test_limits(self) -> None:
        """
        Each with what is out, what is left, what is kept, and which option of which source says it.
        """
        sources = {"admission.max_concurrency": "a file", "provider[1].max_concurrency": "another"}
        terms = SeatTerms(max_concurrency=10, providers={"two": 4}, interactive_share=0.25)
        made = limiters(terms=terms, sources=sources)
        for provider in ("one", "two", "two"):
            made.seats.enter(Claim("1", Class.DEFAULT, provider), NOW)
        told = gate(made)
        assert told["all"] == {
            "what": "all",
            "limit": 10,
            "in_use": 3,
            "remaining": 7,
            "kept_for_interactive": 2,
            "option": "admission.max_concurrency",
            "source": "a file",
        }
        assert (told["provider two"]["remaining"], told["provider two"]["kept_for_interactive"]) == (2, 1)
        assert (told["provider two"]["option"], told["provider two"]["source"]) == (
            "provider[1].max_concurrency",
            "another",
        )
        made = limiters(terms=terms, max_in_flight=5)
        assert gate(made)["each principal"]["kept_for_interactive"] == 0
        assert gate(made, ADA)["principal ada"]["kept_for_interactive"] == 0

    @pytest.mark.parametrize(
        ("own", "configured", "expected"),
        [
            (None, 0, (None, None, "admission.max_in_flight")),
            (None, 5, (5, 3, "admission.max_in_flight")),
            (3, 5, (3, 1, TOKEN)),
            (1, 0, (1, 0, TOKEN)),
            (0, 5, (None, None, TOKEN)),
        ],
    )
    def test_principal(self, own: int | None, configured: int, expected: tuple[Any, ...]) -> None:
        """
        A token's own limit stands in for the configured one, none at all among them.
        """
        made = limiters(max_in_flight=configured)
        for _ in range(2):
            made.seats.enter(Claim("1", Class.DEFAULT, "one"), NOW)
        told = gate(made, Principal(id="1", name="ada", max_in_flight=own))["principal ada"]
        assert (told["limit"], told["remaining"], told["option"]) == expected
        assert told["in_use"] == 2
        assert report(made, ADA, NOW)["principal"] == {"name": "ada", "class": "default"}

    def test_queue(self) -> None:
        """
        How many wait, in all and of each class.
        """
        made = limiters(terms=SeatTerms(max_concurrency=1, queue_size=5, queue_timeout_s=2.0))
        for class_ in (Class.DEFAULT, Class.BATCH, Class.BATCH):
            made.seats.enter(Claim(class_.value, class_, "one"), NOW)
        queue = report(made, None, NOW)["gate"]["queue"]
        assert (queue["waiting"], queue["limit"], queue["timeout_s"]) == (2, 5, 2.0)
        assert queue["waiting_by_class"] == {"interactive": 0, "default": 0, "batch": 2}

    def test_shadow(self) -> None:
        """
        What would have been refused is told by what stood in the way, where there is any.
        """
        made = limiters(terms=SeatTerms(max_concurrency=1, shadow=True))
        for _ in range(3):
            assert isinstance(made.seats.enter(Claim("1", Class.DEFAULT, "one"), NOW), Permit)
        told = report(made, None, NOW)["gate"]
        assert (told["shadow"], told["would_have_refused"]) == (True, {"daemon": 2})
        assert gate(made)["all"]["remaining"] == 0


class TestLimits:
    """
    The policies and their buckets.
    """

    def test_shared(self) -> None:
        """
        A bucket that all share is told without asking for anybody: that of each class and each provider by itself.
        """
        made = limiters(
            Policy(scope=Scope.GLOBAL, limit=10, provider="two"),
            Policy(scope=Scope.CLASS, limit=5, burst=7, unit=Unit.REQUESTS_PER_MINUTE),
            sources={"limit[1]": "a file"},
        )
        for class_, provider in ((Class.BATCH, "one"), (Class.BATCH, "two"), (Class.DEFAULT, "one")):
            made.policies.check(Principal(id="x", name="x", class_=class_), provider, NOW)
        told = {row["policy"]: row for row in limits(made)}
        assert list(told) == ["global-two", "per-class-interactive", "per-class-default", "per-class-batch"]
        levels = {name: [bucket["level"] for bucket in row["buckets"]] for name, row in told.items()}
        assert levels == {
            "global-two": [1],
            "per-class-interactive": [0],
            "per-class-default": [1],
            "per-class-batch": [2],
        }
        batch = told["per-class-batch"]
        assert batch.pop("buckets") == [
            {"provider": "", "limit": 5.0, "burst": 7.0, "level": 2.0, "remaining": 5, "empty_in_s": 24.0}
        ]
        assert batch == {
            "policy": "per-class-batch",
            "scope": "class",
            "unit": "requests/min",
            "limit": 5,
            "burst": 7,
            "class": "batch",
            "provider": "",
            "shadow": False,
            "refused": 0,
            "option": "limit[1]",
            "source": "a file",
            "own": False,
        }

    def test_principals_buckets(self) -> None:
        """
        They are told for the principal that is asked for; of a limit by provider there is one for each.
        """
        made = limiters(
            Policy(scope=Scope.PRINCIPAL, limit=10),
            Policy(scope=Scope.PRINCIPAL_PROVIDER, limit=5, name="each"),
            Policy(scope=Scope.PRINCIPAL_PROVIDER, limit=5, provider="two"),
            Policy(scope=Scope.PRINCIPAL, limit=5, class_=Class.BATCH),
        )
        for provider in ("one", "two", "two"):
            made.policies.check(ADA, provider, NOW)
        assert all(row["buckets"] == [] for row in limits(made))
        told = {
            row["policy"]: [(bucket["provider"], bucket["level"]) for bucket in row["buckets"]]
            for row in limits(made, ADA)
        }
        assert told == {
            "per-principal": [("", 3)],
            "each": [("one", 1), ("two", 2)],
            "per-principal-provider-two": [("two", 2)],
            "per-principal-batch": [],
        }

    def test_refusals(self) -> None:
        """
        They are counted by policy, those of shadows as well.
        """
        made = limiters(Policy(scope=Scope.GLOBAL, limit=1), Policy(scope=Scope.PRINCIPAL, limit=1, shadow=True))
        for _ in range(3):
            made.policies.check(ADA, "one", NOW)
        assert [(row["refused"], row["shadow"]) for row in limits(made)] == [(2, False), (0, True)]

    def test_own_limits(self) -> None:
        """
        A token's own limits stand in for the first policy that they can; where one is none, there is no bucket.
        """
        policies = (Policy(scope=Scope.PRINCIPAL, limit=10), Policy(scope=Scope.PRINCIPAL, limit=20, name="second"))
        made = limiters(*policies)
        first, second = limits(made, Principal(id="1", name="ada", rate_limit=2.0, rate_burst=4.0))
        assert (first["own"], second["own"]) == (True, False)
        assert [(bucket["limit"], bucket["burst"]) for bucket in first["buckets"]] == [(2.0, 4.0)]
        assert [(bucket["limit"], bucket["burst"]) for bucket in second["buckets"]] == [(20.0, 20.0)]
        first, _ = limits(made, Principal(id="1", name="ada", rate_limit=0.0))
        assert (first["own"], first["buckets"]) == (True, [])

    def test_own_limits_alone(self) -> None:
        """
        They hold, and are told, where no policy is configured that they stand in for.
        """
        made = limiters(Policy(scope=Scope.GLOBAL, limit=10))
        _, own = limits(made, Principal(id="1", name="ada", rate_limit=2.0))
        assert (own["policy"], own["limit"], own["burst"], own["option"]) == ("per-principal", 2.0, 2.0, TOKEN)
        assert len(own["buckets"]) == 1
        assert len(limits(made, Principal(id="1", name="ada", rate_burst=2.0))) == 1
        assert len(limits(made, ADA)) == 1

    def test_debts(self) -> None:
        """
        A bucket of tokens may hold more than its burst; then nothing is left.
        """
        made = limiters(Policy(scope=Scope.PRINCIPAL, limit=600, unit=Unit.TOKENS_PER_MINUTE))
        admitted = made.policies.check(ADA, "one", NOW, 100)
        assert not isinstance(admitted, Refusal)
        admitted.settle(1000, 0, NOW)
        ((bucket,),) = [row["buckets"] for row in limits(made, ADA)]
        assert (bucket["level"], bucket["remaining"], bucket["empty_in_s"]) == (1000, 0, 100)

    def test_memory(self) -> None:
        """
        What the buckets take, and may take.
        """
        made = limiters(Policy(scope=Scope.PRINCIPAL, limit=10), sources={"admission.bucket_memory": "default"})
        made.policies.check(ADA, "one", NOW)
        told = report(made, None, NOW)["memory"]
        assert told == {
            "used": made.policies.bytes_used,
            "limit": 1000,
            "option": "admission.bucket_memory",
            "source": "default",
        }
        assert told["used"]


class TestExpected:
    """
    What answers are taken for until they have ended.
    """

    def test_of_whom_it_is_asked(self) -> None:
        """
        By model and client, and by model alone for those clients of which nothing is known; nobody else's.
        """
        learned = Learned()
        for principal in ("1", "2"):
            learned.learn(Asked(principal, "m", "Zed", 40, 500, 1, 100), Usage(output=301))
        made = limiters(learned=learned)
        assert report(made, ADA, NOW)["expected"] == [
            {"model": "m", "client": "Zed", "output_tokens": 201},
            {"model": "m", "client": None, "output_tokens": 201},
        ]
        assert report(made, None, NOW)["expected"] == []
        assert report(made, Principal(id="3", name="eve"), NOW)["expected"] == []
        assert report(limiters(), ADA, NOW)["expected"] == []


class TestProviders:
    """
    Breakers, keys and retries.
    """

    def test_breakers(self) -> None:
        """
        Those that keep anybody out are told with the time that is left, of the others how many are watched.
        """
        breakers = Breakers(BreakerTerms(failure_threshold=2, timeout_s=30.0))
        for model, failures in (("down", 2), ("shaky", 1)):
            for _ in range(failures):
                breakers.admit("one", "/v1/messages", model, NOW - 10).failure(NOW - 10)
        told = report(limiters(breakers=breakers), None, NOW)["breakers"]
        assert told["open"] == [
            {
                "provider": "one",
                "endpoint": "/v1/messages",
                "model": "down",
                "principals": 0,
                "state": "open",
                "retry_in_s": 20.0,
            }
        ]
        assert (told["failing"], told["failure_threshold"], told["timeout_s"]) == (1, 2, 30.0)
        breakers.admit("one", "/v1/messages", "down", NOW + 20)
        (told,) = report(limiters(breakers=breakers), None, NOW + 20)["breakers"]["open"]
        assert (told["state"], told["retry_in_s"]) == ("half-open", 0.0)
        for _ in range(2):
            breakers.admit("one", "/v1/messages", "his", NOW, "bob").failure(NOW)
        _, told = report(limiters(breakers=breakers), None, NOW)["breakers"]["open"]
        assert (told["principals"], told["state"], told["retry_in_s"]) == (1, "open", 30.0)
        assert report(limiters(), None, NOW)["breakers"] is None

    def test_keys(self) -> None:
        """
        Each has a number, how it stands, how long it rests, and what the provider said of it.
        """
        pool = KeyPool([Secret(f"{CANARY}{n}") for n in range(3)], round_robin=True)
        first, second, third = pool.keys
        for key, status in ((first, 429), (second, 401)):
            choice = pool.choose(Wanted(("", "m"), only=key.id), NOW)
            pool.confirmed(choice, judge(status, Limits(retry_after_s=20.0), NOTHING), status, NOW)
        choice = pool.choose(Wanted(("/v1/models", ""), only=third.id), NOW)
        pool.heard(choice, Limits(requests=Allowance(remaining=7, reset_s=30)), GOOD, 200, NOW)
        one, two = report(limiters(pools={"one": pool}), None, NOW)["providers"]
        assert one["key_order"] == "round-robin"
        assert one["keys"] == [
            {
                "key": 1,
                "state": "rate_limited",
                "rests_s": 0.0,
                "models": [{"route": "", "model": "m", "wait_s": 20.0}],
            },
            {"key": 2, "state": "unauthorized", "rests_s": 20.0, "models": []},
            {
                "key": 3,
                "state": "usable",
                "rests_s": 0.0,
                "models": [{"route": "/v1/models", "model": "", "requests_left": 7.0}],
            },
        ]
        assert two == {"provider": "two", "key_order": None, "keys": [], "retries_left": None}

    def test_retries(self) -> None:
        """
        How many a provider could be sent now.
        """
        _, two = report(limiters(budgets={"two": RetryBudget()}), None, NOW)["providers"]
        assert two["retries_left"] == 3.0


@given(
    st.sampled_from([None, ADA, Principal(id="2", name="eve", class_=Class.BATCH, rate_limit=1.0, max_in_flight=1)]),
    st.lists(st.sampled_from(["one", "two"]), max_size=8),
)
def test_it_is_plain(principal: Principal | None, requests: list[str]) -> None:
    """
    Whatever has happened, it can be told in JSON, and nothing of a key is in it.
    """
    pool = KeyPool([Secret(CANARY)])
    made = limiters(
        Policy(scope=Scope.PRINCIPAL, limit=1),
        Policy(scope=Scope.CLASS, limit=1e12, unit=Unit.TOKENS_PER_MINUTE),
        terms=SeatTerms(max_concurrency=2, queue_size=30),
        pools={"one": pool},
        breakers=Breakers(BreakerTerms(failure_threshold=1)),
        budgets={"one": RetryBudget()},
    )
    for provider in requests:
        made.seats.enter(Claim("2", Class.BATCH, provider), NOW)
        made.policies.check(principal or ADA, provider, NOW, 100)
        choice = pool.choose(Wanted(("", "m")), NOW, heeds=False)
        pool.heard(choice, UNKNOWN, judge(429, UNKNOWN, NOTHING), 429, NOW)
        assert made.breakers is not None
        made.breakers.failed((provider, "/x", "m"), 0, NOW)
    told = report(made, principal, NOW)
    text = json.dumps(told, allow_nan=False)
    assert json.loads(text) == told
    assert CANARY not in text
