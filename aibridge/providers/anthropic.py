"""
Anthropic (https://docs.anthropic.com/en/api). The version is part of its routes, not of its base URL.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.types import KeyStyle, ProviderType

ANTHROPIC = ProviderType(
    name="anthropic",
    base_url="https://api.anthropic.com/",
    key_style=KeyStyle.API_KEY,
    dialect=Dialect.MESSAGES,
    bridged={"/v1/messages": Dialect.MESSAGES},
    passthrough=("/api/event_logging/", "/v1/messages/count_tokens", "/v1/models", "/v1/models/"),
)
