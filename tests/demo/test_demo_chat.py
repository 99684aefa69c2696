"""
OpenAI chat completions, as the official SDK understands them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from aibridge.demo.ask import Ask
from aibridge.demo.chat import CHAT, answer, error_event, events, read
from aibridge.demo.text import Call, Reply
from aibridge.demo.vendors import DONE, Json, Refused, Stamp

STAMP = Stamp(1, 1793491200)
USER = {"role": "user", "content": "hi"}
CALLED: Json = {"role": "assistant", "content": None, "tool_calls": []}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
TOOLS = [
    {"type": "custom", "custom": {"name": "other"}},
    {"type": "function", "function": {"name": "one", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "two"}},
]

TEXT = Reply(text="Hello to all of you.")
CUT = Reply(text="Hello", is_cut=True)
CALL = Reply(call=Call("weather", {"city": "Paris", "unit": "celsius"}))

ASKS = [Ask(model="demo"), Ask(model="demo", include_usage=True), Ask(model="demo", choices=3, input_tokens=7)]


def request(**fields: Any) -> Json:
    """
    A request that may be answered, with `fields` besides.
    """
    return {"model": "demo", "messages": [USER], **fields}


def chunks(ask: Ask, reply: Reply) -> list[ChatCompletionChunk]:
    """
    The stream as the SDK reads it.
    """
    *sent, done = events(ask, reply, STAMP)
    assert done == DONE
    return [ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: ")) for event in sent]


def test_a_request_is_read() -> None:
    """
    What a request says about itself is found where the vendor has it.
    """
    ask = read(request(stream=True, stream_options={"include_usage": True}, max_tokens=9, max_completion_tokens=8, n=2))
    assert (ask.model, ask.stream, ask.include_usage, ask.most_tokens, ask.choices) == ("demo", True, True, 8, 2)
    assert (ask.prompt, ask.tool, ask.tool_result) == ("hi", None, None)


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({}, "one"),
        ({"tool_choice": "none"}, None),
        ({"tool_choice": "auto"}, "one"),
        ({"tool_choice": "required", "messages": [USER, CALLED, RESULT]}, "one"),
        ({"tool_choice": {"type": "function", "function": {"name": "two"}}}, "two"),
        ({"tool_choice": {"type": "allowed_tools"}}, "one"),
        ({"messages": [USER, CALLED, RESULT]}, None),
        ({"messages": [USER, {"role": "developer", "content": "be brief"}]}, "one"),
        ({"tools": [{}, {"type": "function", "function": {}}, 3]}, None),
    ],
)
def test_tools(fields: Json, called: str | None) -> None:
    """
    The first function is called on the user's word, and none on a tool's.
    """
    ask = read(request(**{"tools": TOOLS, **fields}))
    assert (ask.tool and ask.tool.name) == called


def test_the_tools_answer_is_read() -> None:
    """
    The result of a tool is what was said last; the prompt is still the user's.
    """
    ask = read(request(messages=[USER, CALLED, RESULT]))
    assert (ask.prompt, ask.tool_result) == ("hi", "42")


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        (None, None),
        ("text", None),
        ({"type": "text"}, None),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": 1}}}, {"const": 1}),
        ({"type": "json_schema"}, None),
    ],
)
def test_the_schema_of_the_text(response_format: object, schema: object) -> None:
    """
    The schema of structured output is found; without a type of its own, JSON is any object.
    """
    assert read(request(response_format=response_format)).schema == schema
    assert read(request(response_format={"type": "json_object"})).schema is not None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "demo"}, "messages"),
        (request(messages=[]), "messages"),
        (request(n=0), "n"),
        (request(n=9), "n"),
        (request(n=True), "n"),
        (request(max_tokens=0), "max_tokens"),
    ],
)
def test_refusals(body: Json, param: str) -> None:
    """
    What is missing or wrong is named.
    """
    with pytest.raises(Refused) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("reply", [TEXT, CUT, CALL])
def test_both_ways_of_asking_get_the_same(ask: Ask, reply: Reply) -> None:
    """
    A stream put together is the answer that would have been given without one, usage included.
    """
    whole = ChatCompletion.model_validate(answer(ask, reply, STAMP))
    parts = chunks(ask, reply)
    for choice in whole.choices:
        mine = [part.choices[0] for part in parts if part.choices and part.choices[0].index == choice.index]
        calls = [call for part in mine for call in part.delta.tool_calls or []]
        assert mine[0].delta.role == "assistant"
        assert mine[-1].finish_reason == choice.finish_reason
        assert "".join(part.delta.content or "" for part in mine) == (choice.message.content or "")
        if choice.message.tool_calls:
            [called] = choice.message.tool_calls
            assert called.type == "function"
            assert (calls[0].id, calls[0].function and calls[0].function.name) == (called.id, called.function.name)
            assert "".join((call.function and call.function.arguments) or "" for call in calls) == (
                called.function.arguments
            )
    assert whole.usage is not None
    assert parts[-1].usage == (whole.usage if ask.include_usage else None)
    assert {part.id for part in parts} == {whole.id}


def test_finish_reasons() -> None:
    """
    The end of an answer says why it ended.
    """
    reasons = [answer(ASKS[0], reply, STAMP)["choices"][0]["finish_reason"] for reply in (TEXT, CUT, CALL)]
    assert reasons == ["stop", "length", "tool_calls"]


def test_usage_counts_every_choice() -> None:
    """
    Each of several answers is paid for.
    """
    usage = answer(ASKS[2], TEXT, STAMP)["usage"]
    assert usage["prompt_tokens"] == 7
    assert usage["completion_tokens"] == 3 * TEXT.output_tokens
    assert usage["total_tokens"] == 7 + 3 * TEXT.output_tokens


def test_call_ids_of_several_choices_differ() -> None:
    """
    No two calls have one id.
    """
    choices = answer(ASKS[2], CALL, STAMP)["choices"]
    assert len({choice["message"]["tool_calls"][0]["id"] for choice in choices}) == 3


def test_the_error_event() -> None:
    """
    An error within a stream is one event with the vendor's error body.
    """
    told = json.loads(error_event(STAMP, 3).removeprefix(b"data: "))
    assert told["error"]["type"] == "server_error"


def test_the_form_streams() -> None:
    """
    Chat completions can be streamed.
    """
    assert CHAT.events is events
