"""
Tests for `aibridge.daemon.embedded`.
"""

from __future__ import annotations

import pytest

from aibridge.daemon.embedded import providers
from aibridge.providers.provider import TYPES


class TestProviders:
    """
    What is there when nothing is configured.
    """

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, []),
            ({"OPENAI_API_KEY": ""}, []),
            ({"OPENAI_API_KEY": "k"}, [("openai", "env:OPENAI_API_KEY", "", "")]),
            ({"ANTHROPIC_API_KEY": "k"}, [("anthropic", "env:ANTHROPIC_API_KEY", "", "")]),
            (
                {"CODER_AIBRIDGE_OPENAI_KEY": "k", "OPENAI_API_KEY": "k"},
                [("openai", "env:CODER_AIBRIDGE_OPENAI_KEY", "", "")],
            ),
            (
                {"CODER_AIBRIDGE_ANTHROPIC_BASE_URL": "https://x"},
                [("anthropic", "", "https://x", "CODER_AIBRIDGE_ANTHROPIC_BASE_URL")],
            ),
            (
                {"OPENAI_API_KEY": "k", "CODER_AIBRIDGE_OPENAI_BASE_URL": "https://x", "ANTHROPIC_API_KEY": "k"},
                [
                    ("openai", "env:OPENAI_API_KEY", "https://x", "CODER_AIBRIDGE_OPENAI_BASE_URL"),
                    ("anthropic", "env:ANTHROPIC_API_KEY", "", ""),
                ],
            ),
        ],
        ids=range(7),
    )
    def test_vendors(self, environ: dict[str, str], expected: list[tuple[str, str, str, str]]) -> None:
        """
        The simulated provider is always there, and a vendor as soon as the environment has a key or an address for
        it; a key is a reference.
        """
        (demo, _), *vendors = providers(environ)
        assert (demo.name, demo.type, demo.key) == ("demo", "demo", "")
        assert [
            (settings.name, settings.key, settings.base_url, variable) for settings, variable in vendors
        ] == expected
        assert all(settings.type in TYPES for settings, _ in vendors)
