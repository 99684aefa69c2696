"""
How many tunnels there may be, and who has them.

Note [Some are left]: nobody may have more than three times as many as are left. So one who is alone gets three
quarters of all, and whatever one has opened, there is room for whoever comes next (Choudhury and Hahne, "Dynamic queue
length thresholds", 1998).
"""

from __future__ import annotations

from typing import Final

TIMES_LEFT: Final = 3


class Places:
    """
    Places for tunnels, by who has them.

    :ivar most: at once.
    :ivar taken: by all together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._mine: dict[str, int] = {}

    def take(self, holder: str) -> bool:
        """
        Take one; see Note [Some are left].

        :return: False if there is none for this one now.
        """
        mine = self._mine.get(holder, 0)
        if mine >= TIMES_LEFT * (self.most - self.taken):
            return False
        self._mine[holder] = mine + 1
        self.taken += 1
        return True

    def give_back(self, holder: str) -> None:
        """
        One that was taken is free again.
        """
        left = self._mine[holder] - 1
        if left:
            self._mine[holder] = left
        else:
            del self._mine[holder]
        self.taken -= 1
