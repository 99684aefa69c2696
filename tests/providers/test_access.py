"""
The tables of what may be asked of each type of provider, and the lines they are made of.
"""

from __future__ import annotations

import pytest

from aibridge.model import Dialect, Stored
from aibridge.providers.access import (
    EVERY,
    Form,
    Rule,
    Treatment,
    allowed,
    below,
    bridged,
    counted,
    free,
    matches,
    refused,
)
from aibridge.providers.provider import TYPES
from aibridge.providers.types import ProviderType

EACH = pytest.mark.parametrize("type_", TYPES.values(), ids=list(TYPES))


@EACH
def test_every_method_and_path_is_there_once(type_: ProviderType) -> None:
    """
    What is there twice would mean what comes first.
    """
    seen = [(method, rule.path) for rule in type_.rules for method in rule.methods]
    assert len(seen) == len(set(seen))


@EACH
def test_rules_are_whole(type_: ProviderType) -> None:
    """
    A path begins with a slash and has no empty part, what is in braces is a kind of object, a star is at the end, and
    whoever is refused is told why.
    """
    kinds = {kind.value for kind in Stored} | {"any"}
    for rule in type_.rules:
        assert rule.path.startswith("/"), rule
        assert all(rule.segments), rule
        assert all(part[1:-1] in kinds for part in rule.segments if part.startswith("{")), rule
        assert "*" not in rule.path[:-1], rule
        assert set(rule.methods) <= set(EVERY.split()), rule
        assert bool(rule.why) is (rule.treatment is Treatment.REFUSED), rule
        assert rule.treatment is not Treatment.BRIDGED or (rule.dialect and rule.form is Form.HELD), rule


@EACH
def test_deletion_is_of_what_somebody_made(type_: ProviderType) -> None:
    """
    What is deleted is named by an id that has to be the client's own, or is refused.
    """
    for rule in type_.rules:
        if "DELETE" in rule.methods:
            assert rule.treatment is Treatment.REFUSED or rule.uses, rule


@EACH
def test_whatever_is_named_is_made_somewhere(type_: ProviderType) -> None:
    """
    An object of a kind that nobody learns to be somebody's could be named by nobody.
    """
    made = {rule.makes for rule in type_.rules}
    for rule in type_.rules:
        assert {kind for _, kind in rule.uses} <= made, rule


@EACH
def test_lists_take_no_id(type_: ProviderType) -> None:
    """
    A list below an object is its maker's; one at the top is everybody's.
    """
    for rule in type_.rules:
        if rule.lists:
            assert (rule.methods, rule.uses) == (("GET",), ()), rule
    tops = {rule.path for rule in type_.rules if rule.makes and "POST" in rule.methods and not rule.uses}
    for rule in type_.rules:
        if rule.path in tops and rule.methods == ("GET",):
            assert rule.lists, rule


def test_what_a_path_says() -> None:
    """
    Where ids are and of what kind, and a label without them.
    """
    rule = free("DELETE", "/vector_stores/{vector_store}/files/{file}")
    assert rule.uses == ((1, Stored.VECTOR_STORE), (3, Stored.FILE))
    assert (rule.label, rule.deletes) == ("/vector_stores/*/files/*", False)
    rule = free("DELETE", "/containers/{container}")
    assert (rule.label, rule.deletes) == ("/containers/*", True)
    rule = free("GET", "/containers/{container}/files/{any}")
    assert (rule.uses, rule.label) == (((1, Stored.CONTAINER),), "/containers/*/files/*")
    assert refused(EVERY, "/organization/*", "administration").label == "/organization/*"


def test_shapes() -> None:
    """
    Each way of saying it says the rest of the line.
    """
    chat = bridged("/chat/completions", Dialect.CHAT)
    assert (chat.methods, chat.treatment, chat.form) == (("POST",), Treatment.BRIDGED, Form.HELD)
    embeddings = counted("/embeddings")
    assert (embeddings.treatment, embeddings.form, embeddings.reads) == (Treatment.COUNTED, Form.HELD, None)
    models = free("GET", "/models")
    assert (models.methods, models.treatment, models.form) == (("GET",), Treatment.FREE, Form.STREAM)


@pytest.mark.parametrize(
    ("text", "prefix", "method", "path"),
    [
        ("DELETE /models/*", "/v1", "DELETE", "/models/*"),
        ("DELETE /v1/models/*", "/v1", "DELETE", "/models/*"),
        ("DELETE /v1/models/*", "", "DELETE", "/v1/models/*"),
        ("POST /jobs/*/cancel", "/v1", "POST", "/jobs/{any}/cancel"),
        ("GET /v1x/y", "/v1", "GET", "/v1x/y"),
        ("GET /files", "/v1", "GET", "/files"),
    ],
)
def test_allowed(text: str, prefix: str, method: str, path: str) -> None:
    """
    A path may have the prefix of its type, or not.
    """
    rule = allowed(text, prefix)
    assert (rule.methods, rule.path, rule.treatment) == ((method,), path, Treatment.FREE)


def test_below() -> None:
    """
    The same, elsewhere.
    """
    (rule,) = below([Rule(methods=("GET",), path="/models", treatment=Treatment.FREE)], "/v1")
    assert rule.path == "/v1/models"


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        (b"files/file-1", True),
        (b"files/ft:a@b", True),
        (b"files/ft%3Aa%40b", True),
        (b"files/", False),
        (b"files", False),
        (b"files/a/b", False),
        (b"files/a%2Fb", False),
        (b"files/a%5Cb", False),
        (b"files/a;b", False),
        (b"files/a%00", False),
        (b"files/%61", False),
        (b"Files/a", False),
    ],
)
def test_matches(path: bytes, is_one: bool) -> None:
    """
    An id has nothing in it that anybody could take for the end of it.
    """
    assert matches((b"files", b""), path.split(b"/")) is is_one
