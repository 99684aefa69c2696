"""
Which header fields cross between an intercepted client and the bridge. Pure, and the only place that says so.

What a client sends to its provider goes to the bridge as it is, credentials included, but for what belongs to one
connection, and for what only the proxy may say to the bridge. The bridge decides what the provider is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from aibridge.relay.headers import FRAMING, HOP_BY_HOP, Rule

Pair = tuple[bytes, bytes]

TOKEN: Final = b"X-Coder-Token"
PROXY_REQUEST_ID: Final = b"X-AI-Bridge-Proxy-Request-Id"

_stays_here = Rule(HOP_BY_HOP | FRAMING, (b"x-coder-token", b"x-coder-ai-governance-", b"x-ai-bridge-"))
_stays_there = Rule(HOP_BY_HOP | frozenset((b"content-length", b"date")), ())


def to_bridge(pairs: Iterable[Pair], connection: Sequence[bytes], token: bytes | None, request_id: str) -> list[Pair]:
    """
    The fields of the request that goes to the bridge; its framing and host are not among them.

    :param pairs: as the client sent them.
    :param connection: the values of its ``Connection`` fields; what they list goes no further.
    :param token: with which the client came in, or None if it was asked for none.
    """
    crossing = _without([pair for pair in pairs if not _stays_here[pair[0]]], connection)
    if token is not None:
        crossing.append((TOKEN, token))
    crossing.append((PROXY_REQUEST_ID, request_id.encode()))
    return crossing


def from_bridge(pairs: Iterable[Pair], connection: Sequence[bytes]) -> list[Pair]:
    """
    The fields of the answer that goes to the client; its framing and date are not among them.
    """
    return _without([pair for pair in pairs if not _stays_there[pair[0]]], connection)


def _without(pairs: list[Pair], connection: Sequence[bytes]) -> list[Pair]:
    listed = {name.strip().lower() for value in connection for name in value.split(b",")}
    return [pair for pair in pairs if pair[0].lower() not in listed] if listed else pairs
