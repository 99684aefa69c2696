"""
What can be configured about admission.
"""

from __future__ import annotations

import attrs
import pytest

from aibridge.admission.policy import Scope, Unit
from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.dialects.usage import DEFAULT_OUTPUT
from aibridge.model import Class
from aibridge.options import declaration
from making import faulty_declarations


@pytest.mark.parametrize("settings", [AdmissionSettings, BreakerSettings, LimitSettings])
def test_declarations(settings: type[attrs.AttrsInstance]) -> None:
    """
    Each option has a reason, a range, and a default within it.
    """
    assert not faulty_declarations(settings)


def test_all_limits_are_off() -> None:
    """
    Unless somebody sets them: nobody waits, nobody is refused, and nothing is kept for anybody.
    """
    settings = AdmissionSettings()
    assert (settings.max_concurrency, settings.max_in_flight, settings.rate_limit, settings.queue_size) == (0, 0, 0, 0)
    assert (settings.interactive_share, settings.count_passthrough, settings.gate_shadow) == (0, False, False)
    assert not BreakerSettings().enabled


def test_the_breaker_is_the_one_people_know() -> None:
    """
    Its numbers and the names of its variables are those that Coder's AI Bridge has, before its renaming and after.
    """
    settings = BreakerSettings()
    assert (settings.failure_threshold, settings.interval, settings.timeout, settings.max_requests) == (5, 10, 30, 3)
    for name in ("enabled", "failure_threshold", "interval", "timeout", "max_requests"):
        suffix = f"CIRCUIT_BREAKER_{name.upper()}"
        variables = declaration(attrs.fields_dict(BreakerSettings)[name]).env
        assert variables == tuple(f"{prefix}_{suffix}" for prefix in ("AIBRIDGE", "CODER_AIBRIDGE", "CODER_AI_GATEWAY"))


def test_a_limit_says_what_it_limits() -> None:
    """
    Neither whom nor what it counts is guessed, as a number that was meant for a minute would be no limit in a second;
    whatever a policy can say can be configured.
    """
    fields = attrs.fields(LimitSettings)
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    assert required == ["scope", "unit", "limit"]
    assert declaration(fields.scope).choices == tuple(scope.value for scope in Scope)
    assert declaration(fields.unit).choices == tuple(unit.value for unit in Unit)
    assert declaration(fields.class_).choices == ("", *(class_.value for class_ in Class))


def test_the_estimate_is_the_readers() -> None:
    """
    An answer without a maximum is taken for the same by those who estimate, unless somebody says otherwise.
    """
    assert AdmissionSettings().token_default_output == DEFAULT_OUTPUT


def test_known_names() -> None:
    """
    The two settings that give the system its name keep theirs, in all spellings.
    """
    fields = attrs.fields(AdmissionSettings)
    concurrency, rate = declaration(fields.max_concurrency), declaration(fields.rate_limit)
    assert (concurrency.flag, rate.flag) == ("max-concurrency", "rate-limit")
    assert concurrency.env == (
        "AIBRIDGE_MAX_CONCURRENCY",
        "CODER_AIBRIDGE_MAX_CONCURRENCY",
        "CODER_AI_GATEWAY_MAX_CONCURRENCY",
    )
    assert rate.env == ("AIBRIDGE_RATE_LIMIT", "CODER_AIBRIDGE_RATE_LIMIT", "CODER_AI_GATEWAY_RATE_LIMIT")


@pytest.mark.parametrize(
    ("limit", "burst", "holds"),
    [(0.0, 0.0, 1), (0.5, 0.0, 1), (2.0, 0.0, 2), (5.0, 1.0, 1), (2.0, 10.0, 10), (2.0, 0.25, 1)],
)
def test_burst(limit: float, burst: float, holds: float) -> None:
    """
    What is configured, else as many as the rate; never less than one request, or none would ever be let in.
    """
    assert AdmissionSettings(rate_limit=limit, rate_burst=burst).burst == holds
