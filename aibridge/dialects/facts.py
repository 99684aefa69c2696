"""
What a request says about itself, read from a copy of its body.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from aibridge.dialects.decoding import Decoding, TooMuch, Undecodable, decoding_of
from aibridge.dialects.parts import WHOLE, Part
from aibridge.dialects.pruned import Pruned
from aibridge.dialects.references import Sought

AT_ONCE: Final = 262144
"""Bytes of a body that is read at once. It takes less than a millisecond, and four if somebody means it to."""

STEP: Final = 16384
"""Bytes of a larger one that are read in one step."""

_SMALL: Final = 4096
"""Bytes of JSON that is taken apart as it is, whatever is in it."""

MOST_NAME = 256
"""Characters; what is longer is no model's name."""

MOST_TOKENS: Final = 2**53 - 1
"""What is more is no number of tokens; not all who read JSON can tell it from its neighbours (RFC 8259, 6)."""

MOST_CHOICES: Final = 128
"""Answers that OpenAI gives to one request at most."""

# The names of what is read; all others are passed over, which takes a tenth of the time that making objects of them
# would. The most tokens have three names: OpenAI's newer one for chat completions, that of its responses, and what
# everybody else and it in older days call it. Whatever type a value has is no reason to leave the others unread.
_NAMES: Final = ("model", "stream", "n", "max_completion_tokens", "max_output_tokens", "max_tokens")
_OPTIONS: Final = "stream_options"
_KEPT: Final = ("store", "audio", "background")

ABSENT: Final = "absent"
"""Stands for stream options that are not there."""

_Small: Any = msgspec.defstruct("_Small", [*[(name, Any, None) for name in (*_NAMES, *_KEPT)], (_OPTIONS, Any, ABSENT)])
_Raw: Any = msgspec.defstruct("_Raw", [(name, msgspec.Raw, msgspec.Raw()) for name in (*_NAMES, *_KEPT, _OPTIONS)])
_decode_small: Any = msgspec.json.Decoder(_Small).decode
_decode_raw: Any = msgspec.json.Decoder(_Raw).decode
_decode: Any = msgspec.json.decode

PART: Final[Part] = Part({name.encode(): WHOLE for name in (*_NAMES, *_KEPT, _OPTIONS)})
"""What is asked for of a request."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Facts:
    """
    :ivar model: as the client named it, or empty.
    :ivar stream: it asked for server-sent events.
    :ivar max_tokens: the most that may be written for one answer, thoughts included, or None if the client left that
        to the provider.
    :ivar choices: answers it asked for.
    :ivar stream_options: as the client has them, or `ABSENT`.
    :ivar store: whether the answer is to be kept, as the client has it; None if it does not say.
    :ivar speaks: the answer is to be spoken, too.
    :ivar background: it may be asked for to be made in the background, in whatever way that is said.
    :ivar size: bytes of the request, without its content encoding; as many as were seen, if it could not be undone.
    """

    __slots__ = ("background", "choices", "max_tokens", "model", "size", "speaks", "store", "stream", "stream_options")

    def __init__(
        self, model: str = "", stream: bool = False, max_tokens: int | None = None, choices: int = 1, size: int = 0
    ) -> None:
        self.model = model
        self.stream = stream
        self.max_tokens = max_tokens
        self.choices = choices
        self.size = size
        self.stream_options: object = ABSENT
        self.store: object = None
        self.speaks = False
        self.background = False

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
    facts = at_once(body, None)
    if facts is None:
        reading = Reading(body, None, len(body))
        while reading.go_on():
            pass
        facts = reading.facts
    return facts


def at_once(body: bytes, content_encoding: bytes | None) -> Facts | None:
    """
    The facts of a request, or None if it takes longer to read them: then there is `Reading`.

    :param content_encoding: the value of the header field.
    """
    if content_encoding or len(body) > AT_ONCE:
        return None
    try:
        if len(body) <= _SMALL:
            return _facts_of(_decode_small(body), len(body))
        raw = _decode_raw(body)
        options = _value(raw.stream_options) if bytes(raw.stream_options) else ABSENT
        return _facts_of(_Small(*[_value(getattr(raw, name)) for name in (*_NAMES, *_KEPT)], options), len(body))
    except (ValueError, RecursionError):
        # It is nested too deep, begins with a mark, or is no JSON.
        return None


class Reading:
    """
    Reads the facts of a request step by step.

    :param body: as it came.
    :param content_encoding: the value of the header field; see `aibridge.dialects.decoding`.
    :param most: bytes that may come out of it.
    :param known: its facts, if nothing is left to do but to look through it.
    :param sought: looks through it.
    :ivar facts: what is known when there is nothing left to do.
    :ivar is_whole: all of it was read, without its encoding.
    """

    __slots__ = ("_at", "_body", "_decoding", "_made", "_most", "_pruned", "_sought", "facts", "is_whole")

    def __init__(
        self,
        body: bytes,
        content_encoding: bytes | None,
        most: int,
        known: Facts | None = None,
        sought: Sought | None = None,
    ) -> None:
        self.facts = Facts(size=len(body)) if known is None else known
        self.is_whole = False
        self._body = body
        self._at = 0
        self._made = 0
        self._most = most
        self._pruned: Pruned | None = Pruned(PART) if known is None else None
        self._sought = sought
        self._decoding: Decoding | None = None
        try:
            self._decoding = decoding_of(content_encoding)
        except Undecodable:
            self._body = b""
            self._most = -1
        if self._decoding is not None:
            self._decoding.give(body)

    def go_on(self) -> bool:
        """
        Do the next step.

        :return: whether there is more to do.
        """
        decoding, at = self._decoding, self._at
        if decoding is None:
            piece = self._body[at : at + STEP]
            self._at = at + len(piece)
            more = self._at < len(self._body)
        else:
            try:
                piece = decoding.run()
            except Undecodable:
                return False
            except TooMuch:
                self.facts.size = max(self.facts.size, decoding.made)
                return False
            more = decoding.is_busy
        if piece:
            self._feed(piece)
            if self._made > self._most and decoding is not None:
                return False
        if not more:
            self.is_whole = self._most >= 0
            self._finish()
        return more

    def _feed(self, piece: bytes) -> None:
        if self._sought is not None:
            self._sought.feed(piece)
        if self._pruned is None:
            return
        if not self._made:
            piece = piece.removeprefix(_BYTE_ORDER_MARK)
        self._made += len(piece)
        self.facts.size = max(self.facts.size, self._made)
        self._pruned.feed(piece)

    def _finish(self) -> None:
        if self._pruned is None:
            return
        if self._decoding is not None:
            # What is short may be longer with its encoding.
            self.facts.size = self._made
        kept = self._pruned.end()
        if kept:
            with contextlib.suppress(ValueError, RecursionError):
                self.facts = _facts_of(_decode_small(kept), self.facts.size)


def _value(raw: Any) -> Any:
    """
    A value that was not taken apart; None if it is too large to be of use.
    """
    text = bytes(raw)
    return _decode(text) if text and len(text) <= _SMALL else None


def _facts_of(request: Any, size: int) -> Facts:
    facts = Facts(
        name_of(request.model),
        request.stream is True,
        _max_tokens(request),
        _count(request.n, MOST_CHOICES) or 1,
        size,
    )
    facts.stream_options = request.stream_options
    facts.store = request.store
    facts.speaks = request.audio is not None
    # Some servers take 1 and "true" for true.
    facts.background = bool(request.background)
    if facts.background:
        # It is a response, and nothing corrects what is named under names that responses have not.
        facts.max_tokens = _count(request.max_output_tokens, MOST_TOKENS)
    return facts


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
