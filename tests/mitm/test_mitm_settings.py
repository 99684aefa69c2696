"""
Tests for `aibridge.mitm.settings`.
"""

from __future__ import annotations

import re

import attrs
import pytest

from aibridge.mitm.settings import BridgeSettings, CASettings, ProxiedProvider, ProxySettings
from aibridge.options import declaration
from aibridge.providers.settings import ProviderSettings, TransportSettings
from making import faulty_declarations


@pytest.mark.parametrize("settings", [ProxySettings, BridgeSettings, CASettings, ProxiedProvider])
def test_declarations(settings: type[attrs.AttrsInstance]) -> None:
    """
    Each option says why, and its default is allowed.
    """
    assert faulty_declarations(settings) == []


def test_the_safe_choice_is_the_default() -> None:
    """
    Nobody tunnels without a token, to a private address, or through a proxy that was not asked for.
    """
    settings = ProxySettings()
    assert settings.tunnel == "authenticated"
    assert (settings.ports, settings.allowed_private_cidrs) == ((80, 443), ())
    assert (settings.upstream, settings.upstream_resolve) == ("", "here")


def test_the_bridge_says_first_what_went_wrong() -> None:
    """
    The proxy is more patient than the bridge is with its providers.
    """
    ours, its = BridgeSettings(), TransportSettings()
    assert ours.first_byte_timeout > its.first_byte_timeout
    assert ours.silence_timeout > its.silence_timeout


def test_no_certificate_outlives_a_month() -> None:
    """
    Whatever is configured.
    """
    assert declaration(attrs.fields(CASettings).leaf_days).most == 30


def test_providers_are_called_as_at_the_bridge() -> None:
    """
    Names and types are the same, so that its tables can be copied.
    """
    for name in ("name", "type", "base_url"):
        own = declaration(getattr(attrs.fields(ProxiedProvider), name))
        its = declaration(getattr(attrs.fields(ProviderSettings), name))
        assert (own.matches, own.choices) == (its.matches, its.choices)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("http://proxy:3128", True),
        ("https://proxy/", True),
        ("", True),
        ("http://user:password@proxy", False),
        ("http://proxy/path", False),
        ("socks5://proxy", False),
        ("http://proxy\n", False),
    ],
)
def test_an_upstream_with_a_password_has_to_be_a_reference(text: str, good: bool) -> None:
    """
    The file is for everybody to read.
    """
    declared = declaration(attrs.fields(ProxySettings).upstream)
    assert declared.secret
    assert bool(re.fullmatch(declared.matches, text)) is good
