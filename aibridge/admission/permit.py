"""
A permit, from being asked for to being given back.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from aibridge.admission.shares import Pool
from aibridge.errors import AtCapacity
from aibridge.model import Class


class Claim:
    """
    Who asks for a permit, and for what. May be kept and used again.

    :ivar principal: its id.
    :ivar provider: name of the provider.
    :ivar max_in_flight: most permits that the principal may have; 0 is no limit.
    """

    __slots__ = ("class_", "max_in_flight", "principal", "provider")

    def __init__(self, principal: str, class_: Class, provider: str, max_in_flight: int = 0) -> None:
        self.principal = principal
        self.class_ = class_
        self.provider = provider
        self.max_in_flight = max_in_flight


class State(enum.Enum):
    """
    Where a permit is in its life. It begins as SEATED or WAITING; in shadow, where nobody is made to wait, it may also
    begin as one of the two BESIDE.
    """

    SEATED = enum.auto()
    """It is out, and counts."""
    WAITING = enum.auto()
    """It is in the queue, and its caller waits for it."""
    BESIDE_WAITING = enum.auto()
    """It is in the queue, but its caller has it already."""
    BESIDE = enum.auto()
    """Its caller has it, but would have been refused."""
    OVER = enum.auto()
    """It was given back, or refused."""


# A look-up in an Enum costs as much as a comparison.
SEATED: Final = State.SEATED
WAITING: Final = State.WAITING
OVER: Final = State.OVER

AT_ONCE: Final = 50
"""How many of those who waited are told in one turn that they may go."""


class Issuer(Protocol):
    """
    What a permit is given back to: `aibridge.admission.seats.Seats`.
    """

    def now(self) -> float: ...

    def returned(self, permit: Permit, now: float) -> None: ...


class Permit:
    """
    The right of one exchange to be in flight, until it is given back.

    :ivar principal: whose it is.
    :ivar pool: its provider's permits.
    :ivar interactive: it counts for that class.
    :ivar since: since when it is asked for; once it is out, since when it is.
    :ivar waited_s: how long its caller waited for it.
    """

    __slots__ = ("_issuer", "interactive", "pool", "principal", "since", "state", "waited_s")

    def __init__(
        self, issuer: Issuer, principal: str, pool: Pool[Waiter], interactive: bool, since: float, state: State
    ) -> None:
        self._issuer = issuer
        self.principal = principal
        self.pool = pool
        self.interactive = interactive
        self.since = since
        self.state = state
        self.waited_s = 0.0

    @property
    def in_shadow(self) -> bool:
        """
        Its exchange would be waiting, or have been refused, if the limits were not in shadow.
        """
        return self.state is State.BESIDE or self.state is State.BESIDE_WAITING

    def give_back(self, now: float) -> None:
        """
        Let the next one in. Giving it back twice counts once.
        """
        self._issuer.returned(self, now)


class Waiter(Permit):
    """
    A permit that could not be had at once.

    :ivar class_: as what it waits.
    :ivar max_in_flight: as in its claim.
    :ivar told: fires with the permit, or with why there is none; None once that is settled, and in shadow.
    """

    __slots__ = ("class_", "max_in_flight", "told")

    def __init__(
        self, issuer: Issuer, claim: Claim, class_: Class, pool: Pool[Waiter], since: float, state: State
    ) -> None:
        super().__init__(issuer, claim.principal, pool, class_ is Class.INTERACTIVE, since, state)
        self.class_ = class_
        self.max_in_flight = claim.max_in_flight
        self.told: Deferred[Permit] | None = Deferred(self._left) if state is WAITING else None

    def _left(self, _: Deferred[Permit]) -> None:
        # What was decided meanwhile may not be told yet, so its state can be any; giving back is right in each.
        self.told = None
        self.give_back(self._issuer.now())


class Answers:
    """
    What waiters are to be told.

    Note [Told last]: whoever is told runs code of its own, which may come back to the gate: give back, ask, leave. So
    all is settled before anybody is told, and what is settled meanwhile is told afterwards, by the same loop and not
    from within it: a thousand permits that come straight back do not nest.

    Note [Some in each turn]: where a limit is raised, ten thousand may be let in at once, each of which then begins a
    call to its provider. With somebody who calls `go_on`, `AT_ONCE` are told each time.

    :ivar later: called when there are some left to be told, to have `go_on` called in another turn; without it all are
        told at once.
    """

    __slots__ = ("_is_put_off", "_is_telling", "_pending", "later")

    def __init__(self) -> None:
        self.later: Callable[[], object] | None = None
        self._pending: deque[tuple[Deferred[Permit], Permit | AtCapacity]] = deque()
        self._is_telling = self._is_put_off = False

    def add(self, waiter: Waiter, outcome: Permit | AtCapacity) -> None:
        """
        This is what has become of it.
        """
        deferred, waiter.told = waiter.told, None
        assert deferred is not None
        self._pending.append((deferred, outcome))

    def tell(self) -> None:
        """
        Tell what there is to be told. Those that left in the meantime hear nothing.
        """
        if self._is_telling or self._is_put_off:
            return
        self._is_telling = True
        told, later = 0, self.later
        try:
            while self._pending:
                if told == AT_ONCE and later is not None:
                    break
                told += 1
                deferred, outcome = self._pending.popleft()
                if deferred.called:
                    continue
                if isinstance(outcome, Permit):
                    deferred.callback(outcome)
                else:
                    deferred.errback(outcome)
        finally:
            self._is_telling = False
            if self._pending and later is not None:
                self._is_put_off = True
                later()

    def go_on(self) -> None:
        """
        Tell those that were left.
        """
        self._is_put_off = False
        self.tell()
