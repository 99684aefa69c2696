"""
Tests for `aibridge.mitm.credentials`.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.errors import BadRequest
from aibridge.mitm.credentials import token_in

TOKEN = b"aib_0123456789ab_" + b"A" * 43


def basic(shown: bytes, scheme: bytes = b"Basic ") -> bytes:
    """
    The value of a header that shows it.
    """
    return scheme + base64.b64encode(shown)


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (basic(b"ada:" + TOKEN), TOKEN),
        (basic(b":" + TOKEN), TOKEN),
        (basic(b"ada:a:b:c"), b"a:b:c"),
        (basic(b"ada:" + TOKEN, b"bASIC \t "), TOKEN),
        (basic(b"ada:p\xc3\xa4ss"), b"p\xc3\xa4ss"),
        (basic(b"ada:"), None),
        (basic(b"ada"), None),
        (basic(b":"), None),
        (basic(b""), None),
        (b"", None),
        (b"Basic", None),
        (b"Basic ", None),
        (b"Basic not base64!", None),
        (b"Basic YWRhOnRva2Vu=", None),
        (b"Basic YWRhOn Rva2Vu", None),
        (b"Basic YWRhOnRva2V", None),
        (b"Bearer " + TOKEN, None),
        (basic(b"ada:" + TOKEN, b"Bearer "), None),
        (TOKEN, None),
        (basic(b"ada:" + TOKEN) + b" more", None),
        (b"Basic " + b"A" * 9000, None),
    ],
)
def test_tokens(value: bytes, token: bytes | None) -> None:
    """
    The password is the token, whoever the user is; anything else shows none.
    """
    assert token_in([value]) == token


def test_absent_and_repeated() -> None:
    """
    None at all is none; one twice is one; two different ones are not chosen from.
    """
    assert token_in([]) is None
    assert token_in([basic(b"ada:x")] * 2) == b"x"
    with pytest.raises(BadRequest, match="more than once"):
        token_in([basic(b"ada:x"), basic(b"ada:y")])


@given(st.binary(max_size=60).filter(lambda name: b":" not in name), st.binary(min_size=1, max_size=60))
def test_whatever_was_encoded_is_read(name: bytes, token: bytes) -> None:
    """
    Any user name without a colon, any token.
    """
    assert token_in([basic(name + b":" + token)]) == token


@given(st.lists(st.binary(max_size=60), max_size=1))
def test_whatever_comes(values: list[bytes]) -> None:
    """
    Nothing is raised for a single value.
    """
    token_in(values)
