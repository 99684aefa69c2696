"""
Tests for `aibridge.daemon.settings`.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.daemon.settings import SECTIONS, Leaf, Settings, leaves
from aibridge.daemon.values import accept
from aibridge.providers.settings import ProviderSettings

ALL: dict[str, Leaf] = {f"{section}.{leaf.name}": leaf for section, cls in SECTIONS.items() for leaf in leaves(cls)}
ALL |= {f"provider.{leaf.name}": leaf for leaf in leaves(ProviderSettings)}


class TestDeclarations:
    """
    Every option of every section.
    """

    @pytest.mark.parametrize("name", ALL)
    def test_default(self, name: str) -> None:
        """
        A default is a value that the option itself accepts, and the reason for it is a sentence.
        """
        leaf = ALL[name]
        if leaf.default is not attrs.NOTHING:
            accepted = accept(leaf.default, leaf.type, leaf.declared)
            assert accepted == leaf.default
            assert type(accepted) is type(leaf.default)
        assert leaf.declared.why.endswith(".")

    @pytest.mark.parametrize("name", ALL)
    def test_numbers_have_a_range(self, name: str) -> None:
        """
        No number is without bounds.
        """
        leaf = ALL[name]
        if leaf.type in (int, float):
            assert leaf.declared.least is not None
            assert leaf.declared.most is not None

    def test_sources_are_unique(self) -> None:
        """
        No variable and no command-line option sets two things.
        """
        variables = [variable for leaf in ALL.values() for variable in leaf.declared.env]
        flags = [leaf.declared.flag for leaf in ALL.values() if leaf.declared.flag]
        assert len(set(variables)) == len(variables)
        assert len(set(flags)) == len(flags)

    def test_command_line(self) -> None:
        """
        ``twistd aibridge`` has the options that are declared, and --config.
        """
        from aibridge.daemon.tap import Options

        declared = {leaf.declared.flag for leaf in ALL.values() if leaf.declared.flag}
        assert {parameter[0] for parameter in Options.optParameters} == declared | {"config"}

    def test_own_options_come_first(self) -> None:
        """
        A provider is described by its name before its timeouts.
        """
        assert next(iter(leaves(ProviderSettings))).name == "name"


class TestRestartNeeded:
    """
    What a reload cannot change.
    """

    def test_same(self) -> None:
        """
        Nothing has changed, nothing is needed.
        """
        assert Settings().restart_needed(Settings()) == []

    def test_changed(self) -> None:
        """
        Of what has changed, what is declared so is named.
        """
        old = Settings()
        new = attrs.evolve(
            old,
            listen=attrs.evolve(old.listen, endpoints=("tcp:1",)),
            http=attrs.evolve(old.http, max_head=1024, max_body=1024),
            admission=attrs.evolve(old.admission, rate_limit=5.0, max_principals=5),
            provider=(ProviderSettings(name="a", type="demo"),),
        )
        expected = ["listen.endpoints", "http.max_head", "admission.max_principals"]
        assert old.restart_needed(new) == new.restart_needed(old) == expected
