"""
OpenAI, and whatever else speaks its API (https://platform.openai.com/docs/api-reference).
"""

from __future__ import annotations

import attrs

from aibridge.model import Dialect
from aibridge.providers.types import KeyStyle, ProviderType

OPENAI = ProviderType(
    name="openai",
    prefix="/v1",
    base_url="https://api.openai.com/v1/",
    key_style=KeyStyle.BEARER,
    dialect=Dialect.CHAT,
    bridged={"/chat/completions": Dialect.CHAT, "/responses": Dialect.RESPONSES},
    passthrough=(
        "/completions",
        "/conversations",
        "/conversations/",
        "/embeddings",
        "/models",
        "/models/",
        "/responses/",
    ),
)

COMPATIBLE = attrs.evolve(OPENAI, name="openai-compatible", base_url="")
