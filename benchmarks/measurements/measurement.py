"""
What all measurements are to the rounds and to the tables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.rig import Load, Rig
from benchmarks.targets.target import Mode, Started

ALL = ("nginx", "haproxy", "go", "aibridge", "earlier", "plain", "litellm")
LIGHT = ALL[:-1]
"""Without LiteLLM, which would take minutes to be asked what nobody compares."""

TUNNELLING = ("haproxy-tcp", "aibridge-proxy")

REFUSING = ("nginx", "haproxy", "aibridge", "earlier", "plain")


@dataclass(frozen=True)
class Settings:
    """
    How much is measured.

    :ivar seconds: of each sample.
    :ivar streams: at once, in `sse`, and `rate` the events of each per second.
    :ivar idle: how many streams are opened for the memory that each takes, in steps.
    :ivar stalled: readers that read nothing.
    """

    rounds: int = 3
    seconds: float = 3.0
    streams: int = 50
    rate: int = 50
    idle: tuple[int, ...] = (1000, 5000)
    stalled: int = 20


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    :ivar form: how the median is printed, as in `format`.
    """

    title: str
    metric: str
    form: str


class Measurement(ABC):
    """
    One kind of work.

    :cvar name: in results and on the command line.
    :cvar title: what it is, for people.
    :cvar columns: of its table; ratios are made of the first.
    :cvar references: targets that the others are divided by.
    :cvar is_fresh: each sample gets a newly started target.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    references: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[tuple[str, ...]] = ALL
    mode: ClassVar[Mode] = Mode.RELAY
    is_fresh: ClassVar[bool] = False

    def warm_up(self, rig: Rig, started: Started, seconds: float) -> None:
        """
        Have it do the work for a while, unmeasured.
        """
        request = started.request("bench-600")
        rig.closed(started.server.port, request, seconds, greeting=started.greeting).checked()

    @abstractmethod
    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        Measure once: metric → value.

        :raises BenchError: something went wrong, be it a single answer.
        """


def with_cpu(started: Started, work: Callable[[], Load]) -> tuple[Load, float]:
    """
    Do some work, and tell how much CPU time the target spent on it, in microseconds.
    """
    before = started.server.cpu_ns()
    load = work().checked()
    return load, (started.server.cpu_ns() - before) / 1e3


def per_request(load: Load, cpu_us: float) -> dict[str, float]:
    """
    The metrics of a closed loop.
    """
    return {
        "cpu_us": cpu_us / load.answered,
        "rps": load.answered / load.seconds,
        "p99_us": load.p99_us,
        "busy": cpu_us / (load.seconds * 1e6),
    }


CPU = Column("CPU µs", "cpu_us", ".1f")
RPS = Column("requests/s", "rps", ",.0f")
BUSY = Column("core busy", "busy", ".0%")
