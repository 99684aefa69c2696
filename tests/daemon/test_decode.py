"""
Tests for `aibridge.daemon.decode`.
"""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.daemon.decode import UNKNOWN, decode
from aibridge.daemon.problems import KeyPath
from aibridge.daemon.settings import REPEATED, SECTIONS, Settings, leaves
from aibridge.daemon.values import TEXTS
from aibridge.providers.settings import ProviderSettings

PROVIDER = {"name": "corp", "type": "openai"}

REQUIRED: dict[str, dict[str, Any]] = {
    table: {leaf.name: leaf.declared.example for leaf in leaves(cls) if leaf.default is attrs.NOTHING}
    for table, cls in REPEATED.items()
}
"""What each table that may occur often cannot do without."""

TYPES: dict[KeyPath, Any] = {
    **{(section, leaf.name): leaf.type for section, cls in SECTIONS.items() for leaf in leaves(cls)},
    **{(table, 0, leaf.name): leaf.type for table, cls in REPEATED.items() for leaf in leaves(cls)},
}
OPTIONS = list(TYPES)

ALIKE: dict[Any, list[Any]] = {
    bool: [1, 0, "true"],
    int: [True, 64.0, "64"],
    float: [True, "5"],
    str: [5, 5.0, True],
    TEXTS: ["tcp:1", 5, [5], ["tcp:1", True]],
}
"""What reads like a value of a type, and is of another."""

NOBODYS: list[Any] = [
    {},
    {"a": 1},
    [{}],
    [[]],
    [None],
    float("nan"),
    float("inf"),
    -1,
    10**30,
    datetime.date(2026, 1, 1),
    datetime.time(1),
]
"""What no option takes."""

VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def document(path: KeyPath, value: object) -> dict[str, Any]:
    """
    A document with one option set.
    """
    table = str(path[0])
    if table in REPEATED:
        return {table: [{**REQUIRED[table], str(path[2]): value}]}
    return {str(path[0]): {str(path[1]): value}}


def at(settings: Settings, path: KeyPath) -> object:
    """
    The option's value in the settings.
    """
    place: Any = settings
    for part in path:
        place = place[part] if isinstance(part, int) else getattr(place, {"class": "class_"}.get(part, part))
    return place


class TestOneOption:
    """
    A document with one thing in it.
    """

    @pytest.mark.parametrize("path", OPTIONS, ids=str)
    def test_mutations(self, path: KeyPath) -> None:
        """
        A value that no option takes is one fault, which names the key; the option has its default.
        """
        for value in NOBODYS:
            settings, faults = decode(document(path, value))
            assert [fault.path for fault in faults] == [path], value
            assert faults[0].found
            assert faults[0].allowed
            if path[0] not in REPEATED:
                assert settings == Settings()

    @pytest.mark.parametrize("path", OPTIONS, ids=str)
    def test_wrong_types(self, path: KeyPath) -> None:
        """
        A value of another type that reads alike is refused: no text for a number, no bool for a whole number, no
        number for a text.
        """
        for value in ALIKE[TYPES[path]]:
            _, faults = decode(document(path, value))
            assert [fault.path for fault in faults] == [path], value

    @running(deadline=None)
    @given(st.sampled_from(OPTIONS), VALUES)
    def test_whatever_comes(self, path: KeyPath, value: object) -> None:
        """
        Any value is taken as it is, or is one fault that names the key.
        """
        settings, faults = decode(document(path, value))
        if faults:
            assert [fault.path for fault in faults] == [path]
        else:
            assert at(settings, path) == (tuple(value) if isinstance(value, list) else value)

    @running(deadline=None)
    @given(st.dictionaries(st.sampled_from([*SECTIONS, *REPEATED, "x"]), VALUES))
    def test_whatever_document(self, whole: dict[str, Any]) -> None:
        """
        Any document gives settings and faults, and nothing is raised.
        """
        settings, faults = decode(whole)
        assert isinstance(settings, Settings)
        assert all(fault.path and fault.found for fault in faults)

    @pytest.mark.parametrize("section", SECTIONS)
    def test_section_that_is_no_table(self, section: str) -> None:
        """
        A section that is a value is one fault.
        """
        values: list[Any] = [5, "x", [], [{}]]
        for value in values:
            settings, faults = decode({section: value})
            assert [fault.path for fault in faults] == [(section,)]
            assert settings == Settings()

    @pytest.mark.parametrize("table", REPEATED)
    def test_table_that_is_no_list(self, table: str) -> None:
        """
        ``[provider]`` in place of ``[[provider]]`` says how it is written.
        """
        for value in (5, "x", {}, REQUIRED[table]):
            settings, (fault,) = decode({table: value})
            assert fault.path == (table,)
            assert f"[[{table}]]" in fault.allowed
            assert settings == Settings()

    @pytest.mark.parametrize("table", REPEATED)
    def test_table_without_what_it_needs(self, table: str) -> None:
        """
        What is missing is a fault for each, and has nothing of its type.
        """
        settings, faults = decode({table: [{}]})
        assert [fault.path for fault in faults] == [(table, 0, name) for name in REQUIRED[table]]
        assert all(fault.found == "nothing" and fault.allowed.endswith("it is required") for fault in faults)
        (made,) = getattr(settings, table)
        assert all(getattr(made, name) in ("", 0.0) for name in REQUIRED[table])
        _, faults = decode({table: [dict(REQUIRED[table])]})
        assert faults == []


