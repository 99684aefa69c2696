"""
What happened to a request, and why, in sentences: from the fields of its completion line. Pure.

What is known becomes a sentence, each field once; what is not known yet is listed as it stands.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from typing import Final

from aibridge import errors
from aibridge.cli.advice import ADVICE, GATE, REASONS
from aibridge.cli.completionlog import Fields
from aibridge.dialects.usage import Source

_COMPLETED: Final = "completed"
_NOT_REACHED: Final = frozenset(
    error.kind
    for error in (
        errors.ResolveFailed,
        errors.ConnectFailed,
        errors.ConnectTimeout,
        errors.TLSFailed,
        errors.PoolTimeout,
    )
)
"""Causes for which nothing of a request has left."""
_USAGE: Final = {
    Source.PROVIDER.value: "as the provider told",
    Source.PARTIAL.value: "as the provider told before the answer broke off",
    Source.ESTIMATED.value: "estimated from what was sent and seen",
}


class _Line:
    """
    The fields of a line, and which of them have been told.
    """

    def __init__(self, fields: Fields) -> None:
        self._left = dict(fields)
        self._fields = fields

    def take(self, name: str) -> str:
        """
        A field's text; it counts as told.
        """
        self._left.pop(name, None)
        return self._fields.get(name, "")

    def number(self, name: str) -> float:
        """
        A field's number, 0 if it has none; it counts as told.
        """
        try:
            number = float(self.take(name))
        except ValueError:
            return 0.0
        return number if math.isfinite(number) else 0.0

    def left(self) -> Iterator[str]:
        """
        What was not told, as it stands.
        """
        for name, value in self._left.items():
            yield f"{name}={value}"


def explain(fields: Fields) -> Iterator[str]:
    """
    The sentences, one a line.
    """
    line = _Line(fields)
    status, upstream = int(line.number("status")), int(line.number("upstream_status"))
    cause, reason, policy = line.take("cause"), line.take("reason"), line.take("policy")
    yield f"Request {line.take('request_id')} ended at {line.take('time') or 'an unknown time'}."
    yield from _request(line)
    yield _outcome(status, upstream, cause, reason, policy)
    if error := line.take("error"):
        yield f"What the provider answered tells of an error: {error}."
    yield from _advice(status, cause, policy, fields.get("principal", ""))
    if wait := line.number("retry_after_s"):
        yield f"The client was told to come back after {_seconds(wait)}."
    yield from _shadows(line.take("shadowed"))
    was_asked = bool(upstream) or reason == "upstream" or bool(line.number("attempts"))
    was_sent = was_asked and cause not in _NOT_REACHED
    yield from _sending(line, upstream, asked=was_asked, sent=was_sent)
    yield from _times(line)
    yield from _amounts(line, sent=was_sent)
    if left := list(line.left()):
        yield f"Also told: {', '.join(left)}."


def _request(line: _Line) -> Iterator[str]:
    who, client = line.take("principal") or "Somebody who was not identified", line.take("client")
    what = f"{line.take('method')} {line.take('route')}".strip()
    provider, model = line.take("provider"), line.take("model")
    whom = f", from {client}," if client else ""
    asked = f"asked for {what}" if what else "asked for something"
    where = f" of the provider {provider}" if provider else ""
    which = f", model {model}" if model else ""
    streamed = ", as a stream" if line.take("stream") == "true" else ""
    yield f"{who}{whom} {asked}{where}{which}{streamed}."


def _outcome(status: int, upstream: int, cause: str, reason: str, policy: str) -> str:
    if cause == _COMPLETED:
        if status >= 400:
            return f"The provider answered {status}, which the client was given as it was."
        return f"It was answered: {status}."
    if cause == "client_left":
        when = f"while the answer ({upstream}) was under way" if upstream else "before it was told anything"
        return f"The client left {when}."
    who = REASONS.get(reason, reason or "something that the line does not name")
    by = f", policy {policy}" if policy else ""
    if upstream:
        return f"The answer began with {upstream} and broke off ({cause}), because of {who}{by}."
    if reason == "upstream":
        return f"It was answered {status} ({cause}), because of {who}."
    return f"It was refused with {status} ({cause}) by {who}{by}."


def _advice(status: int, cause: str, policy: str, principal: str) -> Iterator[str]:
    if cause == _COMPLETED:
        if status in (429, 503, 529):
            yield "That is the provider's own limit, not one of the bridge's; aibridge limits shows how its keys stand."
        return
    why, what = ADVICE.get(cause, ("", ""))
    if cause == "at_capacity" and policy in GATE:
        why, what = GATE[policy]
    if principal:
        what = what.replace("--principal NAME", f"--principal {shlex.quote(principal)}")
    yield from filter(None, (why, what))


def _shadows(shadowed: str) -> Iterator[str]:
    names = []
    for item in filter(None, shadowed.split(",")):
        reason, _, policy = item.partition(":")
        who = REASONS.get(reason, reason)
        names.append(f"{who} ({policy})" if policy else who)
    if names:
        yield f"Were they not in shadow, it would have been refused by {' and by '.join(names)}."


def _sending(line: _Line, upstream: int, *, asked: bool, sent: bool) -> Iterator[str]:
    attempts, key, hint = int(line.number("attempts")), int(line.number("key")), line.take("hint")
    credential = line.take("credential")
    if not asked:
        yield "As far as the line tells, it was not sent to a provider."
        return
    masked = f" ({hint})" if hint else ""
    number = f" {key}" if key else ""
    whose = {
        "central": f" with the configured key{number}{masked}",
        "client": f" with the client's own key{masked}",
        "none": " without a key",
    }.get(credential, "")
    was = "was sent" if sent else "was to be sent"
    if attempts > 1:
        yield f"It {was} {attempts} times, the last one{whose}: a key was limited, or it was tried again."
    else:
        yield f"It {was}{whose}."
    if upstream:
        yield f"The provider's status was {upstream}."


def _times(line: _Line) -> Iterator[str]:
    whole, queued = line.number("duration_s"), line.number("queued_s")
    first, added = line.number("first_byte_s"), line.number("added_s")
    parts = []
    if queued:
        parts.append(f"{_seconds(queued)} of it waiting for a permit")
    if first:
        parts.append(f"{_seconds(first)} until the provider's answer began")
    if added:
        parts.append(f"{_seconds(added)} the bridge's own share of that")
    yield f"It took {_seconds(whole)}" + (f": {', '.join(parts)}." if parts else ".")


def _amounts(line: _Line, *, sent: bool) -> Iterator[str]:
    up, down = int(line.number("bytes_in")), int(line.number("bytes_out"))
    if sent and (up or down):
        yield f"{up} bytes of body went to the provider, {down} to the client."
    elif up:
        yield f"Its body has {up} bytes."
    input_, output, usage = int(line.number("tokens_in")), int(line.number("tokens_out")), line.take("usage")
    if usage == Source.NONE.value:
        yield "How many tokens it used is not known."
    elif input_ or output or usage:
        known = _USAGE.get(usage, usage or "from an unknown source")
        yield f"It used {input_} tokens of input and {output} of output, {known}."


def _seconds(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
