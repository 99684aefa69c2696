"""
The command line: what is measured, and what becomes of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.command import count, positive
from benchmarks.errors import BenchError
from benchmarks.overload.promises import broken, promises
from benchmarks.overload.report import report, size_of
from benchmarks.overload.run import Pace, Run
from benchmarks.overload.scenes import Size, all_scenes
from benchmarks.results import Results
from benchmarks.rig import Rig, chosen_cores
from benchmarks.rounds import scratch
from benchmarks.targets.aibridge import AIBridge

ROOT = Path(__file__).resolve().parent.parent.parent
LATEST = ROOT / "benchmarks" / "results" / "overload.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure, and compare with what has to hold; or write the page.

    :return: the exit status: 1 if something failed or does not hold.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.write_docs:
            return _write_docs(options.saved or LATEST)
        results = _measured(options) if options.saved is None else Results.from_json(options.saved.read_text())
    except (BenchError, OSError) as error:
        print(f"benchmarks.overload: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(report(results))
    wrong = broken(promises(results, size_of(results)), results)
    print("\n".join(["", *wrong] if wrong else ["", "every promise is kept"]))
    return 1 if wrong else 0


def _measured(options: argparse.Namespace) -> Results:
    size = Size(permits=options.permits)
    pace = Pace(options.rounds, options.seconds, sys.float_info.max if options.busy else Pace.most_late_ms)
    results = Results(machine=machine.described(datetime.now(UTC)))
    bridge = AIBridge()
    results.versions[bridge.name] = bridge.version()
    with scratch() as directory:
        rig = Rig(directory, chosen_cores(sorted(os.sched_getaffinity(0))), rests=True)
        try:
            run = Run(rig, size, pace, results, directory, _say)
            alone = run.alone()
            _say("load and upstream alone: " + ", ".join(f"{name} {value:.2f}" for name, value in alone.items()))
            results.settings = {**asdict(size), "rounds": pace.rounds, "seconds": pace.seconds, "alone": alone}
            run.measure([scene for scene in all_scenes(size) if not options.only or scene.name in options.only])
        finally:
            rig.close()
    results.save(options.to)
    return results


def _write_docs(path: Path) -> int:
    # Only here, since what draws is installed for this alone.
    from benchmarks.overload.page import write

    write(Results.from_json(path.read_text()), ROOT / "docs")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -- the command line --------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload",
        description="Asks the daemon for more than it may let through, and looks at who gets what.",
        allow_abbrev=False,
    )
    size, pace = Size(), Pace()
    scenes = list(dict.fromkeys(scene.name for scene in all_scenes(size)))
    parser.add_argument("--only", type=lambda text: _named(text, scenes), default=[], metavar="NAMES",
                        help=f"which scenes, of {', '.join(scenes)}")  # fmt: skip
    parser.add_argument("--rounds", type=count, default=pace.rounds, metavar="N", help=f"how often ({pace.rounds})")
    parser.add_argument("--seconds", type=positive, default=pace.seconds, metavar="S",
                        help=f"how long each time ({pace.seconds:g})")  # fmt: skip
    parser.add_argument("--permits", type=count, default=size.permits, metavar="N",
                        help=f"max_concurrency ({size.permits})")  # fmt: skip
    parser.add_argument("--busy", action="store_true", help="believe the load generator also where it was late")
    parser.add_argument("--to", type=Path, default=LATEST, metavar="FILE", help="where the results go")
    parser.add_argument("--saved", type=Path, metavar="FILE", help="take these results, and measure nothing")
    parser.add_argument("--write-docs", action="store_true", help="write the latest results into docs/overload.md")
    return parser


def _named(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    return names
