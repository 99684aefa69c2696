"""
What a provider type is, and what holds for all of them.
"""

from __future__ import annotations

import re

import attrs
import pytest

from aibridge.model import Dialect
from aibridge.providers.access import Treatment
from aibridge.providers.provider import TYPES
from aibridge.providers.types import KeyStyle, ProviderType

types = pytest.mark.parametrize("type_", TYPES.values(), ids=list(TYPES))


def test_a_type_is_a_value() -> None:
    """
    Not to be changed; another is made from it.
    """
    type_ = ProviderType(name="x", key_style=KeyStyle.NONE, dialect=Dialect.CHAT, rules=())
    assert (type_.prefix, type_.base_url) == ("", "")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        type_.name = "y"  # type: ignore[misc]  # that it is refused is the point


@types
def test_prefixes(type_: ProviderType) -> None:
    """
    A prefix begins with a slash, and does not end with one.
    """
    assert re.fullmatch(r"(/[a-z0-9]+)*", type_.prefix)


@types
def test_bridged_routes_are_places(type_: ProviderType) -> None:
    """
    Each is one path with a dialect of a vendor.
    """
    assert type_.of(Treatment.BRIDGED)
    for rule in type_.rules:
        if rule.treatment is Treatment.BRIDGED:
            assert "*" not in rule.path
            assert not rule.uses
            assert rule.dialect not in (None, Dialect.PLAIN)


@types
def test_nothing_that_administers_is_for_everybody(type_: ProviderType) -> None:
    """
    What manages keys, people, money or models is refused where it is known at all.
    """
    for rule in type_.rules:
        if any(word in rule.path for word in ("admin", "organization", "usage", "cost", "fine_tuning", "projects")):
            assert rule.treatment is Treatment.REFUSED


@types
def test_default_base_urls_are_secure(type_: ProviderType) -> None:
    """
    A key is sent there.
    """
    assert type_.base_url == "" or type_.base_url.startswith("https://")


@types
def test_errors_have_a_vendors_form(type_: ProviderType) -> None:
    """
    Also where the route does not say which.
    """
    assert type_.dialect in (Dialect.CHAT, Dialect.MESSAGES)
