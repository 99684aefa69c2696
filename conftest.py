"""
What holds for all tests. It stands here because `tests` is no package, and another conftest is below it.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair: no test fails for being slow.
settings.register_profile("aibridge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aibridge")
