"""
Tunnels: what bytes cost that nobody reads, and what a tunnel takes on which nothing happens.
"""

from __future__ import annotations

from benchmarks.measurements.measurement import BUSY, TUNNELLING, Column, Measurement, Settings, with_cpu
from benchmarks.measurements.memory import Idle
from benchmarks.rig import Rig
from benchmarks.targets.target import Started

MIB = 1024 * 1024


class Tunnelled(Measurement):
    """
    What bytes cost.
    """

    name = "tunnel"
    title = "Tunnelled bytes: answers of 1 MiB, 16 connections"
    columns = (Column("CPU µs per MiB", "cpu_us_per_mib", ".0f"), Column("MiB/s", "mib_per_s", ",.0f"), BUSY)
    references = ("haproxy-tcp",)
    targets = TUNNELLING
    size = MIB
    connections = 16

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        A closed loop through tunnels that are kept.
        """
        request = started.request(f"bench-{self.size}")
        load, cpu_us = with_cpu(
            started,
            lambda: rig.closed(
                started.server.port,
                request,
                settings.seconds,
                connections=self.connections,
                length=self.size,
                greeting=started.greeting,
            ),
        )
        mib = load.answered * self.size / MIB
        return {
            "cpu_us_per_mib": cpu_us / mib,
            "mib_per_s": mib / load.seconds,
            "busy": cpu_us / (load.seconds * 1e6),
        }


class IdleTunnel(Idle):
    """
    What a tunnel takes while nothing passes.
    """

    name = "tunnel-memory"
    title = "Memory of an idle tunnel"
    references = ("haproxy-tcp",)
    targets = TUNNELLING
