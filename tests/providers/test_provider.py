"""
One configured provider.
"""

from __future__ import annotations

import pytest

from aibridge.providers.provider import TYPES, Provider
from aibridge.providers.settings import TYPES as CONFIGURABLE
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret
from making import provider


def test_every_type_that_can_be_configured_exists() -> None:
    """
    And the other way round.
    """
    assert sorted(TYPES) == sorted(CONFIGURABLE)
    assert all(type_.name == name for name, type_ in TYPES.items())


@pytest.mark.parametrize(
    ("type_", "configured", "base_url"),
    [
        ("openai", "", b"https://api.openai.com/v1"),
        ("anthropic", "", b"https://api.anthropic.com"),
        ("copilot", "", b"https://api.individual.githubcopilot.com"),
        ("openai", "https://h/some/path", b"https://h/some/path"),
        ("openai", "https://h/some/path/", b"https://h/some/path"),
        ("anthropic", "http://[::1]:8080/", b"http://[::1]:8080"),
        ("openai-compatible", "http://h:8000/v1//", b"http://h:8000/v1"),
        ("demo", "", b"http://127.0.0.1:1234"),
        ("demo", "http://elsewhere:5/", b"http://elsewhere:5"),
    ],
)
def test_base_url(type_: str, configured: str, base_url: bytes) -> None:
    """
    The configured one, else the type's, else where the simulated one listens; a path is kept, slashes at its end are
    not, since every route begins with one.
    """
    made = provider(type_, base_url=configured, demo_url="http://127.0.0.1:1234" if type_ == "demo" else "")
    assert made.base_url == base_url


def test_name_and_type() -> None:
    """
    The name is the configuration's, the type is found by it.
    """
    made = provider("anthropic", "claude-eu")
    assert (made.name, made.type) == ("claude-eu", TYPES["anthropic"])


def test_key() -> None:
    """
    It is kept as a secret, or there is none.
    """
    made = provider("openai", key="sk-canary-0123456789")
    assert made.key == Secret("sk-canary-0123456789")
    assert "canary" not in repr(made)
    assert provider("openai").key is None


def test_unknown_type() -> None:
    """
    The configuration refuses it; here it would be a defect.
    """
    with pytest.raises(KeyError):
        Provider.from_settings(ProviderSettings(name="x", type="gemini"), None)


def test_headers() -> None:
    """
    What goes with its key is ready for the wire.
    """
    settings = ProviderSettings(name="openai", type="openai", headers=("OpenAI-Project: p",))
    assert Provider.from_settings(settings, None).headers == [(b"OpenAI-Project", b"p")]
    assert provider("openai").headers == []
