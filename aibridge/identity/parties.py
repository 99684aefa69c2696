"""
How many shares one address gets of what is shared out between principals, where nobody verifies who they are. Pure.

Note [Parties]: the gate, and what there is for bodies, is shared out fairly between principals. Where anybody can be
another one with each request that would mean: between as many as somebody makes up. So of the principals that come from
one origin, the first few are each a **party** of their own, as many as a household or a small office has, and all
others are one together. Whoever has made up thousands has a few shares. A principal that has not asked for a while
makes room for another one.
"""

from __future__ import annotations

from typing import Final

EACH: Final = 16
"""Parties of one origin, but for the one of all its others."""

MOST_ORIGINS: Final = 4096
"""That are remembered; beyond it the one that has asked for nothing for longest begins anew."""

KEPT_S: Final = 60.0


class Parties:
    """
    Who counts together with whom. See Note [Parties].
    """

    __slots__ = ("_each", "_most", "_origins")

    def __init__(self, each: int = EACH, most: int = MOST_ORIGINS) -> None:
        self._each = each
        self._most = most
        # Origin → principal → when it has last asked; both in the order of that.
        self._origins: dict[str, dict[str, float]] = {}

    def party_of(self, id: str, origin: str, now: float) -> str:
        """
        The party of a principal that asks now: its id, or what stands for all others of its origin.
        """
        known = self._origins.pop(origin, None)
        if known is None:
            known = {}
        self._origins[origin] = known
        if len(self._origins) > self._most:
            del self._origins[next(iter(self._origins))]
        if known.pop(id, None) is None:
            while known and now - next(iter(known.values())) >= KEPT_S:
                del known[next(iter(known))]
            if len(known) >= self._each:
                return f"origin:{origin}"
        known[id] = now
        return id

    def __len__(self) -> int:
        return len(self._origins)
