"""
Tests for `aibridge.daemon.settings`.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.admission.settings import LimitSettings
from aibridge.daemon.settings import REPEATED, SECTIONS, Leaf, Settings, in_file, leaves
from aibridge.daemon.values import accept
from aibridge.providers.settings import ProviderSettings

ALL: dict[str, Leaf] = {
    f"{table}.{leaf.name}": leaf for table, cls in {**SECTIONS, **REPEATED}.items() for leaf in leaves(cls)
}


class TestDeclarations:
    """
    Every option of every section.
    """

    @pytest.mark.parametrize("name", ALL)
    def test_default(self, name: str) -> None:
        """
        A default, or what is shown where there is none, is a value that the option itself accepts, and the reason for
        it is a sentence.
        """
        leaf = ALL[name]
        is_required = leaf.default is attrs.NOTHING
        value = leaf.declared.example if is_required else leaf.default
        accepted = accept(value, leaf.type, leaf.declared)
        assert accepted == value
        assert is_required or type(accepted) is type(value)
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

    def test_variables(self) -> None:
        """
        Those of tables that may occur often would not say which of them is meant.
        """
        assert not [
            leaf for cls in REPEATED.values() for leaf in leaves(cls) if leaf.declared.env or leaf.declared.flag
        ]

    def test_tables(self) -> None:
        """
        Those that occur once and those that may occur often, in the order of the file.
        """
        assert list(SECTIONS) == ["listen", "http", "admission", "breaker", "auth", "log", "metrics", "daemon"]
        assert {"provider": ProviderSettings, "limit": LimitSettings} == REPEATED

    def test_names_that_python_keeps(self) -> None:
        """
        The file has them without the mark that the class needs.
        """
        leaf = ALL["limit.class"]
        assert (leaf.name, leaf.attribute) == ("class", "class_")
        assert (in_file("class_"), in_file("max_body")) == ("class", "max_body")

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
            admission=attrs.evolve(old.admission, rate_limit=5.0),
            breaker=attrs.evolve(old.breaker, enabled=True, max_models=5),
            provider=(ProviderSettings(name="a", type="demo"),),
        )
        expected = ["listen.endpoints", "http.max_head", "breaker.max_models"]
        assert old.restart_needed(new) == new.restart_needed(old) == expected
