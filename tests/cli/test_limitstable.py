"""
A report of the limits, as people read it.
"""

from __future__ import annotations

from typing import Any

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.breakers import Breakers
from aibridge.admission.keypool import KeyPool, Wanted
from aibridge.admission.learned import Asked, Learned
from aibridge.admission.permit import Claim
from aibridge.admission.policies import Policies
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.admission.report import Limiters, report
from aibridge.admission.retries import RetryBudget
from aibridge.admission.seats import Seats
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.verdict import GOOD, judge
from aibridge.cli.limitstable import lines
from aibridge.dialects.errorbody import NOTHING
from aibridge.dialects.limits import Allowance, Limits
from aibridge.dialects.usage import Usage
from aibridge.model import Class, Principal
from aibridge.secret import Secret

ADDRESS = "http://127.0.0.1:4001"
ADA = Principal(id="1", name="ada", class_=Class.BATCH, rate_limit=2.0, max_in_flight=4)


def limiters(*policies: Policy, terms: SeatTerms | None = None, **given: Any) -> Limiters:
    """
    One provider, and these limits, all from one file.
    """
    terms = terms or SeatTerms()
    configured = {f"limit[{index}]": policy for index, policy in enumerate(policies)}
    options = ("admission.max_concurrency", "admission.queue_size", "breaker.enabled", *configured)
    return Limiters(
        providers=("one",),
        terms=terms,
        seats=Seats(terms, lambda: 0.0, lambda: 0.0),
        configured=configured,
        policies=Policies(policies),
        sources={"admission.max_in_flight": "default"} | dict.fromkeys(options, "/a.toml"),
        **{"max_in_flight": 0, "memory": 1000, **given},
    )


def shown(made: Limiters, principal: Principal | None = None, address: str = ADDRESS, now: float = 0.0) -> str:
    """
    What is shown, with single blanks.
    """
    text = "\n".join(lines(report(made, principal, now), address))
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def test_nothing_is_limited() -> None:
    """
    That is said, too.
    """
    assert shown(limiters()) == (
        f"In force, as the daemon at {ADDRESS} tells.\n"
        "\n"
        "EXCHANGES IN FLIGHT LIMIT IN USE LEFT KEPT FOR INTERACTIVE FROM\n"
        "all none 0 - - admission.max_concurrency (/a.toml)\n"
        "provider one none 0 - - provider[0].max_concurrency\n"
        "each principal none - - - admission.max_in_flight (default)\n"
        "Nobody waits: a full gate refuses at once. admission.queue_size (/a.toml).\n"
        "\n"
        "Neither requests nor tokens are limited.\n"
        "\n"
        "There are no circuit breakers."
    )


def busy() -> Limiters:
    """
    Limits of each kind, some of them in use.
    """
    made = limiters(
        Policy(scope=Scope.PRINCIPAL, limit=5, burst=20),
        Policy(scope=Scope.PRINCIPAL_PROVIDER, limit=600, unit=Unit.REQUESTS_PER_MINUTE, shadow=True),
        Policy(scope=Scope.CLASS, limit=60000, unit=Unit.TOKENS_PER_MINUTE, class_=Class.BATCH, provider="one"),
        terms=SeatTerms(max_concurrency=2, queue_size=5, queue_timeout_s=2.5, interactive_share=0.5),
        breakers=Breakers(BreakerTerms(failure_threshold=1)),
        pools={"one": KeyPool([Secret("a"), Secret("b")])},
        budgets={"one": RetryBudget()},
    )
    for _ in range(4):
        made.seats.enter(Claim("1", Class.BATCH, "one"), 0.0)
        made.policies.check(ADA, "one", 0.0, 1000)
    assert made.breakers is not None
    made.breakers.failed(("one", "/v1/messages", "m\x1b"), 0, 0.0)
    made.breakers.failed(("one", "/v1/messages", "his"), 0, 0.0, "bob")
    pool = made.pools["one"]
    first, second = pool.keys
    choice = pool.choose(Wanted(("", "big"), only=first.id), 0.0)
    pool.confirmed(choice, judge(429, Limits(retry_after_s=20.0), NOTHING), 429, 0.0)
    pool.heard(pool.choose(Wanted(("", "big"), only=second.id), 0.0), Limits(tokens=Allowance(500, 10)), GOOD, 200, 0.0)
    choice = pool.choose(Wanted(("/v1/models", ""), only=second.id), 0.0)
    pool.confirmed(choice, judge(401, Limits(retry_after_s=4.0), NOTHING), 401, 0.0)
    return made


