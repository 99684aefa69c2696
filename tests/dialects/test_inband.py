"""
Words for errors within an answer, and the status for which each stands.
"""

from __future__ import annotations

import pytest

from aibridge.admission.breaker import is_failure
from aibridge.dialects.inband import status_of
from aibridge.model import Dialect


@pytest.mark.parametrize(
    ("dialect", "error", "status", "fails"),
    [
        (Dialect.MESSAGES, "overloaded_error", 529, True),
        (Dialect.MESSAGES, "timeout_error", 504, True),
        (Dialect.MESSAGES, "api_error", 500, False),
        (Dialect.MESSAGES, "rate_limit_error", 429, False),
        (Dialect.MESSAGES, "invalid_request_error", 400, False),
        (Dialect.RESPONSES, "server_error", 500, False),
        (Dialect.RESPONSES, "server_is_overloaded", 503, True),
        (Dialect.RESPONSES, "rate_limit_exceeded", 429, False),
        (Dialect.RESPONSES, "invalid_prompt", 400, False),
        (Dialect.CHAT, "overloaded_error", 503, True),
        (Dialect.CHAT, "service_unavailable", 503, True),
        (Dialect.CHAT, "503", 503, True),
        (Dialect.CHAT, "200", 500, False),
        (Dialect.CHAT, "unknown", 500, False),
        (Dialect.CHAT, "", 500, False),
    ],
)
def test_words_stand_for_a_status(dialect: Dialect, error: str, status: int, fails: bool) -> None:
    """
    Which counts against the provider where that status does.
    """
    assert status_of(error, dialect) == status
    assert is_failure(status, dialect) is fails
