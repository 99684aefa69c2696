"""
Tests for `aibridge.daemon.proxy.settings`.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.daemon.proxy.settings import SCHEMA, ProxyDaemonSettings, ProxyListenSettings
from aibridge.daemon.proxy.tap import Options
from aibridge.daemon.settings import SECTIONS, Leaf, leaves
from aibridge.daemon.values import accept
from aibridge.mitm.settings import ProxiedProvider, ProxySettings

ALL: dict[str, Leaf] = {
    f"{section}.{leaf.name}": leaf for section, cls in SCHEMA.sections.items() for leaf in leaves(cls)
}
ALL |= {f"provider.{leaf.name}": leaf for leaf in leaves(ProxiedProvider)}


@pytest.mark.parametrize("name", ALL)
def test_defaults(name: str) -> None:
    """
    A default is a value that the option itself accepts, and the reason for it is a sentence.
    """
    leaf = ALL[name]
    if leaf.default is not attrs.NOTHING:
        assert accept(leaf.default, leaf.type, leaf.declared) == leaf.default
    assert leaf.declared.why.endswith(".")


def test_sources_are_unique() -> None:
    """
    No variable and no command-line option sets two things; those of the bridge have the same meaning here.
    """
    variables = {variable: name for name, leaf in ALL.items() for variable in leaf.declared.env}
    assert len(variables) == sum(len(leaf.declared.env) for leaf in ALL.values())
    for section, cls in SECTIONS.items():
        for leaf in leaves(cls):
            for variable in leaf.declared.env:
                assert variables.get(variable, f"{section}.{leaf.name}") == f"{section}.{leaf.name}"


def test_command_line() -> None:
    """
    ``twistd aibridge-proxy`` has the options that are declared, and --config.
    """
    declared = {leaf.declared.flag for leaf in ALL.values() if leaf.declared.flag}
    assert {name for name, *_ in Options.optParameters} == declared | {"config"}


def test_this_machine_alone() -> None:
    """
    Nobody else reaches it before somebody decides so, nor does it take the bridge's ports.
    """
    listen = ProxyListenSettings()
    assert all("interface=127.0.0.1" in text for text in (*listen.endpoints, *listen.admin))
    assert not {"4000", "4001"} & {text.split("port=")[1][:4] for text in (*listen.endpoints, *listen.admin)}


def test_restart_needed() -> None:
    """
    What a reload does not change is named.
    """
    old = ProxyDaemonSettings()
    new = attrs.evolve(
        old,
        listen=ProxyListenSettings(endpoints=("tcp:1",)),
        proxy=ProxySettings(idle_timeout=5.0, tunnel="off", max_tunnels=7),
    )
    assert old.restart_needed(new) == ["listen.endpoints", "proxy.idle_timeout", "proxy.max_tunnels"]
    assert old.restart_needed(old) == []
