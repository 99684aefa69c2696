"""
Errors that are told within an answer, after a status of 200 has been sent: which status they would have had.

A provider that is overloaded may notice so when an answer has begun. Then it can only say so in the answer, and what it
says stands for the status that it would have sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aibridge.model import Dialect

UNKNOWN_STATUS: Final = 500
"""Stands for a word that is not known: something went wrong with the provider, and maybe with this answer alone."""

# https://docs.anthropic.com/en/api/errors#http-errors; the words are those of the field ``type``.
_ANTHROPIC: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# https://platform.openai.com/docs/guides/error-codes and the field ``error.code`` of a response
# (https://platform.openai.com/docs/api-reference/responses/object); the words for a server that has too much to do
# are those for which Codex waits and tries again (codex-rs: ``server_is_overloaded`` and ``slow_down``), and what
# others that speak these dialects say instead.
_OPENAI: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "image_content_policy_violation": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "invalid_image_mode": 400,
    "image_file_too_large": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "usage_not_included": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_reached": 429,
    "insufficient_quota": 429,
    "requests": 429,
    "tokens": 429,
    "server_error": 500,
    "api_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "bad_gateway": 502,
    "service_unavailable": 503,
    "service_unavailable_error": 503,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "overloaded": 503,
    "overloaded_error": 503,
    "engine_overloaded": 503,
    "engine_overloaded_error": 503,
    "capacity_exceeded": 503,
    "timeout": 504,
    "timeout_error": 504,
    "vector_store_timeout": 504,
    "gateway_timeout": 504,
}


def status_of(error: str, dialect: Dialect) -> int:
    """
    The status for which an error within an answer stands.

    :param error: its type or code, in the vendor's word.
    """
    known = _ANTHROPIC if dialect is Dialect.MESSAGES else _OPENAI
    if error.isdigit() and len(error) == 3 and "400" <= error <= "599":
        return int(error)
    return known.get(error, UNKNOWN_STATUS)
