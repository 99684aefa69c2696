"""
Anthropic's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.access import Treatment
from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.types import KeyStyle


def test_anthropic() -> None:
    """
    The version is part of each route; the key has a header of its own.
    """
    assert (ANTHROPIC.prefix, ANTHROPIC.base_url) == ("", "https://api.anthropic.com/")
    assert ANTHROPIC.of(Treatment.BRIDGED) == ("/v1/messages",)
    assert ANTHROPIC.of(Treatment.COUNTED) == ("/v1/messages/batches",)
    assert (ANTHROPIC.key_style, ANTHROPIC.dialect) == (KeyStyle.API_KEY, Dialect.MESSAGES)


def test_what_is_free() -> None:
    """
    Models, counting tokens, files, what becomes of batches, and what Claude Code reports about itself.
    """
    assert set(ANTHROPIC.of(Treatment.FREE)) == {
        "/api/event_logging/*",
        "/v1/files",
        "/v1/files/{file}",
        "/v1/files/{file}/content",
        "/v1/messages/batches",
        "/v1/messages/batches/{message_batch}",
        "/v1/messages/batches/{message_batch}/cancel",
        "/v1/messages/batches/{message_batch}/results",
        "/v1/messages/count_tokens",
        "/v1/models",
        "/v1/models/*",
    }
