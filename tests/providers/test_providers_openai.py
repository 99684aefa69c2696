"""
OpenAI's routes, and those of who speaks its API.
"""

from __future__ import annotations

import attrs

from aibridge.model import Stored
from aibridge.providers.access import Treatment
from aibridge.providers.openai import COMPATIBLE, OPENAI
from aibridge.providers.types import KeyStyle


def test_openai() -> None:
    """
    The version is part of the prefix, and so of the base URL.
    """
    assert (OPENAI.prefix, OPENAI.base_url) == ("/v1", "https://api.openai.com/v1/")
    assert OPENAI.of(Treatment.BRIDGED) == ("/chat/completions", "/responses")
    assert OPENAI.key_style is KeyStyle.BEARER


def test_what_spends_is_counted() -> None:
    """
    Whatever its path.
    """
    assert set(OPENAI.of(Treatment.COUNTED)) == {
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/batches",
        "/completions",
        "/embeddings",
        "/images/edits",
        "/images/generations",
        "/images/variations",
        "/responses/compact",
        "/vector_stores/{vector_store}/search",
    }


def test_what_is_stored_has_a_maker() -> None:
    """
    Each kind of stored object, with the path at which it is made.
    """
    made = {rule.path: rule.makes for rule in OPENAI.rules if rule.makes and not rule.uses}
    assert made == {
        "/chat/completions": Stored.CHAT_COMPLETION,
        "/responses": Stored.RESPONSE,
        "/conversations": Stored.CONVERSATION,
        "/files": Stored.FILE,
        "/uploads": Stored.UPLOAD,
        "/batches": Stored.BATCH,
        "/containers": Stored.CONTAINER,
        "/vector_stores": Stored.VECTOR_STORE,
    }


def test_compatible() -> None:
    """
    The same, but for where it is, which only its operator knows.
    """
    assert attrs.evolve(COMPATIBLE, name=OPENAI.name, base_url=OPENAI.base_url) == OPENAI
    assert (COMPATIBLE.name, COMPATIBLE.base_url) == ("openai-compatible", "")
