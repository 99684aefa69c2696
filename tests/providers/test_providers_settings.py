"""
What can be configured about a provider.
"""

from __future__ import annotations

import re

import attrs
import pytest

from aibridge.options import declaration
from aibridge.providers.settings import ProviderSettings, TransportSettings
from making import faulty_declarations


@pytest.mark.parametrize("settings", [ProviderSettings, TransportSettings])
def test_declarations(settings: type[attrs.AttrsInstance]) -> None:
    """
    Each option has a reason, a range, and a default within it.
    """
    assert not faulty_declarations(settings)


def test_name_and_type_are_required() -> None:
    """
    Everything else has a default.
    """
    required = [field.name for field in attrs.fields(ProviderSettings) if field.default is attrs.NOTHING]
    assert required == ["name", "type"]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("openai", True),
        ("a", True),
        ("7", True),
        ("openai-eu-2", True),
        ("", False),
        ("OpenAI", False),
        ("-a", False),
        ("a-", False),
        ("a--b", False),
        ("a_b", False),
        ("a.b", False),
        ("a/b", False),
        ("a b", False),
        ("ä", False),
        ("a\n", False),
    ],
)
def test_names(name: str, allowed: bool) -> None:
    """
    What can be a path segment, a label and a word in a log line without being quoted.
    """
    pattern = declaration(attrs.fields(ProviderSettings).name).matches
    assert bool(re.fullmatch(pattern, name)) is allowed


def test_the_key_is_a_reference() -> None:
    """
    Never the key itself.
    """
    assert declaration(attrs.fields(ProviderSettings).key).secret


def test_verification_cannot_be_turned_off() -> None:
    """
    There is no such option, under any name.
    """
    names = [field.name for field in attrs.fields(ProviderSettings)]
    assert not [name for name in names if re.search("verif|insecure|tls|ssl|check|trust", name)]


def test_the_waits_of_the_sdks_fit() -> None:
    """
    They wait 600 s themselves: by default the bridge is not the first to give up.
    """
    settings = TransportSettings()
    assert settings.first_byte_timeout >= 600
    assert settings.silence_timeout >= 600
    assert settings.total_timeout == 0
