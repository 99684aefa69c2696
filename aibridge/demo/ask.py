"""
What a request comes down to, whatever the dialect it is written in.

A request is checked as far as the vendors' documentation says that they check it, where an answer depends on it; what
nobody here looks at may be anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from aibridge.demo.vendors import Json, Refused

MOST_DEPTH = 128
"""Deeper nesting is refused: it says nothing, and writing it again could exhaust the stack."""

CHARACTERS_PER_TOKEN = 4
"""The rule for every token count: a token for each four characters of text, a begun one counted whole."""


@attrs.frozen
class Tool:
    """
    A function that the client offers.

    :ivar schema: of its input.
    """

    name: str
    schema: object = None


@attrs.frozen(kw_only=True)
class Ask:
    """
    What is asked for.

    :ivar prompt: what the user said last.
    :ivar tool_result: what a tool has answered, when that was the last thing said.
    :ivar tool: the tool that a well-behaved model calls now.
    :ivar offered: the first tool that there is.
    :ivar schema: of the JSON that the text has to be.
    :ivar input_tokens: all of them, the cached ones included.
    :ivar cached_tokens: those that count as read from a cache.
    :ivar most_tokens: the limit on the text that is answered.
    :ivar choices: how many answers (chat completions).
    :ivar include_usage: a stream ends with its usage (chat completions).
    :ivar thinks: thinking is asked for (messages).
    :ivar request: as it came, for what is repeated in the answer.
    """

    model: str
    stream: bool = False
    prompt: str = ""
    tool_result: str | None = None
    tool: Tool | None = None
    offered: Tool | None = None
    schema: object = None
    input_tokens: int = 0
    cached_tokens: int = 0
    most_tokens: int | None = None
    choices: int = 1
    include_usage: bool = False
    thinks: bool = False
    request: Json = attrs.field(factory=dict)


@attrs.frozen
class Said:
    """
    One entry of a conversation.

    :ivar is_result: a tool said it.
    """

    role: str
    text: str
    is_result: bool = False


@attrs.frozen
class Turn:
    """
    Where a conversation stands.

    :ivar waits: the user spoke last.
    """

    prompt: str = ""
    tool_result: str | None = None
    waits: bool = False


def parse(body: bytes) -> Json:
    """
    The object that a request's body is.

    :raises Refused: it is no JSON object, or is nested too deeply.
    """
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "The request's body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise Refused(400, "The request's body is not a JSON object.")
    characters(value)
    return value


def model_of(request: Json) -> str:
    """
    The model's name.

    :raises Refused: there is none.
    """
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise Refused(400, "Missing required parameter: 'model'.", "model", "missing_required_parameter")
    return model


def entries(request: Json, key: str) -> list[Json]:
    """
    The conversation.

    :raises Refused: there is none, or it is no list of objects.
    """
    found = request.get(key)
    if found is None:
        raise Refused(400, f"Missing required parameter: '{key}'.", key, "missing_required_parameter")
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise Refused(400, f"Invalid value for '{key}': expected a list of objects, not empty.", key, "invalid_type")
    return found


def most_tokens(request: Json, *keys: str) -> int | None:
    """
    The limit on the answer's length, from the first of `keys` that is there.

    :raises Refused: it is not a whole number from 1.
    """
    for key in keys:
        limit = request.get(key)
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise Refused(400, f"Invalid value for '{key}': expected a whole number from 1.", key, "invalid_value")
        return limit
    return None


def text_of(content: object) -> str:
    """
    The text of a message's content: a text itself, or that of the parts which have one.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def turn_of(said: Iterable[Said]) -> Turn:
    """
    Where a conversation stands.

    :param said: newest first. What the system says does not end anybody's turn: some clients let it speak last.
    """
    newest: Said | None = None
    prompt = ""
    for entry in said:
        if entry.role in ("system", "developer"):
            continue
        newest = newest or entry
        if entry.role == "user" and entry.text and not entry.is_result:
            prompt = entry.text
            break
    if newest is None:
        return Turn()
    return Turn(prompt, newest.text if newest.is_result else None, newest.role == "user" and not newest.is_result)


def objects(value: object) -> list[Json]:
    """
    The objects in a list, or none where it is no list.
    """
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def tools_of(request: Json, read: Callable[[Json], Tool | None]) -> list[Tool]:
    """
    The tools that are offered and are such as `read` knows.
    """
    return [tool for tool in map(read, objects(request.get("tools"))) if tool is not None]


def tool_to_call(tools: list[Tool], choice: str, named: object, turn: Turn) -> Tool | None:
    """
    Which tool a well-behaved model calls now, if any.

    :param choice: ``none``, ``auto``, or any other word, which means that one must be called.
    :param named: the one that must be called, or None.
    """
    if named is not None:
        return next((tool for tool in tools if tool.name == named), None)
    if not tools or choice == "none" or (choice == "auto" and not turn.waits):
        return None
    return tools[0]


def characters(value: object) -> int:
    """
    How many characters all texts in `value` have together; names of fields are not counted.

    :raises Refused: it is nested more than `MOST_DEPTH` deep.
    """
    total = 0
    layer, depth = [value], 0
    while layer:
        if depth > MOST_DEPTH:
            raise Refused(400, "The request's body is nested too deeply.")
        below: list[Any] = []
        for one in layer:
            if isinstance(one, str):
                total += len(one)
            elif isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        layer, depth = below, depth + 1
    return total


def tokens(count: int) -> int:
    """
    How many tokens `count` characters are.
    """
    return -(-count // CHARACTERS_PER_TOKEN)


def input_tokens(request: Json, *keys: str) -> int:
    """
    How many tokens the request's fields named `keys` are.
    """
    return tokens(characters([request.get(key) for key in keys]))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)
