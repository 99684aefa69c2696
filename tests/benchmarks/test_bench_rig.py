"""
Tests for `benchmarks.rig` and what it stands on.
"""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchError
from benchmarks.machine import cpu_model
from benchmarks.processes import FIRST_PORT, PORTS, free_port
from benchmarks.rig import Cores, Load, chosen_cores


def load(**changes: object) -> Load:
    """
    What a load generator found that had nothing to complain about.
    """
    found: dict[str, object] = {
        "answered": 100,
        "events": 0,
        "reconnects": 0,
        "seconds": 1.0,
        "p50_us": 10.0,
        "p99_us": 20.0,
        "longest_gap_us": 0.0,
        "errors": 0,
        "faults": {},
    }
    return Load(**{**found, **changes})  # type: ignore[arg-type]  # as JSON has them


@pytest.mark.parametrize(
    ("available", "cores"), [([0, 1], Cores(0, 1, 1)), ([2, 5, 6], Cores(2, 5, 6)), ([0, 1, 2, 3], Cores(0, 1, 2))]
)
def test_target_has_its_core_alone(available: list[int], cores: Cores) -> None:
    """
    Mock and load share one only where there are but two.
    """
    assert chosen_cores(available) == cores


def test_one_core_will_not_do() -> None:
    """
    Nothing is measured on it.
    """
    with pytest.raises(BenchError, match="two cores"):
        chosen_cores([0])


def test_good_load() -> None:
    """
    It is handed on.
    """
    assert load().checked() == load()


@pytest.mark.parametrize("changes", [{"errors": 1, "faults": {"status": 1}}, {"answered": 0}])
def test_bad_load(changes: dict[str, object]) -> None:
    """
    A single error is too many, and so is no answer at all.
    """
    with pytest.raises(BenchError, match="answered"):
        load(**changes).checked()


def test_ports_differ() -> None:
    """
    And are below those of outgoing connections.
    """
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS for port in ports)


def test_cpu_model() -> None:
    """
    The first one; unknown where the kernel does not say.
    """
    assert cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\n") == "AMD EPYC"
    assert cpu_model("processor\t: 0\n") == "unknown"
