"""
Tests for `aibridge.daemon.reference`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from aibridge.daemon.config import load
from aibridge.daemon.decode import decode
from aibridge.daemon.reference import PAGE_PATH, TOML_PATH, literal, main, page, toml
from aibridge.daemon.settings import REPEATED, SECTIONS, Leaf, Settings, leaves

ROOT = Path(__file__).resolve().parents[2]

OPTION = re.compile(r"# ([a-z_]+) = (.+)")
HEADING = re.compile(r"(?:# )?\[+([a-z]+)\]+")


def commented() -> list[tuple[str, str, str]]:
    """
    Every option of the file: its section, its name, its default as written.
    """
    found = []
    section = ""
    for line in toml().splitlines():
        if heading := HEADING.fullmatch(line):
            section = heading[1]
        elif option := OPTION.fullmatch(line):
            found.append((section, option[1], option[2]))
    return found


def declared() -> dict[tuple[str, str], Leaf]:
    """
    Every option of the classes, by section and name.
    """
    tables = {**SECTIONS, **REPEATED}
    return {(table, leaf.name): leaf for table, cls in tables.items() for leaf in leaves(cls)}


class TestToml:
    """
    ``etc/aibridge/aibridge.toml``.
    """

    def test_committed(self) -> None:
        """
        The file in the tree is what the classes say.
        """
        assert (ROOT / TOML_PATH).read_text(encoding="utf-8") == toml()

    def test_as_it_is(self) -> None:
        """
        The file as it is changes nothing.
        """
        assert decode(tomllib.loads(toml())) == (Settings(), [])
        environ = {"AIBRIDGE_AUTH_BACKEND": "none"}
        with_file = load(str(ROOT / TOML_PATH), environ, {})
        without = load(None, environ, {}, default_path="/nowhere/aibridge.toml")
        assert with_file.settings == without.settings

    def test_every_option(self) -> None:
        """
        Every option is there once, in its section.
        """
        found = [(section, name) for section, name, _ in commented()]
        assert sorted(found) == sorted(declared())

    @pytest.mark.parametrize(("section", "name", "text"), commented())
    def test_uncommented(self, section: str, name: str, text: str) -> None:
        """
        An option without its comment mark is good TOML and has the default of its class.
        """
        leaf = declared()[section, name]
        line = f"{name} = {text}\n"
        if section in SECTIONS:
            settings, faults = decode(tomllib.loads(f"[{section}]\n{line}"))
            assert (settings, faults) == (Settings(), [])
            return
        required = [
            f"{other} = {literal(its.declared.example)}"
            for (table, other), its in declared().items()
            if table == section and other != name and its.default is attrs.NOTHING
        ]
        document: dict[str, Any] = tomllib.loads(f"[[{section}]]\n" + "\n".join([*required, line]))
        settings, faults = decode(document)
        assert faults == []
        (made,) = getattr(settings, section)
        if leaf.default is not attrs.NOTHING:
            assert getattr(made, leaf.attribute) == leaf.default

    def test_all_uncommented(self) -> None:
        """
        The whole file without its comment marks is good, too.
        """
        text = re.sub(r"(?m)^# (?=\[\[[a-z]+\]\]$|[a-z_]+ = )", "", toml())
        settings, faults = decode(tomllib.loads(text))
        assert faults == []
        assert all(getattr(settings, section) == getattr(Settings(), section) for section in SECTIONS)
        assert all(len(getattr(settings, table)) == 1 for table in REPEATED)

    def test_width(self) -> None:
        """
        Every line can be read without scrolling.
        """
        assert max(map(len, toml().splitlines())) <= 120


class TestPage:
    """
    ``docs/configuration.md``.
    """

    def test_committed(self) -> None:
        """
        The page in the tree is what the classes say.
        """
        assert (ROOT / PAGE_PATH).read_text(encoding="utf-8") == page()

    def test_whole(self) -> None:
        """
        Every option, variable and command-line option is on it.
        """
        text = page()
        for leaf in declared().values():
            assert f"| `{leaf.name}` |" in text
            for variable in leaf.declared.env:
                assert f"| `{variable}` |" in text
            assert f"`--{leaf.declared.flag}`" in text or not leaf.declared.flag

    def test_tables(self) -> None:
        """
        Every row of a table has as many cells as its head.
        """
        cells = 0
        for line in page().splitlines():
            count = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert count in (0, cells) or cells == 0
            cells = count


class TestWriting:
    """
    The command that writes both.
    """

    def test_main(self, tmp_path: Path) -> None:
        """
        Both files are written below the directory that is given.
        """
        main([str(tmp_path)])
        assert (tmp_path / TOML_PATH).read_text(encoding="utf-8") == toml()
        assert (tmp_path / PAGE_PATH).read_text(encoding="utf-8") == page()

    @pytest.mark.parametrize(
        "value", [True, 0, 33554432, 0.001, 604800.0, "", 'a "quoted" \\ text', "é", (), ("a", "b")], ids=repr
    )
    def test_literal(self, value: object) -> None:
        """
        A value reads back as itself.
        """
        read = tomllib.loads(f"x = {literal(value)}")["x"]
        assert (tuple(read) if isinstance(read, list) else read) == value
        assert isinstance(read, list) or type(read) is type(value)
