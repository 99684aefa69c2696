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
from typing import Final

import attrs

MOST_S: Final = 366 * 86400.0
"""Waits and resets further away than this are not meant as such."""

MOST_REMAINING: Final = 10**12

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
_UNIT = b"|".join(sorted(_UNITS, key=len, reverse=True))
_NUMBER = rb"[0-9]{1,18}(?:\.[0-9]{0,18})?"
_SECONDS: Final = re.compile(_NUMBER)
_PART: Final = re.compile(rb"(%b)(%b)" % (_NUMBER, _UNIT))
_DURATION: Final = re.compile(rb"(?:%b(?:%b))+" % (_NUMBER, _UNIT))
_COUNT: Final = re.compile(rb"[0-9]{1,18}")

REQUESTS: Final = "requests"
TOKENS: Final = "tokens"
INPUT_TOKENS: Final = "input-tokens"
OUTPUT_TOKENS: Final = "output-tokens"

_NAMES: Final[dict[bytes, str]] = {
    name.encode(): name
    for name in (
        "retry-after",
        "retry-after-ms",
        *(f"x-ratelimit-{word}-{unit}" for word in ("remaining", "reset") for unit in (REQUESTS, TOKENS)),
        *(
            f"anthropic-ratelimit-{unit}-{word}"
            for word in ("remaining", "reset")
            for unit in (REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS)
        ),
    )
}


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
    found: dict[str, bytes] = {}
    date = None
    for name, value in pairs:
        lower = name.lower()
        known = _NAMES.get(lower)
        if known is not None:
            found.setdefault(known, value.strip())
        elif lower == b"date":
            date = value
    if not found:
        return UNKNOWN
    sent_at = None if date is None else _http_date(date)
    return _limits(found, wall_now if sent_at is None else sent_at)


def _limits(found: dict[str, bytes], sent_at: float) -> Limits:
    allowances = {unit: _anthropic(found, unit, sent_at) for unit in (REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS)}
    for unit in (REQUESTS, TOKENS):
        if allowances[unit] is None:
            remaining, reset = found.get(f"x-ratelimit-remaining-{unit}"), found.get(f"x-ratelimit-reset-{unit}")
            if remaining is not None and reset is not None:
                allowances[unit] = _allowance(remaining, duration(reset))
    limits = Limits(
        retry_after_s=_retry_after(found, sent_at),
        requests=allowances[REQUESTS],
        tokens=allowances[TOKENS],
        input_tokens=allowances[INPUT_TOKENS],
        output_tokens=allowances[OUTPUT_TOKENS],
    )
    return UNKNOWN if limits == UNKNOWN else limits


def _anthropic(found: dict[str, bytes], unit: str, sent_at: float) -> Allowance | None:
    remaining = found.get(f"anthropic-ratelimit-{unit}-remaining")
    reset = found.get(f"anthropic-ratelimit-{unit}-reset")
    if remaining is None or reset is None:
        return None
    at = _timestamp(reset)
    return None if at is None else _allowance(remaining, max(0.0, at - sent_at))


def _allowance(remaining: bytes, reset_s: float | None) -> Allowance | None:
    if reset_s is None or reset_s > MOST_S or not _COUNT.fullmatch(remaining):
        return None
    return Allowance(min(int(remaining), MOST_REMAINING), reset_s)


def _retry_after(found: dict[str, bytes], sent_at: float) -> float | None:
    """
    In milliseconds where it is told so, as that is exact; else in seconds, else as a date.
    """
    value = found.get("retry-after-ms")
    if value is not None and _SECONDS.fullmatch(value):
        wait = float(value) / 1000
    else:
        value = found.get("retry-after")
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
    if len(value) > 100 or not _DURATION.fullmatch(value):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def _timestamp(value: bytes) -> float | None:
    """
    Unix time, of a text such as ``2026-11-24T09:30:00Z`` (RFC 3339).
    """
    try:
        at = datetime.fromisoformat(value.decode("ascii"))
        return None if at.tzinfo is None else at.timestamp()
    except (ValueError, OverflowError):
        return None


def _http_date(value: bytes) -> float | None:
    """
    Unix time, of any of the three forms of RFC 9110, 5.6.7.
    """
    if len(value) > 100:
        return None
    try:
        at = parsedate_to_datetime(value.decode("ascii"))
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
