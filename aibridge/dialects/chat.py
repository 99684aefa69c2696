"""
What a response of OpenAI's chat completions tells about itself
(https://platform.openai.com/docs/api-reference/chat), and those of the many that speak like it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aibridge.dialects import sse
from aibridge.dialects.parts import COUNTED, NOTHING, WHOLE, Part
from aibridge.dialects.reading import SMALL, Reading, error_of, has_told, sole_text, text_of, word
from aibridge.dialects.usage import Report, Usage, count_of, extras_of, object_of

PART: Final[Part] = Part(
    {
        b"id": WHOLE,
        b"model": WHOLE,
        b"error": WHOLE,
        b"usage": WHOLE,
        b"choices": Part({b"finish_reason": WHOLE, b"usage": WHOLE, b"logprobs": NOTHING, b"index": NOTHING}, COUNTED),
    }
)
"""What is asked for of a chunk, and of a whole completion."""

# What others than OpenAI call thoughts is in ``reasoning`` or ``reasoning_content``.
_texts: Any = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments|refusal|text)": ?"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)'
).findall

# Some name the event so, and tell the error in it as if it were one of OpenAI's answers: without a field for it.
_is_error: Any = re.compile(rb"(?:^|[\r\n])event: ?error[\r\n]").search

_DELTA: Final = b'"delta":{"content":"'

_MOST_UNNAMED = 4
"""Events that are taken apart to find model and id: Azure's first one has neither."""


class Chat(Reading):
    """
    Reads a ``chat.completion``, or its ``chat.completion.chunk`` events up to ``[DONE]``.

    A stream tells its usage in the chunk before the end, and only if it was asked to (``include_usage``). Others tell
    it in every chunk, for all chunks so far: of those only the last is read.
    """

    __slots__ = ("_head", "_pending", "_unnamed")

    def __init__(self, limit: int, memory: sse.Memory) -> None:
        super().__init__(limit, memory, PART, _texts)
        self._unnamed = _MOST_UNNAMED
        self._head = b""  # what chunks begin with, more than half of each, and known to tell nothing
        self._pending = b""  # the last block, or event, that has nothing but usage to tell; not read yet

    def take(self, block: bytes) -> None:
        """
        Whole events.
        """
        if self.is_like_the_last(block):
            return
        # As `_ends` and `_counts` have it, written out: this runs for every event of every stream.
        start = len(self._head) if block.startswith(self._head) else 0
        pieces = block.count(b'"delta"', start)
        self.pieces += pieces
        self.text += text_of(_texts(block, start))
        find = block.find
        if (
            self._unnamed
            or find(b'"finish_reason":"', start) >= 0
            or find(b'"finish_reason": "', start) >= 0
            or find(b"[DONE]", start) >= 0
            or ((find(b'"error"', start) >= 0 or find(b"event:") >= 0) and _fails(block))
        ):
            self.read(block)
            return
        if (at := find(b'"usage"', start)) >= 0:
            # Who was asked for usage says null in every chunk but the last.
            is_null = block.startswith(b":null", at + 7) and find(b'"usage"', at + 7) < 0
            if not is_null and _counts(block):
                self._pending = block if len(block) <= SMALL else _last_count(block)
                return
        if pieces == 1:
            begin, end = sole_text(block, _DELTA, start)
            if begin >= 0:
                self.remember(block, begin, end)

    def read(self, block: bytes) -> None:
        """
        Take those events of a block apart that matter.
        """
        for event in sse.split(block):
            # Some send thousands of comments before they begin.
            if (self._unnamed and event.find(b"data") >= 0) or _ends(event):
                self._settle()
                self._take(event)
            elif _counts(event):
                self._pending = event

    def whole(self, body: Mapping[str, Any]) -> None:
        """
        Read a response that is no stream.
        """
        self._tell(body)
        self.complete = not self.error and isinstance(body.get("choices"), list)
        self.is_final = self.usage is not None

    def end(self) -> Report:
        """
        The stream is over, or was broken off.
        """
        # What follows may be half an event, and must not stand for the whole one before it.
        self._settle()
        rest = self.events.rest()
        self.text += text_of(_texts(rest))
        self.read(rest)
        self._settle()
        return super().end()

    def has_ended(self) -> bool:
        """
        Several vendors send no mark after the last chunk; that a body broke off is known otherwise.
        """
        return self.complete or bool(self.stop)

    def tell(self, told: Mapping[str, Any], name: bytes) -> None:
        """
        What an event has told.
        """
        self._settle()
        self._tell(told)

    def _settle(self) -> None:
        pending, self._pending = self._pending, b""
        last = _last_count(pending)
        if last:
            self._take(last)

    def _take(self, event: bytes) -> None:
        name, data = sse.fields(event)
        if data.startswith(b"[DONE]"):
            self.complete = True
            self.is_final = self.usage is not None
            return
        told = self.loaded(data)
        if told is not None:
            self._tell(told)
        if name == b"error":
            self.error = self.error or error_of({"error": told or True})
        if self._unnamed and data:
            self._unnamed = 0 if self.model and self.id else self._unnamed - 1
            self._head = _head_of(event)

    def _tell(self, told: Mapping[str, Any]) -> None:
        self.identify(told)
        self.error = self.error or error_of(told)
        usage = told.get("usage")
        choices = told.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self.stop = word(choice.get("finish_reason")) or self.stop
                # Moonshot puts it into the choice.
                usage = usage or choice.get("usage")
        usage = usage_of(usage) if isinstance(usage, dict) else None
        if usage is not None:
            self.usage = usage
            # What is told with the reason to stop, or after it, is not followed by more.
            self.is_final = bool(self.stop) or self.complete


