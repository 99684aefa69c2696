"""
How vendors count what a request takes of their limits.
"""

from __future__ import annotations

import pytest

from aibridge.admission.reservation import Reservation
from aibridge.providers.counting import (
    ANTHROPIC,
    AZURE,
    BY_HOST,
    BY_TYPE,
    CEREBRAS,
    GROQ,
    MISTRAL,
    OPENAI,
    UNKNOWN,
    Counting,
    counting_of,
)
from aibridge.providers.settings import TYPES

AGENT = Reservation(40_000, 2_000, 500, 127_500, 128_000)
"""Of a coding agent: most of its input comes from the vendor's cache, and it allows much more than it uses."""
PLAIN = Reservation(1_000, 1_000, 300, 130_772, None)
"""Of a request that names no maximum."""


@pytest.mark.parametrize(
    ("counting", "agent", "plain"),
    [
        (ANTHROPIC, (2_000, 500), (1_000, 300)),
        (OPENAI, (40_000, 88_000), (1_000, 300)),
        (AZURE, (40_000, 128_000), (1_000, 300)),
        (CEREBRAS, (40_000, 128_000), (1_000, 300)),
        (GROQ, (2_000, 500), (1_000, 300)),
        (MISTRAL, (40_000, 500), (1_000, 300)),
        (UNKNOWN, (40_000, 500), (1_000, 300)),
    ],
    ids=lambda value: (value.vendor or "unknown") if isinstance(value, Counting) else None,
)
def test_the_rules(counting: Counting, agent: tuple[int, int], plain: tuple[int, int]) -> None:
    """
    What each takes of what is left: the maximum only where the vendor says so.
    """
    assert counting.counted(AGENT) == agent
    assert counting.counted(PLAIN) == plain


def test_more_input_than_the_maximum() -> None:
    """
    Where the larger of the two counts, a small maximum counts nothing beside a large input.
    """
    assert OPENAI.counted(Reservation(40_000, 40_000, 100, 0, 100)) == (40_000, 0)


@pytest.mark.parametrize(
    ("type_", "base_url", "counting"),
    [
        ("anthropic", "https://api.anthropic.com", ANTHROPIC),
        ("openai", "https://api.openai.com/v1", OPENAI),
        ("openai", "https://eu.api.openai.com/v1", OPENAI),
        ("openai-compatible", "https://api.openai.com/v1", OPENAI),
        ("openai", "https://team.openai.azure.com/openai/v1", AZURE),
        ("openai-compatible", "https://api.groq.com/openai/v1", GROQ),
        ("openai-compatible", "https://api.mistral.ai/v1", MISTRAL),
        ("openai-compatible", "https://api.cerebras.ai/v1", CEREBRAS),
        ("openai-compatible", "http://127.0.0.1:8000/v1", UNKNOWN),
        ("openai-compatible", "https://notgroq.com/v1", UNKNOWN),
        ("openai-compatible", "https://groq.com.example/v1", UNKNOWN),
        ("anthropic", "http://10.0.0.7:8080", ANTHROPIC),
        ("openai", "http://10.0.0.7:8080/v1", OPENAI),
        ("copilot", "https://api.individual.githubcopilot.com", UNKNOWN),
        ("demo", "http://127.0.0.1:4999", UNKNOWN),
        ("openai-compatible", "", UNKNOWN),
    ],
)
def test_whose_rule_it_is(type_: str, base_url: str, counting: Counting) -> None:
    """
    The host's, if it is a vendor's, else the type's.
    """
    assert counting_of(type_, base_url) is counting


def test_the_table() -> None:
    """
    Every rule of a vendor has a source, and every type that has one is a type.
    """
    for counting in {*BY_HOST.values(), *BY_TYPE.values()}:
        assert counting.vendor
        assert counting.source.startswith("https://")
    assert set(BY_TYPE) <= set(TYPES)
