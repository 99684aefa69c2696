"""
Nobody who makes no mistake gets less for another one's: short scenes of `benchmarks.heeding.mistakes`, with the bridge
as it is, and with a part of it taken out, which has to be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import attrs
import pytest

from aibridge.admission.cooldown import CoolDown
from aibridge.admission.keypool import Choice, Key, KeyPool
from aibridge.admission.learned import Asked, Learned
from aibridge.admission.reservation import Reservation
from aibridge.web.account import Account
from aibridge.web.upstreamrequest import UpstreamRequest
from benchmarks.heeding import spoken
from benchmarks.heeding.bars import all_loads, of_load, of_mistake
from benchmarks.heeding.bridge import Simulated
from benchmarks.heeding.mistakes import (
    ALICE,
    AMPLE,
    AMPLE_ANTHROPIC,
    MOST_JSON,
    UNFAMILIAR,
    Mistake,
    absurd_maximum,
    foreign_organization,
    generous_maximum,
    one_model_used_up,
    own_limits,
    recovered,
    refused_alone,
    too_large,
)
from benchmarks.heeding.quotas import REQUESTS, TOTAL, Quota
from benchmarks.heeding.rules import Rule, all_rules, anthropic, openai

AGAIN = (b"retry-after", b"60")

USED_UP = one_model_used_up(anthropic("requests", Quota(REQUESTS, 240.0)), 60)
TOLD = too_large(AMPLE_ANTHROPIC, 1, 1.0, 60, AGAIN, message=UNFAMILIAR)
GENEROUS = generous_maximum(80_000.0, 60, ALICE)
RECOVERED = replace(recovered(spoken.ANTHROPIC, 1, 429, 120), least=0.95)
"""A twentieth of it is lost at most, a third of which the provider takes."""

MISTAKES = [
    too_large(AMPLE, 1, 0.3, 60),
    too_large(AMPLE_ANTHROPIC, 1, 5.0, 60),
    too_large(AMPLE, 16, 0.5, 60),
    too_large(AMPLE, 1, 0.5, 60, message=UNFAMILIAR),
    TOLD,
    too_large(AMPLE, 3, 0.5, 60, message=UNFAMILIAR),
    too_large(AMPLE, 1, 0.5, 60, others=2),
    too_large(AMPLE, 1, 0.5, 60, message=UNFAMILIAR, others=2),
    too_large(AMPLE, 3, 0.5, 60, message=UNFAMILIAR, others=2),
    absurd_maximum(MOST_JSON, 400, 1, 60),
    absurd_maximum(140_000, 400, 0, 60),
    absurd_maximum(MOST_JSON, 500, 0, 60),
    foreign_organization("OpenAI-Organization", 2, 30),
    foreign_organization("OpenAI-Project", 1, 30),
    refused_alone(401, 3, 60),
    refused_alone(529, 1, 60, AGAIN),
    USED_UP,
    one_model_used_up(openai("tokens reserved", Quota(TOTAL, 240_000.0, reserves=True)), 60),
    generous_maximum(80_000.0, 60),
    GENEROUS,
    own_limits(8, False),
    own_limits(30, True),
    RECOVERED,
    replace(recovered(spoken.OPENAI, 2, 429, 120), least=0.95),
]


def named(mistake: Mistake) -> str:
    """
    For people.
    """
    return mistake.scene.name


@pytest.mark.parametrize("mistake", MISTAKES, ids=named)
def test_a_mistake_stays_its_makers(mistake: Mistake) -> None:
    """
    Every bar is met.
    """
    assert not list(map(str, of_mistake(mistake).missed))


LOADS = [
    "OpenAI, requests, sliding, below the limit",
    "OpenAI, requests, sliding, above the limit",
    "OpenAI, requests, fixed, in bursts",
    "OpenAI, requests, bucket, above the limit, with retries",
    "OpenAI, tokens returned, fixed, below the limit",
    "Anthropic, output, below the limit",
    "Anthropic, output, sliding, in bursts",
    "Anthropic, all three, above the limit",
    "Azure, tokens and 10 s, above the limit",
    "silent, requests, bucket, above the limit",
]


@pytest.mark.parametrize("name", LOADS)
def test_heeding_costs_nothing(name: str) -> None:
    """
    Below a limit nobody is refused who would not have been, and above it about as many are served.
    """
    ((scene, least),) = [load for load in all_loads(30.0) if load[0].name == name]
    assert not list(map(str, of_load(scene, least).missed))


# -- with a part taken out ---------------------------------------------------------------------------------------


class Changed(Account):
    """
    An account whose keys are chosen for something else than what is asked.
    """

    def __init__(self, account: Account, request: Callable[[UpstreamRequest], UpstreamRequest]) -> None:
        super().__init__(account.client, account.keys, account.budget, retries=account.retries, heeds=account.heeds)
        self._request = request

    def choose(self, pool: KeyPool, tried: Collection[Key], now: float, request: UpstreamRequest) -> Choice:
        """
        See `Account`.
        """
        return super().choose(pool, tried, now, self._request(request))


def changed(simulated: Simulated, request: Callable[[UpstreamRequest], UpstreamRequest]) -> None:
    """
    Have all accounts choose so.
    """
    terms = simulated.bridge.terms
    accounts = {name: Changed(account, request) for name, account in terms.accounts.items()}
    simulated.bridge.terms = attrs.evolve(terms, accounts=accounts)


def like(request: UpstreamRequest, **changes: str) -> UpstreamRequest:
    """
    The same but for what is said.
    """
    made = UpstreamRequest.__new__(UpstreamRequest)
    for name in UpstreamRequest.__slots__:
        setattr(made, name, changes.get(name, getattr(request, name)))
    return made


def one_pace_for_each_key(simulated: Simulated) -> None:
    """
    Whatever the model.
    """
    changed(simulated, lambda request: like(request, route="", model=""))


def all_are_one(simulated: Simulated) -> None:
    """
    Whoever was told to wait, all do.
    """
    changed(simulated, lambda request: like(request, principal="somebody"))


class Unprobed(CoolDown):
    """
    What is closed is closed until it is over.
    """

    def wait(self, principal: str, now: float) -> float:
        """
        See `CoolDown`.
        """
        hint = self._hints.get(principal)
        return super().wait(principal, now) or max(0.0, self.until - now, hint.until - now if hint else 0.0)


def no_probes(simulated: Simulated) -> None:
    """
    A provider that recovers is not found out.
    """
    (pool,) = (account.keys for account in simulated.bridge.terms.accounts.values())
    assert pool is not None

    def unprobed(request: UpstreamRequest) -> UpstreamRequest:
        for key in pool.keys:
            pace = key.pace((request.route, request.model))
            if not isinstance(pace.cooldown, Unprobed):
                pace.cooldown = Unprobed()
        return request

    changed(simulated, unprobed)


class Unlearned(Learned):
    """
    Everybody uses what he allows.
    """

    def expect(self, asked: Asked) -> Reservation:
        """
        See `Learned`.
        """
        expected = super().expect(asked)
        return Reservation(expected.input, expected.fresh, asked.most * asked.choices, 0, expected.maximum)


def nothing_is_learned(simulated: Simulated) -> None:
    """
    What is allowed is reserved.
    """
    simulated.bridge.learned = Unlearned()


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (one_pace_for_each_key, USED_UP),
        (all_are_one, TOLD),
        (no_probes, RECOVERED),
        (nothing_is_learned, GENEROUS),
        (nothing_is_learned, own_limits(30, True)),
    ],
    ids=lambda value: value.__name__ if callable(value) else named(value),
)
def test_what_it_takes(change: Callable[[Simulated], None], mistake: Mistake) -> None:
    """
    Without this part of it the bar is missed by far.
    """
    missed = of_mistake(mistake, change).missed
    assert missed
    assert missed[0].found < mistake.least - 0.05


def test_the_sources_of_rules_are_known() -> None:
    """
    Every kind of words, shape and count is there.
    """
    rules: list[Rule] = all_rules()
    assert {rule.words for rule in rules} == {spoken.OPENAI, spoken.ANTHROPIC, spoken.AZURE, spoken.SILENT}
    assert len({quota.shape for rule in rules for quota in rule.quotas}) == 3
    assert len({quota.counts for rule in rules for quota in rule.quotas}) == 4
