"""
What is in the tree is what gets installed, and no module outgrows what can be read in one sitting.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import re
import shutil
import sysconfig
import tomllib
from pathlib import Path

import pytest

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


def _compiled() -> list[str]:
    (listed,) = (
        node.value
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED"
    )
    names: list[str] = list(ast.literal_eval(listed))
    return names


def test_what_is_to_be_compiled_is_there() -> None:
    """
    Each once, in order.
    """
    assert _compiled() == sorted(set(_compiled()))
    assert not [name for name in _compiled() if not (ROOT / name).is_file()]


def test_what_is_compiled_says_who_logs() -> None:
    """
    A logger looks at the frame that makes it for its name, and compiled modules have none.
    """
    assert not [name for name in _compiled() if re.search(r"\bLogger\(\)", (ROOT / name).read_text())]


def test_what_is_installed_is_compiled() -> None:
    """
    All of it, wherever it can be: a build that silently went the slow way is found out here.
    """
    if Path(aibridge.__file__).is_relative_to(ROOT / "aibridge"):
        pytest.skip("these are the sources")
    if not any(map(shutil.which, ("cc", "gcc", "clang"))) or not Path(sysconfig.get_paths()["include"]).is_dir():
        pytest.skip("there is no C compiler, or there are no headers")
    modules = [importlib.import_module(name.removesuffix(".py").replace("/", ".")) for name in _compiled()]
    assert not [module.__name__ for module in modules if str(module.__file__).endswith(".py")]


def test_a_build_in_isolation_has_what_it_needs() -> None:
    """
    What is installed with the package, since its types have to be known, and what compiles.
    """
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    setup = _setup()
    listed = setup["options"]["install_requires"] + setup["options.extras_require"]["build"]
    assert sorted(needed) == sorted(line.replace(" ", "") for line in listed.splitlines() if line)


def test_modules_are_short() -> None:
    """
    A module that is longer than 400 lines is two modules.
    """
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