def test_in_force() -> None:
    """
    Each limit with its level, or without where it is one of each principal and none is asked for.
    """
    text = shown(busy())
    assert "all 2 2 0 1 admission.max_concurrency (/a.toml)" in text
    assert "Up to 5 wait, each for 2.5 s at most: admission.queue_size (/a.toml). Now: 2 batch." in text
    assert "per-principal each principal 5 requests/s 20 - - - 2 limit[0] (/a.toml)" in text
    assert ("per-principal-provider (shadow) each principal and provider 600 requests/min 600 - - - 0 limit[1]") in text
    assert "per-class-batch-one-tokens the class batch at one 60000 tokens/min 60000 2000 58000 2 s 0 limit[2]" in text
    assert "Buckets take " in text
    assert "A breaker opens after 1 failure, for 30 s; then 3 have to succeed: breaker.enabled (/a.toml)." in text
    assert "one /v1/messages m\\x1b open all 30 s" in text
    assert "one /v1/messages his open 1 principal 30 s" in text
    assert "one first 1 rate_limited big 20 s - 3" in text
    assert "one first 2 unauthorized big 4 s 500 tokens left 3" in text


def test_retries_without_keys() -> None:
    """
    Are shown, and a provider that has neither is not.
    """
    assert "one - - - - - - 3" in shown(limiters(budgets={"one": RetryBudget()}))
    assert "KEYS" not in shown(limiters())


def test_for_a_principal() -> None:
    """
    Its buckets are shown, each with the limits of its own where it has any.
    """
    text = shown(busy(), ADA)
    assert "For ada, of the class batch." in text
    assert "principal ada 4 2 2 - token" in text
    assert "per-principal each principal 2 requests/s 2 2 0 1 s 2 token" in text
    assert "each principal and provider, here one 600 requests/min 600 2 598" in text
    free = shown(limiters(Policy(scope=Scope.PRINCIPAL, limit=5)), Principal(id="2", name="eve", rate_limit=0.0))
    assert "per-principal each principal none - - - - 0 token" in free


def test_what_answers_are_taken_for() -> None:
    """
    Is shown of the principal that is asked for, by model and client.
    """
    learned = Learned()
    learned.learn(Asked("1", "m\x1b", "Zed", 40, 500, 1, 100), Usage(output=301))
    text = shown(limiters(learned=learned), ADA)
    assert "AN ANSWER OF TO IS TAKEN FOR\nm\\x1b Zed 201 tokens\nm\\x1b others 201 tokens\n" in text
    assert "AN ANSWER OF" not in shown(limiters(learned=learned))
    assert "AN ANSWER OF" not in shown(limiters(), ADA)


def test_as_configured() -> None:
    """
    Without a daemon there are no levels.
    """
    text = shown(busy(), address="")
    assert text.startswith("As configured; nothing is known of a running daemon.\n")
    assert "EXCHANGES IN FLIGHT LIMIT KEPT FOR INTERACTIVE FROM\n" in text
    assert "REQUESTS AND TOKENS FOR LIMIT AT ONCE FROM\n" in text
    assert "Now:" not in text
    assert "Buckets take" not in text


def test_shadow() -> None:
    """
    What is only tried out says so, with what it would have done.
    """
    made = limiters(
        terms=SeatTerms(max_concurrency=1, shadow=True), breakers=Breakers(BreakerTerms(shadow=True, interval_s=0.0))
    )
    assert "lets everybody through; it would have refused nobody." in shown(made)
    for _ in range(3):
        made.seats.enter(Claim("1", Class.BATCH, "one"), 0.0)
    assert "lets everybody through; it would have refused 2 (daemon)." in shown(made)
    assert "lets everybody through." in shown(made, address="")
    assert made.breakers is not None
    made.breakers.failed(("one", "/v1/messages", "m"), 0, 0.0)
    text = shown(made)
    assert "A breaker opens after 5 failures in a row, for 30 s;" in text
    assert "Breakers are in shadow and refuse nothing; they would have refused nobody." in text
    made.breakers.would_have_refused = 2
    assert "Breakers are in shadow and refuse nothing; they would have refused 2." in shown(made)
    assert "Breakers are in shadow and refuse nothing." in shown(made, address="")
    assert "Closed, with failures to remember: 1." in text


def test_classes() -> None:
    """
    Whom a limit counts is told by class and provider.
    """
    text = shown(
        limiters(
            Policy(scope=Scope.PRINCIPAL, limit=5, class_=Class.BATCH, provider="one"),
            Policy(scope=Scope.GLOBAL, limit=5),
        )
    )
    assert "each principal of batch at one 5 requests/s" in text
    assert "global all 5 requests/s 5 0 5 0 s 0" in text
