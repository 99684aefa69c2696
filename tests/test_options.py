"""
How an option is declared, and the forms that several share.
"""

from __future__ import annotations

import re

import attrs
import pytest

from aibridge.options import ABSOLUTE_PATH, OPTIONAL_PATH, OPTIONAL_URL, Declaration, declaration, option


@attrs.frozen(kw_only=True)
class _Example:
    needed: str = option(why="It has no default.")
    limit: int = option(7, why="It has one.", least=1, most=9, unit="s", env=("LIMIT",), flag="limit", restart=True)
    names: list[str] = option(factory=list, why="It has one of its own each time.")  # noqa: RUF009  # as settings do
    bare: int = 0


def _declared(name: str) -> Declaration:
    return declaration(getattr(attrs.fields(_Example), name))


def test_an_option_without_default_is_required() -> None:
    """
    The class cannot be made without it.
    """
    with pytest.raises(TypeError, match="needed"):
        _Example()


def test_defaults() -> None:
    """
    A default is shared, what a factory makes is not.
    """
    one, other = _Example(needed="x"), _Example(needed="x")
    assert (one.limit, one.names) == (7, [])
    assert one.names is not other.names


def test_declaration_is_kept() -> None:
    """
    What was declared can be read from the field.
    """
    assert _declared("limit") == Declaration(
        why="It has one.", least=1, most=9, unit="s", env=("LIMIT",), flag="limit", restart=True
    )
    assert _declared("names") == Declaration(why="It has one of its own each time.")


def test_declared_by_default() -> None:
    """
    An option that says nothing else has no limits, no other sources, and can be changed without a restart.
    """
    declared = _declared("needed")
    assert (declared.least, declared.most, declared.choices, declared.matches) == (None, None, (), "")
    assert (declared.env, declared.flag, declared.restart, declared.secret) == ((), "", False, False)


def test_a_misspelt_declaration_is_an_error() -> None:
    """
    It is told where it is written, not ignored.
    """
    with pytest.raises(TypeError):
        option(0, why="A limit.", minimum=1)
    with pytest.raises(TypeError):
        option(0)


def test_a_field_that_is_no_option() -> None:
    """
    It has no declaration, and whoever asks for it is told.
    """
    with pytest.raises(KeyError):
        _declared("bare")


def _accepts(form: dict[str, str], text: str) -> bool:
    return re.fullmatch(form["matches"], text) is not None


@pytest.mark.parametrize("path", ["/", "/etc/aibridge/aibridge.toml", "/a b/ü", "/../x"])
def test_paths(path: str) -> None:
    """
    Absolute ones.
    """
    assert _accepts(ABSOLUTE_PATH, path)
    assert _accepts(OPTIONAL_PATH, path)


@pytest.mark.parametrize("path", ["a", "./a", "~/a", "/a\nb", "/a\0", " /a", "/a\x7f", "\n", " "])
def test_no_paths(path: str) -> None:
    """
    Relative ones are refused, and those with control characters.
    """
    assert not _accepts(ABSOLUTE_PATH, path)
    assert not _accepts(OPTIONAL_PATH, path)


def test_empty_path() -> None:
    """
    Only where it may be.
    """
    assert not _accepts(ABSOLUTE_PATH, "")
    assert _accepts(OPTIONAL_PATH, "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1:8080",
        "https://api.openai.com/v1/",
        "https://h",
        "https://h/",
        "https://h/some/path",
        "http://[::1]:8080/x",
        "https://h/a@b",
    ],
)
def test_urls(url: str) -> None:
    """
    With or without a port and a path, or none at all.
    """
    assert _accepts(OPTIONAL_URL, url)


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "//h",
        "/v1",
        "ftp://h",
        "HTTPS//h",
        "http:/h",
        "http://",
        "http:///v1",
        "https://user@h",
        "https://user:password@h/",
        "https://h?x=1",
        "https://h/?x=1",
        "https://h/#f",
        "https://h/a b",
        "https://h/ä",
        "https://h\n",
        "https://h/\r\nX: y",
        " https://h",
        "https://h ",
        "\n",
    ],
)
def test_no_urls(url: str) -> None:
    """
    Other schemes, credentials, queries, fragments, and what cannot stand in a request line.
    """
    assert not _accepts(OPTIONAL_URL, url)


@pytest.mark.parametrize("form", [ABSOLUTE_PATH, OPTIONAL_PATH, OPTIONAL_URL])
def test_forms_are_told_in_words(form: dict[str, str]) -> None:
    """
    A pattern is nothing to show to people.
    """
    assert form["form"]
    assert Declaration(why="x", **form).form == form["form"]  # type: ignore[arg-type]  # they are parts of declarations
