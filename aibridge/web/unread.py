"""
The memory that is taken by what clients have sent and nobody has read yet: heads in part, requests sent ahead, bodies
that were not asked for.

Each connection has a bound of its own, but connections cost those who make them nothing. So there is one for all of
them together, and no place (an address, or one /64 of IPv6) may hold more than what nobody holds: one alone gets half,
two get a third each, and there is always something left for the next (see Note [Half of what is left] in
`aibridge.web.bodies`).
"""

from __future__ import annotations


class Unread:
    """
    Bytes that wait to be read, by place.

    :param most: bytes, of all together.
    :ivar held: bytes that wait now.
    """

    __slots__ = ("_by_place", "held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._by_place: dict[str, int] = {}

    def add(self, place: str, more: int) -> bool:
        """
        Count bytes that have come, or (less than 0) are kept no longer. They are counted whatever the answer.

        :return: whether the place may keep as many as it does now. Where not, drop some of them, and say so here.
        """
        self.held += more
        mine = self._by_place.get(place, 0) + more
        if mine:
            self._by_place[place] = mine
        else:
            self._by_place.pop(place, None)
        return mine <= self.most - self.held

    def __len__(self) -> int:
        return len(self._by_place)
