"""
The memory that request bodies take, of which everybody has a share, and which is never more than was said.

Note [Half of what is left]: nobody may hold more than half of what nobody holds. One who is alone gets a third of all,
two get a quarter each, and whatever some have taken, there is something left for whoever comes next: a fixed share
would be too small while there is room, and too large once several have filled theirs (Choudhury and Hahne, "Dynamic
queue length thresholds", 1998).

Note [For newcomers]: that alone does not do where very many come, as each has its small bodies and its places to wait
beside. So a part of the memory is left to those that hold nothing yet, and half of that part to such as need not wait.

Note [Room first]: a body gets its room before it is read, all of it. Were the bytes counted as they come, forty large
bodies could fill the memory with halves, none of which can become whole. Those for which there is no room wait unread,
so that their clients cannot send, each principal's in their order and the principals in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from aibridge.deadlines import Deadlines

PLACE: Final = 65536
"""Bytes that a body counts for while it is not complete, beside its own: what is read of it before it is claimed."""

WAITS: Final = 16
"""The part of all memory that those of one principal which wait may take, as a divisor."""

KEPT_FREE: Final = 16
"""The part of all memory that is for newcomers alone, as a divisor; see Note [For newcomers]."""

LOOKED_AT: Final = 16
"""Principals that are looked at in vain before those that wait are left alone until something else is given back."""


class Waiting:
    """
    One body that waits for its room.
    """

    __slots__ = ("admitted", "principal", "refused", "size")

    def __init__(self, principal: str, size: int, admitted: Callable[[], None], refused: Callable[[], None]) -> None:
        self.principal = principal
        self.size = size
        self.admitted = admitted
        self.refused = refused


class Bodies:
    """
    All request bodies that are held, by principal.

    :param most: bytes, of all together.
    :param patience_s: how long a body waits for its room.
    :ivar held: bytes that are taken now.
    """

    __slots__ = ("_is_handing_on", "_mine", "_patience", "_queues", "held", "most")

    def __init__(self, clock: IReactorTime, most: int, patience_s: float) -> None:
        self.most = most
        self.held = 0
        self._mine: dict[str, int] = {}
        # In the order in which it is their turn; no queue is empty.
        self._queues: dict[str, deque[Waiting]] = {}
        self._patience: Deadlines[Waiting] = Deadlines(clock, patience_s, self._expired)
        self._is_handing_on = False

    def adopt(self, most: int, patience_s: float) -> None:
        """
        Other bounds, which hold from now on; nothing that is held is given up for them.
        """
        self.most = most
        self._patience.seconds = patience_s
        self._hand_on()

    def keep(self, principal: str, size: int) -> bool:
        """
        Count what is in memory already, or so small that it might as well be.

        :return: False if it cannot be kept.
        """
        mine = self._mine.get(principal, 0)
        if mine + size > self._left(mine) and self.held:
            return False
        self._add(principal, size)
        return True

    def take(self, principal: str, size: int) -> bool:
        """
        Take room for a body that is to be read.

        :return: False if there is none now, or others of the principal wait for theirs.
        """
        if principal in self._queues or not self._fits(principal, size):
            return False
        self._add(principal, size)
        return True

    def wait(
        self, principal: str, size: int, admitted: Callable[[], None], refused: Callable[[], None]
    ) -> Waiting | None:
        """
        Wait until there is room. `PLACE` is counted at once, and is part of `size`.

        :param admitted: called when `size` has been taken.
        :param refused: called instead when that takes too long; nothing is taken then.
        :return: for `leave`; None if there is no place to wait either.
        """
        queue = self._queues.get(principal)
        if queue is not None and len(queue) * PLACE * WAITS > self.most:
            return None
        is_full = 2 * KEPT_FREE * (self.most - self.held - PLACE) < self.most
        if is_full or not self.keep(principal, PLACE):
            return None
        waiting = Waiting(principal, size, admitted, refused)
        if queue is None:
            queue = self._queues[principal] = deque()
        queue.append(waiting)
        self._patience.start(waiting)
        return waiting

    def leave(self, waiting: Waiting) -> None:
        """
        Wait no longer; none of its functions is called.
        """
        self._patience.cancel(waiting)
        self._remove(waiting)
        self.give_back(waiting.principal, PLACE)

    def give_back(self, principal: str, size: int) -> None:
        """
        So many bytes are not held any more.
        """
        self.held -= size
        mine = self._mine[principal] - size
        if mine:
            self._mine[principal] = mine
        else:
            del self._mine[principal]
        if self._queues:
            self._hand_on()

    def held_by(self, principal: str) -> int:
        """
        Bytes of one principal's.
        """
        return self._mine.get(principal, 0)

    @property
    def waiting(self) -> int:
        """
        Bodies that wait for room.
        """
        return len(self._patience)

    def _fits(self, principal: str, size: int) -> bool:
        """
        See Note [Half of what is left]. The places in which it waits make nobody less of a newcomer.
        """
        mine = self._mine.get(principal, 0)
        places = PLACE * len(self._queues.get(principal, ()))
        room = min((self.most - self.held) // 2, self._left(mine - places))
        return mine + size <= room or not self.held

    def _left(self, mine: int) -> int:
        """
        Bytes that are left for one that holds so many.
        """
        left = self.most - self.held
        return left - self.most // KEPT_FREE if mine else left

    def _add(self, principal: str, size: int) -> None:
        self.held += size
        self._mine[principal] = self._mine.get(principal, 0) + size

    def _remove(self, waiting: Waiting) -> None:
        queue = self._queues[waiting.principal]
        queue.remove(waiting)
        if not queue:
            del self._queues[waiting.principal]

    def _expired(self, waiting: Waiting) -> None:
        self._remove(waiting)
        self.give_back(waiting.principal, PLACE)
        waiting.refused()

    def _hand_on(self) -> None:
        """
        Give room to those whose turn it is, and for whom there is some.
        """
        if self._is_handing_on:
            return
        self._is_handing_on = True
        left = LOOKED_AT
        try:
            while self._queues and left:
                principal = next(iter(self._queues))
                queue = self._queues.pop(principal)
                self._queues[principal] = queue
                waiting = queue[0]
                is_alone = self.held <= PLACE * len(self._patience)
                if not is_alone and not self._fits(principal, waiting.size - PLACE):
                    left -= 1
                    continue
                left = LOOKED_AT
                self._add(principal, waiting.size - PLACE)
                self._patience.cancel(waiting)
                self._remove(waiting)
                waiting.admitted()
        finally:
            self._is_handing_on = False
