"""
What can be done about it.
"""

from __future__ import annotations

from aibridge.admission.shares import Obstacle
from aibridge.cli.advice import ADVICE, GATE, REASONS
from making import concrete_errors


def test_every_error_is_explained() -> None:
    """
    Each kind has its words, and each reason says who that is; nothing is explained that cannot happen.
    """
    errors = concrete_errors()
    assert set(ADVICE) == {error.kind for error in errors}
    assert set(REASONS) == {error.reason for error in errors}


def test_every_obstacle_is_explained() -> None:
    """
    Each of what can stand in the way at the gate.
    """
    assert set(GATE) == {obstacle.value for obstacle in Obstacle}


def test_sentences() -> None:
    """
    What is said are sentences.
    """
    for words in (*ADVICE.values(), *GATE.values()):
        assert words[0]
        assert all(not text or text.endswith(".") for text in words)
