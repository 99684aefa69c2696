"""
Tests for `aibridge.wire.records`.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.wire.records import UNKNOWN, Records


def record(payload: bytes, kind: int = 0x17) -> bytes:
    """
    As it is on the wire.
    """
    return bytes((kind, 3, 3)) + len(payload).to_bytes(2, "big") + payload


def ends(segments: list[bytes]) -> list[int]:
    """
    Where the pieces end into which a stream is cut, counted from its start.
    """
    records, found, before = Records(), list[int](), 0
    for segment in segments:
        at = 0
        while at < len(segment):
            at = records.end(segment, at)
            found.append(before + at)
        before += len(segment)
    return found


@given(st.lists(st.binary(max_size=300), max_size=10), st.lists(st.integers(0, 3200), max_size=10))
def test_every_end_is_found(payloads: list[bytes], cuts: list[int]) -> None:
    """
    However the stream is cut, a piece ends where a record or a segment ends, and nowhere else.
    """
    stream = b"".join(map(record, payloads))
    cuts = sorted({min(cut, len(stream)) for cut in cuts} - {0, len(stream)})
    bounds = [0, *cuts, len(stream)]
    segments = [stream[start:stop] for start, stop in itertools.pairwise(bounds)]
    own = ends([*map(record, payloads)])
    assert sorted(set(own) | set(cuts)) == ends(segments)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n" * 100, b"\x17\x02\x00" * 800, b"\x00" * 2000])
def test_what_is_no_record_is_cut_nevertheless(data: bytes) -> None:
    """
    Into pieces that are neither large nor very small.
    """
    assert ends([data])[:2] == [5 + UNKNOWN, 2 * (5 + UNKNOWN)]


@given(st.binary(max_size=3000))
def test_it_always_goes_on(data: bytes) -> None:
    """
    To the end of what has come, whatever it is.
    """
    found = ends([data])
    assert not data or found[-1] == len(data)
    assert found == sorted(set(found))
