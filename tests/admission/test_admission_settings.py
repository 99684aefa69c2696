"""
Tests for `aibridge.admission.settings`.
"""

from __future__ import annotations

import pytest

from aibridge.admission.settings import AdmissionSettings


class TestAdmissionSettings:
    """
    The limits, and what they are when nobody sets them.
    """

    def test_off(self) -> None:
        """
        Both limits are off by default, and passthrough requests do not count.
        """
        settings = AdmissionSettings()
        assert (settings.max_concurrency, settings.rate_limit, settings.count_passthrough) == (0, 0.0, False)

    @pytest.mark.parametrize(
        ("rate", "burst", "holds"),
        [(0.0, 0.0, 1.0), (0.5, 0.0, 1.0), (5.0, 0.0, 5.0), (5.0, 20.0, 20.0), (5.0, 1.0, 1.0)],
    )
    def test_burst(self, rate: float, burst: float, holds: float) -> None:
        """
        A bucket holds what is configured, else as many requests as leak in a second, and always one.
        """
        assert AdmissionSettings(rate_limit=rate, rate_burst=burst).burst == holds
