"""
Tests for `benchmarks.heeding.spoken`: what is said is what the bridge understands.
"""

from __future__ import annotations

import pytest

from aibridge.dialects.limits import Allowance, read_limits
from benchmarks.heeding.quotas import FIXED, INPUT, REQUESTS, TOTAL, Level, Quota
from benchmarks.heeding.spoken import ANTHROPIC, AZURE, OPENAI, SILENT, duration, fields, refusal, retry_after

WALL = 1_795_478_400.0


def used(counts: str, amount: float, part: float) -> Level:
    """
    A window of a minute of which a part was used, 20 seconds ago.
    """
    level = Quota(counts, amount, FIXED).level()
    level.use(amount * part, 0.0)
    return level


def test_openai() -> None:
    """
    Requests and tokens, with the time until there are all again.
    """
    told = fields(OPENAI, [used(REQUESTS, 100, 0.25), used(TOTAL, 1000, 0.5)], 20.0, WALL)
    limits = read_limits(told, WALL)
    assert limits.requests is not None
    assert (limits.requests.remaining, limits.requests.reset_s) == (75, 40.0)
    assert limits.tokens is not None
    assert (limits.tokens.remaining, limits.tokens.reset_s) == (500, 40.0)


def test_anthropic() -> None:
    """
    Times of day; tokens in thousands, unless there are fewer.
    """
    told = fields(ANTHROPIC, [used(REQUESTS, 100, 0.25), used(INPUT, 9999, 0.5)], 20.0, WALL)
    limits = read_limits(told, WALL)
    assert limits.requests is not None
    assert (limits.requests.remaining, limits.requests.reset_s) == (75, 40.0)
    assert limits.input_tokens is not None
    assert limits.input_tokens.remaining == 4000
    few = read_limits(fields(ANTHROPIC, [used(INPUT, 1000, 0.5)], 20.0, WALL), WALL)
    assert isinstance(few.input_tokens, Allowance)
    assert few.input_tokens.remaining == 500


@pytest.mark.parametrize("words", [OPENAI, ANTHROPIC, AZURE])
def test_of_two_limits_the_stricter_is_told(words: str) -> None:
    """
    As there is one field for both; and one that is not told is not.
    """
    hidden = Quota(REQUESTS, 2, told=False).level()
    told = fields(words, [used(REQUESTS, 100, 0.25), used(REQUESTS, 100, 0.75), hidden], 20.0, WALL)
    assert [value for name, value in told if name.count(b"remaining")] == [b"25"]


@pytest.mark.parametrize(
    ("words", "wait_s", "heard_s"), [(OPENAI, 0.25, 0.25), (AZURE, 1.5, 1.5), (ANTHROPIC, 0.25, 1.0), (SILENT, 9, None)]
)
def test_retry_after(words: str, wait_s: float, heard_s: float | None) -> None:
    """
    Anthropic tells whole seconds.
    """
    assert read_limits(retry_after(words, wait_s), WALL).retry_after_s == heard_s


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0ms"), (0.02, "20ms"), (1.5, "1.5s"), (59, "59s"), (360, "6m0s"), (61.5, "1m1.5s")]
)
def test_duration(seconds: float, text: str) -> None:
    """
    As Go writes it.
    """
    assert duration(seconds) == text


def test_refusal() -> None:
    """
    In the vendor's shape.
    """
    assert b'"rate_limit_error"' in refusal(ANTHROPIC, "x")
    assert b'"rate_limit_exceeded"' in refusal(OPENAI, "x")
