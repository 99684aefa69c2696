"""
How long a real daemon's reactor was held up while a test did something to it.

What is looked at is processor time of the reactor's own turns, as the daemon counts it itself, so other processes on
the machine do not make a test fail. With a daemon of `daemons.Deployment`::

    with LagProbe(daemon) as probe:
        ...  # send what is hostile, and wait until it was dealt with
    assert probe.longest_s <= TURN_S, probe
"""

from __future__ import annotations

import re
from types import TracebackType

from daemons import Daemon

TURN_S = 0.05
"""What one turn may take at most."""


class LagProbe:
    """
    A context. The daemon should have served something of the kind before, as whatever is done for the first time takes
    longer. The page of metrics is read at both ends.

    :param prefix: of the daemon's metrics.
    :ivar turns: upper bound of a turn's seconds → how many turns were within it and above the bound before, from 10
        ms on.
    """

    def __init__(self, daemon: Daemon, prefix: str = "aibridge_") -> None:
        self.turns: dict[float, int] = {}
        self._daemon = daemon
        self._name = f"{prefix}reactor_long_turn_seconds_bucket"

    def __enter__(self) -> LagProbe:
        # What the reading itself costs is counted in the turn after it.
        self._read()
        self._before = self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            return
        self._daemon.page("/healthz")
        after, below = self._read(), 0.0
        for bound, count in after.items():
            more = count - self._before.get(bound, 0.0)
            self.turns[bound] = int(more - below)
            below = more

    @property
    def longest_s(self) -> float:
        """
        Seconds that no turn took more than; 0 if none took 10 ms, infinite if one took more than any bound.
        """
        return max((bound for bound, count in self.turns.items() if count), default=0.0)

    def __repr__(self) -> str:
        within = ", ".join(f"{count} within {bound:g} s" for bound, count in self.turns.items() if count)
        return f"long turns: {within or 'none'}"

    def _read(self) -> dict[float, float]:
        found = re.findall(rf'^{self._name}{{le="([^"]+)"}} (\S+)$', self._daemon.page("/metrics"), re.MULTILINE)
        return {float(bound): float(count) for bound, count in found}
