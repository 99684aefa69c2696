"""
The simulated provider (`aibridge.demo`): both vendors' routes, no key. Its address is known once it listens.
"""

from __future__ import annotations

from aibridge.model import Dialect
from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.openai import OPENAI
from aibridge.providers.types import KeyStyle, ProviderType


def _below_v1(path: str) -> str:
    return f"{OPENAI.prefix}{path}"


DEMO = ProviderType(
    name="demo",
    key_style=KeyStyle.NONE,
    dialect=Dialect.CHAT,
    bridged={**{_below_v1(path): dialect for path, dialect in OPENAI.bridged.items()}, **ANTHROPIC.bridged},
    passthrough=tuple(sorted({_below_v1(path) for path in OPENAI.passthrough} | set(ANTHROPIC.passthrough))),
)
