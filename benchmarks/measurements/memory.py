"""
Memory: of streams on which nothing happens, and of readers that do not read.

What is counted is user space (Pss); the kernel's socket buffers are not in it, and are alike for all.
"""

from __future__ import annotations

import resource
import time
from typing import ClassVar

from benchmarks.errors import BenchError
from benchmarks.measurements.measurement import LIGHT, Column, Measurement, Settings
from benchmarks.rig import Rig
from benchmarks.targets.target import Started

SETTLING_S = 1.0

MOST_GROWTH = 512 * 1024 * 1024
"""Where a target that grows without bound is stopped, in bytes for all readers together."""

WATCHED_S = 6.0
STEP_S = 0.25
LATELY = 8
"""The steps at the end over which growth is measured."""


class Idle(Measurement):
    """
    What an open stream takes while the model thinks.
    """

    name = "memory"
    title = "Memory of an idle stream"
    columns = (
        Column("KiB each at 5,000", "kib_at_5000", ".1f"),
        Column("KiB each at 1,000", "kib_at_1000", ".1f"),
        Column("MiB before", "mib_before", ".1f"),
    )
    references: ClassVar[tuple[str, ...]] = ("nginx",)
    targets: ClassVar[tuple[str, ...]] = LIGHT
    is_fresh = True

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        Open streams in steps, and see how the target grew.
        """
        need = 2 * max(settings.idle) + 512
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if limit < need:
            raise BenchError(f"{need} file descriptors are needed, and the hard limit is {limit}")
        server = started.server
        before = server.pss()
        found = {"mib_before": before / 2**20}
        with rig.hold(server.port, started.request("bench-idle", is_stream=True), started.greeting) as hold:
            for count in settings.idle:
                hold.open(count)
                time.sleep(SETTLING_S)
                found[f"kib_at_{count}"] = (server.pss() - before) / count / 1024
            hold.end(max(settings.idle))
        return found


class Stalled(Measurement):
    """
    What a client costs that asks for an endless stream and never reads.
    """

    name = "stalled"
    title = "Memory of a stalled reader of an endless stream"
    columns = (Column("MiB each", "mib", ".3f"), Column("still growing, MiB/s each", "growth_mib_per_s", ".3f"))
    targets = LIGHT
    is_fresh = True

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        Open the streams, and watch the target for a few seconds, or until it has taken too much.
        """
        server, count = started.server, settings.stalled
        before = server.pss()
        sizes = [0]
        with rig.hold(server.port, started.request("bench-flood", is_stream=True)) as hold:
            hold.stall(count)
            while len(sizes) < WATCHED_S / STEP_S and sizes[-1] < MOST_GROWTH:
                time.sleep(STEP_S)
                sizes.append(server.pss() - before)
            if hold.end(count)["unread"] != count:
                raise BenchError("the streams did not reach their readers")
        lately = sizes[-LATELY:]
        growth = (lately[-1] - lately[0]) / (STEP_S * max(1, len(lately) - 1))
        return {"mib": sizes[-1] / count / 2**20, "growth_mib_per_s": growth / count / 2**20}
