"""
What a response of OpenAI's responses tells about itself (https://platform.openai.com/docs/api-reference/responses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aibridge.dialects import sse
from aibridge.dialects.parts import COUNTED, WHOLE, Part
from aibridge.dialects.reading import UNKNOWN, Named, error_of, word
from aibridge.dialects.usage import Usage, count_of, extras_of, object_of

_WHOLE = ("completed", "incomplete")
"""How a response ends that was told to its end; an incomplete one has reached a limit, and has its usage."""

_OPEN: Final = ("queued", "in_progress")
"""What a response is that is told before its end, since it is made in the background."""

_LAST: Final = ("_generation.completed", "_edit.completed", "speech.audio.done", "transcript.text.done")
"""How the last event of what is no response is called, or ends."""

_EARLY = tuple(
    beginning + kind
    for beginning in (b"event: ", b"event:", b'data: {"type":"', b'data: {"type": "', b'data:{"type":"')
    for kind in (b"response.created", b"response.queued", b"response.in_progress")
)
"""
How an event begins that has the whole request in it, tools and instructions, but nothing new once the first of
them is read. Codex's are of 40 kB.
"""

_FIELDS: Final[dict[bytes, Part]] = dict.fromkeys(
    (b"id", b"model", b"error", b"usage", b"status", b"incomplete_details", b"background"), WHOLE
)

EVENT: Final[Part] = Part(
    {b"type": WHOLE, b"error": WHOLE, b"code": WHOLE, b"usage": WHOLE, b"response": Part(_FIELDS), b"delta": COUNTED}
)
"""What is asked for of an event. Those that end a part of the answer, or all of it, tell its texts once more."""

BODY: Final[Part] = Part({**_FIELDS, b"output": COUNTED})
"""What is asked for of a whole response."""

_texts: Any = re.compile(rb'"delta": ?"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)').findall


class Responses(Named):
    """
    Reads a ``response``, or the events from ``response.created`` to the last one, which has the usage of them all.

    Streams of images, of speech and of transcripts are read too. They have no ``response``: their last event,
    ``image_generation.completed``, ``speech.audio.done`` or ``transcript.text.done``, has the usage itself
    (https://platform.openai.com/docs/api-reference/images-streaming, and the pages beside it).
    """

    __slots__ = ()

    def __init__(self, limit: int, memory: sse.Memory) -> None:
        super().__init__(limit, memory, EVENT, _texts, b'.delta"', b'"response"')

    def is_known(self, event: bytes) -> bool:
        """
        Whether an event has nothing new to tell.
        """
        return bool(self.id) and event.startswith(_EARLY)

    def whole(self, body: Mapping[str, Any]) -> None:
        """
        Read a response that is no stream.
        """
        # Of a request that was refused there is nothing but the error.
        status = word(body.get("status")) or ("" if body.get("error") else "completed")
        self._tell_response(body, status)
        self.unfinished = self.unfinished or status in _OPEN

    def hear(self, told: Mapping[str, Any], kind: str) -> None:
        """
        What an event has told.
        """
        response = told.get("response")
        if isinstance(response, dict):
            self._tell_response(response, kind.removeprefix("response."))
        elif kind == "error" or told.get("error"):
            self.error = self.error or error_of(told) or word(told.get("code")) or UNKNOWN
        elif not self.id and kind.endswith(_LAST):
            self.usage = usage_of(object_of(told, "usage")) or self.usage
            self.complete = True
            self.is_final = self.usage is not None
            self.stop = "completed"

    def matters(self, block: bytes) -> bool:
        """
        Whether something in a block may matter.
        """
        # A response has told its id before anything else.
        return super().matters(block) or (not self.id and block.find(b'"usage"') >= 0)

    def _tell_response(self, response: Mapping[str, Any], status: str) -> None:
        self.identify(response)
        self.error = self.error or error_of(response)
        usage = usage_of(object_of(response, "usage"))
        if usage is not None:
            self.usage = usage
        if status in ("completed", "incomplete", "failed", "cancelled"):
            self.unfinished = False
            self.complete = status in _WHOLE
            self.is_final = self.usage is not None
            self.stop = word(object_of(response, "incomplete_details").get("reason")) or status
        elif response.get("background") is True:
            self.unfinished = True
        if status == "failed":
            self.error = self.error or UNKNOWN
        elif status == "cancelled":
            self.error = self.error or status


def usage_of(told: Mapping[str, Any]) -> Usage | None:
    """
    The usage that a ``usage`` object tells, or None if it tells none.
    """
    read, output = count_of(told, "input_tokens"), count_of(told, "output_tokens")
    if read is None and output is None:
        return None
    into, out = object_of(told, "input_tokens_details"), object_of(told, "output_tokens_details")
    cached = count_of(into, "cached_tokens")
    extras = extras_of(
        ("input_cached", cached),
        ("output_reasoning", count_of(out, "reasoning_tokens")),
        ("total_tokens", count_of(told, "total_tokens")),
    )
    written = count_of(into, "cache_write_tokens") or 0
    return Usage.of_inclusive(read or 0, output or 0, cached or 0, written, extras)
