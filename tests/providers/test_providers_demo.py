"""
The simulated provider's routes.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.access import Treatment
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
    bridged = {rule.path: rule.dialect for rule in DEMO.rules if rule.treatment is Treatment.BRIDGED}
    assert bridged == {
        "/v1/chat/completions": Dialect.CHAT,
        "/v1/responses": Dialect.RESPONSES,
        "/v1/messages": Dialect.MESSAGES,
    }
    paths = {rule.path for rule in DEMO.rules}
    assert {f"/v1{rule.path}" for rule in OPENAI.rules} <= paths
    assert {rule.path for rule in ANTHROPIC.rules} <= paths


def test_errors_look_as_the_vendors_do() -> None:
    """
    What is Anthropic's alone has errors like Anthropic's.
    """
    (batches,) = (rule for rule in DEMO.rules if rule.path == "/v1/messages/batches" and rule.methods == ("POST",))
    assert batches.dialect is Dialect.MESSAGES
