"""
The scenes: who asks how much, of a bridge that is configured how.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.overload.callers import BATCH, DEFAULT, INTERACTIVE, Caller, Obedient, Steady

LOADS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""How much is offered, in capacities; the first shows what there is without an overload."""

PRINCIPALS = 20
"""Who offer it, in equal parts."""

TEN_LOAD = 0.5
"""What the ten ask for together, in capacities."""

CROWD_TIMES = 50
"""How many times as much as each of the ten the one asks for."""

CLASS_LOAD = 3.0
INTERACTIVE_SHARE = 0.25
INTERACTIVE_LOAD = 0.8
"""What is asked for by `interactive`, as a part of its share; by chance it is sometimes all of it, and never more."""

OBEDIENT = 60
OBEDIENT_RATE = 0.5
"""Requests per second that each may make, one at once: it is told to wait for two seconds."""

EARLY_MS = (1000, 100)
BACKGROUND_LOAD = 0.5

TEN = "ten"
CROWD = "crowd"


@dataclass(frozen=True)
class Size:
    """
    How large all of it is.

    :ivar permits: `max_concurrency`.
    :ivar service_ms: how long the provider takes for an answer.
    """

    permits: int = 32
    service_ms: int = 50

    @property
    def capacity(self) -> float:
        """
        Answers per second when all permits are always out.
        """
        return self.permits * 1000 / self.service_ms

    @property
    def queue(self) -> int:
        """
        Places in the queue, where there is one: as many as are served in two service times.
        """
        return 2 * self.permits

    @property
    def kept(self) -> int:
        """
        Permits that are kept for `interactive`, where any are.
        """
        return int(self.permits * INTERACTIVE_SHARE)


@dataclass(frozen=True)
class Terms:
    """
    What a bridge is configured with.

    :ivar name: in tables.
    """

    name: str
    permits: int
    queue: int = 0
    interactive_share: float = 0.0
    rate_limit: float = 0.0


@dataclass(frozen=True)
class Scene:
    """
    Some callers at a bridge.

    :ivar name: what its figures are kept under; those of one name differ in their terms.
    :ivar offered: by all of them, in capacities.
    """

    name: str
    terms: Terms
    callers: tuple[Caller, ...]
    offered: float


def load_name(times: float) -> str:
    """
    What the figures at a load are kept under.
    """
    return f"load-{times:g}"


def off_and_on(size: Size) -> tuple[Terms, Terms]:
    """
    The gate without a queue, and with one.
    """
    return Terms("queue off", size.permits), Terms("queue on", size.permits, size.queue)


def loads(size: Size, terms: Terms) -> list[Scene]:
    """
    Equal principals, who together offer more and more.
    """
    scenes = []
    for times in LOADS:
        rate = times * size.capacity / PRINCIPALS
        callers = tuple(Steady(f"equal-{number}", f"equal-{number}", rate=rate) for number in range(PRINCIPALS))
        scenes.append(Scene(load_name(times), terms, callers, times))
    return scenes


def fair(size: Size, terms: Terms) -> Scene:
    """
    Ten who ask for half of what there is, and one who asks for fifty times as much as each of them.
    """
    each = TEN_LOAD * size.capacity / 10
    ten = tuple(Steady(f"ten-{number}", TEN, rate=each) for number in range(10))
    crowd = Steady("crowd", CROWD, rate=CROWD_TIMES * each)
    return Scene("fair", terms, (*ten, crowd), TEN_LOAD * (1 + CROWD_TIMES / 10))


def classes(size: Size, queue: int) -> Scene:
    """
    Three times what there is, by all classes; of `interactive` never more at once than its share.
    """
    terms = Terms(f"share, queue {'on' if queue else 'off'}", size.permits, queue, INTERACTIVE_SHARE)
    people = 4
    most = max(1, size.kept // people)
    rate = INTERACTIVE_LOAD * size.capacity * INTERACTIVE_SHARE / people
    rest = (CLASS_LOAD - INTERACTIVE_LOAD * INTERACTIVE_SHARE) * size.capacity / 12
    return Scene(
        "classes",
        terms,
        (
            *(Steady(f"person-{n}", INTERACTIVE, INTERACTIVE, rate=rate, most=most) for n in range(people)),
            *(Steady(f"other-{n}", DEFAULT, DEFAULT, rate=rest) for n in range(6)),
            *(Steady(f"job-{n}", BATCH, BATCH, rate=rest) for n in range(6)),
        ),
        CLASS_LOAD,
    )


def waits(size: Size) -> Scene:
    """
    Clients that do as they are told, beside others; at a gate that is wide enough for all of them, so that it is the
    bucket alone that refuses.
    """
    terms = Terms("bucket", 4 * size.permits, rate_limit=OBEDIENT_RATE)
    obedient = tuple(
        Obedient(f"obedient-{n}", f"early-{EARLY_MS[n % 2]}", early_ms=EARLY_MS[n % 2]) for n in range(OBEDIENT)
    )
    others = tuple(
        Steady(f"background-{n}", "background", rate=BACKGROUND_LOAD * size.capacity / 10) for n in range(10)
    )
    return Scene("waits", terms, (*obedient, *others), BACKGROUND_LOAD)


def all_scenes(size: Size) -> list[Scene]:
    """
    Everything that is looked at in a round.
    """
    scenes: list[Scene] = []
    for terms in off_and_on(size):
        scenes += [*loads(size, terms), fair(size, terms)]
    return [*scenes, classes(size, 0), classes(size, size.queue), waits(size)]
