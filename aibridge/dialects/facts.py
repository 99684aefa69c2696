"""
What a request says about itself, read from a copy of its body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from aibridge.dialects.abridged import abridged

MOST_READ = 4194304
"""Bodies larger than this are relayed unread. To read one takes two milliseconds, in which nothing else is done."""

MOST_NAME = 256
"""Characters; what is longer is no model's name."""

MOST_TOKENS: Final = 2**53 - 1
"""What is more is no number of tokens; not all who read JSON can tell it from its neighbours (RFC 8259, 6)."""

MOST_CHOICES: Final = 128
"""Answers that OpenAI gives to one request at most."""

# The names of what is read; all others are passed over, which takes a tenth of the time that making objects of them
# would. The most tokens have three names: OpenAI's newer one for chat completions, that of its responses, and what
# everybody else and it in older days call it. Whatever type a value has is no reason to leave the others unread.
_NAMES = ("model", "stream", "n", "max_completion_tokens", "max_output_tokens", "max_tokens")
_Request: Any = msgspec.defstruct("_Request", [(name, Any, None) for name in _NAMES])
_decode: Callable[[bytes], Any] = msgspec.json.Decoder(_Request).decode


class Facts:
    """
    :ivar model: as the client named it, or empty.
    :ivar stream: it asked for server-sent events.
    :ivar max_tokens: the most that may be written for one answer, thoughts included, or None if the client left that
        to the provider.
    :ivar choices: answers it asked for.
    """

    __slots__ = ("choices", "max_tokens", "model", "stream")

    def __init__(self, model: str = "", stream: bool = False, max_tokens: int | None = None, choices: int = 1) -> None:
        self.model = model
        self.stream = stream
        self.max_tokens = max_tokens
        self.choices = choices

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"Facts({self.model!r}, {self.stream}, {self.max_tokens}, {self.choices})"


UNREAD = Facts()


def read(body: bytes) -> Facts:
    """
    The facts of a JSON request in any of the dialects; what cannot be read is not there, and no error.
    """
    if len(body) > MOST_READ:
        return UNREAD
    try:
        request = _decode(abridged(body))
    except (ValueError, RecursionError):
        return UNREAD
    return Facts(
        name_of(request.model),
        request.stream is True,
        _max_tokens(request),
        _count(request.n, MOST_CHOICES) or 1,
    )


def name_of(value: object) -> str:
    """
    A model's name, or an id; empty where it is none.

    It goes into logs and labels, so what is long or cannot be printed does not count: JSON can have line ends and
    halves of characters in a text.
    """
    return value if isinstance(value, str) and len(value) <= MOST_NAME and value.isprintable() else ""


def _max_tokens(request: Any) -> int | None:
    for value in (request.max_completion_tokens, request.max_output_tokens, request.max_tokens):
        count = _count(value, MOST_TOKENS)
        if count is not None:
            return count
    return None


def _count(value: object, most: int) -> int | None:
    # A bool is an int in Python, and none in JSON.
    return value if type(value) is int and 0 <= value <= most else None
