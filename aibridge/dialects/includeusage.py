"""
Having the usage of a stream of chat completions told although its client did not ask for it.

OpenAI tells it in a chunk of its own before the end, without choices, if ``stream_options.include_usage`` asks for it
(https://platform.openai.com/docs/api-reference/chat/create). Nothing else of the body is changed by asking. Of what
comes back for it, that chunk is taken out again; what stays is ``"usage":null`` in the other chunks.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from aibridge.dialects import sse
from aibridge.dialects.facts import ABSENT, AT_ONCE, Facts
from aibridge.dialects.parts import WHOLE, Part
from aibridge.dialects.pruned import Pruned
from aibridge.dialects.reading import loaded

ASKS: Final = b'{"include_usage":true}'

MOST_CHUNK: Final = 8192
"""Bytes of an event that is held back until it is known to be another; that with the usage has some hundred."""

_OPTIONS: Final = b"stream_options"
_PART: Final[Part] = Part({_OPTIONS: WHOLE})

_Options: Any = msgspec.defstruct("_Options", [("stream_options", msgspec.Raw)])
_decode_options: Any = msgspec.json.Decoder(_Options).decode
_end_of_event: Any = re.compile(rb"\r\n\r\n|\n\n|\r\r").search


def with_usage(body: bytes, facts: Facts) -> bytes | None:
    """
    A request for a stream of chat completions that asks for its usage; None if it does so, or cannot be made to.

    :param body: JSON, not encoded.
    :param facts: what is known of it.
    """
    if not facts.stream:
        return None
    options = facts.stream_options
    if options is ABSENT:
        at = body.find(b"{") + 1
        return body[:at] + b'"stream_options":' + ASKS + b"," + body[at:]
    if isinstance(options, dict) and options.get("include_usage") not in (None, False):
        return None
    # It is rare, and to find out where it stands takes as long as reading.
    if len(body) > AT_ONCE or not (options is None or isinstance(options, dict)):
        return None
    pruned = Pruned(_PART)
    pruned.feed(body)
    places = [at for key, at in pruned.starts if key == _OPTIONS]
    if len(places) != 1:
        return None
    at = places[0]
    try:
        asked = bytes(_decode_options(body).stream_options)
    except ValueError:
        return None
    if not body.startswith(asked, at):
        return None
    if options is None:
        # What is too large to be known is not null.
        return body[:at] + ASKS + body[at + len(asked) :] if asked == b"null" else None
    others = {name: value for name, value in options.items() if name != "include_usage"}
    changed = msgspec.json.encode({"include_usage": True, **others})
    return body[:at] + changed + body[at + len(asked) :]


class TakenOut:
    """
    Takes the chunk with the usage out of a stream that is passed on. All else crosses as it is; an event that is not
    over waits for its end, unless it is too long to be that chunk.
    """

    __slots__ = ("_held", "_is_passing")

    def __init__(self) -> None:
        self._held = b""
        self._is_passing = False  # an event that is too long has crossed so far, but for its last bytes

    def take(self, data: bytes) -> bytes:
        """
        What is to cross of the next bytes, and of those that waited.
        """
        data = self._held + data
        out = []
        at = 0
        while True:
            found = _end_of_event(data, at)
            if found is None:
                break
            end: int = found.end()
            event = data[at:end]
            if self._is_passing or not _is_usage(event):
                out.append(event)
            self._is_passing = False
            at = end
        rest = data[at:]
        if self._is_passing or len(rest) > MOST_CHUNK:
            # A boundary has four bytes at most.
            self._is_passing = True
            out.append(rest[:-3])
            rest = rest[-3:]
        self._held = rest
        return b"".join(out)

    def rest(self) -> bytes:
        """
        What still waits when the stream has ended.
        """
        rest, self._held = self._held, b""
        return rest


def _is_usage(event: bytes) -> bool:
    if event.find(b'"usage"') < 0 or len(event) > MOST_CHUNK:
        return False
    _, data = sse.fields(event.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    chunk = loaded(data)
    return chunk is not None and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
