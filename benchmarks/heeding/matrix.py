"""
Every rule, below its limit and above it.
"""

from __future__ import annotations

from benchmarks.heeding.callers import Caller
from benchmarks.heeding.quotas import INPUT, OUTPUT, REQUESTS, TOTAL, Quota
from benchmarks.heeding.rules import Rule
from benchmarks.heeding.scene import Scene

BELOW = 0.5
"""Of what the provider takes; with arrivals by chance, it refuses nobody then who looks at a minute."""
ABOVE = 2.0

WARM_UP_S = 60.0
BURST_EVERY_S = 20.0
MODELS = 2

INPUT_TOKENS = 200
OUTPUT_TOKENS = 400
MAX_TOKENS = {"openai": 2048, "anthropic": 32_000}
"""What clients of each kind allow: an application's bound, and a coding agent's."""

_MEAN = 1.082
"""Of a half to twice, evenly on a logarithmic scale."""


def capacity(rule: Rule) -> float:
    """
    Requests per second that the provider takes of each of the models.
    """
    all_in_all = min(quota.amount / quota.period_s / _cost(quota, rule.type) for quota in rule.quotas)
    return all_in_all if rule.per_model else all_in_all / MODELS


def _cost(quota: Quota, type_: str) -> float:
    output = OUTPUT_TOKENS * _MEAN
    if quota.reserves and not quota.returns:
        output = MAX_TOKENS[type_]
    return {REQUESTS: 1.0, INPUT: INPUT_TOKENS, OUTPUT: output, TOTAL: INPUT_TOKENS + output}[quota.counts]


def scene(rule: Rule, load: float, seconds: float, retries: int = 0) -> Scene:
    """
    Two callers of one model and one of another, who ask for so many times what the provider takes.

    :param retries: as SDKs have two by default.
    """
    most = capacity(rule) * load
    maximum = MAX_TOKENS[rule.type]

    def caller(name: str, model: str, share: float) -> Caller:
        return Caller(
            name,
            1 / (most * share),
            model=model,
            input=INPUT_TOKENS,
            output=OUTPUT_TOKENS,
            max_tokens=maximum,
            retries=retries,
        )

    callers = (caller("alice", "large", 0.5), caller("bob", "large", 0.5), caller("carol", "small", 1.0))
    # What a full bucket holds at first is used up within a minute by twice what fills it.
    begins_s = WARM_UP_S if load > 1 else 0.0
    name = f"{rule.name}, {'below' if load < 1 else 'above'} the limit{', with retries' if retries else ''}"
    return Scene(name, rule, callers, begins_s + seconds, begins_s=begins_s)


def bursts(rule: Rule, seconds: float) -> Scene:
    """
    Agents that all ask at the same moment, and then not for a while; on average for half of what the provider takes.
    """
    agents = round(capacity(rule) * BELOW * BURST_EVERY_S)
    callers = tuple(
        Caller(
            f"agent-{number}",
            BURST_EVERY_S,
            steady=True,
            model="large",
            input=INPUT_TOKENS,
            output=OUTPUT_TOKENS,
            max_tokens=MAX_TOKENS[rule.type],
        )
        for number in range(agents)
    )
    return Scene(f"{rule.name}, in bursts", rule, callers, seconds)
