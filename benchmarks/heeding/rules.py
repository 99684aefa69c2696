"""
Which vendor counts how. What is enforced here is what the vendors' pages say, and what they do not say is there in both
variants.

- OpenAI counts requests and tokens for each model of an organisation; of a request's output the most that it allows
  (https://platform.openai.com/docs/guides/rate-limits).
- Anthropic has token buckets of requests, input and output for each model; output counts as it is produced, whatever
  the request allows (https://docs.anthropic.com/en/api/rate-limits).
- Azure counts the tokens that a request may use at most in a window that begins anew each minute, and requests over
  one or ten seconds (https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/quota).
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.heeding import spoken
from benchmarks.heeding.quotas import FIXED, INPUT, OUTPUT, REQUESTS, SLIDING, TOTAL, Quota


@dataclass(frozen=True)
class Rule:
    """
    How one vendor counts.

    :ivar name: in tables.
    :ivar type: of the provider that the bridge is configured with.
    :ivar words: in which it tells.
    :ivar per_model: each model has limits of its own; else all of an account count together.
    :ivar says_when: a refusal says when to come back.
    :ivar counts_refused: a refused request counts as a request.
    """

    name: str
    type: str
    words: str
    quotas: tuple[Quota, ...]
    per_model: bool = True
    says_when: bool = True
    counts_refused: bool = False


def openai(name: str, *quotas: Quota, **more: bool) -> Rule:
    """
    One in OpenAI's words.
    """
    return Rule(f"OpenAI, {name}", "openai", spoken.OPENAI, quotas, **more)


def anthropic(name: str, *quotas: Quota, **more: bool) -> Rule:
    """
    One in Anthropic's.
    """
    return Rule(f"Anthropic, {name}", "anthropic", spoken.ANTHROPIC, quotas, **more)


def azure(name: str, *quotas: Quota) -> Rule:
    """
    One in Azure's.
    """
    return Rule(f"Azure, {name}", "openai", spoken.AZURE, quotas)


def silent(name: str, type_: str, *quotas: Quota, **more: bool) -> Rule:
    """
    One that says nothing but 429.
    """
    return Rule(f"silent, {name}", type_, spoken.SILENT, quotas, says_when=False, **more)


RPM = 120.0
"""Requests a minute."""
INPUT_TPM = 30_000.0
OUTPUT_TPM = 60_000.0
RESERVED_TPM = 270_000.0
"""Tokens a minute where what a request allows counts, which is several times what it uses."""
USED_TPM = 90_000.0

_PER_SECOND = Quota(REQUESTS, RPM / 60 * 2, SLIDING, 1.0, told=False)
"""A limit of a minute that is watched over each second, with twice its share; no answer tells of it."""


def all_rules() -> list[Rule]:
    """
    Everything that is looked at.
    """
    requests, reserved = Quota(REQUESTS, RPM), Quota(TOTAL, RESERVED_TPM, reserves=True)
    windowed = Quota(TOTAL, RESERVED_TPM, FIXED, reserves=True)
    return [
        openai("requests, bucket", requests),
        openai("requests, sliding", Quota(REQUESTS, RPM, SLIDING), counts_refused=True),
        openai("requests, fixed", Quota(REQUESTS, RPM, FIXED)),
        openai("requests, by the second", requests, _PER_SECOND),
        openai("tokens reserved, bucket", reserved),
        openai("tokens reserved, sliding", Quota(TOTAL, RESERVED_TPM, SLIDING, reserves=True)),
        openai("tokens returned, fixed", Quota(TOTAL, USED_TPM, FIXED, reserves=True, returns=True)),
        openai("requests of an account", Quota(REQUESTS, 2 * RPM), per_model=False),
        openai("both, no retry-after", requests, reserved, says_when=False),
        anthropic("requests", requests),
        anthropic("input", Quota(INPUT, INPUT_TPM)),
        anthropic("output", Quota(OUTPUT, OUTPUT_TPM)),
        anthropic("output, sliding", Quota(OUTPUT, OUTPUT_TPM, SLIDING)),
        anthropic("all three", requests, Quota(INPUT, INPUT_TPM), Quota(OUTPUT, OUTPUT_TPM)),
        anthropic("all of an account", Quota(REQUESTS, 2 * RPM), Quota(OUTPUT, 2 * OUTPUT_TPM), per_model=False),
        azure("tokens, fixed", windowed),
        azure("tokens and 10 s", windowed, Quota(REQUESTS, RPM / 6, FIXED, 10.0)),
        silent("requests, bucket", "openai", requests),
        silent("requests, sliding", "openai", Quota(REQUESTS, RPM, SLIDING)),
        silent("tokens, bucket", "anthropic", Quota(TOTAL, USED_TPM)),
    ]
