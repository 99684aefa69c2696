"""
What a request says about itself.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.facts import MOST_NAME, MOST_READ, MOST_TOKENS, UNREAD, Facts, read

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"model":"gpt-5.4","messages":[]}', Facts("gpt-5.4", False)),
        (b'{"model":"gpt-5.4","stream":true,"messages":[]}', Facts("gpt-5.4", True)),
        (b'{"model":"gpt-5.4","stream":false,"input":"Hi"}', Facts("gpt-5.4", False)),
        (b'{"stream":true,"max_tokens":5,"model":"claude-opus-5"}', Facts("claude-opus-5", True, 5)),
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
    Of whatever shape, and in the place of any field.
    """
    assert isinstance(read(json.dumps(value).encode()), Facts)
    for name in ("model", "stream", "n", "max_tokens"):
        facts = read(json.dumps({name: value}).encode())
        facts.model.encode()
        assert facts.choices >= 1
        assert facts.max_tokens is None or facts.max_tokens >= 0


@given(st.text(max_size=MOST_NAME).filter(str.isprintable), st.booleans(), st.dictionaries(st.text(min_size=7), values))
def test_other_fields_do_not_matter(model: str, stream: bool, others: dict[str, Any]) -> None:
    """
    Known and unknown ones, before and after.
    """
    body = json.dumps({**others, "model": model, "stream": stream}).encode()
    assert read(body) == Facts(model, stream)


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (b'{"max_tokens":1024}', 1024),
        (b'{"max_completion_tokens":2048}', 2048),
        (b'{"max_output_tokens":4096}', 4096),
        (b'{"max_tokens":1024,"max_completion_tokens":2048}', 2048),
        (b'{"max_tokens":1024,"max_completion_tokens":null}', 1024),
        (b'{"max_tokens":0}', 0),
        (b'{"max_tokens":9007199254740991}', MOST_TOKENS),
        (b'{"max_tokens":9007199254740992}', None),
        (b'{"max_tokens":-1}', None),
        (b'{"max_tokens":"1024"}', None),
        (b'{"max_tokens":1024.5}', None),
        (b'{"max_tokens":true}', None),
        (b'{"max_tokens":[1024]}', None),
        (b"{}", None),
    ],
)
def test_most_tokens(body: bytes, most: int | None) -> None:
    """
    Under the name that each dialect has for it, the newer one of two; only a number of tokens is one.
    """
    assert read(body).max_tokens == most


@pytest.mark.parametrize(
    ("n", "choices"),
    [(b"1", 1), (b"8", 8), (b"128", 128), (b"129", 1), (b"0", 1), (b"-2", 1), (b"null", 1), (b"true", 1), (b'"2"', 1)],
)
def test_choices(n: bytes, choices: int) -> None:
    """
    As many answers as are asked for, up to what is given; else one.
    """
    assert read(b'{"n":' + n + b"}").choices == choices


@pytest.mark.parametrize("name", ["m\n", "m\r\n2026 all is well", "\x1b[31mm", "m\ud800", "m\x00", "m\u2028"])
def test_names_can_be_printed(name: str) -> None:
    """
    What would break a line of the log, or cannot be written in UTF-8, is no name.
    """
    assert read(json.dumps({"model": name}).encode()) == UNREAD


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
