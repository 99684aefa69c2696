"""
Every module has a test module of its name, in the same place of the tree.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def names_for(module: Path) -> tuple[Path, ...]:
    """
    Where the tests of a module may be, below ``tests``; the longer name is for those that would clash.

    :param module: below ``aibridge``.
    """
    package = module.parent
    short = package / f"test_{module.stem}.py"
    return (short, package / f"test_{package.name}_{module.stem}.py") if package.name else (short,)


def unpaired(root: Path) -> list[str]:
    """
    The modules that have no test module, and how it would be called.
    """
    lost = []
    for path in sorted((root / "aibridge").rglob("*.py")):
        module = path.relative_to(root / "aibridge")
        if module.name != "__init__.py" and not any((root / "tests" / name).is_file() for name in names_for(module)):
            wanted = " or ".join(f"tests/{name}" for name in names_for(module))
            lost.append(f"aibridge/{module} has no tests: {wanted} is missing")
    return lost


def clashes(root: Path) -> list[str]:
    """
    Names that several test modules have. Without packages they are one name space.
    """
    count = Counter(path.name for path in (root / "tests").rglob("test_*.py"))
    return sorted(name for name, times in count.items() if times > 1)


def test_every_module_has_its_tests() -> None:
    """
    None is missing.
    """
    lost = unpaired(ROOT)
    assert not lost, "\n".join(["", *lost])


def test_names_of_test_modules_are_unique() -> None:
    """
    Two test modules of one name would hide each other.
    """
    assert not clashes(ROOT)


def test_tests_are_no_packages() -> None:
    """
    They are found by their names alone.
    """
    assert not [str(path) for path in (ROOT / "tests").rglob("__init__.py")]


def test_missing_tests_are_found(tmp_path: Path) -> None:
    """
    Either name does, in the right directory; another one's does not; packages need none.
    """
    for name in ("a.py", "b.py", "__init__.py", "web/c.py", "web/d.py", "web/__init__.py", "relay/d.py", "py.typed"):
        path = tmp_path / "aibridge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("test_a.py", "web/test_c.py", "web/test_web_d.py", "web/test_relay_d.py"):
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert unpaired(tmp_path) == [
        "aibridge/b.py has no tests: tests/test_b.py is missing",
        "aibridge/relay/d.py has no tests: tests/relay/test_d.py or tests/relay/test_relay_d.py is missing",
    ]


def test_clashing_names_are_found(tmp_path: Path) -> None:
    """
    Wherever in the tree they are.
    """
    for name in ("web/test_settings.py", "relay/test_settings.py", "relay/test_pump.py"):
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert clashes(tmp_path) == ["test_settings.py"]
