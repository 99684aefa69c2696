"""
What can be configured about admission.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.admission.settings import AdmissionSettings
from aibridge.options import declaration
from making import faulty_declarations


def test_declarations() -> None:
    """
    Each option has a reason, a range, and a default within it.
    """
    assert not faulty_declarations(AdmissionSettings)


def test_both_limits_are_off() -> None:
    """
    Unless somebody sets them.
    """
    settings = AdmissionSettings()
    assert (settings.max_concurrency, settings.rate_limit, settings.count_passthrough) == (0, 0, False)


def test_known_names() -> None:
    """
    The two settings that give the system its name keep theirs, in both spellings.
    """
    fields = attrs.fields(AdmissionSettings)
    concurrency, rate = declaration(fields.max_concurrency), declaration(fields.rate_limit)
    assert (concurrency.flag, rate.flag) == ("max-concurrency", "rate-limit")
    assert concurrency.env == ("AIBRIDGE_MAX_CONCURRENCY", "CODER_AIBRIDGE_MAX_CONCURRENCY")
    assert rate.env == ("AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT")


@pytest.mark.parametrize(
    ("limit", "burst", "holds"),
    [(0.0, 0.0, 1), (0.5, 0.0, 1), (2.0, 0.0, 2), (5.0, 1.0, 1), (2.0, 10.0, 10), (2.0, 0.25, 1)],
)
def test_burst(limit: float, burst: float, holds: float) -> None:
    """
    What is configured, else as many as the rate; never less than one request, or none would ever be let in.
    """
    assert AdmissionSettings(rate_limit=limit, rate_burst=burst).burst == holds
