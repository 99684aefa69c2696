"""
The command line: what is measured, and what becomes of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from benchmarks import machine
from benchmarks.documents import filled, section
from benchmarks.errors import BenchError
from benchmarks.measurements.all import MEASUREMENTS
from benchmarks.measurements.measurement import Measurement, Settings
from benchmarks.profiling import PROFILES, profile
from benchmarks.results import Results
from benchmarks.rig import Rig, chosen_cores
from benchmarks.rounds import Run, scratch
from benchmarks.table import as_text, report
from benchmarks.targets.all import TARGETS
from benchmarks.targets.target import Target
from benchmarks.thresholds import complaints, judged, verdict_rows

ROOT = Path(__file__).resolve().parent.parent
LATEST = ROOT / "benchmarks" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"

LEAST_ALONE_RPS = 30_000.0
"""A rig that is slower than this was disturbed, and would be the bottleneck."""

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure, compare, write or profile.

    :return: the exit status: 1 if something failed or is missed.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.profile:
            return _profile(options)
        if options.write_docs:
            return _write_docs(options.saved or LATEST)
        results = _measured(options) if options.saved is None else Results.from_json(options.saved.read_text())
    except (BenchError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(report(list(MEASUREMENTS.values()), results))
    verdicts = judged(results)
    print(f"\n{as_text(verdict_rows(verdicts))}")
    if options.check:
        wrong = complaints(results, verdicts)
        print("\n".join(["", *wrong] if wrong else ["", "every ratio is kept"]))
        return 1 if wrong else 0
    return 1 if results.failures else 0


def _measured(options: argparse.Namespace) -> Results:
    settings = Settings(rounds=options.rounds, seconds=options.seconds)
    results = Results(machine=machine.described(datetime.now(UTC)))
    targets = _there(options.targets, results)
    with scratch() as directory:
        rig = Rig(directory, chosen_cores(sorted(os.sched_getaffinity(0))))
        try:
            alone = rig.alone()
            _say(f"load and mock alone: {alone:,.0f} requests/s")
            if alone < LEAST_ALONE_RPS:
                raise BenchError("load and mock are too slow to measure anything: is the machine busy?")
            results.settings = {"rounds": settings.rounds, "seconds": settings.seconds, "alone_rps": alone}
            Run(rig, targets, settings, results, directory, _say).measure(options.only)
        finally:
            rig.close()
    results.save(LATEST)
    return results


def _there(wanted: Sequence[Target], results: Results) -> dict[str, Target]:
    found = {}
    for target in wanted:
        lacking = target.lacking()
        if lacking is None:
            found[target.name] = target
            results.versions[target.name] = target.version()
        else:
            results.absent[target.name] = lacking
            _say(f"skipped {target.name}: {lacking}")
    return found


def _write_docs(path: Path) -> int:
    results = Results.from_json(path.read_text())
    PAGE.write_text(filled(PAGE.read_text(), section(list(MEASUREMENTS.values()), results)))
    return 0


def _profile(options: argparse.Namespace) -> int:
    with scratch() as directory:
        rig = Rig(directory, chosen_cores(sorted(os.sched_getaffinity(0))))
        try:
            text = profile(options.profile, rig, directory, options.seconds)
        finally:
            rig.close()
    path = LATEST.parent / f"profile-{options.profile}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -- the command line --------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures the daemon and others side by side.", allow_abbrev=False
    )
    everything: list[Measurement] = list(MEASUREMENTS.values())
    all_targets: list[Target] = list(TARGETS.values())
    parser.add_argument("--only", type=lambda text: _named(text, MEASUREMENTS), default=everything, metavar="NAMES",
                        help=f"which measurements, of {', '.join(MEASUREMENTS)}")  # fmt: skip
    parser.add_argument("--targets", type=lambda text: _named(text, TARGETS), default=all_targets, metavar="NAMES",
                        help=f"which targets, of {', '.join(TARGETS)}")  # fmt: skip
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="how often (3)")
    parser.add_argument("--seconds", type=positive, default=3.0, metavar="S", help="how long each time (3)")
    parser.add_argument("--saved", type=Path, metavar="FILE", help="take these results, and measure nothing")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is worse than it has to be")
    parser.add_argument("--write-docs", action="store_true", help=f"write the latest results into {PAGE.name}")
    parser.add_argument("--profile", choices=PROFILES, help="say where the daemon spends its time under this load")
    return parser


def _named(text: str, known: dict[str, T]) -> list[T]:
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    return [value for name, value in known.items() if name in names]


def positive(text: str) -> float:
    """
    A number of the command line's, such as seconds.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError("a positive number is needed")
    return value


def count(text: str) -> int:
    """
    A number of the command line's of things that are counted.
    """
    value = positive(text)
    if value != int(value):
        raise argparse.ArgumentTypeError("a whole number is needed")
    return int(value)
