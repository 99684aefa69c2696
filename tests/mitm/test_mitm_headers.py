"""
Tests for `aibridge.mitm.headers`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.mitm.headers import PROXY_REQUEST_ID, TOKEN, from_bridge, to_bridge

ID = "6f1d0f2e-0000-4000-8000-000000000000"
OURS = [(TOKEN, b"token"), (PROXY_REQUEST_ID, ID.encode())]

NAMES = st.sampled_from([b"Accept", b"Authorization", b"X-Api-Key", b"anthropic-beta", b"X-Stainless-Lang", b"Cookie"])
PAIRS = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"2"])), max_size=8)


def up(*pairs: tuple[bytes, bytes], connection: tuple[bytes, ...] = ()) -> list[tuple[bytes, bytes]]:
    """
    What goes to the bridge of these fields, without what is added.
    """
    crossed = to_bridge(pairs, connection, b"token", ID)
    assert crossed[-2:] == OURS
    return crossed[:-2]


def test_a_clients_own_credentials_cross_as_they_are() -> None:
    """
    Bring your own key: spelling, order and value are left alone.
    """
    own = [(b"authorization", b"Bearer sk-mine"), (b"X-API-KEY", b"mine"), (b"Cookie", b"a=b")]
    assert up(*own) == own
    tenancy = [(b"OpenAI-Organization", b"org-1"), (b"OpenAI-Project", b"p"), (b"anthropic-workspace-id", b"w")]
    assert up(*own, *tenancy) == [*own, *tenancy]


@pytest.mark.parametrize(
    "name",
    [
        b"X-Coder-Token",
        b"x-coder-token",
        b"X_Coder_Token",
        b"X-Coder-AI-Governance-Token",
        b"X-Coder-AI-Governance-Request-Id",
        b"X-AI-Bridge-Proxy-Request-Id",
        b"X-AI-Bridge-Anything",
        b"Proxy-Authorization",
        b"Proxy-Connection",
        b"Connection",
        b"Keep-Alive",
        b"TE",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
        b"Host",
        b"Content-Length",
        b"Expect",
    ],
)
def test_what_is_the_proxys_to_say_does_not_cross(name: bytes) -> None:
    """
    Nor what belongs to the client's connection.
    """
    assert up((name, b"forged"), (b"Accept", b"*/*")) == [(b"Accept", b"*/*")]


def test_what_the_connection_lists_does_not_cross() -> None:
    """
    Either way.
    """
    pairs = [(b"X-Hop", b"1"), (b"X-End", b"2")]
    assert up(*pairs, connection=(b"close, x-hop",)) == pairs[1:]
    assert from_bridge(pairs, [b"X-HOP"]) == pairs[1:]


def test_no_token() -> None:
    """
    Who was asked for none has none.
    """
    assert to_bridge([], [], None, ID) == [(PROXY_REQUEST_ID, ID.encode())]


@given(PAIRS)
def test_all_else_crosses_in_its_order(pairs: list[tuple[bytes, bytes]]) -> None:
    """
    Repeated fields too.
    """
    assert up(*pairs) == pairs
    assert from_bridge(pairs, []) == pairs


def test_the_answer() -> None:
    """
    The bridge's own fields and the provider's cross; framing and date are written anew.
    """
    crossing = [
        (b"Content-Type", b"text/event-stream"),
        (b"X-AI-Bridge-Reason", b"rate"),
        (b"X-AI-Bridge-Request-Id", b"id"),
        (b"Retry-After", b"2"),
        (b"x-should-retry", b"false"),
        (b"Content-Encoding", b"gzip"),
    ]
    staying = [
        (b"Date", b"today"),
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive"),
        (b"Keep-Alive", b"timeout=5"),
    ]
    assert from_bridge([*staying, *crossing], [b"keep-alive"]) == crossing
