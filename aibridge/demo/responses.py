"""
OpenAI responses (https://platform.openai.com/docs/api-reference/responses), their compaction and the counting of
their tokens. Nothing is stored: a response can be read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aibridge.demo.ask import (
    Ask,
    Said,
    Tool,
    input_tokens,
    model_of,
    most_tokens,
    objects,
    text_of,
    tool_to_call,
    tools_of,
    turn_of,
)
from aibridge.demo.schema import ANY_OBJECT
from aibridge.demo.text import Call, Form, Reply
from aibridge.demo.vendors import STATUSES, Json, Refused, Stamp, Vendor, named_event

_Emit = Callable[..., bytes]


def read(request: Json) -> Ask:
    """
    What a request asks for.

    :raises Refused: it lacks a model, or an input where nothing stands for it, or has a limit that is none.
    """
    model = model_of(request)
    turn = turn_of(map(_said, reversed(_input(request))))
    tools = tools_of(request, _tool)
    config = request.get("text")
    return Ask(
        model=model,
        stream=request.get("stream") is True,
        prompt=turn.prompt,
        tool_result=turn.tool_result,
        tool=tool_to_call(tools, *_choice(request.get("tool_choice")), turn),
        offered=tools[0] if tools else None,
        schema=_schema(config.get("format") if isinstance(config, dict) else None),
        input_tokens=input_tokens(request, "instructions", "input", "tools"),
        most_tokens=most_tokens(request, "max_output_tokens"),
        request=request,
    )


def answer(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A ``response`` that has ended.
    """
    return _response(ask, stamp, _status(reply), [_item(reply, stamp, _status(reply))], _usage(ask, reply))


