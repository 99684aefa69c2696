"""
OpenAI responses, as the official SDK understands them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import (
    CompactedResponse,
    Response,
    ResponseErrorEvent,
    ResponseStreamEvent,
)
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from pydantic import TypeAdapter

from aibridge.demo.ask import Ask
from aibridge.demo.responses import COMPACT, COUNT_INPUT, answer, error_event, events, read
from aibridge.demo.text import Call, Reply
from aibridge.demo.vendors import Json, Refused, Stamp

STAMP = Stamp(1, 1793491200)
TOOLS = [{"type": "web_search"}, {"type": "function", "name": "one", "parameters": {"type": "object"}}]
USER = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
CALLED = {"type": "function_call", "call_id": "call_1", "name": "one", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}

ASK = Ask(model="demo", input_tokens=3)
TEXT = Reply(text="Hello to all of you.")
CUT = Reply(text="Hello", is_cut=True)
CALL = Reply(call=Call("weather", {"city": "Paris", "unit": "celsius"}))

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def request(**fields: Any) -> Json:
    """
    A request that may be answered, with `fields` besides.
    """
    return {"model": "demo", "input": "hi", **fields}


def stream(ask: Ask, reply: Reply) -> list[Json]:
    """
    The stream's data, each checked against the SDK's types and against its own name.
    """
    told = []
    for event in events(ask, reply, STAMP):
        name, _, data = event.partition(b"\n")
        told.append(json.loads(data.removeprefix(b"data: ")))
        EVENT.validate_python(told[-1])
        assert name == b"event: " + told[-1]["type"].encode()
    return told


@pytest.mark.parametrize(
    ("input_", "prompt", "result"),
    [
        ("hi", "hi", None),
        ([USER], "hi", None),
        ([USER, CALLED, RESULT], "hi", "42"),
        ([USER, CALLED, {**RESULT, "output": [{"type": "input_text", "text": "42"}]}], "hi", "42"),
        ([{"role": "user", "content": "a"}, {"type": "reasoning", "summary": []}], "a", None),
        ([], "", None),
    ],
)
def test_the_conversation_is_read(input_: object, prompt: str, result: str | None) -> None:
    """
    A text, or items of all kinds.
    """
    ask = read(request(input=input_))
    assert (ask.prompt, ask.tool_result) == (prompt, result)


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({}, "one"),
        ({"tool_choice": "none"}, None),
        ({"tool_choice": {"type": "function", "name": "one"}, "input": [USER, CALLED, RESULT]}, "one"),
        ({"tool_choice": {"type": "file_search"}}, "one"),
        ({"input": [USER, CALLED, RESULT]}, None),
        ({"input": [USER, CALLED]}, None),
        ({"tools": TOOLS[:1]}, None),
    ],
)
def test_tools(fields: Json, called: str | None) -> None:
    """
    The first function is called on the user's word, and none on a tool's.
    """
    ask = read(request(**{"tools": TOOLS, **fields}))
    assert (ask.tool and ask.tool.name) == called


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (None, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_schema", "schema": {"const": 1}}}, {"const": 1}),
    ],
)
def test_the_schema_of_the_text(text: object, schema: object) -> None:
    """
    The schema of structured output is found; without a type of its own, JSON is any object.
    """
    assert read(request(text=text)).schema == schema
    assert read(request(text={"format": {"type": "json_object"}})).schema is not None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "hi"}, "model"),
        ({"model": "demo"}, "input"),
        (request(input=3), "input"),
        (request(input=["hi"]), "input"),
        (request(max_output_tokens=0), "max_output_tokens"),
    ],
)
def test_refusals(body: Json, param: str) -> None:
    """
    What is missing or wrong is named.
    """
    with pytest.raises(Refused) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_stands_for_an_input() -> None:
    """
    A request that goes on from an earlier response needs no input.
    """
    assert read({"model": "demo", "previous_response_id": "resp_1"}).prompt == ""


@pytest.mark.parametrize("reply", [TEXT, CUT, CALL, Reply()])
def test_both_ways_of_asking_get_the_same(reply: Reply) -> None:
    """
    The last event has the answer that would have been given without a stream, usage included.
    """
    told = stream(ASK, reply)
    whole = answer(ASK, reply, STAMP)
    Response.model_validate(whole)
    assert told[-1]["response"] == whole
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert whole["usage"]["total_tokens"] == 3 + reply.output_tokens


def test_the_order_of_a_text() -> None:
    """
    A text is announced, told in pieces, and concluded from within outwards.
    """
    told = stream(ASK, TEXT)
    kinds = [event["type"].removeprefix("response.") for event in told]
    deltas = [event["delta"] for event in told if event["type"] == "response.output_text.delta"]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert "".join(deltas) == TEXT.text == told[-4]["text"]


def test_the_order_of_a_call() -> None:
    """
    A call's arguments are told in pieces, then whole.
    """
    told = stream(ASK, CALL)
    kinds = [event["type"].removeprefix("response.") for event in told]
    deltas = [event["delta"] for event in told if event["type"].endswith("arguments.delta")]
    assert kinds[:3] == ["created", "in_progress", "output_item.added"]
    assert kinds[-3:] == ["function_call_arguments.done", "output_item.done", "completed"]
    assert json.loads("".join(deltas)) == {"city": "Paris", "unit": "celsius"}
    assert told[-2]["item"]["arguments"] == "".join(deltas)


def test_a_cut_text_is_incomplete() -> None:
    """
    A text that reached its limit ends in an incomplete response, and says why.
    """
    last = stream(ASK, CUT)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_what_was_asked_is_repeated() -> None:
    """
    The fields that the vendor repeats are repeated, as far as they are what they should be.
    """
    told = answer(
        read(
            request(
                instructions="be brief",
                temperature=0.5,
                top_p="much",
                metadata={"a": "b", "c": 3},
                parallel_tool_calls=False,
                tool_choice="none",
                tools=[{"type": "function", "name": "one"}, 3],
            )
        ),
        TEXT,
        STAMP,
    )
    Response.model_validate(told)
    assert (told["instructions"], told["temperature"], told["top_p"]) == ("be brief", 0.5, 1.0)
    assert (told["metadata"], told["parallel_tool_calls"], told["tool_choice"]) == ({"a": "b"}, False, "none")
    assert told["tools"] == [
        {"type": "function", "name": "one", "strict": True, "parameters": None, "description": None}
    ]


def test_the_error_event() -> None:
    """
    An error within a stream is one event, numbered after those before it.
    """
    name, _, data = error_event(STAMP, 6).partition(b"\n")
    assert name == b"event: error"
    assert ResponseErrorEvent.model_validate_json(data.removeprefix(b"data: ")).sequence_number == 6


def test_compaction() -> None:
    """
    A conversation is compacted to one item.
    """
    compacted = CompactedResponse.model_validate(COMPACT.answer(ASK, TEXT, STAMP))
    assert [item.type for item in compacted.output] == ["compaction"]


def test_counting() -> None:
    """
    The count is that of the usage.
    """
    counted = InputTokenCountResponse.model_validate(COUNT_INPUT.answer(ASK, TEXT, STAMP))
    assert counted.input_tokens == answer(ASK, TEXT, STAMP)["usage"]["input_tokens"] == 3
