"""
The gate: how many exchanges may be in flight.
"""

from __future__ import annotations


class Permit:
    """
    The right of one exchange to be in flight, until it is given back. Giving it back twice counts once.
    """

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def give_back(self) -> None:
        """
        Let somebody else in.
        """
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.in_use -= 1


class Gate:
    """
    Hands out at most `limit` permits at once; 0 means as many as are asked for.

    :ivar limit: may be changed at any time; permits that are out stay out, and nobody else comes in until their
        number has fallen below it.
    :ivar in_use: permits that are out.
    """

    __slots__ = ("in_use", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0

    def enter(self) -> Permit | None:
        """
        A permit, or None if there is none to be had now.
        """
        if 0 < self.limit <= self.in_use:
            return None
        self.in_use += 1
        return Permit(self)
