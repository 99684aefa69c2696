"""
Closed loops: requests whose answers are relayed whole.
"""

from __future__ import annotations

from benchmarks.measurements.measurement import (
    ALL,
    BUSY,
    CPU,
    LIGHT,
    RPS,
    Column,
    Measurement,
    Settings,
    per_request,
    with_cpu,
)
from benchmarks.rig import Rig
from benchmarks.targets.target import Started


class _Closed(Measurement):
    size: int

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        A closed loop of 32 connections.
        """
        request = started.request(f"bench-{self.size}")
        length = self.size if started.keeps_lengths else None
        port = started.server.port
        return per_request(*with_cpu(started, lambda: rig.closed(port, request, settings.seconds, length=length)))


class Relay(_Closed):
    """
    The headline.
    """

    name = "relay"
    title = "A relayed request: POST of 500 bytes, answer of 600, 32 connections"
    columns = (CPU, RPS, BUSY)
    references = ("nginx", "plain")
    targets = ALL
    size = 600


class Large(_Closed):
    """
    What bytes cost.
    """

    name = "large"
    title = "A large answer: 200 kB, 32 connections"
    columns = (CPU, RPS, BUSY)
    references = ("go", "haproxy")
    targets = LIGHT
    size = 200_000


class Latency(Measurement):
    """
    What one client at a time waits longer than without a gateway; for reading only.
    """

    name = "latency"
    title = "Added latency, one connection (for reading only)"
    columns = (Column("added p50 µs", "added_p50_us", ".0f"), Column("added p99 µs", "added_p99_us", ".0f"))
    targets = ALL

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        A loop of one connection, without the target and then through it.
        """
        request = started.request("bench-600")
        seconds = min(settings.seconds, 1.0)
        direct = rig.closed(rig.upstream, request, seconds, connections=1).checked()
        through = rig.closed(started.server.port, request, seconds, connections=1).checked()
        return {"added_p50_us": through.p50_us - direct.p50_us, "added_p99_us": through.p99_us - direct.p99_us}
