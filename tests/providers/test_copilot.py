"""
Copilot's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.access import Treatment
from aibridge.providers.copilot import COPILOT
from aibridge.providers.types import KeyStyle


def test_copilot() -> None:
    """
    All three dialects, at the vendor's own paths.
    """
    assert (COPILOT.prefix, COPILOT.base_url) == ("", "https://api.individual.githubcopilot.com")
    bridged = {rule.path: rule.dialect for rule in COPILOT.rules if rule.treatment is Treatment.BRIDGED}
    assert bridged == {
        "/chat/completions": Dialect.CHAT,
        "/responses": Dialect.RESPONSES,
        "/v1/messages": Dialect.MESSAGES,
    }
    assert COPILOT.key_style is KeyStyle.BEARER


def test_what_is_free() -> None:
    """
    Models, and what its clients ask to find out where they are.
    """
    assert set(COPILOT.of(Treatment.FREE)) == {
        "/.well-known/*",
        "/_ping",
        "/auto",
        "/models",
        "/models/*",
        "/models/session",
        "/v1/messages/count_tokens",
    }


def test_nobody_acts_as_another() -> None:
    """
    Agents and tools act in the name of whose key it is, so they are asked for with one's own.
    """
    assert set(COPILOT.of(Treatment.REFUSED)) == {"/agents/*", "/mcp/*"}
