"""
Rounds: all targets of a measurement run side by side and are asked in turn, again and again.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import procfs
from benchmarks.errors import BenchError
from benchmarks.measurements.measurement import Measurement, Settings
from benchmarks.results import OTHERS, Results
from benchmarks.rig import Rig
from benchmarks.targets.target import Mode, Started, Target

Say = Callable[[str], None]

FRESH_WARM_UP_S = 0.3


def rotated(names: Sequence[str], number: int) -> list[str]:
    """
    The order of a round: over the rounds, each is first.
    """
    shift = number % len(names) if names else 0
    return [*names[shift:], *names[:shift]]


def groups(measurements: Sequence[Measurement]) -> Iterator[tuple[Mode, bool, list[Measurement]]]:
    """
    Measurements that can share the same running targets: those of one mode, unless they want fresh ones.
    """
    for (mode, is_fresh), group in itertools.groupby(measurements, lambda each: (each.mode, each.is_fresh)):
        yield mode, is_fresh, list(group)


class Run:
    """
    One run over some targets and measurements; fills in the results.
    """

    def __init__(
        self, rig: Rig, targets: Mapping[str, Target], settings: Settings, results: Results, directory: Path, say: Say
    ) -> None:
        self._rig = rig
        self._targets = targets
        self._settings = settings
        self._results = results
        self._directory = directory
        self._say = say

    def measure(self, measurements: Sequence[Measurement]) -> None:
        """
        All of them, for all targets that they are for.
        """
        for mode, is_fresh, group in groups(measurements):
            if is_fresh:
                for measurement in group:
                    self._fresh(measurement)
            else:
                self._shared(mode, group)

    def _names(self, measurement: Measurement) -> list[str]:
        return [
            name
            for name, target in self._targets.items()
            if name in measurement.targets and measurement.mode in target.modes
        ]

    def _shared(self, mode: Mode, group: Sequence[Measurement]) -> None:
        started: dict[str, Started] = {}
        try:
            for name in self._targets:
                if any(name in self._names(measurement) for measurement in group):
                    with self._guarded(f"{name}, start"):
                        started[name] = self._start(name, mode)
            for measurement in group:
                self._rounds(measurement, started)
        finally:
            for each in started.values():
                each.server.stop()

    def _rounds(self, measurement: Measurement, started: Mapping[str, Started]) -> None:
        self._say(f"{measurement.name}: {measurement.title}")
        good = []
        for name in self._names(measurement):
            if name in started:
                with self._guarded(f"{measurement.name}, {name}"):
                    measurement.warm_up(self._rig, started[name], self._targets[name].settling_s)
                    good.append(name)
        for number in range(self._settings.rounds):
            survivors = []
            for name in rotated(good, number):
                with self._guarded(f"{measurement.name}, {name}"):
                    self._take(measurement, name, started[name])
                    survivors.append(name)
            good = [name for name in good if name in survivors]

    def _fresh(self, measurement: Measurement) -> None:
        self._say(f"{measurement.name}: {measurement.title}")
        good = self._names(measurement)
        for number in range(self._settings.rounds):
            survivors = []
            for name in rotated(good, number):
                with self._guarded(f"{measurement.name}, {name}"):
                    started = self._start(name, measurement.mode)
                    try:
                        measurement.warm_up(self._rig, started, FRESH_WARM_UP_S)
                        self._take(measurement, name, started)
                    finally:
                        started.server.stop()
                    survivors.append(name)
            good = [name for name in good if name in survivors]

    def _start(self, name: str, mode: Mode) -> Started:
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._directory))
        started = self._targets[name].start(mode, self._rig.upstream, directory, self._rig.cores.target)
        try:
            started.server.wait()
        except BaseException:
            started.server.stop()
            raise
        return started

    def _take(self, measurement: Measurement, name: str, started: Started) -> None:
        started.server.check()
        core, server = self._rig.cores.target, started.server
        before = time.monotonic_ns(), procfs.core_ns(core) - server.cpu_ns()
        sample = measurement.sample(self._rig, started, self._settings)
        after = time.monotonic_ns(), procfs.core_ns(core) - server.cpu_ns()
        others = max(0.0, (after[1] - before[1]) / (after[0] - before[0]))
        self._results.add(measurement.name, name, {**sample, OTHERS: others})
        head = measurement.columns[0]
        self._say(f"  {name:9} {sample[head.metric]:{head.form}} {head.title}")

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        # One target's failure is noted, and leaves the others to be measured.
        try:
            yield
        except BenchError as error:
            self._results.failures.append(f"{what}: {error}")
            self._say(f"  FAILED {what}: {error}")


@contextmanager
def scratch() -> Iterator[Path]:
    """
    A directory that is gone afterwards.
    """
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
