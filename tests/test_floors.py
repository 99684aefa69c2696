"""
The floors of the house: which module may import which, read from the sources.

The table here is the statement of the floors; the docstring of `aibridge` tells it in prose.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent

FLOORS: dict[int, tuple[str, ...]] = {
    1: (
        "aibridge",
        "aibridge.model",
        "aibridge.errors",
        "aibridge.interfaces",
        "aibridge.secret",
        "aibridge.options",
        "aibridge.deadlines",
        "aibridge.tally",
        "aibridge.log",
    ),
    2: (
        "aibridge.wire.*",
        "aibridge.dialects.*",
        "aibridge.metrics",
        "aibridge.exposition",
        "aibridge.relay.headers",
        "aibridge.relay.noproxy",
        "aibridge.relay.proxyurl",
    ),
    3: (
        "aibridge.admission.*",
        "aibridge.auth.*",
        "aibridge.providers.*",
        "aibridge.mitm.addresses",
        "aibridge.mitm.credentials",
        "aibridge.mitm.headers",
        "aibridge.mitm.hosts",
        "aibridge.mitm.lines",
        "aibridge.mitm.settings",
        "aibridge.mitm.targets",
    ),
    4: (
        "aibridge.web.*",
        "aibridge.relay.*",
        "aibridge.identity.*",
        "aibridge.demo.*",
        "aibridge.mitm.*",
        "aibridge.records.*",
    ),
    5: ("aibridge.daemon.*",),
    6: ("aibridge.cli.*", "twisted.plugins.*"),
}
"""Floor → modules; ``.*`` stands for a package and all that is in it. A module that is named beats its package."""

PURE = (1, 2, 3)
"""The floors on which everything that happens is an argument."""

IMPURE = (
    "asyncio",
    "importlib",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "twisted.internet.reactor",
    "uuid",
)

REACTOR = "twisted.internet.reactor"
MAY_IMPORT_THE_REACTOR = ("aibridge.daemon.process",)


@attrs.frozen
class Import:
    """
    One import: of a module, or of a name in one.

    :ivar names: what it may mean: ``from a import b`` imports the module ``a.b``, or a name of the module ``a``.
    :ivar only_types: it stands under ``if TYPE_CHECKING:``, and so is never executed.
    """

    line: int
    names: tuple[str, ...]
    only_types: bool


def sources(root: Path = ROOT) -> dict[str, Path]:
    """
    Every module of the package and every plugin, by name.
    """
    found = {}
    for path in sorted([*(root / "aibridge").rglob("*.py"), *(root / "twisted" / "plugins").rglob("*.py")]):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            del parts[-1]
        found[".".join(parts)] = path
    return found


def imports(text: str) -> Iterator[Import]:
    """
    All imports of a module, wherever in it they stand.
    """
    tree = ast.parse(text)
    only_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, (alias.name,), id(node) in only_types)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(node.lineno, (f"{module}.{alias.name}", module), id(node) in only_types)


def floor_of(module: str) -> int | None:
    """
    The floor on which a module stands, or None if the table does not say.
    """
    by_package = None
    for floor, patterns in FLOORS.items():
        for pattern in patterns:
            if module == pattern:
                return floor
            package = pattern.removesuffix(".*")
            if package != pattern and (module == package or module.startswith(f"{package}.")):
                by_package = floor
    return by_package


def edges(modules: Iterable[str], text: str) -> Iterator[tuple[str, Import]]:
    """
    The imports of a text that are of one of `modules`, and which one each is.
    """
    for import_ in imports(text):
        for name in import_.names:
            if name in modules:
                yield name, import_
                break


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """
    Groups of nodes of which each can be reached from each other.
    """
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for after in graph.get(todo.pop(), set()) - seen:
                seen.add(after)
                todo.append(after)
        reach[start] = seen
    groups = {tuple(sorted({start, *(b for b in reach[start] if start in reach[b])})) for start in graph}
    return sorted(list(group) for group in groups if len(group) > 1 or group[0] in graph[group[0]])


def _is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _told(faults: list[str]) -> str:
    return "\n".join(["", *faults])


def test_every_module_stands_on_a_floor() -> None:
    """
    No module is left out of the table.
    """
    lost = [module for module in sources() if floor_of(module) is None]
    assert not lost, _told([f"{module} is on no floor: add it to the table" for module in lost])


def test_imports_go_down() -> None:
    """
    A module imports from lower floors and its own, and for its types as well.
    """
    modules = sources()
    faults = []
    for module, path in modules.items():
        own = floor_of(module)
        for name, import_ in edges(modules, path.read_text()):
            other = floor_of(name)
            if own is not None and other is not None and other > own:
                faults.append(f"{path.relative_to(ROOT)}:{import_.line}: floor {own} imports {name}, floor {other}")
    assert not faults, _told(faults)


def test_imports_make_no_circle() -> None:
    """
    Modules that need each other do so for their types alone.
    """
    modules = sources()
    graph = {
        module: {name for name, import_ in edges(modules, path.read_text()) if not import_.only_types}
        for module, path in modules.items()
    }
    found = circles(graph)
    assert not found, _told([f"these import each other: {', '.join(circle)}" for circle in found])


def test_lower_floors_are_pure() -> None:
    """
    What decides has no reactor, sockets, files, clock or chance of its own, and does not import what has.
    """
    faults: list[str] = []
    for module, path in sources().items():
        if floor_of(module) not in PURE:
            continue
        faults.extend(
            f"{path.relative_to(ROOT)}:{import_.line}: floor {floor_of(module)} imports {impure}"
            for import_ in imports(path.read_text())
            for impure in IMPURE
            if any(_is_within(name, impure) for name in import_.names)
        )
    assert not faults, _told(faults)


def test_the_reactor_is_imported_in_one_place() -> None:
    """
    Everywhere else it is a parameter.
    """
    faults = [
        f"{path.relative_to(ROOT)}:{import_.line}: imports the global reactor"
        for module, path in sources().items()
        if module not in MAY_IMPORT_THE_REACTOR
        for import_ in imports(path.read_text())
        if any(_is_within(name, REACTOR) for name in import_.names)
    ]
    assert not faults, _told(faults)


def test_imports_are_absolute() -> None:
    """
    A relative import would hide from these checks where it leads.
    """
    faults = [
        f"{path.relative_to(ROOT)}:{import_.line}: relative import"
        for path in sources().values()
        for import_ in imports(path.read_text())
        if import_.names[0].startswith(".")
    ]
    assert not faults, _told(faults)


def test_docstring_names_every_package() -> None:
    """
    The prose of the floors, in the docstring of `aibridge`, leaves no package and no module of the first floor out.
    """
    prose = ast.get_docstring(ast.parse((ROOT / "aibridge" / "__init__.py").read_text())) or ""
    names = {module.split(".")[1] for module in sources() if module.startswith("aibridge.")}
    assert not [name for name in sorted(names) if f"`{name}`" not in prose]


# The checks themselves are checked on small texts: a check that sees nothing holds nothing.


def test_imports_are_found_wherever_they_stand() -> None:
    """
    At the top, within a function, with a new name, and under ``if TYPE_CHECKING:``, which is told.
    """
    text = "\n".join(
        [
            "import os.path as p, time",
            "from typing import TYPE_CHECKING",
            "from aibridge import errors as e, model",
            "def f():",
            "    from twisted.internet import reactor",
            "if TYPE_CHECKING:",
            "    from aibridge.web.terms import Bridge",
            "else:",
            "    import random",
        ]
    )
    found = sorted(imports(text), key=lambda import_: import_.line)
    assert [(import_.line, import_.names[0]) for import_ in found if not import_.only_types] == [
        (1, "os.path"),
        (1, "time"),
        (2, "typing.TYPE_CHECKING"),
        (3, "aibridge.errors"),
        (3, "aibridge.model"),
        (5, "twisted.internet.reactor"),
        (9, "random"),
    ]
    assert [import_.names for import_ in found if import_.only_types] == [
        ("aibridge.web.terms.Bridge", "aibridge.web.terms")
    ]


def test_imports_are_resolved_to_modules() -> None:
    """
    A name is imported from its module; a module may be imported from its package.
    """
    modules = ("aibridge", "aibridge.errors", "aibridge.web", "aibridge.web.terms")
    text = "from aibridge import errors, __version__\nfrom aibridge.web.terms import Bridge\nimport attrs\n"
    assert [name for name, _ in edges(modules, text)] == ["aibridge.errors", "aibridge", "aibridge.web.terms"]


def test_floors_of_single_modules() -> None:
    """
    A module that is named beats its package; what nobody named has no floor.
    """
    assert floor_of("aibridge.relay.headers") == 2
    assert floor_of("aibridge.relay") == 4
    assert floor_of("aibridge.relay.pump") == 4
    assert floor_of("aibridge.relay.headersmith") == 4
    assert floor_of("aibridge.utils") is None
    assert floor_of("aibridge.webs") is None


def test_circles_are_found() -> None:
    """
    Of two, of three, of one with itself; chains are none.
    """
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e"}, "e": {"c"}, "f": {"f"}, "g": {"a"}}
    assert circles(graph) == [["a", "b"], ["c", "d", "e"], ["f"]]
