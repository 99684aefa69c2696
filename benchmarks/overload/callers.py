"""
Those who ask: each is a principal with a token of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "default"
INTERACTIVE = "interactive"
BATCH = "batch"


@dataclass(frozen=True)
class Caller:
    """
    A principal.

    :ivar group: what it is told apart by in the figures.
    :ivar class_: of its token.
    :ivar limited: whether the bridge's bucket for each principal counts it.
    """

    name: str
    group: str
    class_: str = DEFAULT
    limited: bool = False

    def token_arguments(self) -> list[str]:
        """
        What ``aibridge token create`` is told.
        """
        own = [] if self.limited else ["--rate-limit", "0"]
        return ["--name", self.name, "--class", self.class_, *own]

    def line(self, seed: int) -> str:
        """
        It, as ``c/crowd.c`` reads it.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Steady(Caller):
    """
    One who asks at times that come by chance (a Poisson process), whatever it is answered.

    :ivar rate: requests per second.
    :ivar most: how many it has under way at once; what would be more is not asked for. 0: any number.
    """

    rate: float = 1.0
    most: int = 0

    def line(self, seed: int) -> str:
        """
        It, as ``c/crowd.c`` reads it.
        """
        return f"steady {self.rate:.6f} {self.most} {seed}"


@dataclass(frozen=True)
class Obedient(Caller):
    """
    One who asks until it is told to wait, comes back too early, and then exactly when it was told to.

    :ivar early_ms: by how much too early.
    """

    limited: bool = True
    early_ms: int = 1000

    def line(self, seed: int) -> str:
        """
        It, as ``c/crowd.c`` reads it.
        """
        return f"obedient {self.early_ms}"
