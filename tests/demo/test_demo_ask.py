"""
What a request comes down to.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.ask import (
    MOST_DEPTH,
    Said,
    Tool,
    Turn,
    characters,
    entries,
    input_tokens,
    model_of,
    most_tokens,
    objects,
    parse,
    text_of,
    tokens,
    tool_to_call,
    tools_of,
    turn_of,
)
from aibridge.demo.vendors import Json, Refused

USER = Said("user", "hi")
MODEL = Said("assistant", "ho")
RESULT = Said("tool", "42", True)
SYSTEM = Said("system", "be nice")

TOOLS = [Tool("first"), Tool("second")]
WAITING = Turn("hi", None, True)
ANSWERED = Turn("hi", "42", False)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": %s}' % (b"1" * 5000),
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1) + b"}",
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """
    A body that is not a JSON object, or could not be written again, is refused with 400.
    """
    with pytest.raises(Refused) as caught:
        parse(body)
    assert caught.value.status == 400


def test_an_object_is_read() -> None:
    """
    A JSON object of usual depth is read as it is.
    """
    assert parse(b'{"a": [1.5, {"b": null}]}') == {"a": [1.5, {"b": None}]}


@given(st.binary())
def test_no_body_fails(body: bytes) -> None:
    """
    Any bytes are either read or refused.
    """
    try:
        assert isinstance(parse(body), dict)
    except Refused as refused:
        assert refused.status == 400


@pytest.mark.parametrize("request_", [{}, {"model": ""}, {"model": None}, {"model": 3}])
def test_a_model_is_needed(request_: Json) -> None:
    """
    A request without a model's name is refused.
    """
    with pytest.raises(Refused) as caught:
        model_of(request_)
    assert caught.value.param == "model"


@pytest.mark.parametrize("found", [None, [], {}, "hi", [1], [{}, None]])
def test_a_conversation_is_needed(found: object) -> None:
    """
    A conversation that is not a list of objects, or is empty, is refused.
    """
    with pytest.raises(Refused) as caught:
        entries({"messages": found}, "messages")
    assert (caught.value.status, caught.value.param) == (400, "messages")


def test_the_first_limit_counts() -> None:
    """
    Of several names for one limit, the first that is there counts.
    """
    assert most_tokens({"b": 3, "a": None}, "a", "b") == 3
    assert most_tokens({}, "a") is None


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3", True])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    """
    A limit that is none is refused.
    """
    with pytest.raises(Refused):
        most_tokens({"a": limit}, "a")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi", "hi"),
        ([{"type": "text", "text": "a"}, {"type": "image"}, "b", 3, {"text": 4}], "a\nb"),
        (None, ""),
        ({"text": "a"}, ""),
    ],
)
def test_the_text_of_a_content(content: object, text: str) -> None:
    """
    A text, or the texts of its parts; everything else is passed over.
    """
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("newest_first", "turn"),
    [
        ([USER], Turn("hi", None, True)),
        ([SYSTEM, USER], Turn("hi", None, True)),
        ([MODEL, USER], Turn("hi", None, False)),
        ([RESULT, MODEL, USER], Turn("hi", "42", False)),
        ([Said("user", ""), USER], Turn("hi", None, True)),
        ([Said("user", "42", True), MODEL, USER], Turn("hi", "42", False)),
        ([Said("user", "")], Turn("", None, True)),
        ([SYSTEM], Turn()),
        ([], Turn()),
    ],
)
def test_where_a_conversation_stands(newest_first: list[Said], turn: Turn) -> None:
    """
    Who spoke last decides whose turn it is; the system does not count.
    """
    assert turn_of(newest_first) == turn


@pytest.mark.parametrize(
    ("tools", "choice", "named", "turn", "called"),
    [
        (TOOLS, "auto", None, WAITING, "first"),
        (TOOLS, "auto", None, ANSWERED, None),
        (TOOLS, "none", None, WAITING, None),
        (TOOLS, "required", None, ANSWERED, "first"),
        (TOOLS, "any", None, ANSWERED, "first"),
        (TOOLS, "required", "second", WAITING, "second"),
        (TOOLS, "required", "third", WAITING, None),
        ([], "required", None, WAITING, None),
    ],
)
def test_which_tool_is_called(tools: list[Tool], choice: str, named: object, turn: Turn, called: str | None) -> None:
    """
    The first tool answers the user, unless the request says otherwise.
    """
    tool = tool_to_call(tools, choice, named, turn)
    assert (tool and tool.name) == called


def test_only_objects_are_tools() -> None:
    """
    What is no object, or not known, is no tool.
    """
    request = {"tools": [{"name": "a"}, 3, {"name": "b"}]}
    assert tools_of(request, lambda entry: Tool("b") if entry["name"] == "b" else None) == [Tool("b")]
    assert objects("no list") == []


def test_characters_are_those_of_values() -> None:
    """
    Texts count at any depth, names of fields do not.
    """
    assert characters({"four": ["four", {"a": "four"}, 4, None]}) == 8


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_a_token_for_each_four_characters(count: int, expected: int) -> None:
    """
    A begun token counts as a whole one.
    """
    assert tokens(count) == expected


def test_only_what_is_named_counts() -> None:
    """
    The tokens of an input are those of the named fields together.
    """
    assert input_tokens({"a": "xxxxx", "b": ["x"], "c": "xxxxxxxx"}, "a", "b", "missing") == 2
