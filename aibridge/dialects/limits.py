"""
What a provider's answer says of its own limits: how long to wait, and how much is left until when.

Read are ``retry-after`` (RFC 9110, 10.2.3) and ``retry-after-ms``, OpenAI's ``x-ratelimit-remaining-*`` and
``-reset-*`` (https://platform.openai.com/docs/guides/rate-limits) and Anthropic's ``anthropic-ratelimit-*``
(https://docs.anthropic.com/en/api/rate-limits). What cannot be read is taken for absent; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import attrs

MOST_S: Final = 366 * 86400.0
"""Waits and resets further away than this are not meant as such."""

MOST_REMAINING: Final = 10**12

# Dates are told in whole seconds, so that the same ones come again and again, and their readings are worth keeping: a
# few short texts.
_LONGEST_DATE: Final = 64

_UNITS: Final = {
    b"d": 86400.0,
    b"h": 3600.0,
    b"m": 60.0,
    b"s": 1.0,
    b"ms": 1e-3,
    b"us": 1e-6,
    "µs".encode(): 1e-6,
    "μs".encode(): 1e-6,
    b"ns": 1e-9,
}
_UNIT: Final = b"|".join(sorted(_UNITS, reverse=True))  # "ms" is tried before "m"
_NUMBER = rb"[0-9]{1,18}(?:\.[0-9]{0,18})?"
_SECONDS: Final = re.compile(_NUMBER)
_PART: Final = re.compile(rb"(%b)(%b)" % (_NUMBER, _UNIT))
_DURATION: Final = re.compile(rb"(?:%b(?:%b))+" % (_NUMBER, _UNIT))
_COUNT: Final = re.compile(rb"[0-9]{1,18}")

# The headers that tell what is left, and those that tell when all of it is there again.
_OPENAI: Final = tuple(
    (b"x-ratelimit-remaining-" + unit, b"x-ratelimit-reset-" + unit) for unit in (b"requests", b"tokens")
)
_ANTHROPIC: Final = tuple(
    (b"anthropic-ratelimit-" + unit + b"-remaining", b"anthropic-ratelimit-" + unit + b"-reset")
    for unit in (b"requests", b"tokens", b"input-tokens", b"output-tokens")
)
_RETRY_AFTER: Final = b"retry-after"
_RETRY_AFTER_MS: Final = b"retry-after-ms"
_NAMES: Final = frozenset((_RETRY_AFTER, _RETRY_AFTER_MS)).union(*_OPENAI, *_ANTHROPIC)


@attrs.frozen
class Allowance:
    """
    What is left of one limit.

    :ivar remaining: requests or tokens.
    :ivar reset_s: seconds from the answer until all of the limit is there again.
    """

    remaining: int
    reset_s: float


@attrs.frozen(kw_only=True)
class Limits:
    """
    What one answer says; None for what it does not.

    :ivar retry_after_s: how long to wait; not negative.
    """

    retry_after_s: float | None = None
    requests: Allowance | None = None
    tokens: Allowance | None = None
    input_tokens: Allowance | None = None
    output_tokens: Allowance | None = None


UNKNOWN: Final = Limits()
"""Of an answer that says nothing."""


def read_limits(pairs: Iterable[tuple[bytes, bytes]], wall_now: float) -> Limits:
    """
    What the headers of an answer say.

    Times of day are taken against the answer's own ``Date``, so that it does not matter how wrong either clock is, and
    against `wall_now` where there is none.

    :param pairs: names in any case; of several of one name the first is read.
    :param wall_now: Unix time.
    """
    found: dict[bytes, bytes] = {}
    date = None
    for name, value in pairs:
        lower = name.lower()
        if lower in _NAMES:
            found.setdefault(lower, value.strip())
        elif lower == b"date":
            date = value
    if not found:
        return UNKNOWN
    sent_at = None if date is None else _http_date(date)
    return _limits(found, wall_now if sent_at is None else sent_at)


def _limits(found: dict[bytes, bytes], sent_at: float) -> Limits:
    requests, tokens, input_tokens, output_tokens = (
        _anthropic(found.get(remaining), found.get(reset), sent_at) for remaining, reset in _ANTHROPIC
    )
    (requests_left, requests_reset), (tokens_left, tokens_reset) = _OPENAI
    return Limits(
        retry_after_s=_retry_after(found, sent_at),
        requests=requests or _openai(found.get(requests_left), found.get(requests_reset)),
        tokens=tokens or _openai(found.get(tokens_left), found.get(tokens_reset)),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _anthropic(remaining: bytes | None, reset: bytes | None, sent_at: float) -> Allowance | None:
    if remaining is None or reset is None:
        return None
    at = _timestamp(reset)
    return None if at is None else _allowance(remaining, max(0.0, at - sent_at))


def _openai(remaining: bytes | None, reset: bytes | None) -> Allowance | None:
    if remaining is None or reset is None:
        return None
    return _allowance(remaining, duration(reset))


def _allowance(remaining: bytes, reset_s: float | None) -> Allowance | None:
    if reset_s is None or reset_s > MOST_S or not _COUNT.fullmatch(remaining):
        return None
    return Allowance(min(int(remaining), MOST_REMAINING), reset_s)


def _retry_after(found: dict[bytes, bytes], sent_at: float) -> float | None:
    """
    In milliseconds where it is told so, as that is exact; else in seconds, else as a date.
    """
    value = found.get(_RETRY_AFTER_MS)
    if value is not None and _SECONDS.fullmatch(value):
        wait = float(value) / 1000
    else:
        value = found.get(_RETRY_AFTER)
        if value is None:
            return None
        if _SECONDS.fullmatch(value):
            wait = float(value)
        else:
            at = _http_date(value)
            if at is None:
                return None
            wait = max(0.0, at - sent_at)
    return wait if wait <= MOST_S else None


def duration(value: bytes) -> float | None:
    """
    Seconds, of a text such as ``6m0s``, ``20ms``, ``1.5s`` or, as Azure has it, ``12``; None if it is none.
    """
    if _SECONDS.fullmatch(value):
        return float(value)
    if len(value) > _LONGEST_DATE or not _DURATION.fullmatch(value):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


@lru_cache(256)
def _timestamp(value: bytes) -> float | None:
    """
    Unix time, of a text such as ``2026-11-24T09:30:00Z`` (RFC 3339).
    """
    if len(value) > _LONGEST_DATE:
        return None
    try:
        at = datetime.fromisoformat(value.decode("ascii"))
        return None if at.tzinfo is None else at.timestamp()
    except (ValueError, OverflowError):
        return None


@lru_cache(64)
def _http_date(value: bytes) -> float | None:
    """
    Unix time, of any of the three forms of RFC 9110, 5.6.7.
    """
    if len(value) > _LONGEST_DATE:
        return None
    try:
        at = parsedate_to_datetime(value.decode("ascii"))
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
