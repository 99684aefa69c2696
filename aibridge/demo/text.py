"""
What the simulated provider says, and the form in which a dialect says it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import attrs

from aibridge.demo.ask import CHARACTERS_PER_TOKEN, Ask, tokens
from aibridge.demo.faults import Says, Script
from aibridge.demo.schema import arguments, instance
from aibridge.demo.vendors import Json, Stamp, Vendor

_QUOTED = 200
_PIECE_OF_BULK = 4096
_PIECE_OF_ARGUMENTS = 8

_CREDENTIALS = (b"authorization", b"x-api-key")
_SHOWN_AT_EACH_END = 4
_LEAST_SHOWN = 12

_WORD = re.compile(r"\s*\S+\s*|\s+")

_SENTENCE = "All work and no play makes the demo a dull provider. "

_THOUGHT = "Somebody has asked me something. I am a demo, so I shall say what I was asked."


@attrs.frozen
class Call:
    """
    A call of a client's tool.
    """

    name: str
    arguments: Json

    @property
    def text(self) -> str:
        """
        The arguments as JSON.
        """
        return json.dumps(self.arguments, ensure_ascii=False)

    def pieces(self) -> Iterator[str]:
        """
        The arguments as a stream has them.
        """
        return _slices(self.text, _PIECE_OF_ARGUMENTS)


@attrs.frozen(kw_only=True)
class Reply:
    """
    What is said: a call, or a text; both may follow a thought.

    :ivar is_cut: the text has been cut off at the length that was asked for.
    :ivar piece: characters in a piece of a stream, or 0 for one word.
    """

    text: str = ""
    call: Call | None = None
    thought: str = ""
    is_cut: bool = False
    piece: int = 0

    def pieces(self) -> Iterator[str]:
        """
        The text as a stream has it.
        """
        if self.piece:
            return _slices(self.text, self.piece)
        return (match.group() for match in _WORD.finditer(self.text))

    @property
    def thought_tokens(self) -> int:
        """
        How many tokens the thought is.
        """
        return tokens(len(self.thought))

    @property
    def output_tokens(self) -> int:
        """
        How many tokens all of it is.
        """
        said = len(self.call.name) + len(self.call.text) if self.call else len(self.text)
        return tokens(said) + self.thought_tokens


@attrs.frozen(kw_only=True)
class Form:
    """
    How requests of one kind are read, and answers to them written. All functions are pure.

    :ivar spoken: what it is called in a sentence.
    :ivar read: raises `aibridge.demo.vendors.Refused`.
    :ivar answer: the body of an answer that is no stream.
    :ivar events: the stream's events one by one, or None where there are no streams.
    :ivar error_event: the vendor's error within a stream, after a number of events; empty where there is none.
    """

    spoken: str
    vendor: Vendor
    read: Callable[[Json], Ask]
    answer: Callable[[Ask, Reply, Stamp], Json]
    events: Callable[[Ask, Reply, Stamp], Iterator[bytes]] | None = None
    error_event: Callable[[Stamp, int], bytes] = lambda _stamp, _sent: b""


def reply(ask: Ask, script: Script, spoken: str, headers: Sequence[tuple[bytes, bytes]]) -> Reply:
    """
    What `script` says to `ask`.

    :param spoken: what the dialect is called.
    :param headers: of the request.
    """
    thought = _THOUGHT if ask.thinks else ""
    tool = ask.offered if script.calls_tool else ask.tool
    if tool is not None and script.says is Says.ECHO:
        return Reply(call=Call(tool.name, arguments(tool.schema)), thought=thought)
    if script.says is Says.ECHO:
        return _limited(_echo(ask, spoken), ask.most_tokens, thought)
    piece = _PIECE_OF_BULK if script.says is Says.BULK else 0
    return Reply(text=_scripted(script, headers), thought=thought, piece=piece)


def masked(value: bytes) -> str:
    """
    A credential as it may be shown: its scheme, and its ends where it is a key and so long that they do not tell it.
    """
    words = value.decode("latin-1").split()
    match [word.lower() for word in words]:
        case ["bearer", _]:
            return f"{words[0]} {_ends(words[1])}"
        case ["basic", _]:
            return f"{words[0]} ***"
        case [_]:
            return _ends(words[0])
        case _:
            return "***"


def _limited(text: str, most_tokens: int | None, thought: str) -> Reply:
    most = None if most_tokens is None else most_tokens * CHARACTERS_PER_TOKEN
    return Reply(text=text[:most], thought=thought, is_cut=most is not None and len(text) > most)


def _scripted(script: Script, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """
    What a model says that is not about the request; it is said to its end, whatever the limit.
    """
    match script.says:
        case Says.COUNT:
            return _count(script.size)
        case Says.BULK:
            return _bulk(script.size)
        case _:
            return _headers(headers)


def _echo(ask: Ask, spoken: str) -> str:
    if ask.schema is not None:
        return json.dumps(instance(ask.schema), ensure_ascii=False)
    if ask.tool_result is not None:
        heard = f"Your tool has answered: {_quoted(ask.tool_result)}."
    elif ask.prompt:
        heard = f"You said: {_quoted(ask.prompt)}."
    else:
        heard = "You said nothing that I can read."
    return (
        f"Hello from the demo provider, by way of {spoken}. {heard} "
        "No model was asked: I am made up on the spot, and I cost nothing."
    )


def _quoted(text: str) -> str:
    return f"“{text}”" if len(text) <= _QUOTED else f"“{text[:_QUOTED]}…”"


def _headers(headers: Sequence[tuple[bytes, bytes]]) -> str:
    lines = ["I have received these header fields:"]
    for name, value in headers:
        shown = name.decode("latin-1")
        lines.append(f"{shown}: {masked(value)}" if name.lower() in _CREDENTIALS else shown)
    return "\n".join(lines)


@lru_cache(maxsize=4)
def _count(last: int) -> str:
    """
    The numbers from 1, a space after each; one copy serves all streams that say it.
    """
    return "".join(f"{number} " for number in range(1, last + 1))


@lru_cache(maxsize=2)
def _bulk(size: int) -> str:
    return (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]


def _ends(key: str) -> str:
    if len(key) < _LEAST_SHOWN:
        return "***"
    return f"{key[:_SHOWN_AT_EACH_END]}...{key[-_SHOWN_AT_EACH_END:]}"


def _slices(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))
