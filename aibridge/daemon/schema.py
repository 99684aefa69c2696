"""
What may stand in one configuration file: the tables that occur once, and those that may occur often.
"""

from __future__ import annotations

import typing
from typing import Any, Final

import attrs

from aibridge.daemon.settings import REPEATED, SECTIONS, Settings

Tables = dict[str, type[attrs.AttrsInstance]]


@attrs.frozen(eq=False)
class Schema:
    """
    One daemon's file.

    :ivar settings: frozen attrs class with a field for each table.
    :ivar sections: the tables that occur once, in the order of the file.
    :ivar repeated: those that may occur often, such as ``[[provider]]``; their settings are tuples.
    """

    settings: type[Any]
    sections: Tables
    repeated: Tables

    @classmethod
    def of(cls, settings: type[Any]) -> Schema:
        """
        The schema that a settings class describes.
        """
        hints = typing.get_type_hints(settings)
        sections = {name: type_ for name, type_ in hints.items() if attrs.has(type_)}
        repeated = {
            name: typing.get_args(type_)[0] for name, type_ in hints.items() if typing.get_origin(type_) is tuple
        }
        return cls(settings, sections, repeated)

    def table(self, name: str) -> type[attrs.AttrsInstance]:
        """
        The settings class of a table.
        """
        return self.repeated[name] if name in self.repeated else self.sections[name]


BRIDGE: Final = Schema(Settings, SECTIONS, REPEATED)
