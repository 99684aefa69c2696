"""
Where the daemon spends its time under a load: by function, from samples of py-spy, or from cProfile without it.
"""

from __future__ import annotations

import io
import pstats
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.measurements.measurement import Measurement, Settings
from benchmarks.procfs import tree
from benchmarks.rig import Rig
from benchmarks.targets.aibridge import AIBridge
from benchmarks.targets.target import Started

PROFILES = ("relay", "sse", "large", "refusal-401", "refusal-429", "refusal-503")

MOST_LINES = 50
SAMPLES_PER_S = 500


def profile(name: str, rig: Rig, directory: Path, seconds: float) -> str:
    """
    Run the daemon alone under a measurement's load, and tell what it did.

    :param seconds: how long; 10 and more make small things visible.
    """
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    measurement = MEASUREMENTS[name]
    if spy is None:
        statistics = directory / "profile"
        options = (f"--profile={statistics}", "--profiler=cprofile", "--savestats")
        started = _started(measurement, rig, directory, options)
        cost = _under_load(measurement, rig, started, seconds, lambda: None)
        return f"{cost}, slowed down by cProfile (py-spy is not installed)\n\n{read_statistics(statistics)}"
    started = _started(measurement, rig, directory, ())
    folded = directory / "folded"
    command = [spy, "record", "--function", "--format", "raw", "--rate", str(SAMPLES_PER_S), "--output", str(folded)]
    command += ["--duration", str(max(1, int(seconds))), "--pid", str(tree(started.server.pid)[-1])]

    def watch() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"py-spy: {done.stderr.strip()}")

    cost = _under_load(measurement, rig, started, seconds + 1, watch)
    return f"{cost}, slowed down by py-spy\n\n{read_folded(folded.read_text().splitlines())}"


def _started(measurement: Measurement, rig: Rig, directory: Path, options: tuple[str, ...]) -> Started:
    place = directory / "aibridge"
    place.mkdir()
    started = AIBridge(options).start(measurement.mode, rig.upstream, place, rig.cores.target)
    try:
        started.server.wait()
        measurement.warm_up(rig, started, 1.0)
    except BaseException:
        started.server.stop()
        raise
    return started


def _under_load(measurement: Measurement, rig: Rig, started: Started, seconds: float, watch: Callable[[], None]) -> str:
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sample = measurement.sample(rig, started, Settings(seconds=seconds))
    finally:
        watcher.join()
        started.server.stop()
    return f"{measurement.title}: {sample['cpu_us']:.1f} CPU µs each"


def read_statistics(path: Path) -> str:
    """
    What cProfile saved, as a table.
    """
    out = io.StringIO()
    pstats.Stats(str(path), stream=out).strip_dirs().sort_stats("tottime").print_stats(MOST_LINES)
    return out.getvalue()


def read_folded(lines: Iterable[str]) -> str:
    """
    Samples as stacks, ``outer;inner COUNT`` a line, as tables: the share of samples in a function itself, and in it and
    what it called.
    """
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    total = own.total()
    table = []
    for title, order in (("by what it did itself", own), ("by what it and those it called did", whole)):
        table.append(f"   own   whole  function, {title}")
        for name, _ in order.most_common(MOST_LINES):
            table.append(f"{own[name] / total:6.1%} {whole[name] / total:7.1%}  {name}")
        table.append("")
    return "\n".join(table)
