"""
In which words a vendor tells of its limits: header fields of every answer, and the answer of a refused request.

- OpenAI: ``x-ratelimit-*``, times as durations (https://platform.openai.com/docs/guides/rate-limits).
- Anthropic: ``anthropic-ratelimit-*``, times of day in whole seconds, tokens in thousands
  (https://docs.anthropic.com/en/api/rate-limits).
- Azure: what remains, and whole seconds to wait
  (https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/quota).
- Silent: nothing, as many self-hosted servers and gateways.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.heeding.quotas import INPUT, OUTPUT, REQUESTS, TOTAL, Level

Pair = tuple[bytes, bytes]

OPENAI = "openai"
ANTHROPIC = "anthropic"
AZURE = "azure"
SILENT = "silent"

_UNIT = {REQUESTS: "requests", INPUT: "input-tokens", OUTPUT: "output-tokens", TOTAL: "tokens"}


def fields(words: str, levels: Sequence[Level], now: float, wall: float) -> list[Pair]:
    """
    What an answer says of some limits.

    :param now: as the levels have it.
    :param wall: Unix seconds.
    """
    if words == SILENT:
        return []
    strictest: dict[str, Level] = {}
    for level in levels:
        if level.quota.told:
            known = strictest.get(level.quota.counts)
            if known is None or level.left(now) / level.quota.amount < known.left(now) / known.quota.amount:
                strictest[level.quota.counts] = level
    told: list[Pair] = []
    for counts, level in strictest.items():
        told += _WORDS[words](_UNIT[counts], level, now, wall)
    return told


def _openai(unit: str, level: Level, now: float, wall: float) -> list[Pair]:
    left = max(0, int(level.left(now)))
    return [
        _pair(f"x-ratelimit-limit-{unit}", f"{level.quota.amount:.0f}"),
        _pair(f"x-ratelimit-remaining-{unit}", str(left)),
        _pair(f"x-ratelimit-reset-{unit}", duration(level.full_in(now))),
    ]


def _anthropic(unit: str, level: Level, now: float, wall: float) -> list[Pair]:
    left = max(0, int(level.left(now)))
    if unit != "requests" and left >= 1000:
        left = left // 1000 * 1000
    at = datetime.fromtimestamp(math.ceil(wall + level.full_in(now)), UTC)
    return [
        _pair(f"anthropic-ratelimit-{unit}-limit", f"{level.quota.amount:.0f}"),
        _pair(f"anthropic-ratelimit-{unit}-remaining", str(left)),
        _pair(f"anthropic-ratelimit-{unit}-reset", at.strftime("%Y-%m-%dT%H:%M:%SZ")),
    ]


def _azure(unit: str, level: Level, now: float, wall: float) -> list[Pair]:
    return [_pair(f"x-ratelimit-remaining-{unit}", str(max(0, int(level.left(now)))))]


_WORDS = {OPENAI: _openai, ANTHROPIC: _anthropic, AZURE: _azure}


def retry_after(words: str, wait_s: float) -> list[Pair]:
    """
    What a refusal says of when to come back.
    """
    if words == SILENT:
        return []
    told = [_pair("retry-after", str(max(1, math.ceil(wait_s))))]
    return told if words == ANTHROPIC else [*told, _pair("retry-after-ms", f"{math.ceil(wait_s * 1000)}")]


def duration(seconds: float) -> str:
    """
    As Go writes it, and so OpenAI: ``6m0s``, ``1.5s``, ``20ms``.
    """
    ms = math.ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    return f"{minutes}m{ms / 1000:g}s" if minutes else f"{ms / 1000:g}s"


def refusal(words: str, message: str, type_: str = "", code: str = "") -> bytes:
    """
    The body of an error.

    :param type_: of a refusal for a limit, if empty.
    """
    if words == ANTHROPIC:
        error: Mapping[str, object] = {"type": type_ or "rate_limit_error", "message": message}
        return json.dumps({"type": "error", "error": error, "request_id": "req_x"}).encode()
    code = code or "rate_limit_exceeded"
    return json.dumps({"error": {"message": message, "type": type_ or "tokens", "param": None, "code": code}}).encode()


def _pair(name: str, value: str) -> Pair:
    return name.encode(), value.encode()
