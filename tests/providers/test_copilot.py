"""
Copilot's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.copilot import COPILOT
from aibridge.providers.types import KeyStyle


def test_copilot() -> None:
    """
    All three dialects, at the vendor's own paths.
    """
    assert (COPILOT.prefix, COPILOT.base_url) == ("", "https://api.individual.githubcopilot.com")
    assert COPILOT.bridged == {
        "/chat/completions": Dialect.CHAT,
        "/responses": Dialect.RESPONSES,
        "/v1/messages": Dialect.MESSAGES,
    }
    assert COPILOT.key_style is KeyStyle.BEARER


def test_what_passes_through() -> None:
    """
    Models, agents, tools, and what its clients ask to find out where they are.
    """
    assert set(COPILOT.passthrough) == {
        "/.well-known/",
        "/_ping",
        "/agents/",
        "/auto",
        "/mcp/",
        "/models",
        "/models/",
    }
