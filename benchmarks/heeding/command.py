"""
The command line: which scenes are played, and what becomes of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.command import positive
from benchmarks.heeding.bars import Row, all_loads, of_load, of_mistake, played
from benchmarks.heeding.mistakes import all_mistakes
from benchmarks.heeding.report import report, write

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "limits.md"

SECONDS = 100.0


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Play the scenes, print the table.

    :return: the exit status: 1 if a bar is missed, or nothing was played.
    """
    options = _parser().parse_args(arguments)
    todo = [play for name, play in everything(options.seconds) if options.only in name]
    if not todo:
        print(f"benchmarks.heeding: no scene has {options.only!r} in its name", file=sys.stderr)
        return 1
    try:
        rows = played(todo, lambda line: print(line, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        return 130
    print(report(rows))
    if options.write_docs:
        write(rows, PAGE)
    return 1 if any(row.missed for row in rows) else 0


def everything(seconds: float) -> list[tuple[str, Callable[[], Row]]]:
    """
    All scenes, by name.

    :param seconds: how long one lasts; some need more.
    """
    return [
        *((mistake.scene.name, partial(of_mistake, mistake)) for mistake in all_mistakes(seconds)),
        *((scene.name, partial(of_load, scene, least)) for scene, least in all_loads(seconds)),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.heeding",
        description="Compares, in virtual time, what is served with and without heeding the provider's limits.",
        allow_abbrev=False,
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="scenes whose name has this in it")
    parser.add_argument("--seconds", type=positive, default=SECONDS, metavar="S",
                        help=f"how long a scene lasts, in virtual seconds ({SECONDS:g})")  # fmt: skip
    parser.add_argument("--write-docs", action="store_true", help=f"write the table into {PAGE.name}")
    return parser
