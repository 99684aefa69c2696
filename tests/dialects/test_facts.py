"""
What a request says about itself.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.facts import AT_ONCE, MOST_NAME, MOST_TOKENS, UNREAD, Facts, Reading, at_once, read
from aibridge.dialects.reading import SMALL

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
        (b'{"n":' + b"9" * 5000 + b',"model":"m"}', Facts("m")),
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
    ("value", "background"),
    [
        (b"true", True),
        (b"1", True),
        (b'"true"', True),
        (b"false", False),
        (b"null", False),
        (b"0", False),
    ],
)
@pytest.mark.parametrize("size", [0, SMALL, AT_ONCE])
def test_background(value: bytes, background: bool, size: int) -> None:
    """
    Whatever may be taken for true is; the most tokens have but the name then that responses have for them.
    """
    most = b'"max_completion_tokens":1,"max_output_tokens":4096,"max_tokens":2'
    facts = read(b'{"background":' + value + b"," + most + b',"input":"' + b"x" * size + b'"}')
    assert (facts.background, facts.max_tokens) == (background, 4096 if background else 1)


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


@pytest.mark.parametrize("size", [0, SMALL, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
@pytest.mark.parametrize("filler", ["x", "\\", '"', "中", [[1]], {"model": 7}])
def test_bodies_of_any_size_say_the_same(size: int, filler: object) -> None:
    """
    Whatever else is in them.
    """
    one = json.dumps(filler).encode() + b","
    many = one * (size // len(one))
    for body in (
        b'{"model":"m","stream":true,"messages":[' + many + b'1],"max_tokens":7}',
        b'{"messages":[' + many + b'1],"max_tokens":7,"stream":true,"mod\\u0065l":"m"}',
    ):
        facts = read(body)
        assert (facts, facts.size) == (Facts("m", True, 7), len(body))


def test_a_body_is_read_at_whatever_depth() -> None:
    """
    And behind a byte order mark.
    """
    for depth in (10, 1000, 100000):
        deep = b"[" * depth + b"]" * depth
        assert read(b'\xef\xbb\xbf{"messages":' + deep + b',"model":"m"}') == Facts("m")
        assert read(b'{"messages":' + deep + b',"model":"m"}') == Facts("m")


ENCODED: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": lambda body: bytes(brotli.compress(body, quality=2)),
    b"zstd": zstandard.compress,
    b"gzip, zstd": lambda body: zstandard.compress(gzip.compress(body)),
}


def in_steps(body: bytes, encoding: bytes | None, most: int = 10_000_000) -> Facts:
    """
    What a reader says when it has done all.
    """
    reading = Reading(body, encoding, most)
    steps = 0
    while reading.go_on():
        steps += 1
    assert steps <= 10 + most // 1000
    return reading.facts


@pytest.mark.parametrize("encoding", ENCODED)
def test_encoded_bodies(encoding: bytes) -> None:
    """
    Are read without their encoding, and are as large as they are without it.
    """
    body = json.dumps({"messages": ["to be or not to be"] * 9999, "model": "m", "max_tokens": 5}).encode()
    encoded = ENCODED[encoding](body)
    assert at_once(encoded, encoding) is None
    facts = in_steps(encoded, encoding)
    assert (facts, facts.size) == (Facts("m", max_tokens=5), len(body))


@pytest.mark.parametrize("encoding", ENCODED)
def test_an_encoded_body_that_is_too_large_is_known_to_be(encoding: bytes) -> None:
    """
    It is undone up to what a body may have, and counts for as much.
    """
    body = json.dumps({"messages": ["to be or not to be"] * 99999, "model": "m"}).encode()
    facts = in_steps(ENCODED[encoding](body), encoding, 1_000_000)
    assert facts == UNREAD and 1_000_000 < facts.size < 1_100_000


@given(st.sampled_from([b"gzip", b"br", b"zstd", b"compress", b"gzip, " * 9]), st.binary(max_size=60))
def test_any_bytes_that_say_they_are_encoded(encoding: bytes, body: bytes) -> None:
    """
    Give facts.
    """
    assert in_steps(body, encoding).size >= 0


def test_long_names_are_no_names() -> None:
    """
    They would be copied into the log, and remembered there.
    """
    longest = "m" * MOST_NAME
    assert read(json.dumps({"model": longest}).encode()) == Facts(longest)
    assert read(json.dumps({"model": longest + "m", "stream": True}).encode()) == Facts("", True)
