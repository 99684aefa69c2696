"""
What a response of Anthropic's messages tells about itself (https://docs.anthropic.com/en/api/messages-streaming).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aibridge.dialects import sse
from aibridge.dialects.parts import COUNTED, NOTHING, WHOLE, Part
from aibridge.dialects.reading import UNKNOWN, Named, error_of, word
from aibridge.dialects.usage import Usage, count_of, extras_of, object_of

EVENT: Final[Part] = Part(
    {
        b"type": WHOLE,
        b"error": WHOLE,
        b"message": Part({b"id": WHOLE, b"model": WHOLE, b"usage": WHOLE}),
        b"delta": Part({b"stop_reason": WHOLE, b"type": NOTHING}, COUNTED),
        b"usage": WHOLE,
    }
)
"""What is asked for of an event."""

BODY: Final[Part] = Part(
    {
        b"id": WHOLE,
        b"type": WHOLE,
        b"model": WHOLE,
        b"error": WHOLE,
        b"stop_reason": WHOLE,
        b"usage": WHOLE,
        b"content": COUNTED,
    }
)
"""What is asked for of a whole message."""

# The signature of thoughts is about as long as they are, where they are not shown themselves.
_texts: Any = re.compile(rb'"(?:text|thinking|partial_json|signature)": ?"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)').findall

_DELTA: Final = b'"delta":{"type":"text_delta","text":"'


class Messages(Named):
    """
    Reads a ``message``, or the events from ``message_start`` to ``message_stop``.

    The start tells what was read, with a placeholder for what will be written; each ``message_delta`` then tells what
    has been written up to it, and may tell what was read once more. All of them are totals: a later one stands for
    the earlier, and none is added to another.
    """

    __slots__ = ("_is_counted",)

    def __init__(self, limit: int, memory: sse.Memory) -> None:
        super().__init__(limit, memory, EVENT, _texts, b'"content_block_delta"', b"message_", _DELTA)
        self._is_counted = False  # the output is more than the placeholder

    def whole(self, body: Mapping[str, Any]) -> None:
        """
        Read a response that is no stream.
        """
        self.identify(body)
        self.error = error_of(body)
        self.stop = word(body.get("stop_reason"))
        self.usage = usage_of(object_of(body, "usage"))
        self.is_final = self.usage is not None
        self.complete = body.get("type") == "message"

    def hear(self, told: Mapping[str, Any], kind: str) -> None:
        """
        What an event has told.
        """
        self.error = self.error or error_of(told)
        match kind:
            case "message_start":
                message = object_of(told, "message")
                self.identify(message)
                self.usage = usage_of(object_of(message, "usage")) or self.usage
            case "message_delta":
                self.stop = word(object_of(told, "delta").get("stop_reason")) or self.stop
                usage = object_of(told, "usage")
                self.usage = usage_of(usage, self.usage) or self.usage
                self._is_counted = self._is_counted or count_of(usage, "output_tokens") is not None
                self.is_final = self._is_counted and bool(self.stop)
            case "message_stop":
                self.complete = True
                self.is_final = self._is_counted
            case "error":
                self.error = self.error or UNKNOWN


def usage_of(told: Mapping[str, Any], before: Usage | None = None) -> Usage | None:
    """
    The usage that a ``usage`` object tells, or None if it tells none.

    :param before: what was told earlier in the same stream, and holds where nothing is told now. What was read cannot
        become nothing: several vendors that speak this dialect put zeros for it beside the final output.
    """
    read, output = count_of(told, "input_tokens"), count_of(told, "output_tokens")
    cached, written = count_of(told, "cache_read_input_tokens"), count_of(told, "cache_creation_input_tokens")
    if read is None and output is None:
        return None
    before = before or Usage()
    lives, tools = object_of(told, "cache_creation"), object_of(told, "server_tool_use")
    extras = extras_of(
        ("web_search_requests", count_of(tools, "web_search_requests")),
        ("web_fetch_requests", count_of(tools, "web_fetch_requests")),
        ("cache_creation_input", written or before.extras.get("cache_creation_input", written)),
        ("cache_read_input", cached or before.extras.get("cache_read_input", cached)),
        ("cache_ephemeral_1h_input", count_of(lives, "ephemeral_1h_input_tokens")),
        ("cache_ephemeral_5m_input", count_of(lives, "ephemeral_5m_input_tokens")),
        ("output_reasoning", count_of(object_of(told, "output_tokens_details"), "thinking_tokens")),
    )
    return Usage(
        read or before.input,
        before.output if output is None else output,
        cached or before.cache_read,
        written or before.cache_write,
        {**before.extras, **extras},
    )
