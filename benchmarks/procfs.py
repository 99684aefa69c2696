"""
What the kernel knows about a process and its children: CPU time and memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_CPUCLOCK_SCHED = 2


@dataclass(frozen=True)
class Stat:
    """
    The fields of ``/proc/PID/stat`` that matter here (proc(5)).

    :ivar ticks: user and system time, in clock ticks.
    """

    pid: int
    name: str
    parent: int
    ticks: int


def parse_stat(text: str) -> Stat:
    """
    Read ``/proc/PID/stat``. The name is in parentheses and may hold anything, parentheses too.
    """
    pid, _, rest = text.partition(" (")
    name, _, fields = rest.rpartition(") ")
    values = fields.split()
    return Stat(pid=int(pid), name=name, parent=int(values[1]), ticks=int(values[11]) + int(values[12]))


def parse_pss(text: str) -> int:
    """
    The proportional set size in ``/proc/PID/smaps_rollup``, in bytes.
    """
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Pss in smaps_rollup")


def family(root: int, parents: Mapping[int, int]) -> list[int]:
    """
    A process and all that descend from it.

    :param parents: pid → pid of its parent.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(child for child in children.get(pid, ()) if child not in found)
    return found


def parse_core(text: str, core: int) -> int:
    """
    How long a core has worked so far, for anybody, in ticks: what ``/proc/stat`` has for it, without idling, waiting
    and what the hypervisor took.
    """
    for line in text.splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _waiting, irq, softirq = map(int, values[:7])
            return user + nice + system + irq + softirq
    raise ValueError(f"no core {core} in /proc/stat")


def core_ns(core: int) -> int:
    """
    The same of this machine, in nanoseconds.
    """
    return parse_core((PROC / "stat").read_text(), core) * TICK_NS


def tree(root: int) -> list[int]:
    """
    The processes of a tree.
    """
    parents = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            stat = parse_stat(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the listing and the reading
        parents[stat.pid] = stat.parent
    return family(root, parents)


def cpu_ns(pids: Iterable[int]) -> int:
    """
    User and system time that processes have used so far, of threads that ended too, in nanoseconds.

    It is what ``/proc/PID/stat`` shows in ticks of 10 ms, which are too coarse for short measurements; so it is read
    from the process's CPU clock (clock_getcpuclockid(3)), and in ticks where that cannot be.
    """
    return sum(_cpu_ns(pid) for pid in pids)


def _cpu_ns(pid: int) -> int:
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return parse_stat((PROC / str(pid) / "stat").read_text()).ticks * TICK_NS


def pss(pids: Iterable[int]) -> int:
    """
    Memory of processes, shared pages divided by those who share them, in bytes.
    """
    return sum(parse_pss((PROC / str(pid) / "smaps_rollup").read_text()) for pid in pids)
