"""
A provider in memory that counts by a rule and answers in virtual time. The relay asks it as it asks every provider, by
`aibridge.web.account.Client`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from aibridge.relay.response import WHOLE, Response
from benchmarks.heeding import spoken
from benchmarks.heeding.quotas import INPUT, OUTPUT, REQUESTS, TOTAL, Level
from benchmarks.heeding.rules import Rule

Pair = tuple[bytes, bytes]

REFUSED_S = 0.05
"""How long a refusal takes."""
HEAD_S = 0.5
"""How long the head of an answer takes."""
TOKENS_PER_S = 200.0
PIECES = 4
"""In which an answer is produced, and counted."""

BYTES_PER_TOKEN = 4


@dataclass
class Asked:
    """
    A request, as the provider has it.

    :ivar output: tokens that its answer will have, which the caller of a simulation decides.
    """

    method: bytes
    path: str
    key: str
    headers: dict[str, str]
    model: str
    input: int
    max_tokens: int
    output: int
    caller: str
    at: float


@dataclass
class Scripted:
    """
    An answer that the rule has no part in.
    """

    status: int
    body: bytes
    headers: list[Pair] = field(default_factory=list)


Script = Callable[[Asked], Scripted | None]


def nothing(asked: Asked) -> Scripted | None:
    """
    The rule answers all.
    """
    return None


class Vendor:
    """
    :param script: answers before the rule does.
    :ivar served: requests that were answered well, by caller.
    :ivar refused: those that were answered 429.
    :ivar calls: all.
    :ivar most_calls: for one request of a caller's, by what the caller calls it.
    """

    def __init__(self, clock: Clock, wall: Callable[[], float], rule: Rule, script: Script = nothing) -> None:
        self.rule = rule
        self.served: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._clock, self._wall, self._script = clock, wall, script
        self._levels: dict[tuple[str, str], list[Level]] = {}

    def ask(self, receiver: Any, method: bytes, url: bytes, pairs: list[Pair], body: Any) -> Call:
        """
        See `aibridge.web.account.Client`.
        """
        asked = _asked(method, url, pairs, body if isinstance(body, bytes) else b"", self._clock.seconds())
        self.calls[asked.caller] += 1
        call = Call(receiver, self._clock, self._head)
        scripted = self._script(asked)
        if scripted is not None:
            self.refused[asked.caller] += scripted.status == 429
            call.answer(REFUSED_S, scripted.status, scripted.headers, [scripted.body], 0.0)
            return call
        levels = self.levels(asked)
        wait = self._admit(levels, asked)
        if wait is not None:
            self.refused[asked.caller] += 1
            headers = spoken.retry_after(self.rule.words, wait) if self.rule.says_when else []
            told = spoken.refusal(self.rule.words, "Rate limit reached.")
            call.answer(REFUSED_S, 429, headers, [told], 0.0, levels)
            return call
        self.served[asked.caller] += 1
        pieces = _MAKERS[self.rule.type](asked)
        call.answer(HEAD_S, 200, [], pieces, asked.output / TOKENS_PER_S, levels, self._producing(levels, asked))
        return call

    def levels(self, asked: Asked) -> list[Level]:
        """
        The limits that a request counts for.
        """
        place = (asked.key, asked.model if self.rule.per_model else "")
        known = self._levels.get(place)
        if known is None:
            known = self._levels[place] = [quota.level() for quota in self.rule.quotas]
        return known

    def _admit(self, levels: list[Level], asked: Asked) -> float | None:
        """
        Count a request, or say how long it has to wait.
        """
        now, wait, full = asked.at, 0.0, False
        for level in levels:
            needed = _at_first(level, asked)
            # What is charged as it is produced is refused when there is nothing left.
            if level.left(now) < max(needed, 1.0):
                full = True
                wait = max(wait, level.wait_for(max(needed, 1.0), now))
        for level in levels:
            if not full or (level.quota.counts == REQUESTS and self.rule.counts_refused):
                level.use(_at_first(level, asked), now)
        return wait if full else None

    def _producing(self, levels: list[Level], asked: Asked) -> Callable[[int], None]:
        def produced(piece: int) -> None:
            now = self._clock.seconds()
            for level in levels:
                quota = level.quota
                if quota.counts in (OUTPUT, TOTAL):
                    if not quota.reserves:
                        level.use(asked.output / PIECES, now)
                    elif quota.returns and piece == PIECES - 1:
                        level.use(asked.output - asked.max_tokens, now)

        return produced

    def _head(self, headers: list[Pair], levels: list[Level]) -> list[Pair]:
        now, wall = self._clock.seconds(), self._wall()
        told = spoken.fields(self.rule.words, levels, now, wall)
        return [*headers, *told]


def _at_first(level: Level, asked: Asked) -> float:
    quota = level.quota
    if quota.counts == REQUESTS:
        return 1.0
    output = asked.max_tokens if quota.reserves else 0
    return float({INPUT: asked.input, OUTPUT: output, TOTAL: asked.input + output}[quota.counts])


class Call:
    """
    One request, and its answer on the way.
    """

    def __init__(self, receiver: Any, clock: Clock, head: Callable[[list[Pair], list[Level]], list[Pair]]) -> None:
        self._receiver = receiver
        self._clock = clock
        self._head = head
        self._next: IDelayedCall | None = None
        self._response: Response | None = None

    def cancel(self) -> None:
        """
        Nobody wants it.
        """
        self._receiver = None
        self._stop()

    def answer(
        self,
        after_s: float,
        status: int,
        headers: list[Pair],
        pieces: list[bytes],
        takes_s: float,
        levels: list[Level] | None = None,
        produced: Callable[[int], None] | None = None,
    ) -> None:
        """
        Answer, with a body in pieces that take so long together.
        """
        kind = b"text/event-stream" if len(pieces) > 1 else b"application/json"

        def head() -> None:
            pairs = [(b"Content-Type", kind), *self._head(headers, levels or [])]
            length = None if len(pieces) > 1 else len(pieces[0])
            request: Any = None
            response = self._response = Response(self, request, (b"HTTP", 1, 1), status, b"OK", pairs, length)
            receiver, self._receiver = self._receiver, None
            body(0) if takes_s == 0 else self._later(takes_s / len(pieces), body, 0)
            receiver.answered(response)

        def body(piece: int) -> None:
            self._next = None
            response = self._response
            if response is None:
                return
            response.received(pieces[piece])
            if produced is not None and piece < PIECES:
                produced(piece)
            if piece + 1 < len(pieces):
                self._later(takes_s / len(pieces), body, piece + 1)
            else:
                self._response = None
                response.ended(WHOLE)

        self._later(after_s, head)

    def _later(self, seconds: float, then: Callable[..., None], *arguments: int) -> None:
        self._next = self._clock.callLater(seconds, then, *arguments)

    def _stop(self) -> None:
        call, self._next = self._next, None
        self._response = None
        if call is not None and call.active():
            call.cancel()

    # -- as the source of a response's body ----------------------------------------------------------------------

    def pause_body(self) -> None:
        """
        Callers in memory read all there is.
        """

    def resume_body(self) -> None:
        """
        Likewise.
        """

    def abort_body(self) -> None:
        """
        Nobody wants the rest.
        """
        self._stop()


def _asked(method: bytes, url: bytes, pairs: list[Pair], body: bytes, now: float) -> Asked:
    headers = {name.decode().lower(): value.decode() for name, value in pairs}
    said = json.loads(body) if body else {}
    key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    return Asked(
        method,
        urlsplit(url.decode()).path,
        key,
        headers,
        str(said.get("model", "")),
        len(body) // BYTES_PER_TOKEN,
        int(said.get("max_tokens", 0)),
        int(said.get("produce", 0)),
        str(said.get("caller", "")),
        now,
    )


# -- answers -----------------------------------------------------------------------------------------------------


def _chat(asked: Asked) -> list[bytes]:
    def event(**more: object) -> bytes:
        return b"data: " + json.dumps({"id": "chatcmpl-1", "model": asked.model, **more}).encode() + b"\n\n"

    delta = event(choices=[{"index": 0, "delta": {"content": "word"}, "finish_reason": None}], usage=None)
    usage = {
        "prompt_tokens": asked.input,
        "completion_tokens": asked.output,
        "total_tokens": asked.input + asked.output,
    }
    stop = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None)
    return [delta] * (PIECES - 1) + [stop + event(choices=[], usage=usage) + b"data: [DONE]\n\n"]


def _messages(asked: Asked) -> list[bytes]:
    def event(type_: str, **more: object) -> bytes:
        return f"event: {type_}\ndata: ".encode() + json.dumps({"type": type_, **more}).encode() + b"\n\n"

    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "usage": {"input_tokens": asked.input, "output_tokens": 1},
    }
    start = event("message_start", message=message)
    block = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word"})
    end = event("content_block_stop", index=0)
    last = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": asked.output})
    return [start + block, *[delta] * (PIECES - 2), end + last + event("message_stop")]


_MAKERS = {"openai": _chat, "anthropic": _messages}
