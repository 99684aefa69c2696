"""
GitHub Copilot, which speaks all three dialects and knows no key but its user's own.
"""

from __future__ import annotations

from aibridge.model import Dialect, Stored
from aibridge.providers.access import EVERY, Form, bridged, counted, free, refused
from aibridge.providers.types import KeyStyle, ProviderType

COPILOT = ProviderType(
    name="copilot",
    base_url="https://api.individual.githubcopilot.com",
    key_style=KeyStyle.BEARER,
    dialect=Dialect.CHAT,
    rules=(
        bridged("/chat/completions", Dialect.CHAT, makes=Stored.CHAT_COMPLETION),
        bridged("/responses", Dialect.RESPONSES, makes=Stored.RESPONSE),
        bridged("/v1/messages", Dialect.MESSAGES, makes=Stored.CONTAINER),
        free("POST", "/v1/messages/count_tokens", dialect=Dialect.MESSAGES, form=Form.HELD),
        counted("/embeddings", most_output=0),
        free("GET", "/models"),
        free("POST", "/models/session"),
        free("GET", "/models/*"),
        free("GET POST", "/auto"),
        free("GET", "/_ping"),
        free("GET", "/.well-known/*"),
        # A session acts as the user whose key it is, on his repositories.
        refused(EVERY, "/agents/*", "acting in the name of the key's owner"),
        refused(EVERY, "/mcp/*", "acting in the name of the key's owner"),
    ),
)
