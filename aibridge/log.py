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


@lru_cache(4096)
def _quoted(text: str) -> str:
    return _encode(text)


@lru_cache(4096)
def _plain(text: str) -> str:
    if text and text.isascii() and text.isprintable() and not any(mark in text for mark in ' "=\\'):
        return text
    return _encode(text)


@lru_cache(4)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(at: float) -> str:
    """
    Unix seconds in UTC, to the millisecond (RFC 3339).
    """
    milliseconds = int(at * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


# Both forms are one format each, since a loop over the fields costs five times as much as the line is worth. Their
# texts are remembered: nearly all come from the configuration. A test holds that no field is forgotten.

_JSON: Final = (
    '{"time":"%s","event":"completion","request_id":"%s","client":%s,"method":%s,"route":%s,"status":%d,"cause":"%s",'
    '"reason":"%s","policy":"%s","shadowed":"%s","retry_after_s":%.6f,"principal":%s,"provider":"%s","model":%s,'
    '"stream":%s,"credential":"%s","hint":%s,"key":%d,"attempts":%d,"upstream_status":%d,"bytes_in":%d,"bytes_out":%d,'
    '"tokens_in":%d,"tokens_out":%d,"usage":"%s","queued_s":%.6f,"first_byte_s":%.6f,"added_s":%.6f,"duration_s":%.6f}'
)
_TEXT: Final = (
    "%s completion request_id=%s client=%s method=%s route=%s status=%d cause=%s "
    "reason=%s policy=%s shadowed=%s retry_after_s=%.6f principal=%s provider=%s model=%s "
    "stream=%s credential=%s hint=%s key=%d attempts=%d upstream_status=%d bytes_in=%d bytes_out=%d "
    "tokens_in=%d tokens_out=%d usage=%s queued_s=%.6f first_byte_s=%.6f added_s=%.6f duration_s=%.6f"
)


def as_json(c: Completion) -> str:
    """
    A completion as one line of JSON.
    """
    return _JSON % (
        timestamp(c.at),
        c.request_id,
        _quoted(c.client),
        _quoted(c.method),
        _quoted(c.route),
        c.status,
        c.cause,
        c.reason,
        c.policy,
        c.shadowed,
        c.retry_after_s,
        _quoted(c.principal),
        c.provider,
        _quoted(c.model),
        "true" if c.stream else "false",
        c.credential,
        _quoted(c.hint),
        c.key,
        c.attempts,
        c.upstream_status,
        c.bytes_in,
        c.bytes_out,
        c.tokens_in,
        c.tokens_out,
        c.usage,
        c.queued_s,
        c.first_byte_s,
        c.added_s,
        c.duration_s,
    )


def as_text(c: Completion) -> str:
    """
    A completion as one line for people: ``name=value``, quoted where that is needed to read it back.
    """
    return _TEXT % (
        timestamp(c.at),
        c.request_id,
        _plain(c.client),
        _plain(c.method),
        _plain(c.route),
        c.status,
        c.cause,
        c.reason or "-",
        c.policy or "-",
        c.shadowed or "-",
        c.retry_after_s,
        _plain(c.principal),
        c.provider or "-",
        _plain(c.model),
        "true" if c.stream else "false",
        c.credential or "-",
        _plain(c.hint),
        c.key,
        c.attempts,
        c.upstream_status,
        c.bytes_in,
        c.bytes_out,
        c.tokens_in,
        c.tokens_out,
        c.usage or "-",
        c.queued_s,
        c.first_byte_s,
        c.added_s,
        c.duration_s,
    )
