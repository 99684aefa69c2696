"""
What a request says about itself.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.facts import MOST_NAME, MOST_READ, UNREAD, Facts, read

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"model":"gpt-5.4","messages":[]}', Facts("gpt-5.4", False)),
        (b'{"model":"gpt-5.4","stream":true,"messages":[]}', Facts("gpt-5.4", True)),
        (b'{"model":"gpt-5.4","stream":false,"input":"Hi"}', Facts("gpt-5.4", False)),
        (b'{"stream":true,"max_tokens":5,"model":"claude-opus-5"}', Facts("claude-opus-5", True)),
        (b' \n{ "model" : "m" }\n', Facts("m", False)),
        ('{"model":"größer"}'.encode(), Facts("größer", False)),
        (b'{"model":"a","model":"b"}', Facts("b", False)),
        (b"{}", UNREAD),
        (b"", UNREAD),
        (b"null", UNREAD),
        (b"[]", UNREAD),
        (b'[{"model":"m"}]', UNREAD),
        (b'"model"', UNREAD),
        (b'{"model":"m"', UNREAD),
        (b'{"model":"m"}}', UNREAD),
        (b"\xff\xfe\xfa", UNREAD),
        (b'{"model":"\xff"}', UNREAD),
        (b'{"model":7}', UNREAD),
        (b'{"model":null,"stream":null}', UNREAD),
        (b'{"model":["m"],"stream":true}', Facts("", True)),
        (b'{"model":"m","stream":1}', Facts("m", False)),
        (b'{"model":"m","stream":"true"}', Facts("m", False)),
        (b'{"nested":{"model":"m","stream":true}}', UNREAD),
        (b"[" * 100000, UNREAD),
        (b'{"model":' + b"[" * 100000, UNREAD),
        (b'{"n":' + b"9" * 5000 + b',"model":"m"}', UNREAD),
    ],
)
def test_facts(body: bytes, facts: Facts) -> None:
    """
    The model where it is a text, streaming where it is true; of what cannot be read, nothing.
    """
    assert read(body) == facts


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(body: bytes) -> None:
    """
    They give facts, never an error.
    """
    assert isinstance(read(body), Facts)


@given(values)
def test_any_json_can_be_read(value: Any) -> None:
    """
    Of whatever shape.
    """
    assert isinstance(read(json.dumps(value).encode()), Facts)


@given(st.text(max_size=MOST_NAME), st.booleans(), st.dictionaries(st.text(min_size=7), values))
def test_other_fields_do_not_matter(model: str, stream: bool, others: dict[str, Any]) -> None:
    """
    Known and unknown ones, before and after.
    """
    body = json.dumps({**others, "model": model, "stream": stream}).encode()
    assert read(body) == Facts(model, stream)


def test_large_bodies_are_not_read() -> None:
    """
    Up to the mark and not beyond it: the time it takes is taken from every other stream.
    """
    body = b'{"model":"m"}'
    assert read(body.ljust(MOST_READ)) == Facts("m")
    assert read(body.ljust(MOST_READ + 1)) is UNREAD


def test_long_names_are_no_names() -> None:
    """
    They would be copied into the log, and remembered there.
    """
    longest = "m" * MOST_NAME
    assert read(json.dumps({"model": longest}).encode()) == Facts(longest)
    assert read(json.dumps({"model": longest + "m", "stream": True}).encode()) == Facts("", True)
