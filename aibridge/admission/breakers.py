"""
All circuit breakers: one for each provider, endpoint and model, as one model may be down while its neighbours serve.

Note [Absent is closed]: models are client text, and most requests succeed. So a breaker exists only from a failure on,
for as long as it has failures to remember; a model that has none has no entry, and costs one look-up. Where there are
`size` of them, one that is not refusing anybody gives way to a new one. When all are refusing, further models share one
for their provider and endpoint, whose name is `OTHER`: made-up names neither grow the table nor free a model that is
down.

Note [One's own failures]: a request may be such that no provider answers it in time. So whoever fails most counts for
nothing: a breaker opens for all when the failures of the others reach the threshold. Before that, one whose own reach
it is set apart: he has a breaker of his own, and what comes of his calls opens, holds and closes that alone. So is he
whose probe fails, unless another's fails as well. When it opens for all nobody is apart any more. What is down opens
after twice the threshold at most, however many ask for it; and where one asks alone, after the threshold, for him.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final

from aibridge import errors
from aibridge.admission.breaker import BreakerTerms, Core, State, is_failure, is_success, make_breaker
from aibridge.model import Dialect

OTHER: Final = "other"

MOST_APART: Final = 16
"""How many may have a breaker of their own beside one; beyond, the oldest gives way."""

SCAN_S: Final = 1.0
"""How long a table that was found full of refusing breakers is taken to be so."""

Name = tuple[str, str, str]
"""Provider, endpoint, model."""


class _One:
    """
    A machine, and what it remembers.
    """

    __slots__ = ("core", "machine")

    def __init__(self, core: Core) -> None:
        self.core = core
        self.machine = make_breaker(core)


class _Entry(_One):
    """
    One breaker and its place, and those of who are apart; see Note [One's own failures].

    :ivar apart: the breakers of single principals, by their ids; none of them is closed.
    """

    __slots__ = ("apart", "name", "table")

    def __init__(self, name: Name, table: dict[Name, _Entry], core: Core) -> None:
        super().__init__(core)
        self.name = name
        self.table = table
        self.apart: dict[str, _One] = {}

    def own(self, principal: str, round_: int) -> _One | None:
        """
        The breaker of this principal alone, if it is what a call of his tells; one that was a probe tells whose it was.
        """
        one = self.apart.get(principal)
        return None if one is None or (round_ and round_ != one.core.round) else one

    def failed(self, principal: str, round_: int, now: float) -> None:
        """
        A call has failed.
        """
        one = self.own(principal, round_)
        if one is not None:
            one.machine.fail(now, round_, "")
            return
        core, apart = self.core, self.apart
        if self.machine.fail(now, round_, principal):
            if principal not in apart and len(apart) >= MOST_APART:
                del apart[next(iter(apart))]
            one = apart[principal] = _One(Core(core.terms, core.entered, core.next_round))
            one.machine.trip(now)
        elif core.state is State.OPEN:
            apart.clear()

    def succeeded(self, principal: str, round_: int, now: float) -> None:
        """
        A call has succeeded.
        """
        core = self.core
        one = self.own(principal, round_)
        if one is None:
            if round_ or core.row:
                self.machine.succeed(now, round_, principal)
            return
        one.machine.succeed(now, round_, "")
        if one.core.state is State.CLOSED:
            del self.apart[principal]
            core.row.clear()

    def given_back(self, principal: str, round_: int) -> None:
        """
        A probe has ended without a verdict.
        """
        one = self.own(principal, round_)
        if one is None:
            self.machine.give_back(round_, principal)
        else:
            one.machine.give_back(round_, "")

    @property
    def state(self) -> State:
        """
        How it stands: for all, else for those who are apart.
        """
        if self.core.state is not State.CLOSED or not self.apart:
            return self.core.state
        is_open = any(one.core.state is State.OPEN for one in self.apart.values())
        return State.OPEN if is_open else State.HALF_OPEN

    @property
    def until(self) -> float:
        """
        When it stops being open; the same.
        """
        if self.core.state is not State.CLOSED or not self.apart:
            return self.core.until
        return max(one.core.until for one in self.apart.values())

    def is_idle(self, now: float) -> bool:
        """
        Whether it keeps nobody out, and nobody is on the way whose word it waits for.
        """
        return self.core.is_idle(now) and all(one.core.is_idle(now) for one in self.apart.values())


class Pass:
    """
    The right of one call to go to its provider, until it is told how that went. Only the first telling counts.

    :ivar in_shadow: it would not have been given, if breakers were not in shadow.
    """

    __slots__ = ("_breakers", "_name", "_principal", "_round", "in_shadow")

    def __init__(
        self, breakers: Breakers, name: Name, round_: int, in_shadow: bool = False, principal: str = ""
    ) -> None:
        self._breakers: Breakers | None = breakers
        self._principal = principal
        self._name = name
        self._round = round_
        self.in_shadow = in_shadow

    def success(self, now: float) -> None:
        """
        The provider has served it.
        """
        breakers, self._breakers = self._breakers, None
        # Most have nothing to be counted for: see Note [Absent is closed].
        if breakers is not None and (breakers.entries or breakers.shared):
            breakers.succeeded(self._name, self._round, now, self._principal)

    def failure(self, now: float) -> None:
        """
        The provider has failed, as `is_failure` says.
        """
        breakers, self._breakers = self._breakers, None
        if breakers is not None:
            breakers.failed(self._name, self._round, now, self._principal)

    def ignore(self, now: float) -> None:
        """
        It ended in a way that says nothing of the provider; a probe may be sent in its stead.
        """
        breakers, self._breakers = self._breakers, None
        if breakers is not None and self._round:
            breakers.given_back(self._name, self._round, self._principal)

    @property
    def is_probe(self) -> bool:
        """
        A breaker that is half-open waits for its outcome.
        """
        return self._round > 0 and self._breakers is not None

    def begun(self, now: float) -> None:
        """
        The provider has begun to serve it. For a probe that is enough: its breaker does not wait for the end, and how
        that will be counts like that of any other call.
        """
        if self._breakers is not None and self._round:
            self._breakers.succeeded(self._name, self._round, now, self._principal)
            self._round = 0

    def settle(self, outcome: errors.BridgeError | int, dialect: Dialect, now: float) -> None:
        """
        Tell it by the error, or the status of the answer, with which the call ended.
        """
        if is_success(outcome):
            self.success(now)
        elif is_failure(outcome, dialect):
            self.failure(now)
        else:
            self.ignore(now)


class Breakers:
    """
    All breakers, by provider, endpoint and model. See Note [Absent is closed].

    :param size: how many there are at most, those that are shared aside: one for each provider and endpoint.
    :param on_change: told each change of state; one to `State.OPEN` is a trip.
    :param on_reject: told each refusal, and whether it was one in shadow.

    :ivar terms: may be changed at any time; for a breaker that has opened, when it has closed.
    :ivar entries: those that exist; for reading.
    :ivar shared: the same, of those called `OTHER`; one for each provider and endpoint at most.
    :ivar would_have_refused: how many passed only because breakers are in shadow.
    """

    __slots__ = (
        "_full_until",
        "_next_round",
        "_on_change",
        "_on_reject",
        "_size",
        "entries",
        "shared",
        "terms",
        "would_have_refused",
    )

    def __init__(
        self,
        terms: BreakerTerms,
        size: int = 1000,
        on_change: Callable[[Name, State], None] | None = None,
        on_reject: Callable[[Name, bool], None] | None = None,
    ) -> None:
        self.terms = terms
        self.entries: dict[Name, _Entry] = {}
        self.shared: dict[Name, _Entry] = {}
        self.would_have_refused = 0
        self._size = size
        self._on_change = on_change
        self._on_reject = on_reject
        self._full_until = -math.inf
        self._next_round = itertools.count(1).__next__

    def admit(self, provider: str, endpoint: str, model: str, now: float, principal: str = "") -> Pass:
        """
        Let one call through.

        :param now: monotonic seconds.
        :param principal: the id of whose it is; empty is nobody known.
        :raises BreakerOpen: it may not pass; with the time that is left.
        """
        name = (provider, endpoint, model)
        if not self.entries and not self.shared:
            return Pass(self, name, 0, False, principal)
        return self._admit(name, now, principal)

    def _admit(self, name: Name, now: float, principal: str) -> Pass:
        entry = self._find(name)
        if entry is None:
            return Pass(self, name, 0, False, principal)
        core, machine, whose = entry.core, entry.machine, principal
        one = entry.apart.get(principal) if entry.apart else None
        if one is not None:
            core, machine, whose = one.core, one.machine, ""
        if core.state is State.CLOSED:
            return Pass(self, name, 0, False, principal)
        machine.pass_time(now)
        wait = machine.admit(now, whose)
        if not wait:
            return Pass(self, name, core.round, False, principal)
        shadow = self.terms.shadow
        if self._on_reject is not None:
            self._on_reject(entry.name, shadow)
        if shadow:
            self.would_have_refused += 1
            return Pass(self, name, 0, True, principal)
        raise errors.BreakerOpen(retry_after_s=wait)

    def state(self, provider: str, endpoint: str, model: str) -> State:
        """
        How the breaker of this name stands, for all or for whom it is open; that shared with others not considered.
        """
        entry = self.entries.get((provider, endpoint, model))
        return State.CLOSED if entry is None else entry.state

    def succeeded(self, name: Name, round_: int, now: float, principal: str = "") -> None:
        """
        A call that had been let through has succeeded; `Pass` tells it.
        """
        entry = self._find(name)
        if entry is not None:
            entry.succeeded(principal, round_, now)
            if entry.core.state is State.CLOSED and not entry.apart:
                del entry.table[entry.name]

    def failed(self, name: Name, round_: int, now: float, principal: str = "") -> None:
        """
        A call that had been let through has failed; `Pass` tells it.
        """
        entry = self.entries.get(name)
        if entry is None:
            # A probe that finds none of its own is that of the shared one, or its breaker is gone.
            entry = self._find(name) if round_ else self._new(name, now)
        if entry is not None:
            if entry.core.state is State.CLOSED:
                entry.core.terms = self.terms
            entry.failed(principal, round_, now)

    def given_back(self, name: Name, round_: int, principal: str = "") -> None:
        """
        A probe has ended without a verdict; `Pass` tells it.
        """
        entry = self._find(name)
        if entry is not None:
            entry.given_back(principal, round_)

    def _find(self, name: Name) -> _Entry | None:
        """
        The breaker that speaks for `name`: its own, else the shared one.
        """
        entry = self.entries.get(name)
        if entry is None and self.shared:
            entry = self.shared.get((name[0], name[1], OTHER))
        return entry

    def _new(self, name: Name, now: float) -> _Entry:
        """
        A breaker for `name`, or the one that it has to share.
        """
        table = self.entries
        if not self._has_room(now):
            table, name = self.shared, (name[0], name[1], OTHER)
            shared = table.get(name)
            if shared is not None:
                return shared
        told = self._on_change
        entered: Callable[[State], None] = _ignore if told is None else lambda state: told(name, state)
        entry = table[name] = _Entry(name, table, Core(self.terms, entered, self._next_round))
        return entry

    def _has_room(self, now: float) -> bool:
        """
        Whether one more is allowed, after one that keeps nobody out has been forgotten if need be: of those that are
        closed the oldest, else of those that only wait for somebody to try.
        """
        entries = self.entries
        if len(entries) < self._size:
            return True
        if now < self._full_until:
            return False
        idle: Name | None = None
        for name, entry in entries.items():
            if entry.state is State.CLOSED:
                idle = name
                break
            if idle is None and entry.is_idle(now):
                idle = name
        if idle is None:
            self._full_until = now + SCAN_S
            return False
        gone = entries.pop(idle)
        if gone.state is not State.CLOSED:
            gone.core.enter(State.CLOSED)
        return True

    def __len__(self) -> int:
        return len(self.entries) + len(self.shared)


def _ignore(state: State) -> None:
    pass
