"""
What an exchange costs in tokens, before and after it is known.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.usage import (
    Report,
    Source,
    Unread,
    Usage,
    charge,
    count_of,
    extras_of,
    is_unfinished,
    object_of,
)

counts = st.integers(0, 10**6)


def test_the_sums() -> None:
    """
    Each token counts once; extras are parts, and count no more.
    """
    usage = Usage(input=1, output=20, cache_read=300, cache_write=4000, extras={"output_reasoning": 20})
    assert usage.read == 4301
    assert usage.total == 4321


@given(counts, counts, counts, counts)
def test_cached_tokens_are_taken_out(read: int, output: int, cached: int, written: int) -> None:
    """
    What was read stays what the vendor says, whatever it says of the cache; nothing is negative.
    """
    usage = Usage.of_inclusive(read, output, cached, written, {})
    assert usage.read == read
    assert usage.total == read + output
    assert min(usage.input, usage.cache_read, usage.cache_write) >= 0
    if cached + written <= read:
        assert (usage.cache_read, usage.cache_write) == (cached, written)


USAGE = Usage(input=10, output=2, cache_read=100)


@pytest.mark.parametrize(
    ("report", "charged"),
    [
        (Report(usage=USAGE, source=Source.PROVIDER, pieces=50), (112, Source.PROVIDER)),
        (Report(usage=Usage(), source=Source.PROVIDER, pieces=50), (0, Source.PROVIDER)),
        (Report(usage=USAGE, source=Source.PROVIDER, error="server_error"), (112, Source.PROVIDER)),
        (Report(usage=USAGE, source=Source.PARTIAL, pieces=50), (160, Source.PARTIAL)),
        (Report(usage=USAGE, source=Source.PARTIAL, pieces=1), (112, Source.PARTIAL)),
        (Report(usage=USAGE, source=Source.PARTIAL, unread=Unread.TOO_LARGE), (112, Source.PARTIAL)),
        (Report(pieces=50), (60, Source.ESTIMATED)),
        (Report(pieces=50, complete=True), (60, Source.ESTIMATED)),
        (Report(), (10, Source.ESTIMATED)),
        (Report(pieces=50, error="server_error"), (60, Source.ESTIMATED)),
        (Report(error="rate_limit_error"), (0, Source.NONE)),
        (Report(unread=Unread.ENCODED), (500, Source.ESTIMATED)),
        (Report(unread=Unread.BROKEN), (500, Source.ESTIMATED)),
        (Report(unread=Unread.TOO_LARGE, pieces=600), (610, Source.ESTIMATED)),
        (Report(pieces=50, text=4000), (1010, Source.ESTIMATED)),
        (Report(pieces=50, text=4000, error="overloaded_error"), (1010, Source.ESTIMATED)),
        (Report(usage=USAGE, source=Source.PARTIAL, pieces=1, text=4001), (1111, Source.PARTIAL)),
        (Report(unread=Unread.ENCODED, text=4000), (1010, Source.ESTIMATED)),
    ],
)
def test_the_charge(report: Report, charged: tuple[int, Source]) -> None:
    """
    What was told, and zero if zero was told; what was seen; nothing for an error; the estimate for what was not read.
    """
    assert charge(report, estimated=500, body_bytes=40) == charged


@pytest.mark.parametrize(
    ("report", "tokens"),
    [
        (Report(), 500),
        (Report(pieces=600), 610),
        (Report(usage=Usage(), source=Source.PARTIAL), 500),
        (Report(usage=USAGE, source=Source.PARTIAL, pieces=600), 710),
    ],
)
def test_the_charge_of_what_is_not_over(report: Report, tokens: int) -> None:
    """
    What was estimated, or what was seen already if that is more; whatever usage was told is not that of all of it.
    """
    assert charge(report, 500, 40, unfinished=True) == (tokens, Source.ESTIMATED)


@pytest.mark.parametrize(
    ("report", "background", "unfinished"),
    [
        (Report(unfinished=True), False, True),
        (Report(), True, True),
        (Report(cut=True, pieces=7), True, True),
        (Report(cut=True, pieces=7), False, False),
        (Report(stop="completed", complete=True), True, False),
        (Report(stop="failed", error="server_error"), True, False),
        (Report(error="invalid_request_error"), True, False),
        (Report(unfinished=True).but_for(Unread.BEHIND), False, True),
    ],
)
def test_what_is_not_over(report: Report, background: bool, unfinished: bool) -> None:
    """
    What says so, and what was asked for in the background and has not told its end.
    """
    assert is_unfinished(report, background) == unfinished


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7, 7),
        (2**53 - 1, 2**53 - 1),
        (2**53, None),
        (10**400, None),
        (-1, None),
        (1.0, None),
        (float("nan"), None),
        (True, None),
        ("7", None),
        (None, None),
        ([7], None),
        ({"n": 7}, None),
    ],
)
def test_counts(value: object, count: int | None) -> None:
    """
    Whole numbers that tokens can have, and nothing else; an explicit zero is told, null is not.
    """
    assert count_of({"n": value}, "n") == count
    assert count_of({}, "n") is None


def test_objects() -> None:
    """
    What is none is an empty one.
    """
    assert object_of({"o": {"n": 1}}, "o") == {"n": 1}
    nones: list[object] = [None, [], "o", 1, True]
    for value in nones:
        assert object_of({"o": value}, "o") == {}
    assert object_of({}, "o") == {}


def test_extras() -> None:
    """
    Those that were told, zero included.
    """
    assert extras_of(("a", 1), ("b", 0), ("c", None)) == {"a": 1, "b": 0}
