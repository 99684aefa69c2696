"""
The values that travel between the floors.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.model import Class, CredentialKind, Dialect, Principal


def test_principals_are_values() -> None:
    """
    Equal by content, usable as keys, not to be changed.
    """
    one = Principal(id="7", name="ada")
    assert one == Principal(id="7", name="ada")
    assert len({one, Principal(id="7", name="ada")}) == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.name = "eve"  # type: ignore[misc]  # that it is refused is the point


def test_a_principal_has_the_configured_limits() -> None:
    """
    Unless it brings its own.
    """
    plain = Principal(id="7", name="ada")
    assert (plain.class_, plain.rate_limit, plain.rate_burst) == (Class.DEFAULT, None, None)


def test_names_are_needed() -> None:
    """
    Fields are given by name: an id and a name are both texts, and would be mixed up.
    """
    with pytest.raises(TypeError):
        Principal("7", "ada")  # type: ignore[call-arg]  # that it is refused is the point


@pytest.mark.parametrize("closed", [Dialect, Class, CredentialKind])
def test_words_are_told_apart(closed: type[Dialect] | type[Class] | type[CredentialKind]) -> None:
    """
    The members of a closed set are words for configuration and logs, each its own.
    """
    words = [member.value for member in closed]
    assert len(set(words)) == len(words)
    assert all(word.isalpha() and word.islower() for word in words)


def test_words_of_the_configuration() -> None:
    """
    The words that stand in files and logs do not change.
    """
    assert [member.value for member in Class] == ["interactive", "default", "batch"]
    assert [member.value for member in CredentialKind] == ["central", "client", "none"]
    assert [member.value for member in Dialect] == ["chat", "responses", "messages", "plain"]
