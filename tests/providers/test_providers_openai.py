"""
OpenAI's routes, and those of who speaks its API.
"""

from __future__ import annotations

import attrs

from aibridge.model import Dialect
from aibridge.providers.openai import COMPATIBLE, OPENAI
from aibridge.providers.types import KeyStyle


def test_openai() -> None:
    """
    The version is part of the prefix, and so of the base URL.
    """
    assert (OPENAI.prefix, OPENAI.base_url) == ("/v1", "https://api.openai.com/v1/")
    assert OPENAI.bridged == {"/chat/completions": Dialect.CHAT, "/responses": Dialect.RESPONSES}
    assert OPENAI.key_style is KeyStyle.BEARER


def test_what_passes_through() -> None:
    """
    Models, stored conversations and responses, embeddings, and the old completions.
    """
    assert set(OPENAI.passthrough) == {
        "/completions",
        "/conversations",
        "/conversations/",
        "/embeddings",
        "/models",
        "/models/",
        "/responses/",
    }


def test_compatible() -> None:
    """
    The same, but for where it is, which only its operator knows.
    """
    assert attrs.evolve(COMPATIBLE, name=OPENAI.name, base_url=OPENAI.base_url) == OPENAI
    assert (COMPATIBLE.name, COMPATIBLE.base_url) == ("openai-compatible", "")