def events(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """
    The events from ``response.created`` to ``response.completed``, or ``response.incomplete`` where the text is cut.
    """
    sent = 0

    def emit(kind: str, **fields: Any) -> bytes:
        nonlocal sent
        sent += 1
        return named_event({"type": f"response.{kind}", "sequence_number": sent - 1, **fields})

    started = _response(ask, stamp, "in_progress", [], None)
    yield emit("created", response=started)
    yield emit("in_progress", response=started)
    yield emit("output_item.added", output_index=0, item=_empty_item(reply, stamp))
    if reply.call is None:
        yield from _text_events(reply, stamp, emit)
    else:
        yield from _call_events(reply.call, stamp, emit)
    status = _status(reply)
    yield emit("output_item.done", output_index=0, item=_item(reply, stamp, status))
    yield emit(status, response=answer(ask, reply, stamp))


def error_event(stamp: Stamp, sent: int) -> bytes:
    """
    The ``error`` event.
    """
    words = STATUSES[500]
    told = {"code": words.openai_code, "message": words.message, "param": None}
    return named_event({"type": "error", "sequence_number": sent, **told})


def count(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    How many tokens a request's input has.
    """
    return {"object": "response.input_tokens", "input_tokens": ask.input_tokens}


def compact(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A ``response.compaction``: a conversation as one opaque item.
    """
    item = {"type": "compaction", "id": stamp.id("cmp_"), "encrypted_content": "ZGVtbw=="}
    return {
        "id": stamp.id("resp_"),
        "object": "response.compaction",
        "created_at": stamp.created,
        "output": [item],
        "usage": _usage(ask, Reply(text=item["encrypted_content"])),
    }


def _text_events(reply: Reply, stamp: Stamp, emit: _Emit) -> Iterator[bytes]:
    where = {"item_id": stamp.id("msg_"), "output_index": 0, "content_index": 0}
    yield emit("content_part.added", **where, part=_part(""))
    for piece in reply.pieces():
        yield emit("output_text.delta", **where, delta=piece, logprobs=[])
    yield emit("output_text.done", **where, text=reply.text, logprobs=[])
    yield emit("content_part.done", **where, part=_part(reply.text))


def _call_events(call: Call, stamp: Stamp, emit: _Emit) -> Iterator[bytes]:
    where = {"item_id": stamp.id("fc_"), "output_index": 0}
    for piece in call.pieces():
        yield emit("function_call_arguments.delta", **where, delta=piece)
    yield emit("function_call_arguments.done", **where, name=call.name, arguments=call.text)


def _item(reply: Reply, stamp: Stamp, status: str) -> Json:
    if reply.call is not None:
        return _call_item(reply.call, stamp, status, reply.call.text)
    return _message_item(stamp, status, [_part(reply.text)])


def _empty_item(reply: Reply, stamp: Stamp) -> Json:
    if reply.call is not None:
        return _call_item(reply.call, stamp, "in_progress", "")
    return _message_item(stamp, "in_progress", [])


def _call_item(call: Call, stamp: Stamp, status: str, arguments: str) -> Json:
    return {
        "id": stamp.id("fc_"),
        "type": "function_call",
        "status": status,
        "call_id": stamp.id("call_"),
        "name": call.name,
        "arguments": arguments,
    }


def _message_item(stamp: Stamp, status: str, content: list[Json]) -> Json:
    return {"id": stamp.id("msg_"), "type": "message", "status": status, "role": "assistant", "content": content}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(ask: Ask, stamp: Stamp, status: str, output: list[Json], usage: Json | None) -> Json:
    request = ask.request
    return {
        "id": stamp.id("resp_"),
        "object": "response",
        "created_at": stamp.created,
        "status": status,
        "completed_at": stamp.created if status == "completed" else None,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": _text_field(request, "instructions"),
        "max_output_tokens": ask.most_tokens,
        "metadata": _metadata(request.get("metadata")),
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": request.get("parallel_tool_calls") is not False,
        "previous_response_id": _text_field(request, "previous_response_id"),
        "prompt_cache_key": _text_field(request, "prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": _number_field(request, "temperature"),
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": _echoed_choice(request.get("tool_choice")),
        "tools": [_echoed_tool(tool) for tool in objects(request.get("tools"))],
        "top_p": _number_field(request, "top_p"),
        "truncation": "disabled",
        "usage": usage,
    }


def _usage(ask: Ask, reply: Reply) -> Json:
    return {
        "input_tokens": ask.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.input_tokens + reply.output_tokens,
    }


def _status(reply: Reply) -> str:
    return "incomplete" if reply.is_cut else "completed"


def _input(request: Json) -> list[Json]:
    """
    The conversation, newest last.
    """
    found = request.get("input")
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    if isinstance(found, list) and all(isinstance(item, dict) for item in found):
        return found
    if found is not None:
        raise Refused(400, "Invalid value for 'input': expected a text or a list.", "input", "invalid_type")
    if all(request.get(key) is None for key in ("previous_response_id", "prompt", "conversation")):
        raise Refused(400, "Missing required parameter: 'input'.", "input", "missing_required_parameter")
    return []


def _said(item: Json) -> Said:
    kind, role = item.get("type", "message"), item.get("role")
    if isinstance(kind, str) and kind.endswith("_call_output"):
        return Said("tool", text_of(item.get("output")), True)
    # What is neither a message nor a result is the model's: calls, reasoning.
    return Said(role if isinstance(role, str) else "assistant", text_of(item.get("content")))


def _tool(entry: Json) -> Tool | None:
    name = entry.get("name")
    if entry.get("type") != "function" or not isinstance(name, str) or not name:
        return None
    return Tool(name, entry.get("parameters"))


def _choice(choice: object) -> tuple[str, object]:
    if isinstance(choice, dict):
        return ("required", choice.get("name")) if choice.get("type") == "function" else ("auto", None)
    return (choice, None) if isinstance(choice, str) else ("auto", None)


def _echoed_choice(choice: object) -> object:
    if isinstance(choice, dict) and isinstance(choice.get("type"), str):
        return choice
    return choice if choice in ("none", "required") else "auto"


def _echoed_tool(tool: Json) -> Json:
    """
    A tool as the vendor repeats it: what a function leaves out is filled in.
    """
    if tool.get("type") != "function":
        return tool
    return {"strict": True, "parameters": None, "description": None, **tool}


def _text_field(request: Json, key: str) -> str | None:
    found = request.get(key)
    return found if isinstance(found, str) else None


def _number_field(request: Json, key: str) -> float:
    found = request.get(key)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else 1.0


def _metadata(found: object) -> Json:
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _schema(format_: object) -> object:
    if not isinstance(format_, dict):
        return None
    match format_.get("type"):
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            return format_.get("schema")
        case _:
            return None


RESPONSES = Form(
    spoken="OpenAI responses",
    vendor=Vendor.OPENAI,
    read=read,
    answer=answer,
    events=events,
    error_event=error_event,
)

COUNT_INPUT = Form(spoken="OpenAI's token count", vendor=Vendor.OPENAI, read=read, answer=count)

COMPACT = Form(spoken="OpenAI's compaction", vendor=Vendor.OPENAI, read=read, answer=compact)
