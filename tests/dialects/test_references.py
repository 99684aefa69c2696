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


def test_most_bodies_name_nothing() -> None:
    """
    Calls of tools have ids, and schemas have names, that are none.
    """
    body = {
        "input": [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"file_id":"x"}'}],
        "tools": [{"type": "function", "name": "f", "parameters": {"properties": {"message_id": {}}}}],
    }
    assert not may_name(json.dumps(body).encode())
