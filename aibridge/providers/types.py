"""
What a provider type is: the paths it has, the dialect of each, and how it is shown a key.
"""

from __future__ import annotations

import enum

import attrs

from aibridge.model import Dialect
from aibridge.providers.access import Rule, Treatment


class KeyStyle(enum.Enum):
    """
    The header in which a provider expects its key.
    """

    __hash__ = object.__hash__  # as that of `Dialect`

    BEARER = "bearer"
    """``Authorization: Bearer KEY``"""
    API_KEY = "api-key"
    """``X-Api-Key: KEY``"""
    NONE = "none"
    """It expects none."""


@attrs.frozen(kw_only=True)
class ProviderType:
    """
    A vendor's API as the bridge knows it. Paths are below ``/<provider name><prefix>``.

    :ivar prefix: the part of the client's path, after the provider's name, that the base URL stands for.
    :ivar base_url: the default, or empty if there is none.
    :ivar dialect: how errors look where the route itself does not say.
    :ivar rules: every method and path there is, each of them once.
    """

    name: str
    prefix: str = ""
    base_url: str = ""
    key_style: KeyStyle
    dialect: Dialect
    rules: tuple[Rule, ...]

    def of(self, treatment: Treatment) -> tuple[str, ...]:
        """
        The paths that are treated so, in the order of the table.
        """
        return tuple(rule.path for rule in self.rules if rule.treatment is treatment)
