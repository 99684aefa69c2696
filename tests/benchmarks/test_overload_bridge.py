"""
Tests for `benchmarks.overload.bridge`, as far as nothing is started.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from aibridge.daemon.admissionchecks import check_admission
from aibridge.daemon.decode import decode
from benchmarks.overload.bridge import configuration, sum_held
from benchmarks.overload.scenes import Size, Terms, all_scenes

ALL = list(dict.fromkeys(scene.terms for scene in all_scenes(Size())))

PAGE = """\
# TYPE aibridge_permits_in_use gauge
aibridge_permits_in_use 3.0
aibridge_permits_limit 32.0
aibridge_queue_length{class="default"} 2.0
aibridge_queue_length{class="batch"} 0.0
aibridge_interceptions_inflight{provider="bench",model="m",route="/v1/chat/completions"} 3.0
aibridge_upstream_connections{provider="bench",state="open"} 10.0
aibridge_upstream_connections{provider="bench",state="idle"} 7.0
aibridge_upstream_connections{provider="bench",state="waiting"} 1.0
aibridge_client_connections 40.0
"""


@pytest.mark.parametrize("terms", ALL, ids=lambda terms: terms.name)
def test_the_daemon_takes_the_configuration(terms: Terms) -> None:
    """
    Nothing about it is wrong or odd, and the gate is as the terms have it.
    """
    text = configuration(terms, directory=Path("/d"), port=4000, admin=4001, upstream=9000)
    settings, faults = decode(tomllib.loads(text))
    assert (faults, list(check_admission(settings, (), ()))) == ([], [])
    admission = settings.admission
    assert (admission.max_concurrency, admission.queue_size) == (terms.permits, terms.queue)
    assert (admission.interactive_share, admission.rate_limit) == (terms.interactive_share, terms.rate_limit)
    assert settings.log.completions == "/d/completions.log"


def test_what_is_held() -> None:
    """
    Permits, places in the queue, exchanges, and calls: connections that are not idle, and who waits for one.
    """
    assert sum_held(PAGE) == 3 + 2 + 3 + (10 - 7 + 1)


def test_nothing_is_held() -> None:
    """
    Idle connections, to either side, are nobody's.
    """
    page = 'aibridge_permits_in_use 0.0\naibridge_upstream_connections{provider="bench",state="open"} 5.0\n'
    page += 'aibridge_upstream_connections{provider="bench",state="idle"} 5.0\naibridge_client_connections 3.0\n'
    assert sum_held(page) == 0
