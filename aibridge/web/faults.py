"""
The one table from errors to answers: which status, which words, in whose dialect.

Nothing else in the daemon chooses a status for a failure. The bodies are those of the vendors
(https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors), because SDKs read them.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

import attrs

from aibridge import errors
from aibridge.admission.bucket import whole_seconds
from aibridge.model import Dialect

REASON = b"X-AI-Bridge-Reason"
REQUEST_ID = b"X-AI-Bridge-Request-Id"


@attrs.frozen(eq=False)
class _Words:
    """
    How an error is told.

    :ivar openai: type and code.
    :ivar anthropic: type.
    :ivar message: said instead of the error's own detail where that is empty.
    """

    status: int
    openai: tuple[str, str]
    anthropic: str
    message: str


_INVALID = "invalid_request_error"

FAULTS: dict[type[errors.BridgeError], _Words] = {
    errors.BadRequest: _Words(400, (_INVALID, "bad_request"), _INVALID, "The request is not well formed."),
    errors.RouteUnknown: _Words(404, (_INVALID, "unknown_url"), "not_found_error", "There is no such route."),
    errors.NotAllowed: _Words(
        403,
        (_INVALID, "not_allowed"),
        "permission_error",
        "This cannot be asked with the provider key of the bridge; bring a key of your own.",
    ),
    errors.ObjectUnknown: _Words(404, (_INVALID, ""), "not_found_error", "There is no such object."),
    errors.ObjectsApart: _Words(
        400,
        (_INVALID, "objects_apart"),
        _INVALID,
        "The request names objects that were made with different provider keys, and none of these reaches all of them.",
    ),
    errors.UpgradeRefused: _Words(
        426, (_INVALID, "upgrade_refused"), _INVALID, "WebSocket is not served here; use HTTP/1.1."
    ),
    errors.Misdirected: _Words(
        421, (_INVALID, "misdirected"), _INVALID, "This connection was opened to another host than the request names."
    ),
    errors.Unauthenticated: _Words(
        401, (_INVALID, "invalid_api_key"), "authentication_error", "No bridge token was shown."
    ),
    errors.CredentialMissing: _Words(
        403,
        (_INVALID, "provider_key_missing"),
        "permission_error",
        "There is no key for this provider: none is configured, and the request brought none.",
    ),
    errors.BodyTooLarge: _Words(
        413, (_INVALID, "request_too_large"), "request_too_large", "The request body is too large."
    ),
    errors.BodyUnreadable: _Words(
        415,
        (_INVALID, "body_unreadable"),
        _INVALID,
        "The request body cannot be read, so it is not known whose stored objects it names; send it as plain JSON.",
    ),
    errors.BodyTooSlow: _Words(408, (_INVALID, "request_timeout"), _INVALID, "The request body did not come in time."),
    errors.ClientLeft: _Words(499, (_INVALID, "client_left"), _INVALID, "The client left."),
    errors.AtCapacity: _Words(
        503,
        ("server_error", "service_unavailable"),
        "overloaded_error",
        "AI Bridge is currently at capacity. Please try again later.",
    ),
    errors.BodiesFull: _Words(
        503,
        ("server_error", "service_unavailable"),
        "overloaded_error",
        "AI Bridge holds as many large requests as it can. Please try again later.",
    ),
    errors.RateLimited: _Words(
        429,
        ("requests", "rate_limit_exceeded"),
        "rate_limit_error",
        "You've been rate limited. Please try again later.",
    ),
    errors.BreakerOpen: _Words(
        503,
        ("server_error", "service_unavailable"),
        "overloaded_error",
        "circuit breaker is open",  # Coder's words, to the letter
    ),
    errors.KeysResting: _Words(
        429,
        ("requests", "rate_limit_exceeded"),
        "rate_limit_error",
        "The provider has rate limited every key there is. Please try again later.",
    ),
    errors.KeysRefused: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider has refused every key there is."
    ),
    errors.ProviderWait: _Words(
        429,
        ("requests", "rate_limit_exceeded"),
        "rate_limit_error",
        "The provider's own rate limit is used up. Please try again later.",
    ),
    errors.TooManyFailures: _Words(
        429,
        ("requests", "rate_limit_exceeded"),
        "rate_limit_error",
        "Too many failed attempts to authenticate. Please try again later.",
    ),
    errors.Draining: _Words(
        503,
        ("server_error", "service_unavailable"),
        "overloaded_error",
        "AI Bridge is shutting down. Please try again later.",
    ),
    errors.IdentityUnavailable: _Words(
        503,
        ("server_error", "service_unavailable"),
        "overloaded_error",
        "AI Bridge cannot verify tokens at the moment. Please try again later.",
    ),
    errors.BridgeAway: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "AI Bridge cannot be reached. Please try again later."
    ),
    errors.BridgeLate: _Words(
        504, ("server_error", "gateway_timeout"), "timeout_error", "AI Bridge did not answer in time."
    ),
    errors.InternalError: _Words(500, ("server_error", "internal_error"), "api_error", "AI Bridge failed internally."),
    errors.ResolveFailed: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider's host name was not resolved."
    ),
    errors.ConnectFailed: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider could not be connected to."
    ),
    errors.ConnectTimeout: _Words(
        504, ("server_error", "gateway_timeout"), "timeout_error", "Connecting to the provider took too long."
    ),
    errors.TLSFailed: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider's certificate was not accepted."
    ),
    errors.PoolTimeout: _Words(
        504,
        ("server_error", "gateway_timeout"),
        "timeout_error",
        "All connections to the provider were busy for too long.",
    ),
    errors.FirstByteTimeout: _Words(
        504, ("server_error", "gateway_timeout"), "timeout_error", "The provider did not answer in time."
    ),
    errors.SilenceTimeout: _Words(
        504, ("server_error", "gateway_timeout"), "timeout_error", "The provider fell silent within its answer."
    ),
    errors.TotalTimeout: _Words(
        504, ("server_error", "gateway_timeout"), "timeout_error", "The provider's answer took too long as a whole."
    ),
    errors.UpstreamReset: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider closed the connection without an answer."
    ),
    errors.UpstreamTruncated: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider's answer was cut off."
    ),
    errors.UpstreamViolation: _Words(
        502, ("server_error", "bad_gateway"), "api_error", "The provider's answer was not valid HTTP."
    ),
}


class Answer:
    """
    A whole answer of the bridge's own, as `Request.answer` takes it.
    """

    __slots__ = ("body", "lines", "status")

    def __init__(self, status: int, lines: bytes, body: bytes) -> None:
        self.status = status
        self.lines = lines
        self.body = body


def status_of(error: errors.BridgeError) -> int:
    """
    The status that tells `error`; 499, which no client ever sees, for one that left.
    """
    return FAULTS[type(error)].status


def answer(error: errors.BridgeError, dialect: Dialect, request_id: str, retry_after_s: float | None = None) -> Answer:
    """
    Tell `error` before the first byte of an answer.

    :param retry_after_s: how long the client is to wait, or None if that is not for us to say.
    """
    told = request_id.encode()
    kind = type(error)
    words = FAULTS[kind]
    policy = error.policy if isinstance(error, errors.GatewayError) else ""
    fixed: Any = _fixed_lines
    if retry_after_s is None:
        lines = b"%b%b\r\n" % (fixed(kind, policy), told)
    else:
        wait = whole_seconds(retry_after_s), max(1, math.ceil(retry_after_s * 1000 - 1e-6))
        lines = b"%b%b\r\nRetry-After: %d\r\nretry-after-ms: %d\r\n" % (fixed(kind, policy), told, *wait)
    return Answer(words.status, lines, told.join(_body_of(words, error, dialect)))


def retry_after(error: errors.BridgeError, most_s: float) -> float | None:
    """
    How long a client that is told `error` is to wait, in seconds; None where that is not known.

    :param most_s: the longest wait that is ever asked for; some SDKs sleep as long as they are told, and others give
        up when told more than a minute.
    """
    if isinstance(error, errors.GatewayError) and error.retry_after_s is not None:
        return min(error.retry_after_s, most_s)
    return None


def event(error: errors.BridgeError, dialect: Dialect, request_id: str) -> bytes:
    """
    Tell `error` within a stream of server-sent events that stands between two events; empty where the dialect has no
    such event.
    """
    words = FAULTS[type(error)]
    match dialect:
        case Dialect.RESPONSES:
            message = error.detail or words.message
            told = {"type": "error", "code": words.openai[1], "message": message, "param": None}
            return b"event: error\ndata: " + _encode(told).encode() + b"\n\n"
        case Dialect.PLAIN:
            return b""
        case Dialect.CHAT | Dialect.MESSAGES:
            name = b"event: error\n" if dialect is Dialect.MESSAGES else b""
            body = request_id.encode().join(_body_of(words, error, dialect))
            return b"%bdata: %b\n\n" % (name, body)


# In an overload nearly every answer is one of a few refusals, so what of them is always the same is made once.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@lru_cache(1024)
def _fixed_lines(kind: type[errors.BridgeError], policy: str) -> bytes:
    """
    Those that are the same each time, and the name of the one that is not.
    """
    status = FAULTS[kind].status
    reason = f'{kind.reason}; policy="{policy}"' if policy else kind.reason
    pairs = [
        (b"Content-Type", b"application/json"),
        (b"Cache-Control", b"no-store"),
        (REASON, reason.encode()),
    ]
    if status in (401, 403):
        # Claude Code repeats a plain 401 silently for minutes.
        pairs.append((b"x-should-retry", b"false"))
    if status == 401:
        pairs.append((b"WWW-Authenticate", b"Bearer"))
    if status == 426:
        pairs.append((b"Upgrade", b"HTTP/1.1"))  # RFC 9110, 15.5.22 asks for it
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs) + REQUEST_ID + b": "


def _body_of(words: _Words, error: errors.BridgeError, dialect: Dialect) -> tuple[bytes, ...]:
    if isinstance(error, errors.ObjectUnknown):
        around: Any = _body_around_id.__wrapped__  # each id is another text
        told: tuple[bytes, ...] = around(words, error.detail, dialect, error.param, error.code)
        return told
    return _body_around_id(words, error.detail, dialect)


@lru_cache(256)
def _body_around_id(words: _Words, detail: str, dialect: Dialect, param: str = "", code: str = "") -> tuple[bytes, ...]:
    """
    The body in one piece, or in two where a request id belongs in between.
    """
    message = detail or words.message
    told: dict[str, object]
    if dialect is Dialect.PLAIN:
        told = {"message": message}
    elif dialect is Dialect.MESSAGES:
        told = {"type": "error", "error": {"type": words.anthropic, "message": message}}
        return _encode(told).encode()[:-1] + b',"request_id":"', b'"}'
    else:
        if words.status == 401:
            # Some clients tell a bad key from a bad request by these words alone.
            message = f"Incorrect API key provided. {message}"
        type_, usual = words.openai
        told = {"error": {"message": message, "type": type_, "param": param or None, "code": code or usual or None}}
    return (_encode(told).encode(),)
