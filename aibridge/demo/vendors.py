"""
What all answers of a vendor have in common: ids, headers, the form of a refusal, and how JSON and events are written.

The forms are those of https://platform.openai.com/docs/api-reference and https://docs.anthropic.com/en/api.
"""

from __future__ import annotations

import enum
import http
import json
from datetime import UTC, datetime
from typing import Any

import attrs

Json = dict[str, Any]
Pairs = list[tuple[bytes, bytes]]

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"

DONE = b"data: [DONE]\n\n"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Vendor(enum.Enum):
    """
    Whose manners an answer has.
    """

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@attrs.frozen
class Stamp:
    """
    What makes one answer differ from the next.

    :ivar number: of the request, counted from the start of the provider.
    :ivar created: wall time in whole seconds.
    """

    number: int
    created: int

    def id(self, prefix: str) -> str:
        """
        The id of something in this answer, as ``msg_demo000000000001``.
        """
        return f"{prefix}demo{self.number:012d}"


class Refused(Exception):
    """
    The simulated vendor refuses a request.

    :ivar status: one of `STATUSES`.
    :ivar param: the field that is wrong, where one is.
    :ivar code: says more than the status does, where that is needed (OpenAI).
    """

    def __init__(self, status: int, message: str = "", param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


@attrs.frozen
class _Words:
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    message: str


_INVALID = "invalid_request_error"

STATUSES: dict[int, _Words] = {
    400: _Words(_INVALID, None, _INVALID, "The request is not valid."),
    401: _Words(_INVALID, "invalid_api_key", "authentication_error", "Incorrect API key provided: the demo says so."),
    403: _Words(_INVALID, "permission_denied", "permission_error", "This key may not use this model, the demo says."),
    404: _Words(_INVALID, "unknown_url", "not_found_error", "There is nothing here."),
    405: _Words(_INVALID, "method_not_supported", _INVALID, "This method is not supported here."),
    429: _Words("requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached, the demo says."),
    500: _Words("server_error", "server_error", "api_error", "The demo has failed, as it was asked to."),
    503: _Words("server_error", "service_unavailable", "api_error", "The demo is not available, as it was asked."),
    529: _Words("server_error", "overloaded", "overloaded_error", "Overloaded"),
}
"""How each status is told by either vendor."""


def phrase(status: int) -> bytes:
    """
    The reason phrase of a status.
    """
    return http.HTTPStatus(status).phrase.encode() if status != 529 else b"Overloaded"


def dumps(value: object) -> bytes:
    """
    `value` as JSON; a surrogate without its other half, which has no place in UTF-8, becomes a question mark.
    """
    return _encode(value).encode("utf-8", "replace")


def data_event(value: object) -> bytes:
    """
    A server-sent event without a name.
    """
    return b"data: " + dumps(value) + b"\n\n"


def named_event(value: Json) -> bytes:
    """
    A server-sent event that bears the name of its own `type`.
    """
    name: str = value["type"]
    return b"event: " + name.encode() + b"\n" + data_event(value)


def error_body(vendor: Vendor, stamp: Stamp, refused: Refused) -> Json:
    """
    The body that tells a refusal.
    """
    words = STATUSES[refused.status]
    message = refused.message or words.message
    if vendor is Vendor.ANTHROPIC:
        told = {"type": words.anthropic_type, "message": message}
        return {"type": "error", "error": told, "request_id": stamp.id("req_")}
    code = refused.code or words.openai_code
    return {"error": {"message": message, "type": words.openai_type, "param": refused.param, "code": code}}


def head(vendor: Vendor, stamp: Stamp, content_type: bytes, *, remaining: int = 9999) -> Pairs:
    """
    The header fields that every answer of `vendor` has.

    :param remaining: requests that are left in the simulated limit.
    """
    fields = _openai_fields if vendor is Vendor.OPENAI else _anthropic_fields
    return [(b"Content-Type", content_type), *fields(stamp, b"%d" % remaining)]


def wait(retry_after_s: float) -> Pairs:
    """
    The header fields that ask for patience.
    """
    return [
        (b"Retry-After", b"%d" % max(1, -int(-retry_after_s // 1))),
        (b"retry-after-ms", b"%d" % (retry_after_s * 1e3)),
    ]


def _openai_fields(stamp: Stamp, remaining: bytes) -> Pairs:
    return [
        (b"x-request-id", stamp.id("req_").encode()),
        (b"openai-version", b"2020-10-01"),
        (b"openai-organization", b"demo"),
        (b"openai-processing-ms", b"12"),
        (b"x-ratelimit-limit-requests", b"10000"),
        (b"x-ratelimit-remaining-requests", remaining),
        (b"x-ratelimit-reset-requests", b"6ms"),
        (b"x-ratelimit-limit-tokens", b"2000000"),
        (b"x-ratelimit-remaining-tokens", b"1999000"),
        (b"x-ratelimit-reset-tokens", b"30ms"),
    ]


def _anthropic_fields(stamp: Stamp, remaining: bytes) -> Pairs:
    reset = datetime.fromtimestamp(stamp.created + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return [
        (b"request-id", stamp.id("req_").encode()),
        (b"anthropic-organization-id", b"demo"),
        (b"anthropic-ratelimit-requests-limit", b"10000"),
        (b"anthropic-ratelimit-requests-remaining", remaining),
        (b"anthropic-ratelimit-requests-reset", reset),
        (b"anthropic-ratelimit-tokens-limit", b"2000000"),
        (b"anthropic-ratelimit-tokens-remaining", b"1999000"),
        (b"anthropic-ratelimit-tokens-reset", reset),
    ]
