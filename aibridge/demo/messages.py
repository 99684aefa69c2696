"""
Anthropic messages (https://docs.anthropic.com/en/api/messages), and the counting of their tokens.
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
    objects,
    text_of,
    tool_to_call,
    tools_of,
    turn_of,
)
from aibridge.demo.text import Form, Reply
from aibridge.demo.vendors import Json, Refused, Stamp, Vendor, error_body, named_event

SIGNATURE = "ZGVtbw=="
"""Stands under every thought."""

_PING = named_event({"type": "ping"})


def read(request: Json) -> Ask:
    """
    What a request asks for. A system prompt that bears ``cache_control`` counts as read from the cache.

    :raises Refused: it lacks a model or messages, or has a limit that is none.
    """
    model = model_of(request)
    messages = entries(request, "messages")
    turn = turn_of(map(_said, reversed(messages)))
    tools = tools_of(request, _tool)
    thinking = request.get("thinking")
    is_cached = any("cache_control" in block for block in objects(request.get("system")))
    return Ask(
        model=model,
        stream=request.get("stream") is True,
        prompt=turn.prompt,
        tool_result=turn.tool_result,
        tool=tool_to_call(tools, *_choice(request.get("tool_choice")), turn),
        offered=tools[0] if tools else None,
        schema=_schema(request),
        input_tokens=input_tokens(request, "system", "messages", "tools"),
        cached_tokens=input_tokens(request, "system") if is_cached else 0,
        most_tokens=most_tokens(request, "max_tokens"),
        thinks=isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"),
    )


def answer(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    A ``message``.
    """
    return _message(ask, reply, stamp, _blocks(reply, stamp), _stop_reason(reply), reply.output_tokens)


def events(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """
    The events from ``message_start`` to ``message_stop``; the last ``message_delta`` has the whole usage.
    """
    yield named_event({"type": "message_start", "message": _message(ask, reply, stamp, [], None, 1)})
    yield _PING
    for index, block in enumerate(_blocks(reply, stamp)):
        yield named_event({"type": "content_block_start", "index": index, "content_block": _empty(block)})
        for delta in _deltas(block, reply):
            yield named_event({"type": "content_block_delta", "index": index, "delta": delta})
        yield named_event({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    usage = _usage(ask, reply, reply.output_tokens)
    # The fields that only the start tells are not repeated.
    told = {key: usage[key] for key in usage if key not in ("cache_creation", "service_tier")}
    yield named_event({"type": "message_delta", "delta": delta, "usage": told})
    yield named_event({"type": "message_stop"})


def error_event(stamp: Stamp, sent: int) -> bytes:
    """
    The ``error`` event.
    """
    return named_event(error_body(Vendor.ANTHROPIC, stamp, Refused(529)))


def count(ask: Ask, reply: Reply, stamp: Stamp) -> Json:
    """
    How many tokens a request has, the cached ones included.
    """
    return {"input_tokens": ask.input_tokens}


def _blocks(reply: Reply, stamp: Stamp) -> list[Json]:
    blocks: list[Json] = []
    if reply.thought:
        blocks.append({"type": "thinking", "thinking": reply.thought, "signature": SIGNATURE})
    if reply.call is not None:
        call_id = stamp.id("toolu_")
        blocks.append({"type": "tool_use", "id": call_id, "name": reply.call.name, "input": reply.call.arguments})
    else:
        blocks.append({"type": "text", "text": reply.text})
    return blocks


def _empty(block: Json) -> Json:
    """
    A block as it starts.
    """
    empty: Json = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: empty.get(key, block[key]) for key in block}


def _deltas(block: Json, reply: Reply) -> Iterator[Json]:
    match block["type"]:
        case "thinking":
            yield {"type": "thinking_delta", "thinking": block["thinking"]}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use" if reply.call is not None:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in reply.call.pieces():
                yield {"type": "input_json_delta", "partial_json": piece}
        case _:
            for piece in reply.pieces():
                yield {"type": "text_delta", "text": piece}


def _message(ask: Ask, reply: Reply, stamp: Stamp, content: list[Json], stop: str | None, output_tokens: int) -> Json:
    return {
        "id": stamp.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(ask, reply, output_tokens),
    }


def _usage(ask: Ask, reply: Reply, output_tokens: int) -> Json:
    usage: Json = {
        "input_tokens": ask.input_tokens - ask.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": ask.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    if reply.thought:
        usage["output_tokens_details"] = {"thinking_tokens": min(reply.thought_tokens, output_tokens)}
    return usage


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.call else "max_tokens" if reply.is_cut else "end_turn"


def _said(message: Json) -> Said:
    role = message.get("role")
    content = message.get("content")
    results = [block for block in objects(content) if block.get("type") == "tool_result"]
    text = "\n".join(text_of(result.get("content")) for result in results) if results else text_of(content)
    return Said(role if isinstance(role, str) else "", text, bool(results))


def _tool(entry: Json) -> Tool | None:
    # The vendor's own tools have a type; those of the client have none, or this one.
    if entry.get("type", "custom") != "custom":
        return None
    name = entry.get("name")
    return Tool(name, entry.get("input_schema")) if isinstance(name, str) and name else None


def _choice(choice: object) -> tuple[str, object]:
    if not isinstance(choice, dict):
        return "auto", None
    kind = choice.get("type")
    return (kind if isinstance(kind, str) else "auto"), (choice.get("name") if kind == "tool" else None)


def _schema(request: Json) -> object:
    config = request.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else request.get("output_format")
    return wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None


MESSAGES = Form(
    spoken="Anthropic messages",
    vendor=Vendor.ANTHROPIC,
    read=read,
    answer=answer,
    events=events,
    error_event=error_event,
)

COUNT_TOKENS = Form(spoken="Anthropic's token count", vendor=Vendor.ANTHROPIC, read=read, answer=count)
