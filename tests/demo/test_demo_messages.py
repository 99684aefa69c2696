"""
Anthropic messages, as the official SDK understands them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from pydantic import TypeAdapter

from aibridge.demo.ask import Ask
from aibridge.demo.messages import COUNT_TOKENS, answer, error_event, events, read
from aibridge.demo.text import Call, Reply
from aibridge.demo.vendors import Json, Refused, Stamp

STAMP = Stamp(1, 1793491200)
USER = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "one", "input": {}}]}
RESULT = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "42"}]}],
}
TOOLS = [
    {"type": "web_search_20250305", "name": "web_search"},
    {"name": "one", "input_schema": {"type": "object"}},
    {"type": "custom", "name": "two", "input_schema": {"type": "object"}},
]

ASK = Ask(model="demo", input_tokens=9, cached_tokens=4)
TEXT = Reply(text="Hello to all of you.")
CUT = Reply(text="Hello", is_cut=True)
CALL = Reply(call=Call("weather", {"city": "Paris", "unit": "celsius"}))
THOUGHT = Reply(text="Hello.", thought="Who is there?")

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def request(**fields: Any) -> Json:
    """
    A request that may be answered, with `fields` besides.
    """
    return {"model": "demo", "max_tokens": 100, "messages": [USER], **fields}


def stream(ask: Ask, reply: Reply) -> list[Json]:
    """
    The stream's data, each checked against the SDK's types and against its own name.
    """
    told = []
    for event in events(ask, reply, STAMP):
        name, _, data = event.partition(b"\n")
        told.append(json.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + told[-1]["type"].encode()
        if told[-1]["type"] != "ping":
            EVENT.validate_python(told[-1])
    return told


def test_a_request_is_read() -> None:
    """
    What a request says about itself is found where the vendor has it.
    """
    ask = read(request(stream=True, thinking={"type": "adaptive"}))
    assert (ask.model, ask.stream, ask.thinks, ask.most_tokens, ask.prompt) == ("demo", True, True, 100, "hi")
    assert not read(request(thinking={"type": "disabled"})).thinks


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({}, "one"),
        ({"tool_choice": {"type": "none"}}, None),
        ({"tool_choice": {"type": "any"}, "messages": [USER, CALLED, RESULT]}, "one"),
        ({"tool_choice": {"type": "tool", "name": "two"}}, "two"),
        ({"tool_choice": "nonsense"}, "one"),
        ({"messages": [USER, CALLED, RESULT]}, None),
        ({"messages": [USER, {"role": "system", "content": "be brief"}]}, "one"),
        ({"messages": [USER, {"role": "assistant", "content": "Well,"}]}, None),
        ({"tools": TOOLS[:1]}, None),
    ],
)
def test_tools(fields: Json, called: str | None) -> None:
    """
    The client's first tool is called on the user's word, and none on a tool's; the vendor's own are not.
    """
    ask = read(request(**{"tools": TOOLS, **fields}))
    assert (ask.tool and ask.tool.name) == called


def test_the_tools_answer_is_read() -> None:
    """
    The result of a tool is what was said last; the prompt is still the user's.
    """
    ask = read(request(messages=[USER, CALLED, RESULT]))
    assert (ask.prompt, ask.tool_result) == ("hi", "42")


@pytest.mark.parametrize("field", ["output_format", "output_config"])
def test_the_schema_of_the_text(field: str) -> None:
    """
    The schema of structured output is found under its new name and its old one.
    """
    wanted = {"type": "json_schema", "schema": {"const": 1}}
    assert read(request(**{field: {"format": wanted} if field == "output_config" else wanted})).schema == {"const": 1}
    assert read(request()).schema is None


def test_a_system_prompt_may_be_cached() -> None:
    """
    The tokens of a system prompt that bears cache_control are counted apart, and all together stay the same.
    """
    system = [{"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral"}}]
    ask = read(request(system=system))
    usage = answer(ask, TEXT, STAMP)["usage"]
    assert usage["cache_read_input_tokens"] >= 100
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == ask.input_tokens
    assert read(request(system="x" * 400)).cached_tokens == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "model"), ({"model": "demo"}, "messages"), (request(max_tokens=-1), "max_tokens")],
)
def test_refusals(body: Json, param: str) -> None:
    """
    What is missing or wrong is named.
    """
    with pytest.raises(Refused) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("reply", [TEXT, CUT, CALL, THOUGHT, Reply()])
def test_both_ways_of_asking_get_the_same(reply: Reply) -> None:
    """
    A stream put together is the answer that would have been given without one, usage included.
    """
    whole = answer(ASK, reply, STAMP)
    Message.model_validate(whole)
    message: Json = {}
    partial = ""
    for event in stream(ASK, reply):
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
                assert event["index"] == len(message["content"]) - 1
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                for key in ("text", "thinking", "signature"):
                    if key in delta:
                        block[key] += delta[key]
                partial += delta.get("partial_json", "")
            case "message_delta":
                message.update(event["delta"])
                message["usage"].update(event["usage"])
    if partial:
        message["content"][-1]["input"] = json.loads(partial)
    assert message == whole


def test_the_order_of_events() -> None:
    """
    A message starts, has its blocks one after the other, says why it stops, and stops.
    """
    kinds = [event["type"] for event in stream(ASK, THOUGHT)]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


def test_stop_reasons() -> None:
    """
    The end of an answer says why it ended.
    """
    assert [answer(ASK, reply, STAMP)["stop_reason"] for reply in (TEXT, CUT, CALL)] == [
        "end_turn",
        "max_tokens",
        "tool_use",
    ]


def test_thinking_is_counted() -> None:
    """
    The tokens of a thought are told, and are part of the output's.
    """
    usage = answer(ASK, THOUGHT, STAMP)["usage"]
    assert 0 < usage["output_tokens_details"]["thinking_tokens"] < usage["output_tokens"]


def test_the_error_event() -> None:
    """
    An error within a stream is the vendor's event of that name.
    """
    name, _, data = error_event(STAMP, 3).partition(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["error"]["type"] == "overloaded_error"


def test_counting() -> None:
    """
    The count is that of all the input, cached or not.
    """
    assert MessageTokensCount.model_validate(COUNT_TOKENS.answer(ASK, TEXT, STAMP)).input_tokens == 9
    assert COUNT_TOKENS.events is None
