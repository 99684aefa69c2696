"""
Tests for `aibridge.daemon.proxy.reference`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs

from aibridge.daemon.decode import decode
from aibridge.daemon.proxy.reference import PAGE_PATH, TOML_PATH, main, page, toml
from aibridge.daemon.proxy.settings import SCHEMA, ProxyDaemonSettings
from aibridge.daemon.settings import leaves

ROOT = Path(__file__).resolve().parents[3]


def test_committed() -> None:
    """
    The files in the tree are what the classes say.
    """
    assert (ROOT / TOML_PATH).read_text(encoding="utf-8") == toml()
    assert (ROOT / PAGE_PATH).read_text(encoding="utf-8") == page()


def test_as_it_is() -> None:
    """
    The file as it is changes nothing; without its comment marks it changes nothing either.
    """
    assert decode(tomllib.loads(toml()), SCHEMA) == (ProxyDaemonSettings(), [])
    text = re.sub(r"(?m)^# (?=\[\[provider\]\]$|[a-z_]+ = )", "", toml())
    settings, faults = decode(tomllib.loads(text), SCHEMA)
    assert faults == []
    assert attrs.evolve(settings, provider=()) == ProxyDaemonSettings()


def test_whole() -> None:
    """
    Every option and variable is on the page, every option in the file.
    """
    text, file = page(), toml()
    for cls in (*SCHEMA.sections.values(), *SCHEMA.repeated.values()):
        for leaf in leaves(cls):
            assert f"| `{leaf.name}` |" in text
            assert f"# {leaf.name} = " in file
            assert all(f"`{variable}`" in text for variable in leaf.declared.env)
    assert max(map(len, file.splitlines())) <= 120


def test_main(tmp_path: Path) -> None:
    """
    Both files are written below the directory that is given.
    """
    main([str(tmp_path)])
    assert (tmp_path / TOML_PATH).read_text(encoding="utf-8") == toml()
    assert (tmp_path / PAGE_PATH).read_text(encoding="utf-8") == page()
