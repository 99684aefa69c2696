"""
The vocabulary of the log: the names that fields have, and how a finished exchange is told.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache

import attrs


@attrs.define(kw_only=True, eq=False)
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

    at: float
    request_id: str
    client: str
    method: str
    route: str
    status: int
    cause: str
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


# Both forms are written out, since a loop over the fields costs five times as much as the line is worth. Their texts
# are remembered: nearly all come from the configuration. A test holds that no field is forgotten.


def as_json(c: Completion) -> str:
    """
    A completion as one line of JSON.
    """
    return (
        f'{{"time":"{timestamp(c.at)}","event":"completion","request_id":"{c.request_id}","client":{_quoted(c.client)},'
        f'"method":{_quoted(c.method)},"route":{_quoted(c.route)},"status":{c.status},"cause":"{c.cause}",'
        f'"reason":"{c.reason}","policy":"{c.policy}","shadowed":"{c.shadowed}",'
        f'"retry_after_s":{c.retry_after_s:.6f},"principal":{_quoted(c.principal)},"provider":"{c.provider}",'
        f'"model":{_quoted(c.model)},"stream":{"true" if c.stream else "false"},"credential":"{c.credential}",'
        f'"hint":{_quoted(c.hint)},"key":{c.key},"attempts":{c.attempts},"upstream_status":{c.upstream_status},'
        f'"bytes_in":{c.bytes_in},"bytes_out":{c.bytes_out},"tokens_in":{c.tokens_in},"tokens_out":{c.tokens_out},'
        f'"usage":"{c.usage}","queued_s":{c.queued_s:.6f},"first_byte_s":{c.first_byte_s:.6f},'
        f'"added_s":{c.added_s:.6f},"duration_s":{c.duration_s:.6f}}}'
    )


def as_text(c: Completion) -> str:
    """
    A completion as one line for people: ``name=value``, quoted where that is needed to read it back.
    """
    return (
        f"{timestamp(c.at)} completion request_id={c.request_id} client={_plain(c.client)} method={_plain(c.method)} "
        f"route={_plain(c.route)} status={c.status} cause={c.cause} reason={c.reason or '-'} "
        f"policy={c.policy or '-'} shadowed={c.shadowed or '-'} retry_after_s={c.retry_after_s:.6f} "
        f"principal={_plain(c.principal)} provider={c.provider or '-'} model={_plain(c.model)} "
        f"stream={'true' if c.stream else 'false'} credential={c.credential or '-'} hint={_plain(c.hint)} "
        f"key={c.key} attempts={c.attempts} upstream_status={c.upstream_status} "
        f"bytes_in={c.bytes_in} bytes_out={c.bytes_out} tokens_in={c.tokens_in} tokens_out={c.tokens_out} "
        f"usage={c.usage or '-'} queued_s={c.queued_s:.6f} first_byte_s={c.first_byte_s:.6f} "
        f"added_s={c.added_s:.6f} duration_s={c.duration_s:.6f}"
    )
