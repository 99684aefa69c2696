"""
Tests for `benchmarks.heeding.scene`, and so for the bridge, the provider and the callers that play it.
"""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest

from benchmarks.heeding.bridge import Simulated
from benchmarks.heeding.callers import Caller
from benchmarks.heeding.matrix import ABOVE, capacity, scene
from benchmarks.heeding.quotas import OUTPUT, REQUESTS, TOTAL, Quota
from benchmarks.heeding.rules import Rule, all_rules, anthropic, openai
from benchmarks.heeding.scene import Scene, run
from benchmarks.heeding.vendor import Asked, Scripted

TOKENS = "aibridge_tokens_total{"

AMPLE = openai("ample", Quota(REQUESTS, 6000))


def asking(rule: Rule, *callers: Caller, seconds: float = 30.0, **more: Any) -> Scene:
    """
    A short scene.
    """
    return Scene("a scene", rule, callers, seconds, **more)


def test_everybody_is_served_where_there_is_enough() -> None:
    """
    Both dialects, whole streams, read to their end by the bridge: their tokens are counted.
    """
    for rule in (AMPLE, anthropic("ample", Quota(REQUESTS, 6000))):
        caller = Caller("alice", 1.0, output=100, input=300)
        bridges: list[Simulated] = []
        outcome = run(asking(rule, caller), change=bridges.append)
        fate = outcome.fates["alice"]
        assert fate.served == fate.wanted == outcome.calls > 20
        assert fate.statuses == {(200, ""): fate.wanted}
        bridge = bridges[0].bridge
        assert not bridge.exchanges
        page = generate_latest(bridge.metrics.registry).decode()
        tokens = sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(TOKENS))
        assert 350 * fate.served < tokens < 500 * fate.served


def test_the_same_seed_is_the_same_day() -> None:
    """
    Whatever the bridge does, the same is asked for at the same times; another seed is another day.
    """
    rule = openai("few", Quota(REQUESTS, 30))
    one, again = (run(asking(rule, Caller("alice", 0.5))) for _ in range(2))
    assert one == again
    without = run(asking(rule, Caller("alice", 0.5)), heeds=False)
    assert without.fates["alice"].wanted == one.fates["alice"].wanted
    assert run(asking(rule, Caller("alice", 0.5)), seed=1) != one


def test_heeding_is_what_is_switched() -> None:
    """
    With it, the bridge refuses; without, the provider.
    """
    rule = openai("few", Quota(REQUESTS, 30))
    heeding, without = (run(asking(rule, Caller("alice", 0.25)), heeds=heeds) for heeds in (True, False))
    assert heeding.refused_by_bridge > heeding.refused
    assert without.refused > without.refused_by_bridge == 0


@pytest.mark.parametrize("rule", all_rules()[::3], ids=lambda rule: rule.name)
def test_a_rule_takes_what_it_can(rule: Rule) -> None:
    """
    Above its limit it refuses about as many as are too many, so that the load is what it is called.
    """
    assert all(capacity(one) == pytest.approx(2, rel=0.3) for one in all_rules())
    assert run(scene(rule, ABOVE, 40.0), heeds=False).share() < 0.8


def test_output_counts_as_it_is_produced() -> None:
    """
    Where the rule says so, and not as it is allowed.
    """
    caller = Caller("alice", 1.0, output=10, max_tokens=100_000)
    produced = run(asking(anthropic("x", Quota(OUTPUT, 10_000)), caller), heeds=False)
    reserved = run(asking(openai("x", Quota(TOTAL, 10_000, reserves=True)), caller), heeds=False)
    assert produced.share() == 1.0
    assert reserved.share() < 0.1


def test_a_script_answers_first() -> None:
    """
    It sees who asks, for what and with which key; its answers cross as they are.
    """
    seen: list[Asked] = []

    def script(asked: Asked) -> Scripted | None:
        seen.append(asked)
        return Scripted(400, b'{"error":{}}') if asked.caller == "bob" else None

    callers = (Caller("alice", 1.0), Caller("bob", 1.0, model="large", headers=(("X-Extra", "1"),)))
    outcome = run(asking(AMPLE, *callers, script=lambda: script, keys=2))
    assert outcome.fates["alice"].share == 1.0
    assert outcome.fates["bob"].statuses == {(400, ""): outcome.fates["bob"].wanted}
    assert outcome.fates["bob"].bodies == {b'{"error":{}}'}
    (asked,) = {(one.model, one.headers.get("x-extra"), one.key) for one in seen if one.caller == "bob"}
    assert asked == ("large", "1", "sk-central-key-number-0")


def test_retries() -> None:
    """
    A caller that was refused comes back as often as it does, and is served if it was in the end.
    """
    calls: list[float] = []

    def script(asked: Asked) -> Scripted | None:
        calls.append(asked.at)
        return Scripted(529, b"{}") if len(calls) < 3 else None

    once = Caller("alice", 1.0, steady=True, most=1, retries=2)
    outcome = run(asking(AMPLE, once, script=lambda: script))
    assert outcome.fates["alice"].served == 1
    assert len(calls) == 3
    assert calls[1] - calls[0] < calls[2] - calls[1]


def test_what_comes_before_does_not_count() -> None:
    """
    It is asked for all the same.
    """
    outcome = run(asking(AMPLE, Caller("alice", 1.0, steady=True), begins_s=15.0))
    assert outcome.fates["alice"].wanted == outcome.calls - 14 == 15
