"""
An event that is read in pieces says what it says as a whole.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects import sse
from aibridge.dialects.large import Large
from aibridge.dialects.parts import WHOLE
from answers import bytewise, cut

lines = st.lists(
    st.sampled_from(
        [
            b"data: {",
            b'data:"a":',
            b"data: 1}",
            b"event: e",
            b"event:f",
            b"event",
            b": ping",
            b"data",
            b"id: 7",
            b"data: [1,2]",
        ]
    )
    | st.binary(max_size=5).map(lambda line: line.translate(None, b"\n\r")),
    max_size=6,
).map(b"\n".join)


def outcome(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """
    Name and data of an event.
    """
    large = Large(WHOLE)
    for piece in pieces:
        large.feed(piece)
    return large.name, large.data.end()


@pytest.mark.parametrize(
    "event",
    [
        b'event: e\ndata: {"a": 1}',
        b'\xef\xbb\xbfdata:{"a":1}\nevent:e',
        b'data: {"a":\ndata\ndata: 1}\nevent: d\nevent: e',
        b': data: 7\nevent: e\nid: 1\ndata:  {"a":1}',
    ],
)
def test_name_and_data(event: bytes) -> None:
    """
    Of all lines, whatever their order.
    """
    for pieces in ([event], bytewise(event)):
        name, data = outcome(pieces)
        assert (name, json.loads(data)) == (b"e", {"a": 1})


@given(lines, st.data())
def test_any_pieces(event: bytes, draw: st.DataObject) -> None:
    """
    Give the same; and the name is the one that the standard has.
    """
    told = outcome([event])
    assert outcome(bytewise(event)) == told
    assert outcome(cut(event, draw.draw(st.lists(st.integers(0, len(event)), max_size=5)))) == told
    # A line is one when it has ended.
    assert outcome([event + b"\n"])[0] == sse.fields(event)[0]
