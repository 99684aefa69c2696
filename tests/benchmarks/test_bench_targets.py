"""
Tests for `benchmarks.targets`, as far as nothing is started.
"""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path

import pytest

from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.targets.aibridge import configuration, spoiled
from benchmarks.targets.all import TARGETS
from benchmarks.targets.target import Mode
from benchmarks.targets.tunnels import greeting, proxy_configuration


def read(mode: Mode) -> dict[str, dict[str, object]]:
    """
    The daemon's configuration in a mode.
    """
    return tomllib.loads(configuration(mode, directory=Path("/d"), port=4000, admin=4001, upstream=9000))


@pytest.mark.parametrize("mode", list(Mode))
def test_everything_is_on(mode: Mode) -> None:
    """
    Tokens, gate, bucket, metrics and completion log: the daemon is not measured with anything left out.
    """
    found = read(mode)
    assert found["auth"]["backend"] == "file"
    assert found["listen"]["admin"]
    assert found["log"]["completions"] == "/d/completions.log"
    admission = found["admission"]
    assert all(admission[name] for name in ("max_concurrency", "rate_limit", "rate_burst"))


def test_refusals_come_from_the_limit_that_is_meant() -> None:
    """
    One stream fills the gate, one request the bucket.
    """
    assert read(Mode.OVERLOADED)["admission"]["max_concurrency"] == 1
    assert read(Mode.LIMITED)["admission"]["rate_burst"] == 1.0


@pytest.mark.parametrize("token", ["aib_0123456789ab_" + "A" * 43, "aib_0123456789ab_" + "x" * 43])
def test_spoiled_token_is_one_that_could_be(token: str) -> None:
    """
    Its id and length are a good one's, its secret is not.
    """
    wrong = spoiled(token)
    assert wrong != token
    assert len(wrong) == len(token)
    assert wrong[:17] == token[:17]


def test_measurements_and_targets_know_each_other() -> None:
    """
    A target named by a measurement is there and can do what it is asked.
    """
    for measurement in MEASUREMENTS.values():
        assert set(measurement.references) <= set(measurement.targets)
        for name in measurement.targets:
            assert measurement.mode in TARGETS[name].modes


def test_the_proxy_is_measured_with_all_on() -> None:
    """
    Tokens, metrics and the log; it may tunnel to the mock, and to nothing else.
    """
    found = tomllib.loads(proxy_configuration(directory=Path("/d"), port=8888, admin=8889, upstream=9000))
    assert found["auth"]["backend"] == "file"
    assert found["listen"]["admin"]
    assert found["log"]["completions"] == "/d/completions.log"
    assert found["proxy"]["ports"] == [9000]


def test_a_tunnel_begins_with_a_token() -> None:
    """
    As those of its clients do.
    """
    line, host, shown, *rest = greeting(9000, "aib_token").split(b"\r\n")
    assert (line, host) == (b"CONNECT 127.0.0.1:9000 HTTP/1.1", b"Host: 127.0.0.1:9000")
    assert base64.b64decode(shown.rpartition(b" ")[2]) == b"bench:aib_token"
    assert rest == [b"", b""]
