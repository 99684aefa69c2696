"""
What is read from the body of an error.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.errorbody import MOST_BODY, read_error

OPENAI = {"error": {"message": "Too Large", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    ("body", "words", "message"),
    [
        (OPENAI, {"tokens", "rate_limit_exceeded"}, "too large"),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
            {"overloaded_error"},
            "overloaded",
        ),
        (
            [{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}],
            {"resource_exhausted"},
            "quota",
        ),
        ({"error": {"code": "429", "message": "wait"}}, {"429"}, "wait"),
        ({"message": "Too many", "__type": "ThrottlingException"}, {"throttlingexception"}, "too many"),
        ({"error": "invalid_token", "code": "x"}, {"invalid_token", "x"}, "invalid_token"),
        ({"error": "no access to this"}, set(), "no access to this"),
        ({"error": {"type": 7, "code": ["x"], "message": {"a": 1}}}, set(), ""),
        ({"error": None}, set(), ""),
        ([], set(), ""),
        ("text", set(), ""),
        (7, set(), ""),
    ],
)
def test_read(body: Any, words: set[str], message: str) -> None:
    """
    Type, code and status, and what people are told, in whichever shape.
    """
    said = read_error(json.dumps(body).encode())
    assert (set(said.words), said.message) == (words, message)


@pytest.mark.parametrize(
    ("details", "wait"),
    [
        ([{"@type": "x"}, {"retryDelay": "34s"}], 34.0),
        ([{"retryDelay": "0.5s"}], 0.5),
        ([{"retryDelay": "soon"}], None),
        ([{"retryDelay": "99999999999s"}], None),
        ([{"retryDelay": 34}], None),
        ("34s", None),
    ],
)
def test_a_time_to_wait(details: Any, wait: float | None) -> None:
    """
    As Google tells it.
    """
    assert read_error(json.dumps({"error": {"details": details}}).encode()).retry_after_s == wait


def test_encodings() -> None:
    """
    Are undone as far as that is possible, and no further than a bound.
    """
    plain = json.dumps(OPENAI).encode()
    encoded = {
        b"gzip": gzip.compress(plain),
        b"GZIP": gzip.compress(plain),
        b"deflate": zlib.compress(plain),
        b"br": brotli.compress(plain),
        b"zstd": zstandard.compress(plain),
    }
    for encoding, body in encoded.items():
        assert "tokens" in read_error(body, encoding).words
    assert not read_error(plain, b"gzip").words
    assert not read_error(plain, b"unheard-of").words
    assert not read_error(gzip.compress(b" " * (2 * MOST_BODY) + plain), b"gzip").words


@given(st.binary(max_size=200), st.sampled_from([b"", b"gzip", b"deflate", b"x"]))
def test_whatever_comes(body: bytes, encoding: bytes) -> None:
    """
    Is no error.
    """
    said = read_error(body, encoding)
    assert all(word == word.lower() for word in said.words)


def test_words_are_short() -> None:
    """
    What is long, or has blanks in it, is no code.
    """
    body = {"error": {"type": "a b", "code": "x" * 1000, "message": "m" * 10000}}
    said = read_error(json.dumps(body).encode())
    assert said.words == set()
    assert len(said.message) == 2048
