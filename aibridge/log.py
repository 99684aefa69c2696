"""
The vocabulary of the log: the names that fields have, and how a finished exchange is told.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final


class Completion:
    """
    One finished exchange, whatever happened to it. Every field is free of bodies and secrets.

    :ivar at: wall time of its end, Unix seconds.
    :ivar request_id: also in the answer, as ``X-AI-Bridge-Request-Id``.
    :ivar status: what the client was told; 499 if it had left before it could be told anything.
    :ivar cause: how it ended: ``completed``, or an error's `kind`.
    :ivar error: what the provider's answer tells went wrong, in its word, also if its status was 200.
    :ivar reason: who refused, if somebody did.
    :ivar policy: by which of its limits.
    :ivar shadowed: who would have refused if they were not in shadow, separated by commas: a reason, and behind a colon
        the policy if there are several, as in ``rate:per-principal,breaker``.
    :ivar retry_after_s: when it is worth asking again, as the client was told; 0 if it was told nothing.
    :ivar credential: whose key the provider was shown.
    :ivar hint: that key, masked.
    :ivar key: which of the configured keys that was, from 1; 0 if it was none of them.
    :ivar attempts: how often it was sent to the provider.
    :ivar tokens_in: tokens of input, those from a cache included; see `usage`.
    :ivar tokens_out: tokens of output.
    :ivar usage: how these are known, see `aibridge.dialects.usage.Source`; empty where nobody asked.
    :ivar queued_s: how long it waited for its permit.
    :ivar first_byte_s: from the request's head to the response's.
    :ivar added_s: the bridge's own share of that.
    """

    at: float = 0.0
    route: str = ""
    status: int = 0
    cause: str = ""
    error: str = ""
    reason: str = ""
    policy: str = ""
    shadowed: str = ""
    retry_after_s: float = 0.0
    principal: str = ""
    provider: str = ""
    model: str = ""
    stream: bool = False
    credential: str = ""
    hint: str = ""
    key: int = 0
    attempts: int = 0
    upstream_status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usage: str = ""
    queued_s: float = 0.0
    first_byte_s: float = 0.0
    added_s: float = 0.0
    duration_s: float = 0.0

    def __init__(self, request_id: str, client: str, method: str) -> None:
        self.request_id = request_id
        self.client = client
        self.method = method


FIELDS: Final = (
    "at",
    "request_id",
    "client",
    "method",
    "route",
    "status",
    "cause",
    "error",
    "reason",
    "policy",
    "shadowed",
    "retry_after_s",
    "principal",
    "provider",
    "model",
    "stream",
    "credential",
    "hint",
    "key",
    "attempts",
    "upstream_status",
    "bytes_in",
    "bytes_out",
    "tokens_in",
    "tokens_out",
    "usage",
    "queued_s",
    "first_byte_s",
    "added_s",
    "duration_s",
)
"""The fields of a completion, in the order in which they are told."""


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def plain(text: str) -> str:
    """
    A value for people: as it is, or quoted where that is needed to read it back.
    """
    if text and text.isascii() and text.isprintable() and not any(mark in text for mark in ' "=\\'):
        return text
    return _encode(text)


@lru_cache(4)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def timestamp(at: float) -> str:
    """
    Unix seconds in UTC, to the millisecond (RFC 3339).
    """
    milliseconds = int(at * 1000)
    return f"{_second(milliseconds // 1000)}{milliseconds % 1000:03d}Z"


def _seconds(seconds: float) -> str:
    return f"{seconds:.6f}" if seconds else "0.000000"


_TIMES_JSON: Final = '"queued_s":%.6f,"first_byte_s":%.6f,"added_s":%.6f,"duration_s":%.6f}'
_TIMES_TEXT: Final = "queued_s=%.6f first_byte_s=%.6f added_s=%.6f duration_s=%.6f"


# Both forms are one expression each, since a loop over the fields costs five times as much as the line is worth, and
# what nearly all exchanges have in common is put together once. A test holds that no field is forgotten.


@lru_cache(4096)
def _asked_json(client: str, method: str, route: str) -> str:
    return f'"client":{_encode(client)},"method":{_encode(method)},"route":{_encode(route)}'


@lru_cache(4096)
def _whose_json(principal: str, provider: str, model: str, stream: bool, credential: str, hint: str) -> str:
    return (
        f'"principal":{_encode(principal)},"provider":"{provider}","model":{_encode(model)},'
        f'"stream":{"true" if stream else "false"},"credential":"{credential}","hint":{_encode(hint)}'
    )


def as_json(c: Completion) -> str:
    """
    A completion as one line of JSON.
    """
    asked: str = _asked_json(c.client, c.method, c.route)
    whose: str = _whose_json(c.principal, c.provider, c.model, c.stream, c.credential, c.hint)
    return (
        f'{{"time":"{timestamp(c.at)}","event":"completion","request_id":"{c.request_id}",{asked},"status":{c.status},'
        f'"cause":"{c.cause}","error":"{c.error}","reason":"{c.reason}","policy":"{c.policy}","shadowed":"{c.shadowed}",'
        f'"retry_after_s":{_seconds(c.retry_after_s)},{whose},"key":{c.key},"attempts":{c.attempts},'
        f'"upstream_status":{c.upstream_status},"bytes_in":{c.bytes_in},"bytes_out":{c.bytes_out},'
        f'"tokens_in":{c.tokens_in},"tokens_out":{c.tokens_out},"usage":"{c.usage}",'
    ) + _TIMES_JSON % (c.queued_s, c.first_byte_s, c.added_s, c.duration_s)


@lru_cache(4096)
def _asked_text(client: str, method: str, route: str) -> str:
    return f"client={plain(client)} method={plain(method)} route={plain(route)}"


@lru_cache(4096)
def _whose_text(principal: str, provider: str, model: str, stream: bool, credential: str, hint: str) -> str:
    return (
        f"principal={plain(principal)} provider={provider or '-'} model={plain(model)} "
        f"stream={'true' if stream else 'false'} credential={credential or '-'} hint={plain(hint)}"
    )


def as_text(c: Completion) -> str:
    """
    A completion as one line for people: ``name=value``, quoted where that is needed to read it back.
    """
    asked: str = _asked_text(c.client, c.method, c.route)
    whose: str = _whose_text(c.principal, c.provider, c.model, c.stream, c.credential, c.hint)
    return (
        f"{timestamp(c.at)} completion request_id={c.request_id} {asked} status={c.status} cause={c.cause} "
        f"error={c.error or '-'} reason={c.reason or '-'} policy={c.policy or '-'} shadowed={c.shadowed or '-'} "
        f"retry_after_s={_seconds(c.retry_after_s)} {whose} key={c.key} attempts={c.attempts} "
        f"upstream_status={c.upstream_status} bytes_in={c.bytes_in} bytes_out={c.bytes_out} "
        f"tokens_in={c.tokens_in} tokens_out={c.tokens_out} usage={c.usage or '-'} "
    ) + _TIMES_TEXT % (c.queued_s, c.first_byte_s, c.added_s, c.duration_s)
