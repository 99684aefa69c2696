"""
Some callers at a bridge with a provider, for a while; and what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.heeding.bridge import Simulated, settings
from benchmarks.heeding.callers import Asking, Caller, Fate
from benchmarks.heeding.rules import Rule
from benchmarks.heeding.vendor import Script, Vendor, nothing

SEED = 20261129

LAST_ANSWER_S = 120.0
"""How long those who have asked may wait."""


@dataclass(frozen=True)
class Scene:
    """
    :ivar name: in tables.
    :ivar script: made anew for each run, as it may remember; what the provider answers before its rule does.
    :ivar keys: of the provider.
    :ivar limits: further tables of the configuration, such as ``[[limit]]``.
    :ivar begins_s: requests that are made before do not count.
    """

    name: str
    rule: Rule
    callers: tuple[Caller, ...]
    seconds: float
    script: Callable[[], Script] = lambda: nothing
    keys: int = 1
    limits: str = ""
    begins_s: float = 0.0


Change = Callable[[Simulated], None]
"""What is changed in a bridge before anybody asks it."""


@dataclass
class Outcome:
    """
    What came of a scene.

    :ivar fates: by the caller's name.
    :ivar refused: by the provider with 429, calls that the bridge repeated included.
    :ivar calls: that the provider had.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    refused: int = 0
    calls: int = 0

    def share(self, *names: str) -> float:
        """
        What part of what they wanted these callers were served, or all.
        """
        fates = [fate for name, fate in self.fates.items() if not names or name in names]
        wanted = sum(fate.wanted for fate in fates)
        return sum(fate.served for fate in fates) / wanted if wanted else 1.0

    @property
    def served(self) -> int:
        """
        Requests, of all callers.
        """
        return sum(fate.served for fate in self.fates.values())

    @property
    def refused_by_bridge(self) -> int:
        """
        Answers that the bridge gave itself.
        """
        return sum(fate.refused_by_bridge for fate in self.fates.values())


def run(scene: Scene, *, heeds: bool = True, change: Change | None = None, seed: int = SEED) -> Outcome:
    """
    Play a scene.

    :param heeds: the bridge is as shipped; else ``heed_limits`` is off.
    :param seed: of arrivals, of answers and of the bridge's own chance.
    """
    configured = settings(scene.rule.type, heeds=heeds, limits=scene.limits)
    simulated = Simulated(
        configured,
        scene.keys,
        lambda clock: Vendor(clock, lambda: simulated.wall(), scene.rule, scene.script()),
        seed,
    )
    if change is not None:
        change(simulated)
    within = (scene.begins_s, scene.seconds)
    asking = [Asking(caller, simulated, scene.rule.type, within, seed) for caller in scene.callers]
    simulated.run(scene.seconds + LAST_ANSWER_S)
    vendor = simulated.vendor
    return Outcome(
        {one.caller.name: one.fate for one in asking}, sum(vendor.refused.values()), sum(vendor.calls.values())
    )
