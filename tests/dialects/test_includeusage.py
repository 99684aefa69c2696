"""
Asking for the usage of a stream, and taking it out again.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects import facts
from aibridge.dialects.includeusage import TakenOut, with_usage
from answers import CHAT_STREAM, CHAT_USAGE, DONE, bytewise, chunk, cut, data


def asked(body: bytes) -> bytes | None:
    """
    The body that asks.
    """
    return with_usage(body, facts.read(body))


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b' {\n "stream": true }', b' {"stream_options":{"include_usage":true},\n "stream": true }'),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true,"stream_options":{}}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{"stream":true,"stream_options": {"a":[1]} }',
            b'{"stream":true,"stream_options": {"include_usage":true,"a":[1]} }',
        ),
        (
            b'{"stream_options":{"include_usage" : false,"a":1},"stream":true}',
            b'{"stream_options":{"include_usage":true,"a":1},"stream":true}',
        ),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"stream":true,"stream_options":{"include_usage":7}}', None),
        (b'{"stream":true,"stream_options":[]}', None),
        (b'{"stream":true,"stream_options":{},"stream_options":{"a":1}}', None),
        (b'{"stream":false}', None),
        (b"{}", None),
        (b"", None),
        (b"not JSON", None),
    ],
)
def test_what_is_changed_of_a_body(body: bytes, changed: bytes | None) -> None:
    """
    As little as can be; nothing where it asks already, or is not understood.
    """
    assert asked(body) == changed


@given(
    st.dictionaries(
        st.sampled_from(["messages", "x", "{", "stream_options"]), st.none() | st.text() | st.lists(st.text())
    )
)
def test_a_changed_body_says_the_same_but_for_that(others: dict[str, Any]) -> None:
    """
    Whatever else is in it, and however large it is.
    """
    for filler in ("", "x" * 300000):
        body = json.dumps({**others, "stream": True, "filler": filler}).encode()
        changed = asked(body)
        if changed is None:
            assert others.get("stream_options", "absent") not in (None, "absent") or filler
            continue
        expected = {**json.loads(body), "stream_options": {"include_usage": True}}
        assert json.loads(changed) == expected


USAGE = data(chunk(None, usage=CHAT_USAGE))


ENDS = [b"\n", b"\r\n", b"\r"]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_taken_out_of_a_stream_of_bytes(end: bytes) -> None:
    """
    The same as out of one that comes at once.
    """
    stream, expected = with_and_without(end)
    for pieces in ([stream], bytewise(stream)):
        assert taken_out(pieces) == expected


@given(st.sampled_from(ENDS), st.data())
def test_what_is_taken_out_of_a_stream(end: bytes, draw: st.DataObject) -> None:
    """
    The chunk with the usage and no choices, and nothing else, however the stream is cut.
    """
    stream, expected = with_and_without(end)
    assert taken_out(cut(stream, draw.draw(st.lists(st.integers(0, len(stream)), max_size=9)))) == expected


def taken_out(pieces: list[bytes]) -> bytes:
    """
    What crosses.
    """
    filter = TakenOut()
    return b"".join([*map(filter.take, pieces), filter.rest()])


def with_and_without(end: bytes) -> tuple[bytes, bytes]:
    """
    A stream, and what is to cross of it.
    """
    first = data({"choices": [], "prompt_filter_results": [], "usage": None}, {"choices": [], "prompt": "usage"})
    last = data(chunk({}, "stop", usage=CHAT_USAGE))
    long = data(chunk({"content": '"usage"' * 3000}))
    whole = first + CHAT_STREAM.removesuffix(DONE) + long + USAGE + last + DONE + b": bye"
    return whole.replace(b"\n", end), whole.replace(USAGE, b"").replace(b"\n", end)


def test_events_cross_when_they_are_over() -> None:
    """
    None waits for another, and long ones do not wait for their end.
    """
    filter = TakenOut()
    event = data(chunk({"content": "Hi"}))
    assert filter.take(event) == event
    assert filter.take(event[:9]) == b""
    assert filter.take(event[9:]) == event
    assert len(filter.take(b"data: " + b"x" * 100000)) > 99990
    assert len(filter.take(b"x" * 100)) == 100
    assert filter.rest() == b"xxx"


@pytest.mark.parametrize(
    ("options", "asks"),
    [
        ('{"x":"%s"}' % ("y" * 5000), None),
        ('{"include_usage":2}', None),
        ('{"x":{"include_usage":false},"include_usage":null}', {"x": {"include_usage": False}, "include_usage": True}),
        ('{"include\\u005fusage":false}', {"include_usage": True}),
        ('{"include_usage":true,"include_usage":false}', {"include_usage": True}),
        (" { } ", {"include_usage": True}),
        ("null ", {"include_usage": True}),
        ('"include_usage"', None),
        ("[]", None),
    ],
)
def test_only_the_options_are_changed(options: str, asks: dict[str, object] | None) -> None:
    """
    Whatever stands in them, or looks like them elsewhere; what is too large to be known is left alone.
    """
    after = '"tools":[{"include_usage":false},"\\"stream_options\\":null"],"pad":"%s"}' % ("-" * 5000)
    for body in (
        f'{{"stream":true,"stream_options":{options},{after}',
        f'{{"stream_options":{options},"stream":true}}',
    ):
        text = body.encode()
        changed = asked(text)
        if asks is None:
            assert changed is None
        else:
            assert changed is not None
            assert json.loads(changed) == {**json.loads(text), "stream_options": asks}
