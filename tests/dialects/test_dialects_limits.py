"""
What providers say of their limits, and what is made of what they should not have said.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.limits import MOST_REMAINING, MOST_S, UNKNOWN, Allowance, Limits, duration, read_limits

NOON = 1763985600.0
"""2025-11-24T12:00:00Z."""

DATE = (b"Date", b"Mon, 24 Nov 2025 12:00:00 GMT")


def anthropic(unit: str, remaining: str, reset: str) -> list[tuple[bytes, bytes]]:
    """
    One limit as Anthropic tells it.
    """
    return [
        (f"anthropic-ratelimit-{unit}-limit".encode(), b"1000"),
        (f"anthropic-ratelimit-{unit}-remaining".encode(), remaining.encode()),
        (f"Anthropic-RateLimit-{unit}-reset".encode(), reset.encode()),
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1s", 1),
        (b"6m0s", 360),
        (b"20ms", 0.02),
        (b"12.345s", 12.345),
        (b"1h2m3s", 3723),
        (b"2m59.56s", 179.56),
        (b"1d", 86400),
        ("5µs".encode(), 5e-6),
        ("5μs".encode(), 5e-6),
        (b"7us", 7e-6),
        (b"8ns", 8e-9),
        (b"0s", 0),
        (b"0", 0),
        (b"12", 12),
        (b"1.5", 1.5),
        (b"", None),
        (b"s", None),
        (b"-1s", None),
        (b"-1", None),
        (b"1 s", None),
        (b"1y", None),
        (b"1s2", None),
        (b"1e3s", None),
        (b"inf", None),
        (b"nan", None),
        (b"1" * 19 + b"s", None),
        (b"1s" * 40, None),
        ("١s".encode(), None),
    ],
)
def test_durations(text: bytes, seconds: float | None) -> None:
    """
    OpenAI's forms, and a bare number as seconds; nothing else.
    """
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("pairs", "seconds"),
    [
        ([(b"Retry-After", b"20")], 20),
        ([(b"retry-after", b" 20 ")], 20),
        ([(b"retry-after", b"0")], 0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"1234"), (b"retry-after", b"2")], 1.234),
        ([(b"retry-after", b"2"), (b"retry-after-ms", b"soon")], 2),
        ([(b"retry-after", b"1"), (b"retry-after", b"9")], 1),
        ([(b"retry-after", b"Mon, 24 Nov 2025 12:00:30 GMT")], 30),
        ([(b"retry-after", b"Monday, 24-Nov-25 12:00:30 GMT")], 30),
        ([(b"retry-after", b"Mon Nov 24 12:00:30 2025")], 30),
        ([(b"retry-after", b"Mon, 24 Nov 2025 11:59:00 GMT")], 0),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after", b"Mon, 99 Nov 2025 12:00:30 GMT")], None),
        ([(b"retry-after", b"Mon, 24 Nov 2025 12:00:30 GMT" + b" " * 5000 + b"x")], None),
        ([(b"retry-after", b"99999999999")], None),
        ([(b"retry-after", "２".encode())], None),
    ],
)
def test_retry_after(pairs: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    """
    Seconds, milliseconds, and dates in their three forms.
    """
    assert read_limits(pairs, NOON).retry_after_s == seconds


def test_openai() -> None:
    """
    Requests and tokens, each with its reset; what else begins alike is not looked at.
    """
    pairs = [
        (b"x-ratelimit-limit-requests", b"5000"),
        (b"X-RateLimit-Remaining-Requests", b"4999"),
        (b"x-ratelimit-reset-requests", b"12ms"),
        (b"x-ratelimit-remaining-tokens", b"159976"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
        (b"x-ratelimit-remaining-tokens_usage_based", b"1"),
    ]
    assert read_limits(pairs, NOON) == Limits(requests=Allowance(4999, 0.012), tokens=Allowance(159976, 360))


def test_anthropic() -> None:
    """
    Four limits, whose resets are times of day.
    """
    pairs = [
        DATE,
        *anthropic("requests", "49", "2025-11-24T12:00:01Z"),
        *anthropic("tokens", "30000", "2025-11-24T12:00:02.5Z"),
        *anthropic("input-tokens", "20000", "2025-11-24T13:00:03+01:00"),
        *anthropic("output-tokens", "10000", "2025-11-24T11:59:00Z"),
    ]
    assert read_limits(pairs, 0.0) == Limits(
        requests=Allowance(49, 1),
        tokens=Allowance(30000, 2.5),
        input_tokens=Allowance(20000, 3),
        output_tokens=Allowance(10000, 0),
    )


def test_the_providers_clock_counts() -> None:
    """
    Times of day are read against the answer's own date, and against ours where it has none or one that is none.
    """
    pairs = anthropic("requests", "1", "2025-11-24T12:00:10Z")
    ten, twenty = Limits(requests=Allowance(1, 10)), Limits(requests=Allowance(1, 20))
    assert read_limits([DATE, *pairs], NOON + 5000) == ten
    assert read_limits(pairs, NOON - 10) == twenty
    assert read_limits([(b"date", b"yesterday"), *pairs], NOON - 10) == twenty


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [DATE, (b"content-type", b"application/json")],
        [(b"x-ratelimit-remaining-requests", b"5")],
        [(b"x-ratelimit-reset-requests", b"5s")],
        [(b"x-ratelimit-remaining-tokens", b"-1"), (b"x-ratelimit-reset-tokens", b"0")],
        [(b"x-ratelimit-remaining-tokens", b"5"), (b"x-ratelimit-reset-tokens", b"tomorrow")],
        [(b"x-ratelimit-remaining-tokens", b"5"), (b"x-ratelimit-reset-tokens", b"1763985600000")],
        [(b"x-ratelimit-remaining-tokens", b"5.5"), (b"x-ratelimit-reset-tokens", b"1s")],
        anthropic("requests", "1", "2025-11-24T12:00:10"),
        anthropic("requests", "1", "1763985600"),
        anthropic("requests", "1", "9999-12-31T23:59:59Z"),
        anthropic("requests", "many", "2025-11-24T12:00:10Z"),
    ],
)
def test_what_says_nothing(pairs: list[tuple[bytes, bytes]]) -> None:
    """
    Half a limit, Azure's -1, a time without a zone, and nonsense are as good as nothing.
    """
    assert read_limits(pairs, NOON) == UNKNOWN


def test_silence_is_the_same_value() -> None:
    """
    An answer without any such header costs no object.
    """
    assert read_limits([DATE], NOON) is UNKNOWN


HEADERS = st.sampled_from(
    [
        b"date",
        b"retry-after",
        b"retry-after-ms",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
        b"anthropic-ratelimit-tokens-remaining",
        b"anthropic-ratelimit-tokens-reset",
    ]
)
VALUES = (
    st.binary(max_size=40)
    | st.from_regex(rb"\A[0-9]{1,20}(\.[0-9]+)?(ms|s|m|h)?\Z")
    | st.from_regex(rb"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})\Z")
    | st.from_regex(rb"\AMon, [0-3][0-9] Nov [0-9]{1,5} [0-2][0-9]:[0-5][0-9]:[0-5][0-9] ([A-Z]{3}|[+-][0-9]{4})\Z")
)


@given(st.lists(st.tuples(HEADERS, VALUES)))
def test_any_headers(pairs: list[tuple[bytes, bytes]]) -> None:
    """
    Nothing raises, and what is read is within bounds.
    """
    limits = read_limits(pairs, NOON)
    assert limits.retry_after_s is None or 0 <= limits.retry_after_s <= MOST_S
    for allowance in (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens):
        if allowance is not None:
            assert 0 <= allowance.remaining <= MOST_REMAINING
            assert 0 <= allowance.reset_s <= MOST_S


@given(st.integers(0, 50), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_as_they_are_written(hours: int, minutes: int, seconds: int, millis: int) -> None:
    """
    Reading is the reverse of writing.
    """
    text = f"{hours}h{minutes}m{seconds}.{millis:03}s".encode()
    assert duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)
