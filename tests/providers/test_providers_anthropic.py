"""
Anthropic's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.types import KeyStyle


def test_anthropic() -> None:
    """
    The version is part of each route; the key has a header of its own.
    """
    assert (ANTHROPIC.prefix, ANTHROPIC.base_url) == ("", "https://api.anthropic.com/")
    assert ANTHROPIC.bridged == {"/v1/messages": Dialect.MESSAGES}
    assert (ANTHROPIC.key_style, ANTHROPIC.dialect) == (KeyStyle.API_KEY, Dialect.MESSAGES)


def test_what_passes_through() -> None:
    """
    Models, counting tokens, and what Claude Code reports about itself.
    """
    assert set(ANTHROPIC.passthrough) == {
        "/api/event_logging/",
        "/v1/messages/count_tokens",
        "/v1/models",
        "/v1/models/",
    }
