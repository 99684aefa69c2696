"""
The simulated provider's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.demo import DEMO
from aibridge.providers.openai import OPENAI
from aibridge.providers.types import KeyStyle


def test_demo() -> None:
    """
    It asks for no key, and its address is not known before it listens.
    """
    assert (DEMO.prefix, DEMO.base_url, DEMO.key_style) == ("", "", KeyStyle.NONE)


def test_all_dialects_at_the_vendors_paths() -> None:
    """
    A client that knows either vendor finds what it knows.
    """
    assert DEMO.bridged == {
        "/v1/chat/completions": Dialect.CHAT,
        "/v1/responses": Dialect.RESPONSES,
        "/v1/messages": Dialect.MESSAGES,
    }
    assert {f"/v1{path}" for path in OPENAI.passthrough} <= set(DEMO.passthrough)
    assert set(ANTHROPIC.passthrough) <= set(DEMO.passthrough)
    assert len(DEMO.passthrough) == len(set(DEMO.passthrough)) == 9