class TestUnknownKeys:
    """
    Keys that are none.
    """

    @pytest.mark.parametrize("path", OPTIONS, ids=str)
    def test_misspelt(self, path: KeyPath) -> None:
        """
        A misspelt key is one fault that names the key which was meant.
        """
        name = str(path[-1])
        for wrong in (name + "x", name.upper(), name.replace("_", "-") + "-"):
            _, (fault,) = decode(document((*path[:-1], wrong), 1))
            assert fault.path == (*path[:-1], wrong)
            assert fault.found == UNKNOWN
            assert fault.hint.startswith("did you mean ")
            assert name in fault.hint

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("max_concurrency = 5", "did you mean admission.max_concurrency?"),
            ("max_concurency = 5", "did you mean admission.max_concurrency?"),
            ("[auth]\nrate_limit = 5", "did you mean admission.rate_limit?"),
            ("[admision]\nrate_limit = 5", "did you mean admission?"),
            ("[[providers]]\nname = 'a'", "did you mean provider?"),
            ("[[limits]]\nscope = 'global'", "did you mean limit?"),
            (
                "[[limit]]\nscope = 'global'\nunit = 'requests/s'\nlimit = 1\nclass_ = 'x'",
                "did you mean limit[0].class?",
            ),
            ("failure_treshold = 5", "did you mean breaker.failure_threshold?"),
            ("[[provider]]\nname = 'a'\ntype = 'demo'\nbase-url = 'x'", "did you mean provider[0].base_url?"),
        ],
    )
    def test_misplaced(self, text: str, hint: str) -> None:
        """
        A key that stands in the wrong table is found in the right one.
        """
        _, (fault,) = decode(tomllib.loads(text))
        assert fault.hint == hint

    def test_nothing_alike(self) -> None:
        """
        Where nothing is alike, all that is known is named.
        """
        _, (fault,) = decode({"log": {"zzz": 1}})
        assert fault.allowed == "one of completions, format, level"


class TestAllAtOnce:
    """
    Documents with much in them.
    """

    def test_everything_is_told(self) -> None:
        """
        All faults of a document are told, in all its tables; what is good in it is kept.
        """
        settings, faults = decode(
            tomllib.loads("""
            stray = 1
            [listen]
            endpoints = "tcp:1"
            admin = ["tcp:2"]
            [admission]
            max_concurrency = -1
            rate_limit = 3
            rate = 1
            [[provider]]
            name = "Corp"
            type = "openai"
            key = "env:KEY"
            [[provider]]
            typo = 1
            """)
        )
        assert {fault.path for fault in faults} == {
            ("stray",),
            ("listen", "endpoints"),
            ("admission", "max_concurrency"),
            ("admission", "rate"),
            ("provider", 0, "name"),
            ("provider", 1, "name"),
            ("provider", 1, "type"),
            ("provider", 1, "typo"),
        }
        assert settings.listen.admin == ("tcp:2",)
        assert settings.admission.rate_limit == 3.0
        assert [provider.key for provider in settings.provider] == ["env:KEY", ""]

    def test_items_that_are_no_tables(self) -> None:
        """
        An item of the list that is no table is a fault with its number.
        """
        settings, (fault,) = decode({"provider": [5, dict(PROVIDER)]})
        assert fault.path == ("provider", 0)
        assert [provider.name for provider in settings.provider] == ["", "corp"]

    def test_good_document(self) -> None:
        """
        A good document is settings without a fault.
        """
        settings, faults = decode({"provider": [dict(PROVIDER)], "admission": {"rate_limit": 2}})
        assert faults == []
        assert settings.provider == (ProviderSettings(name="corp", type="openai"),)
        assert settings == attrs.evolve(
            Settings(), provider=settings.provider, admission=attrs.evolve(Settings().admission, rate_limit=2.0)
        )
