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


def turns(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """
    The order of each round: everyone is first, in some round, and nobody always follows the same one's start.
    """
    for number in range(rounds):
        shift = number % len(names) if names else 0
        yield [*names[shift:], *names[:shift]]


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
                    self._guarded(f"{name}, start", lambda name=name: started.update({name: self._start(name, mode)}))
            for measurement in group:
                self._rounds(measurement, started)
        finally:
            for each in started.values():
                each.server.stop()

    def _rounds(self, measurement: Measurement, started: Mapping[str, Started]) -> None:
        self._say(f"{measurement.name}: {measurement.title}")
        names = [name for name in self._names(measurement) if name in started]
        rig, settings = self._rig, self._settings
        good = [
            name
            for name in names
            if self._guarded(
                f"{measurement.name}, {name}",
                lambda name=name: measurement.warm_up(rig, started[name], self._targets[name].settling_s),
            )
        ]
        for order in turns(good, settings.rounds):
            for name in [name for name in order if name in good]:
                if not self._sample(measurement, name, started[name]):
                    good.remove(name)

    def _fresh(self, measurement: Measurement) -> None:
        self._say(f"{measurement.name}: {measurement.title}")
        good = self._names(measurement)
        for order in turns(good, self._settings.rounds):
            for name in [name for name in order if name in good]:
                started: list[Started] = []

                def sample(name: str = name, started: list[Started] = started) -> None:
                    started.append(self._start(name, measurement.mode))
                    measurement.warm_up(self._rig, started[0], FRESH_WARM_UP_S)
                    self._take(measurement, name, started[0])

                is_good = self._guarded(f"{measurement.name}, {name}", sample)
                for each in started:
                    each.server.stop()
                if not is_good:
                    good.remove(name)

    def _start(self, name: str, mode: Mode) -> Started:
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._directory))
        started = self._targets[name].start(mode, self._rig.upstream, directory, self._rig.cores.target)
        try:
            started.server.wait()
        except BaseException:
            started.server.stop()
            raise
        return started

    def _sample(self, measurement: Measurement, name: str, started: Started) -> bool:
        return self._guarded(f"{measurement.name}, {name}", lambda: self._take(measurement, name, started))

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

    def _guarded(self, what: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except BenchError as error:
            self._results.failures.append(f"{what}: {error}")
            self._say(f"  FAILED {what}: {error}")
            return False
        return True


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
