"""
Server-sent events at the pace of a model that talks.
"""

from __future__ import annotations

from benchmarks.measurements.measurement import ALL, BUSY, CPU, Column, Measurement, Settings, with_cpu
from benchmarks.rig import Rig
from benchmarks.targets.target import Started


class Sse(Measurement):
    """
    Where the CPU of a gateway goes: the event, not the request.
    """

    name = "sse"
    title = "A server-sent event: 50 streams, 50 events per second each"
    columns = (CPU, Column("events/s", "events_per_s", ",.0f"), BUSY, Column("longest gap ms", "longest_gap_ms", ".0f"))
    references = ("nginx",)
    targets = ALL

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        All streams from their requests to their ends.
        """
        count = max(2, int(settings.rate * settings.seconds))
        request = started.request(f"bench-sse-{settings.rate}-{count}", is_stream=True)
        # The last event says that it was the last.
        events = count + 1 if started.keeps_lengths else None
        port, patience_s = started.server.port, 10 + 5 * settings.seconds
        load, cpu_us = with_cpu(
            started, lambda: rig.events(port, request, streams=settings.streams, events=events, seconds=patience_s)
        )
        return {
            "cpu_us": cpu_us / load.events,
            "events_per_s": load.events / load.seconds,
            "busy": cpu_us / (load.seconds * 1e6),
            "longest_gap_ms": load.longest_gap_us / 1e3,
        }
