"""
OpenAI chat completions (https://platform.openai.com/docs/api-reference/chat).
"""

from __future__ import annotations

from collections.abc import Iterator

from aibridge.demo.ask import (
    Ask,
    Said,
    Tool,
    entries,
    input_tokens,
    model_of,
    most_tokens,
    text_of,
    tool_to_call,
    tools_of,
    turn_of,
)
from aibridge.demo.schema import ANY_OBJECT
from aibridge.demo.text import Form, Reply
from aibridge.demo.vendors import DONE, Json, Refused, Stamp, Vendor, data_event, error_body

MOST_CHOICES = 8


def read(request: Json) -> Ask:
    """
    What a request asks for.

    :raises Refused: it lacks a model or messages, or has a limit that is none.
    """
    model = model_of(request)
    messages = entries(request, "messages")
    turn = turn_of(map(_said, reversed(messages)))
    tools = tools_of(request, _tool)
    options = request.get("stream_options")
    return Ask(
        model=model,
        stream=request.get("stream") is True,
        prompt=turn.prompt,
        tool_result=turn.tool_result,
        tool=tool_to_call(tools, *_choice(request.get("tool_choice")), turn),
        offered=tools[0] if tools else None,
        schema=_schema(request.get("response_format")),
        input_tokens=input_tokens(request, "messages", "tools"),
        most_tokens=most_tokens(request, "max_completion_tokens", "max_tokens"),
        choices=_choices(request.get("n")),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def answer(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A ``chat.completion``.
    """
    choices = [
        {"index": index, "message": _message(reply, stamp, index), "logprobs": None, "finish_reason": _finish(reply)}
        for index in range(ask.choices)
    ]
    return {**_common(ask, stamp, "chat.completion"), "choices": choices, "usage": _usage(ask, reply)}


def events(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """
    The ``chat.completion.chunk`` events, all of one choice before those of the next, and ``[DONE]``.
    """
    common = _common(ask, stamp, "chat.completion.chunk")
    if ask.include_usage:
        common["usage"] = None

    def chunk(index: int, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data_event({**common, "choices": [choice]})

    for index in range(ask.choices):
        yield chunk(index, {"role": "assistant", "content": None if reply.call else "", "refusal": None})
        for delta in _deltas(reply, stamp, index):
            yield chunk(index, delta)
        yield chunk(index, {}, _finish(reply))
    if ask.include_usage:
        yield data_event({**common, "choices": [], "usage": _usage(ask, reply)})
    yield DONE


def error_event(stamp: Stamp, sent: int) -> bytes:
    """
    An error within the stream: a chunk that has nothing else.
    """
    return data_event(error_body(Vendor.OPENAI, stamp, Refused(500)))


def _deltas(reply: Reply, stamp: Stamp, index: int) -> Iterator[Json]:
    if reply.call is None:
        for piece in reply.pieces():
            yield {"content": piece}
        return
    function = {"name": reply.call.name, "arguments": ""}
    yield {"tool_calls": [{"index": 0, "id": _call_id(stamp, index), "type": "function", "function": function}]}
    for piece in reply.call.pieces():
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _message(reply: Reply, stamp: Stamp, index: int) -> Json:
    message: Json = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.call is not None:
        function = {"name": reply.call.name, "arguments": reply.call.text}
        message["content"] = None
        message["tool_calls"] = [{"id": _call_id(stamp, index), "type": "function", "function": function}]
    return message


def _call_id(stamp: Stamp, index: int) -> str:
    return stamp.id("call_") + (f"x{index}" if index else "")


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.call else "length" if reply.is_cut else "stop"


def _common(ask: Ask, stamp: Stamp, kind: str) -> Json:
    return {
        "id": stamp.id("chatcmpl-"),
        "object": kind,
        "created": stamp.created,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def _usage(ask: Ask, reply: Reply) -> Json:
    output = reply.output_tokens * ask.choices
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": output,
        "total_tokens": ask.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _said(message: Json) -> Said:
    role = message.get("role")
    text = text_of(message.get("content"))
    return Said(role if isinstance(role, str) else "", text, role in ("tool", "function"))


def _tool(entry: Json) -> Tool | None:
    function = entry.get("function")
    if entry.get("type") != "function" or not isinstance(function, dict):
        return None
    name = function.get("name")
    return Tool(name, function.get("parameters")) if isinstance(name, str) and name else None


def _choice(choice: object) -> tuple[str, object]:
    if isinstance(choice, dict):
        function = choice.get("function")
        named = function.get("name") if isinstance(function, dict) else None
        return ("auto" if named is None else "required"), named
    return (choice, None) if isinstance(choice, str) else ("auto", None)


def _choices(value: object) -> int:
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CHOICES:
        raise Refused(400, f"Invalid value for 'n': expected 1 to {MOST_CHOICES}.", "n", "invalid_value")
    return value


def _schema(response_format: object) -> object:
    if not isinstance(response_format, dict):
        return None
    match response_format.get("type"):
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            wrapped = response_format.get("json_schema")
            return wrapped.get("schema") if isinstance(wrapped, dict) else None
        case _:
            return None


CHAT = Form(
    spoken="OpenAI chat completions",
    vendor=Vendor.OPENAI,
    read=read,
    answer=answer,
    events=events,
    error_event=error_event,
)
