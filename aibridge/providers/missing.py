"""
What a provider says of a stored object that it does not have.

Whoever names somebody else's object is told what he would be told for one that nobody has made, so the words are the
vendors', as their SDKs' users know them (https://platform.openai.com/docs/guides/error-codes,
https://docs.anthropic.com/en/api/errors).
"""

from __future__ import annotations

import re
from typing import Final

from aibridge.errors import ObjectUnknown
from aibridge.model import Dialect, Stored

_OPENAI: Final = {
    Stored.RESPONSE: "Response with id '{}' not found.",
    Stored.CONVERSATION: "Conversation with id '{}' not found.",
    Stored.ITEM: "Item with id '{}' not found.",
    Stored.CHAT_COMPLETION: "Chat completion with id '{}' not found.",
    Stored.AUDIO: "Audio with id '{}' not found.",
    Stored.FILE: "No such File object: {}",
    Stored.UPLOAD: "Upload with id '{}' not found.",
    Stored.BATCH: "No batch found with id '{}'.",
    Stored.CONTAINER: "Container with id '{}' not found.",
    Stored.VECTOR_STORE: "Vector store with id '{}' not found.",
    Stored.MESSAGE_BATCH: "Message batch with id '{}' not found.",
}

_ANTHROPIC: Final = {
    Stored.FILE: "File not found: {}",
    Stored.CONTAINER: "Container not found: {}",
    Stored.MESSAGE_BATCH: "Batch not found: {}",
}

_FROM_A_PATH: Final = {Stored.FILE: "id"}
"""How OpenAI names the part of a request that is a path, where it does."""

PREVIOUS: Final = "previous_response_id"

_SHOWN: Final = re.compile(r"[A-Za-z0-9_:.@-]{1,64}")
"""An id that is said again; what is none may be anything."""


def unknown(kind: Stored, id: str, param: str, dialect: Dialect) -> ObjectUnknown:
    """
    The error for an object that is not there for whoever names it.

    :param param: the field of the body that names it, or empty where the path does.
    """
    shown = id if _SHOWN.fullmatch(id) else "…"
    if dialect is Dialect.MESSAGES:
        return ObjectUnknown(_ANTHROPIC.get(kind, "Not found: {}").format(shown))
    words = _OPENAI[kind].format(shown)
    if param == PREVIOUS:
        # https://platform.openai.com/docs/guides/websocket-mode has this code.
        return ObjectUnknown(f"Previous r{words[1:]}", param, "previous_response_not_found")
    return ObjectUnknown(words, param or _FROM_A_PATH.get(kind, ""))
