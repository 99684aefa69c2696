"""
What is done for a provider that is to tell the usage of all its streams: see `aibridge.dialects.includeusage`.
"""

from __future__ import annotations

from aibridge.dialects.facts import Facts
from aibridge.dialects.includeusage import with_usage
from aibridge.model import Dialect
from aibridge.providers.routes import Route
from aibridge.providers.settings import ADD

Pair = tuple[bytes, bytes]


def asking_for_usage(route: Route, body: bytes, facts: Facts, content_encoding: bytes | None) -> bytes | None:
    """
    The body to be sent in the place of the client's; None if that is sent as it is.
    """
    if route.provider.settings.include_usage != ADD:
        return None
    if route.dialect is not Dialect.CHAT or not route.bridged or content_encoding:
        return None
    return with_usage(body, facts)


def without_encoding(pairs: list[Pair]) -> list[Pair]:
    """
    The fields of a request whose answer is to come as it is, since something is to be taken out of it.
    """
    kept = [pair for pair in pairs if pair[0].lower() != b"accept-encoding"]
    return [*kept, (b"Accept-Encoding", b"identity")]