def usage_of(told: Mapping[str, Any]) -> Usage | None:
    """
    The usage that a ``usage`` object tells, or None if it tells none.
    """
    read, output = count_of(told, "prompt_tokens"), count_of(told, "completion_tokens")
    if read is None and output is None:
        return None
    read, output = read or 0, output or 0
    into, out = object_of(told, "prompt_tokens_details"), object_of(told, "completion_tokens_details")
    cached = count_of(into, "cached_tokens")
    if cached is None:
        # DeepSeek's name, and Moonshot's.
        cached = count_of(told, "prompt_cache_hit_tokens") or count_of(told, "cached_tokens")
    reasoning = count_of(out, "reasoning_tokens")
    if reasoning and count_of(told, "total_tokens") == read + output + reasoning:
        # xAI counts thoughts beside the completion, where OpenAI has them in it; the total tells which it is.
        output += reasoning
    extras = extras_of(
        ("prompt_audio", count_of(into, "audio_tokens")),
        ("prompt_cached", cached),
        ("completion_accepted_prediction", count_of(out, "accepted_prediction_tokens")),
        ("completion_rejected_prediction", count_of(out, "rejected_prediction_tokens")),
        ("completion_audio", count_of(out, "audio_tokens")),
        ("completion_reasoning", reasoning),
    )
    return Usage.of_inclusive(read, output, cached or 0, count_of(into, "cache_write_tokens") or 0, extras)


def _head_of(event: bytes) -> bytes:
    """
    What a chunk has before its choices: the same in all chunks of an answer. Empty where something is told in it.

    It ends with a comma, which nothing that is looked for has in it, so none of that can begin in it and go on after.
    """
    head = event[: event.find(b',"choices"') + 1]
    return b"" if b'"delta"' in head or b'"usage"' in head or _ends(head) or _texts(head) else head


def _last_count(block: bytes) -> bytes:
    """
    The last event of a block in which a usage may be told, or nothing.
    """
    for event in reversed(block.split(b"\n\n")):
        if _counts(event):
            return event.strip(b"\n")
    return b""


def _counts(block: bytes) -> bool:
    """
    Whether a usage may be told in it.
    """
    return has_told(block, b'"usage"', b'"usage":null', b'"usage": null')


def _ends(block: bytes) -> bool:
    """
    Whether an end may be told in it: a reason to stop, an error, or the mark after the last chunk.
    """
    find = block.find
    return find(b'"finish_reason":"') >= 0 or find(b'"finish_reason": "') >= 0 or find(b"[DONE]") >= 0 or _fails(block)


def _fails(block: bytes) -> bool:
    """
    Whether an error may be told in it.
    """
    return has_told(block, b'"error"', b'"error":null', b'"error": null') or _is_error(block) is not None
