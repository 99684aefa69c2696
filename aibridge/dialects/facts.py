"""
What a request says about itself, read from a copy of its body.
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

MOST_READ = 262144
"""Bodies larger than this are relayed unread: reading one of 32 MB would stop every other stream for its time."""

MOST_NAME = 256
"""Characters; what is longer is no model's name."""

MOST_TOKENS: Final = 2**53 - 1
"""What is more is no number of tokens; not all who read JSON can tell it from its neighbours (RFC 8259, 6)."""

MOST_CHOICES: Final = 128
"""Answers that OpenAI gives to one request at most."""

# OpenAI's newer name for chat completions, its responses, and what everybody else and it in older days call it.
_MOST_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


@attrs.frozen
class Facts:
    """
    :ivar model: as the client named it, or empty.
    :ivar stream: it asked for server-sent events.
    :ivar max_tokens: the most that may be written for one answer, thoughts included, or None if the client left that
        to the provider.
    :ivar choices: answers it asked for.
    """

    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1


UNREAD = Facts()


def read(body: bytes) -> Facts:
    """
    The facts of a JSON request in any of the dialects; what cannot be read is not there, and no error.
    """
    if len(body) > MOST_READ:
        return UNREAD
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return UNREAD
    if not isinstance(request, dict):
        return UNREAD
    return Facts(
        name_of(request.get("model")),
        request.get("stream") is True,
        _max_tokens(request),
        _count(request.get("n"), MOST_CHOICES) or 1,
    )


def name_of(value: object) -> str:
    """
    A model's name, or an id; empty where it is none.

    It goes into logs and labels, so what is long or cannot be printed does not count: JSON can have line ends and
    halves of characters in a text.
    """
    return value if isinstance(value, str) and len(value) <= MOST_NAME and value.isprintable() else ""


def _max_tokens(request: dict[str, Any]) -> int | None:
    for name in _MOST_TOKENS:
        count = _count(request.get(name), MOST_TOKENS)
        if count is not None:
            return count
    return None


def _count(value: object, most: int) -> int | None:
    # A bool is an int in Python, and none in JSON.
    return value if type(value) is int and 0 <= value <= most else None
