"""
What may stand in one configuration file: the tables that occur once, and the one that may occur often.
"""

from __future__ import annotations

import typing
from typing import Any, Final

import attrs

from aibridge.daemon.settings import SECTIONS, Settings
from aibridge.providers.settings import ProviderSettings


@attrs.frozen(eq=False)
class Schema:
    """
    One daemon's file.

    :ivar settings: frozen attrs class with a field for each table; its field ``provider`` holds all ``[[provider]]``.
    :ivar sections: the tables that occur once, in the order of the file.
    :ivar provider: the class of a ``[[provider]]``.
    """

    settings: type[Any]
    sections: dict[str, type[attrs.AttrsInstance]]
    provider: type[attrs.AttrsInstance]

    @classmethod
    def of(cls, settings: type[Any], provider: type[attrs.AttrsInstance]) -> Schema:
        """
        The schema that a settings class describes.
        """
        tables = {name: cls for name, cls in typing.get_type_hints(settings).items() if attrs.has(cls)}
        return cls(settings, tables, provider)


BRIDGE: Final = Schema(Settings, SECTIONS, ProviderSettings)
