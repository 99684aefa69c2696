"""
Circuit breakers: a provider that fails again and again is left alone for a while, and then tried with care.

There is one for each provider, endpoint and model, as one model may be down while its neighbours serve. Its states and
what leads from one to the next are an Automat machine:

- **closed**: everybody may pass. `failure_threshold` failures in a row within `interval` seconds open it.
- **open**: nobody may pass for `timeout` seconds. Whatever was sent before and ends now says nothing any more.
- **half-open**: `max_requests` probes may pass. Once that many have succeeded it closes; the first that fails opens it.
  When none of them has come to an end after `timeout` seconds, as long thoughts may take, another set may pass.

Note [Absent is closed]: models are client text, and most requests succeed. So a breaker exists only from a failure on,
for as long as it has failures to remember; a model that has none has no entry, and costs one look-up. Where there are
`size` of them, one that is not refusing anybody gives way to a new one. When all are refusing, further models share one
for their provider and endpoint, whose name is `OTHER`: made-up names neither grow the table nor free a model that is
down.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import attrs
from automat import TypeMachineBuilder

from aibridge import errors
from aibridge.model import Dialect

OTHER: Final = "other"

HALF_OPEN_WAIT_S: Final = 1.0
"""What those are told who come while all probes are out: how long these take is not known."""

SCAN_S: Final = 1.0
"""How long a table that was found full of refusing breakers is taken to be so."""

Name = tuple[str, str, str]
"""Provider, endpoint, model."""

_FAILURES: Final = (
    errors.ResolveFailed,
    errors.ConnectFailed,
    errors.ConnectTimeout,
    errors.TLSFailed,
    errors.FirstByteTimeout,
)


def is_failure(outcome: errors.BridgeError | int, dialect: Dialect) -> bool:
    """
    Whether this outcome of a call, an error or the status of an answer, counts against the provider.

    No connection, no answer in time, 503, 504, and of Anthropic's 529 (https://docs.anthropic.com/en/api/errors). 429
    is a matter of the key; 500 and 502 may be that of one request.
    """
    if isinstance(outcome, int):
        return outcome in (503, 504) or (outcome == 529 and dialect is Dialect.MESSAGES)
    return isinstance(outcome, _FAILURES)


def is_success(outcome: errors.BridgeError | int) -> bool:
    """
    Whether this outcome speaks for the provider: an answer, and neither a 4xx nor a 5xx.
    """
    return isinstance(outcome, int) and outcome < 400


class State(enum.Enum):
    """
    Of a breaker; the value is that of its metric.
    """

    CLOSED = 0.0
    HALF_OPEN = 0.5
    OPEN = 1.0


@attrs.frozen(kw_only=True)
class BreakerTerms:
    """
    When breakers open and close. A breaker that has opened keeps its terms until it closes.

    :ivar failure_threshold: failures in a row that open it.
    :ivar interval_s: seconds within which they have to fall; 0 means that they may be any time apart.
    :ivar timeout_s: how long it stays open.
    :ivar max_requests: how many probes are let through after that, and have to succeed.
    :ivar shadow: breakers open and close, but refuse nobody.
    """

    failure_threshold: int = 5
    interval_s: float = 10.0
    timeout_s: float = 30.0
    max_requests: int = 3
    shadow: bool = False


# -- the machine -------------------------------------------------------------------------------------------------


class _Breaker(Protocol):
    """
    The inputs; those that begin with an underscore are the machine's own, for when a guard held.
    """

    def pass_time(self, now: float) -> None:
        """
        It is `now`: what was only to wait for that is done.
        """

    def admit(self, now: float) -> float:
        """
        Send a probe, and return 0.0; or return how long to wait.
        """

    def succeed(self, now: float, round_: int) -> None:
        """
        A call has succeeded.

        :param round_: that of the probe; 0 for what was sent while the breaker was closed.
        """

    def fail(self, now: float, round_: int) -> None:
        """
        A call has failed.
        """

    def give_back(self, round_: int) -> None:
        """
        A call has ended and says nothing of the provider.
        """

    def _trip(self, now: float) -> None:
        """
        Too much has failed.
        """

    def _try(self, now: float) -> None:
        """
        The time to wait is over.
        """

    def _recover(self) -> None:
        """
        Enough has succeeded.
        """


@attrs.define(eq=False)
class _Core:
    """
    What a breaker remembers.

    :ivar failures: when the last ones in a row were, while it is closed.
    :ivar until: when it stops being open.
    :ivar next_round: numbers that no other breaker has, from 1.
    :ivar round: of probes; what is left of an earlier one no longer counts.
    :ivar out: probes of this round that have not ended.
    :ivar succeeded: those that have succeeded.
    :ivar probed_at: when the last one was sent.
    """

    terms: BreakerTerms
    entered: Callable[[State], None]
    next_round: Callable[[], int]
    state: State = State.CLOSED
    failures: deque[float] = attrs.Factory(deque)
    until: float = 0.0
    round: int = 0
    out: int = 0
    succeeded: int = 0
    probed_at: float = 0.0

    def enter(self, state: State) -> None:
        """
        Remember where the machine is, for those who only look, and tell the observer.
        """
        self.state = state
        self.entered(state)

    def is_full(self) -> bool:
        """
        Whether as many probes are out, or have succeeded, as there may be.
        """
        return self.out + self.succeeded >= self.terms.max_requests

    def is_idle(self, now: float) -> bool:
        """
        Whether it keeps nobody out, and nobody is on the way whose word it waits for.
        """
        return self.out == 0 and (self.state is not State.OPEN or now >= self.until)


def _make_machine() -> Callable[[_Core], _Breaker]:
    machine = TypeMachineBuilder(_Breaker, _Core)
    closed = machine.state("closed")
    open_ = machine.state("open")
    half_open = machine.state("half-open")

    # Nothing waits for time while closed, and nobody is kept.
    closed.upon(_Breaker.pass_time).loop().returns(None)
    closed.upon(_Breaker.admit).loop().returns(0.0)
    closed.upon(_Breaker.give_back).loop().returns(None)

    @closed.upon(_Breaker.succeed).loop()
    def broke_the_row(breaker: _Breaker, core: _Core, now: float, round_: int) -> None:
        core.failures.clear()

    @closed.upon(_Breaker.fail).loop()
    def counted(breaker: _Breaker, core: _Core, now: float, round_: int) -> None:
        failures, terms = core.failures, core.terms
        failures.append(now)
        while len(failures) > terms.failure_threshold or (terms.interval_s and now - failures[0] > terms.interval_s):
            failures.popleft()
        if len(failures) >= terms.failure_threshold:
            breaker._trip(now)

    @closed.upon(_Breaker._trip).to(open_)
    @half_open.upon(_Breaker._trip).to(open_)
    def tripped(breaker: _Breaker, core: _Core, now: float) -> None:
        core.failures.clear()
        core.out = 0
        core.until = now + core.terms.timeout_s
        core.enter(State.OPEN)

    @open_.upon(_Breaker.pass_time).loop()
    def waited(breaker: _Breaker, core: _Core, now: float) -> None:
        if now >= core.until:
            breaker._try(now)

    @open_.upon(_Breaker.admit).loop()
    def refused(breaker: _Breaker, core: _Core, now: float) -> float:
        return core.until - now

    open_.upon(_Breaker.succeed).loop().returns(None)
    open_.upon(_Breaker.fail).loop().returns(None)
    open_.upon(_Breaker.give_back).loop().returns(None)

    @open_.upon(_Breaker._try).to(half_open)
    @half_open.upon(_Breaker._try).loop()
    def began_round(breaker: _Breaker, core: _Core, now: float) -> None:
        core.round = core.next_round()
        core.out = core.succeeded = 0
        if core.state is not State.HALF_OPEN:
            core.enter(State.HALF_OPEN)

    @half_open.upon(_Breaker.pass_time).loop()
    def overdue(breaker: _Breaker, core: _Core, now: float) -> None:
        if core.is_full() and now - core.probed_at >= core.terms.timeout_s:
            breaker._try(now)

    @half_open.upon(_Breaker.admit).loop()
    def probed(breaker: _Breaker, core: _Core, now: float) -> float:
        if core.is_full():
            return HALF_OPEN_WAIT_S
        core.out += 1
        core.probed_at = now
        return 0.0

    @half_open.upon(_Breaker.succeed).loop()
    def proved(breaker: _Breaker, core: _Core, now: float, round_: int) -> None:
        if round_ != core.round:
            return
        core.out -= 1
        core.succeeded += 1
        if core.succeeded >= core.terms.max_requests:
            breaker._recover()

    @half_open.upon(_Breaker.fail).loop()
    def disproved(breaker: _Breaker, core: _Core, now: float, round_: int) -> None:
        if round_ == core.round:
            breaker._trip(now)

    @half_open.upon(_Breaker.give_back).loop()
    def given_back(breaker: _Breaker, core: _Core, round_: int) -> None:
        if round_ == core.round:
            core.out -= 1

    @half_open.upon(_Breaker._recover).to(closed)
    def recovered(breaker: _Breaker, core: _Core) -> None:
        core.enter(State.CLOSED)

    return machine.build()


_machine = _make_machine()


# -- the table ---------------------------------------------------------------------------------------------------


class _Entry:
    """
    One breaker in the table: its machine, and what that remembers.
    """

    __slots__ = ("core", "machine")

    def __init__(self, core: _Core) -> None:
        self.core = core
        self.machine = _machine(core)


class Pass:
    """
    The right of one call to go to its provider, until it is told how that went. Only the first telling counts.
    """

    __slots__ = ("_breakers", "_name", "_round")

    def __init__(self, breakers: Breakers, name: Name, round_: int) -> None:
        self._breakers: Breakers | None = breakers
        self._name = name
        self._round = round_

    def success(self, now: float) -> None:
        """
        The provider has served it.
        """
        breakers, self._breakers = self._breakers, None
        # Most have nothing to be counted for: see Note [Absent is closed].
        if breakers is not None and breakers.entries:
            breakers.succeeded(self._name, self._round, now)

    def failure(self, now: float) -> None:
        """
        The provider has failed, as `is_failure` says.
        """
        breakers, self._breakers = self._breakers, None
        if breakers is not None:
            breakers.failed(self._name, self._round, now)

    def ignore(self, now: float) -> None:
        """
        It ended in a way that says nothing of the provider; a probe may be sent in its stead.
        """
        breakers, self._breakers = self._breakers, None
        if breakers is not None and self._round:
            breakers.given_back(self._name, self._round)

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
    """

    __slots__ = ("_full_until", "_next_round", "_on_change", "_on_reject", "_size", "entries", "terms")

    def __init__(
        self,
        terms: BreakerTerms,
        size: int = 1000,
        on_change: Callable[[Name, State], None] | None = None,
        on_reject: Callable[[Name, bool], None] | None = None,
    ) -> None:
        self.terms = terms
        self.entries: dict[Name, _Entry] = {}
        self._size = size
        self._on_change = on_change
        self._on_reject = on_reject
        self._full_until = -math.inf
        self._next_round = itertools.count(1).__next__

    def admit(self, provider: str, endpoint: str, model: str, now: float) -> Pass:
        """
        Let one call through.

        :param now: monotonic seconds.
        :raises BreakerOpen: it may not pass; with the time that is left.
        """
        name = (provider, endpoint, model)
        if not self.entries:
            return Pass(self, name, 0)
        return self._admit(name, now)

    def _admit(self, name: Name, now: float) -> Pass:
        entry = self.entries.get(name)
        own = name
        if entry is None:
            name = (name[0], name[1], OTHER)
            entry = self.entries.get(name)
        if entry is None or entry.core.state is State.CLOSED:
            return Pass(self, own, 0)
        core, machine = entry.core, entry.machine
        machine.pass_time(now)
        wait = machine.admit(now)
        if not wait:
            return Pass(self, name, core.round)
        shadow = self.terms.shadow
        if self._on_reject is not None:
            self._on_reject(name, shadow)
        if shadow:
            return Pass(self, own, 0)
        raise errors.BreakerOpen(retry_after_s=wait)

    def state(self, provider: str, endpoint: str, model: str) -> State:
        """
        How the breaker of this name stands, that shared with others not considered.
        """
        entry = self.entries.get((provider, endpoint, model))
        return State.CLOSED if entry is None else entry.core.state

    def succeeded(self, name: Name, round_: int, now: float) -> None:
        """
        A call that had been let through has succeeded; `Pass` tells it.
        """
        entry = self.entries.get(name)
        if entry is None:
            name = (name[0], name[1], OTHER)
            entry = self.entries.get(name)
        if entry is not None:
            entry.machine.succeed(now, round_)
            if entry.core.state is State.CLOSED:
                del self.entries[name]

    def failed(self, name: Name, round_: int, now: float) -> None:
        """
        A call that had been let through has failed; `Pass` tells it.
        """
        entry = self.entries.get(name)
        if entry is None:
            if round_:
                return  # its breaker has closed since, or was forgotten
            entry = self._new(name, now)
        elif entry.core.state is State.CLOSED:
            entry.core.terms = self.terms
        entry.machine.fail(now, round_)

    def given_back(self, name: Name, round_: int) -> None:
        """
        A probe has ended without a verdict; `Pass` tells it.
        """
        entry = self.entries.get(name)
        if entry is not None:
            entry.machine.give_back(round_)

    def _new(self, name: Name, now: float) -> _Entry:
        """
        A breaker for `name`, or the one that it has to share.
        """
        if not self._has_room(now):
            name = (name[0], name[1], OTHER)
            shared = self.entries.get(name)
            if shared is not None:
                return shared
        told = self._on_change
        entered: Callable[[State], None] = _ignore if told is None else lambda state: told(name, state)
        entry = self.entries[name] = _Entry(_Core(self.terms, entered, self._next_round))
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
            if entry.core.state is State.CLOSED:
                idle = name
                break
            if idle is None and entry.core.is_idle(now):
                idle = name
        if idle is None:
            self._full_until = now + SCAN_S
            return False
        core = entries.pop(idle).core
        if core.state is not State.CLOSED:
            core.enter(State.CLOSED)
        return True

    def __len__(self) -> int:
        return len(self.entries)


def _ignore(state: State) -> None:
    pass
