"""
What is said.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.demo.ask import Ask, Tool
from aibridge.demo.faults import Script, script_of
from aibridge.demo.text import Call, Reply, masked, reply

TOOL = Tool("weather", {"properties": {"city": {}}})
HEADERS = [
    (b"Host", b"localhost"),
    (b"Authorization", b"Bearer sk-abcdefghijkwxyz"),
    (b"x-api-key", b"sk-ant-0123456789"),
    (b"X-Coder-Token", b"not-to-be-shown"),
]


def said(model: str = "demo", **facts: object) -> Reply:
    """
    What `model` says to a request with these facts.
    """
    script = script_of(model)
    assert script is not None
    return reply(Ask(model=model, **facts), script, "a dialect", HEADERS)  # type: ignore[arg-type]  # by name


def test_an_answer_quotes_the_question() -> None:
    """
    The ordinary answer names the dialect and repeats what the user said.
    """
    answer = said(prompt="What is a bridge?")
    assert "by way of a dialect" in answer.text
    assert "“What is a bridge?”" in answer.text


def test_a_long_question_is_clipped() -> None:
    """
    A question is repeated up to a length.
    """
    answer = said(prompt="x" * 5000)
    assert len(answer.text) < 500
    assert "x…”" in answer.text


def test_a_tool_result_is_quoted() -> None:
    """
    After a tool has answered, the answer says what it said.
    """
    assert "“22 degrees”" in said(prompt="hi", tool_result="22 degrees").text


def test_silence_is_answered() -> None:
    """
    A request without words is answered too.
    """
    assert "nothing" in said().text


def test_a_tool_is_called() -> None:
    """
    Where a tool is to be called, nothing else is said.
    """
    assert said(tool=TOOL) == Reply(call=Call("weather", {"city": "Paris"}))


def test_demo_tool_calls_what_is_offered() -> None:
    """
    The model that always calls a tool does so out of turn as well, and answers where there is none.
    """
    assert said("demo-tool", offered=TOOL).call is not None
    assert said("demo", offered=TOOL).call is None
    assert said("demo-tool").call is None


def test_json_is_said_where_it_is_asked_for() -> None:
    """
    A schema for the text is followed.
    """
    assert json.loads(said(schema={"properties": {"city": {}}}).text) == {"city": "Paris"}


def test_a_thought_comes_before_the_answer() -> None:
    """
    Thinking is done where it is asked for, and its tokens count.
    """
    thinking, silent = said(thinks=True), said()
    assert thinking.thought
    assert thinking.output_tokens == silent.output_tokens + thinking.thought_tokens


def test_a_limit_cuts() -> None:
    """
    A text ends at the limit, and says so.
    """
    answer = said(most_tokens=3)
    assert (answer.text, answer.is_cut, answer.output_tokens) == ("Hello from t", True, 3)


def test_a_limit_that_is_not_reached_does_not_cut() -> None:
    """
    A text shorter than its limit is whole.
    """
    assert not said(most_tokens=10_000).is_cut


@pytest.mark.parametrize("model", ["demo-long-100", "demo-big-1000", "demo-echo-headers"])
def test_a_script_is_not_cut(model: str) -> None:
    """
    What a script says is said to its end, whatever the limit.
    """
    limited = said(model, most_tokens=1)
    assert limited == said(model)
    assert not limited.is_cut


def test_demo_long_counts() -> None:
    """
    The long answer has a piece for each number.
    """
    assert list(said("demo-long-12").pieces()) == [f"{number} " for number in range(1, 13)]


def test_demo_big_is_as_big_as_asked_for() -> None:
    """
    The big answer has the number of characters in the model's name, in large pieces.
    """
    answer = said("demo-big-10000")
    assert [len(piece) for piece in answer.pieces()] == [4096, 4096, 1808]


def test_headers_are_named_and_credentials_masked() -> None:
    """
    The header fields are listed by name; of their values, only the ends of credentials are shown.
    """
    text = said("demo-echo-headers", tool=TOOL).text
    assert text.splitlines()[1:] == [
        "Host",
        "Authorization: Bearer sk-a...wxyz",
        "x-api-key: sk-a...6789",
        "X-Coder-Token",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"Bearer short", "Bearer ***"),
        (b"short", "***"),
        (b"Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
        (b"secret words that are no scheme", "***"),
        (b"unknownscheme 0123456789abcdef", "***"),
        (b"", "***"),
        (b"0123456789abcdef", "0123...cdef"),
    ],
)
def test_masks(value: bytes, shown: str) -> None:
    """
    Only a long key shows its ends, and only known schemes are named.
    """
    assert masked(value) == shown


@given(st.text(), st.sampled_from([0, 1, 7]))
def test_the_pieces_are_the_text(text: str, piece: int) -> None:
    """
    Whatever is said, its pieces put together are it, and none is empty.
    """
    pieces = list(Reply(text=text, piece=piece).pieces())
    assert "".join(pieces) == text
    assert "" not in pieces


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=5))
def test_the_pieces_of_a_call_are_its_arguments(arguments: dict[str, object]) -> None:
    """
    The pieces of a call, put together, are its arguments as JSON.
    """
    call = Call("name", arguments)
    assert json.loads("".join(call.pieces())) == arguments


def test_the_same_request_is_told_the_same() -> None:
    """
    Nothing that is said depends on anything but the request.
    """
    script = Script(name="demo", sentence=".")
    ask = Ask(model="demo", prompt="hi")
    assert reply(ask, script, "x", HEADERS) == reply(ask, script, "x", HEADERS)
