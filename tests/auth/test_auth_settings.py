"""
Tests for `aibridge.auth.settings`.
"""

from __future__ import annotations

from aibridge.auth.settings import BACKENDS, AuthSettings


class TestAuthSettings:
    """
    Who may come in when nobody says who.
    """

    def test_closed(self) -> None:
        """
        Tokens are asked for by default, and guessing is limited.
        """
        settings = AuthSettings()
        assert settings.backend == "file"
        assert settings.failure_rate > 0
        assert settings.failure_burst >= 1

    def test_backends(self) -> None:
        """
        The default is one of those there are.
        """
        assert AuthSettings().backend in BACKENDS
