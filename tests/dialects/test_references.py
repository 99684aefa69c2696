"""
Whether a body may name stored objects.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects import references
from aibridge.dialects.references import Sought
from aibridge.model import Dialect


def may_name(body: bytes, dialect: Dialect = Dialect.RESPONSES, size: int = 1 << 20, lines: bool = False) -> bool:
    """
    What a search in pieces of one size says.
    """
    sought = Sought(dialect, lines=lines)
    for at in range(0, len(body), size):
        sought.feed(body[at : at + size])
    if size >= len(body) and not lines:
        assert references.may_name(body, dialect) is sought.found
    return sought.found


@given(st.integers(1, 40), st.integers(0, 200))
def test_a_name_is_found_in_pieces(size: int, before: int) -> None:
    """
    However the body is cut.
    """
    body = b"-" * before + b'\n{"body":{"previous_response_id": "r1"}}\n' + b"-" * 50
    assert may_name(body, Dialect.PLAIN, size, lines=True)
    assert not may_name(b"-" * len(body), Dialect.PLAIN, size, lines=True)
    assert Sought(Dialect.PLAIN, found=True).found


@pytest.mark.parametrize("blanks", [0, 1, 31, 32, 33, 600, 5000])
@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[{"id"@:@"hers"@}]}',
        b'{"input":[{"id"@:@"hers"@,"type"@:@null}]}',
        b'{"input":[{"id":"hers","type":"message","type"@:@null}]}',
        b'{"input":[{"type"@:@"",@"id":"hers","a":1}]}',
        b'{"messages":[{"audio"@:{"id":"hers"}}]}',
    ],
)
def test_blanks_hide_nothing(body: bytes, size: int, blanks: int) -> None:
    """
    As many as there may be, wherever a piece ends.
    """
    assert may_name(body.replace(b"@", b" " * blanks), Dialect.PLAIN, size)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_an_encoding_in_which_nothing_is_found(encoding: str, size: int) -> None:
    """
    Is taken for a name.
    """
    body = '{"file_id":"hers"}'.encode(encoding)
    assert may_name(body, size=size)
    assert may_name(b"{}\n" * 9 + body, size=size, lines=True)


@given(st.integers(1, 60), st.integers(0, 600), st.integers(0, 31))
def test_an_id_of_anothers_item_is_found_in_pieces(size: int, before: int, blanks: int) -> None:
    """
    However the body is cut, and what nobody else has is not.
    """
    body = b"-" * before + b'{"type":"reasoning","id"@:@"rs_1","summary":[]}'.replace(b"@", b" " * blanks)
    for theirs in ("rs_1", "rs_2"):
        sought = Sought(Dialect.PLAIN, lines=True, others=theirs.__eq__)
        for at in range(0, len(body), size):
            sought.feed(body[at : at + size])
        assert sought.found is (theirs == "rs_1")
        assert references.may_name(body, Dialect.RESPONSES, theirs.__eq__) is (theirs == "rs_1")
    assert references.may_name(body.replace(b"rs_1", b"rs\\/1"), Dialect.RESPONSES, "x".__eq__)


@given(
    st.integers(1, 60),
    st.sampled_from([b"Content-transfer-Encoding", b"content-encoding"]),
    st.sampled_from([b"base64", b"Quoted-Printable", b"x", b"\r\n base64", b" " * 600 + b"base64"]),
)
def test_a_part_of_a_form_in_an_encoding(size: int, field: bytes, encoding: bytes) -> None:
    """
    May have anything in it, if a server decodes it; what is not the head of a part says nothing.
    """
    body = b"--b\r\nContent-Disposition: form-data; name=file\r\n%b: %b\r\n\r\n" + b"e30K" * 20 + b"\r\n--b--\r\n"
    assert may_name(body % (field, encoding), Dialect.PLAIN, size, lines=True)
    for none in (b"binary", b"8BIT", b"identity"):
        assert not may_name(body % (field, none), Dialect.PLAIN, size, lines=True)
    line = json.dumps({"body": {"input": (body % (field, encoding)).decode()}}).encode()
    assert not may_name(line, Dialect.PLAIN, size, lines=True)


def test_most_bodies_name_nothing() -> None:
    """
    Calls of tools have ids, and schemas have names, that are none.
    """
    body = {
        "input": [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"file_id":"x"}'}],
        "tools": [{"type": "function", "name": "f", "parameters": {"properties": {"message_id": {}}}}],
    }
    assert not may_name(json.dumps(body).encode())
