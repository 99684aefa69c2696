"""
What has to hold: nobody who makes no mistake gets less for another one's, and heeding costs nothing where the provider
would have refused nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.heeding.matrix import ABOVE, BELOW, bursts
from benchmarks.heeding.matrix import scene as loaded
from benchmarks.heeding.mistakes import Mistake
from benchmarks.heeding.rules import all_rules
from benchmarks.heeding.scene import Change, Outcome, Scene, run

LEAST_BELOW = 0.99
"""Of what is served without heeding, where the provider refuses nobody."""
LEAST_ABOVE = 0.95
"""Of it, where it has to refuse: heeding keeps a part of a limit in hand."""

RETRIES = 2


@dataclass(frozen=True)
class Bar:
    """
    A figure, and what it has to be.

    :ivar is_least: the bound is the least that it may be; else the most.
    """

    label: str
    found: float
    bound: float
    is_least: bool = True

    @property
    def is_met(self) -> bool:
        """
        Whether it is.
        """
        return self.found >= self.bound if self.is_least else self.found <= self.bound

    def __str__(self) -> str:
        side = "at least" if self.is_least else "at most"
        return f"{self.label}: {self.found:.3f}, has to be {side} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """
    A scene, played twice.

    :ivar served: whose share it is about; all of them if empty.
    """

    scene: Scene
    served: tuple[str, ...]
    without: Outcome
    heeding: Outcome
    bars: tuple[Bar, ...]

    @property
    def ratio(self) -> float:
        """
        What they were served with heeding, of what they were served without.
        """
        without = self.without.share(*self.served)
        return self.heeding.share(*self.served) / without if without else 1.0

    @property
    def missed(self) -> list[Bar]:
        """
        The bars that are not met.
        """
        return [bar for bar in self.bars if not bar.is_met]


def of_mistake(mistake: Mistake, change: Change | None = None) -> Row:
    """
    What comes of a mistake.

    :param change: of the bridge that heeds.
    """
    scene = mistake.scene
    heeding = run(scene, change=change)
    who = " and ".join(mistake.served) or "all"
    bars = [Bar(f"served to {who}", heeding.share(*mistake.served), mistake.least)]
    for name in mistake.own:
        fate = heeding.fates[name]
        bars.append(Bar(f"answers to {name} that are not the provider's", fate.refused_by_bridge, 0, is_least=False))
        bars.append(Bar(f"different refusals to {name}", len(fate.bodies), 1, is_least=False))
    if mistake.most_tries:
        wanted = sum(fate.wanted for fate in heeding.fates.values())
        bars.append(Bar("calls for one request", heeding.calls / wanted, mistake.most_tries, is_least=False))
    return Row(scene, mistake.served, run(scene, heeds=False), heeding, tuple(bars))


def of_load(scene: Scene, least: float, change: Change | None = None) -> Row:
    """
    What comes of a rule under a load.

    :param least: has to be served, of what is served without heeding.
    """
    heeding, without = run(scene, change=change), run(scene, heeds=False)
    ratio = Row(scene, (), without, heeding, ()).ratio
    bars = (
        Bar("served, of what is served without heeding", ratio, least),
        Bar("refusals by the provider", heeding.refused, without.refused, is_least=False),
    )
    return Row(scene, (), without, heeding, bars)


def all_loads(seconds: float) -> list[tuple[Scene, float]]:
    """
    All rules under all loads, with what has to be served; retries, which are many, with every fourth of them.
    """
    loads = [
        load
        for rule in all_rules()
        for load in (
            (loaded(rule, BELOW, seconds), LEAST_BELOW),
            (bursts(rule, seconds), LEAST_BELOW),
            (loaded(rule, ABOVE, seconds), LEAST_ABOVE),
        )
    ]
    return [*loads, *((loaded(rule, ABOVE, seconds, RETRIES), LEAST_ABOVE) for rule in all_rules()[::4])]


def played(todo: Iterable[Callable[[], Row]], say: Callable[[str], None]) -> list[Row]:
    """
    One after the other.

    :param say: told of each that is done.
    """
    rows = []
    for play in todo:
        row = play()
        rows.append(row)
        say(f"{row.scene.name}: {'missed' if row.missed else 'met'}")
    return rows
