"""
What is in the tree is what gets installed, and no module outgrows what can be read in one sitting.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import aibridge

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 400


def _setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def _modules() -> list[Path]:
    return sorted([*(ROOT / "aibridge").rglob("*.py"), *(ROOT / "twisted").rglob("*.py")])


def test_every_package_is_listed() -> None:
    """
    ``setup.cfg`` lists by hand what is installed: every directory that holds modules, and nothing that is not there.
    """
    listed = _setup()["options"]["packages"].split()
    there = sorted({".".join(path.parent.relative_to(ROOT).parts) for path in _modules()})
    assert listed == there


def test_packages_are_packages() -> None:
    """
    Each of ours has an ``__init__.py``, which holds a docstring and at most the version.
    """
    for directory in {path.parent for path in (ROOT / "aibridge").rglob("*.py")}:
        init = directory / "__init__.py"
        assert init.is_file(), f"{directory.relative_to(ROOT)} has no __init__.py"
        assert init.read_text().startswith('"""'), f"{init.relative_to(ROOT)} has no docstring"


def test_plugin_directories_are_no_packages() -> None:
    """
    An ``__init__.py`` of ours in them would stand in place of Twisted's own.
    """
    assert not [str(path.relative_to(ROOT)) for path in (ROOT / "twisted").rglob("__init__.py")]


def test_types_are_shipped() -> None:
    """
    ``py.typed`` is there and among the package's data.
    """
    assert (ROOT / "aibridge" / "py.typed").is_file()
    assert _setup()["options.package_data"]["aibridge"].split() == ["py.typed"]


def test_the_version_is_told_once() -> None:
    """
    ``setup.cfg`` takes it from the package; it is a calendar version.
    """
    assert _setup()["metadata"]["version"] == "attr: aibridge.__version__"
    assert re.fullmatch(r"2\d\.(1[0-2]|[1-9])\.\d+", aibridge.__version__)


def test_modules_are_short() -> None:
    """
    A module that is longer than 400 lines is two modules.
    """
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
