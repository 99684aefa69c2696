"""
Which requests are made to ask for the usage of their streams.
"""

from __future__ import annotations

import pytest

from aibridge.dialects import facts
from aibridge.providers.provider import Provider
from aibridge.providers.routes import Routes
from aibridge.providers.settings import ProviderSettings
from aibridge.web.addedusage import asking_for_usage, without_encoding

STREAM = b'{"model":"m","stream":true}'


@pytest.mark.parametrize(
    ("include_usage", "path", "body", "encoding", "asks"),
    [
        ("add", b"/p/v1/chat/completions", STREAM, None, True),
        ("keep", b"/p/v1/chat/completions", STREAM, None, False),
        ("add", b"/p/v1/responses", STREAM, None, False),
        ("add", b"/p/v1/chat/completions", b'{"model":"m"}', None, False),
        ("add", b"/p/v1/chat/completions", STREAM, b"gzip", False),
    ],
)
def test_who_asks(include_usage: str, path: bytes, body: bytes, encoding: bytes | None, asks: bool) -> None:
    """
    Streams of chat completions, of a provider for which that is configured, that are not encoded.
    """
    settings = ProviderSettings(name="p", type="openai", include_usage=include_usage)
    route, _ = Routes([Provider.from_settings(settings, None)]).resolve(b"POST", path)
    changed = asking_for_usage(route, body, facts.read(body), encoding)
    assert (changed is not None) is asks
    if changed is not None:
        assert changed == b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'


def test_the_answer_is_not_to_be_encoded() -> None:
    """
    Whatever the client would take.
    """
    assert without_encoding([(b"Accept-encoding", b"br"), (b"Accept", b"x")]) == [
        (b"Accept", b"x"),
        (b"Accept-Encoding", b"identity"),
    ]
