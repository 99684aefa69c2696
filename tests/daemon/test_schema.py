"""
Tests for `aibridge.daemon.schema`.
"""

from __future__ import annotations

import attrs

from aibridge.daemon.decode import decode
from aibridge.daemon.schema import BRIDGE, Schema
from aibridge.daemon.settings import REPEATED, SECTIONS, LogSettings, Settings
from aibridge.options import option
from aibridge.providers.settings import ProviderSettings


@attrs.frozen(kw_only=True)
class Named:
    """
    A ``[[provider]]`` of another file.
    """

    name: str = option(why="What it is called.")
    hosts: tuple[str, ...] = option((), why="Where it is.")


@attrs.frozen(kw_only=True)
class Other:
    """
    Another file.
    """

    log: LogSettings = attrs.field(factory=LogSettings)
    provider: tuple[Named, ...] = ()


def test_the_bridges() -> None:
    """
    It is what its settings say.
    """
    assert (BRIDGE.settings, BRIDGE.sections, BRIDGE.repeated) == (Settings, SECTIONS, REPEATED)
    described = Schema.of(Settings)
    assert (described.sections, described.repeated) == (SECTIONS, REPEATED)
    assert (BRIDGE.table("log"), BRIDGE.table("provider")) == (LogSettings, ProviderSettings)


def test_another() -> None:
    """
    A file is read by its own schema: its tables, its providers, and what it does not know.
    """
    schema = Schema.of(Other)
    assert (schema.sections, schema.repeated) == ({"log": LogSettings}, {"provider": Named})
    settings, faults = decode(
        {"log": {"level": "warn"}, "provider": [{"name": "a", "hosts": ["b"]}, {"key": "c"}], "admission": {}}, schema
    )
    assert settings.log.level == "warn"
    assert settings.provider[0] == Named(name="a", hosts=("b",))
    assert sorted((fault.path, fault.found) for fault in faults) == [
        (("admission",), "an unknown key"),
        (("provider", 1, "key"), "an unknown key"),
        (("provider", 1, "name"), "nothing"),
    ]
