"""
What a provider type is, and what holds for all of them.
"""

from __future__ import annotations

import re

import attrs
import pytest

from aibridge.model import Dialect
from aibridge.providers.provider import TYPES
from aibridge.providers.types import KeyStyle, ProviderType

types = pytest.mark.parametrize("type_", TYPES.values(), ids=list(TYPES))


def test_a_type_is_a_value() -> None:
    """
    Not to be changed; another is made from it.
    """
    type_ = ProviderType(name="x", key_style=KeyStyle.NONE, dialect=Dialect.CHAT, bridged={}, passthrough=())
    assert (type_.prefix, type_.base_url) == ("", "")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        type_.name = "y"  # type: ignore[misc]  # that it is refused is the point


@types
def test_paths_are_absolute(type_: ProviderType) -> None:
    """
    A path begins with a slash; a prefix as well, and does not end with one.
    """
    assert re.fullmatch(r"(/[a-z0-9]+)*", type_.prefix)
    for path in (*type_.bridged, *type_.passthrough):
        assert re.fullmatch(r"(/[a-z0-9_.-]+)+/?", path), path


@types
def test_bridged_routes_are_places(type_: ProviderType) -> None:
    """
    Each is one path with a dialect of a vendor, and not also let through unread.
    """
    assert type_.bridged
    for path, dialect in type_.bridged.items():
        assert not path.endswith("/")
        assert dialect is not Dialect.PLAIN
        assert path not in type_.passthrough
        assert not any(path.startswith(below) for below in type_.passthrough if below.endswith("/"))


@types
def test_passthrough_is_a_short_list(type_: ProviderType) -> None:
    """
    It names places: neither everything nor a place twice, and nothing that manages keys, people or money.
    """
    assert len(set(type_.passthrough)) == len(type_.passthrough)
    assert "/" not in type_.passthrough
    for word in ("admin", "organization", "api_keys", "usage", "cost", "files", "fine_tuning", "batches"):
        assert not any(word in path for path in type_.passthrough)


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
