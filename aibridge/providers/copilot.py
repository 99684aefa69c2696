"""
GitHub Copilot, which speaks all three dialects and knows no key but its user's own.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.types import KeyStyle, ProviderType

COPILOT = ProviderType(
    name="copilot",
    base_url="https://api.individual.githubcopilot.com",
    key_style=KeyStyle.BEARER,
    dialect=Dialect.CHAT,
    bridged={
        "/chat/completions": Dialect.CHAT,
        "/responses": Dialect.RESPONSES,
        "/v1/messages": Dialect.MESSAGES,
    },
    passthrough=("/.well-known/", "/_ping", "/agents/", "/auto", "/mcp/", "/models", "/models/"),
)
