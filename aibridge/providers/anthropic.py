"""
Anthropic (https://docs.anthropic.com/en/api). The version is part of its routes, not of its base URL.
"""

from __future__ import annotations

from aibridge.model import Dialect, Stored
from aibridge.providers.access import EVERY, Form, bridged, counted, free, refused
from aibridge.providers.types import KeyStyle, ProviderType

ANTHROPIC = ProviderType(
    name="anthropic",
    base_url="https://api.anthropic.com/",
    key_style=KeyStyle.API_KEY,
    dialect=Dialect.MESSAGES,
    rules=(
        bridged("/v1/messages", Dialect.MESSAGES, makes=Stored.CONTAINER),
        free("POST", "/v1/messages/count_tokens", form=Form.HELD),
        counted("/v1/messages/batches", form=Form.HELD, makes=Stored.MESSAGE_BATCH),
        free("GET", "/v1/messages/batches", lists=True),
        free("GET", "/v1/messages/batches/{message_batch}"),
        free("DELETE", "/v1/messages/batches/{message_batch}"),
        free("POST", "/v1/messages/batches/{message_batch}/cancel"),
        free("GET", "/v1/messages/batches/{message_batch}/results"),
        free("POST", "/v1/files", makes=Stored.FILE),
        free("GET", "/v1/files", lists=True),
        free("GET", "/v1/files/{file}"),
        free("DELETE", "/v1/files/{file}"),
        free("GET", "/v1/files/{file}/content"),
        free("GET", "/v1/models"),
        free("GET", "/v1/models/*"),
        # What Claude Code reports about itself.
        free("POST", "/api/event_logging/*"),
        refused(EVERY, "/v1/organizations/*", "administration"),
        refused(EVERY, "/v1/skills", "administration of skills"),
        refused(EVERY, "/v1/skills/*", "administration of skills"),
    ),
)
