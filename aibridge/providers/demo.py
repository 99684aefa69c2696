"""
The simulated provider (`aibridge.demo`): both vendors' routes, no key. Its address is known once it listens.
"""

from __future__ import annotations

import attrs

from aibridge.model import Dialect
from aibridge.providers.access import Rule, below
from aibridge.providers.anthropic import ANTHROPIC
from aibridge.providers.openai import OPENAI
from aibridge.providers.types import KeyStyle, ProviderType


def _both() -> tuple[Rule, ...]:
    """
    OpenAI's, and those of Anthropic's that are not OpenAI's too, such as ``/v1/models`` and ``/v1/files``.
    """
    rules = list(below(OPENAI.rules, OPENAI.prefix))
    taken = {(method, rule.path) for rule in rules for method in rule.methods}
    rules.extend(
        attrs.evolve(rule, dialect=ANTHROPIC.dialect)
        for rule in ANTHROPIC.rules
        if not any((method, rule.path) in taken for method in rule.methods)
    )
    return tuple(rules)


DEMO = ProviderType(
    name="demo",
    key_style=KeyStyle.NONE,
    dialect=Dialect.CHAT,
    rules=_both(),
)
