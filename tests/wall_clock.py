"""
Runs a Python program on a wall clock that is set while it runs:

    python tests/wall_clock.py PROGRAM ARGUMENTS...

SIGUSR1 sets it a day forward, SIGUSR2 a day back; each time it says so on a line of its own.
"""

from __future__ import annotations

import runpy
import signal
import sys
import time

DAY_S = 86400.0
SET = "the wall clock was set"

_real = time.time
_ahead_s = 0.0


def wall_clock() -> float:
    """
    What `time.time` is to the program.
    """
    return _real() + _ahead_s


def _set(number: int, _: object) -> None:
    global _ahead_s
    _ahead_s += DAY_S if number == signal.SIGUSR1 else -DAY_S
    print(SET, flush=True)


if __name__ == "__main__":
    # Before the program imports anything that keeps a reference to it.
    time.time = wall_clock
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _set)
    sys.path.pop(0)
    sys.argv.pop(0)
    runpy.run_path(sys.argv[0], run_name="__main__")
