"""
A circuit breaker: what fails again and again is left alone for a while, and then tried with care.

Its states and what leads from one to the next are an Automat machine:

- **closed**: everybody may pass. `failure_threshold` failures in a row within `interval` seconds open it; those of the
  principal who has most of them are not counted.
- **open**: nobody may pass for `timeout` seconds. Whatever was sent before and ends now says nothing any more.
- **half-open**: `max_requests` probes may pass; where one principal has sent all that are out, one more of another's.
  Once that many have succeeded it closes; failures of two principals open it. When none of them has come to an end
  after `timeout` seconds, as long thoughts may take, another set may pass.

Where one principal's failures alone say something it stays as it is, and says so: he is to have a breaker of his own.
What happens to nobody known, whose name is empty, is never taken for one's own: it counts in full, and one such probe
that fails opens it. So does what happens in a breaker that is one principal's.

This module has one breaker, and what counts as a failure; `aibridge.admission.breakers` has the table of them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, Protocol

import attrs
from automat import TypeMachineBuilder

from aibridge import errors
from aibridge.model import Dialect

HALF_OPEN_WAIT_S: Final = 1.0
"""What those are told who come while all probes are out: how long these take is not known."""

_FAILURES: Final = (
    errors.ResolveFailed,
    errors.ConnectFailed,
    errors.ConnectTimeout,
    errors.TLSFailed,
    errors.FirstByteTimeout,
    errors.UpstreamTruncated,
)


def is_failure(outcome: errors.BridgeError | int, dialect: Dialect) -> bool:
    """
    Whether this outcome of a call, an error or the status of an answer, counts against the provider.

    No connection, no answer in time, one that has no end, 503, 504, and of Anthropic's 529
    (https://docs.anthropic.com/en/api/errors). 429 is a matter of the key; 500 and 502 may be that of one request.
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


class Row:
    """
    Failures in a row, by whom they happened to. There are less than twice the threshold of them.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, principal: str, now: float, terms: BreakerTerms) -> None:
        """
        One more; what is too long ago is forgotten.
        """
        rows, interval_s = self._times, terms.interval_s
        times = rows.setdefault(principal, [])
        times.append(now)
        del times[: -terms.failure_threshold]
        if interval_s:
            for name, each in list(rows.items()):
                if now - each[0] > interval_s:
                    rows[name] = [at for at in each if now - at <= interval_s]
                    if not rows[name]:
                        del rows[name]

    def of(self, principal: str) -> int:
        """
        How many are this principal's.
        """
        return len(self._times.get(principal, ()))

    def of_several(self) -> int:
        """
        How many there are without those of the principal who has most.
        """
        counts = [len(times) for times in self._times.values()]
        return sum(counts) - max((len(times) for name, times in self._times.items() if name), default=0)

    def clear(self) -> None:
        """
        None any more.
        """
        self._times.clear()

    def __bool__(self) -> bool:
        return bool(self._times)


# -- the machine -------------------------------------------------------------------------------------------------


class Breaker(Protocol):
    """
    The inputs; those that begin with an underscore are the machine's own, for when a guard held.
    """

    def pass_time(self, now: float) -> None:
        """
        It is `now`: what was only to wait for that is done.
        """

    def admit(self, now: float, principal: str) -> float:
        """
        Send a probe, and return 0.0; or return how long to wait.

        :param principal: the id of whose it is; empty is nobody known.
        """

    def succeed(self, now: float, round_: int, principal: str) -> None:
        """
        A call has succeeded.

        :param round_: that of the probe; 0 for what was sent while the breaker was closed.
        """

    def fail(self, now: float, round_: int, principal: str) -> bool:
        """
        A call has failed.

        :return: whether this principal, and he alone, has failed too often.
        """

    def give_back(self, round_: int, principal: str) -> None:
        """
        A call has ended and says nothing of the provider.
        """

    def trip(self, now: float) -> None:
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
class Core:
    """
    What a breaker remembers.

    :ivar row: the last failures in a row, while it is closed.
    :ivar until: when it stops being open.
    :ivar next_round: numbers that no other breaker has, from 1.
    :ivar round: of probes; what is left of an earlier one no longer counts.
    :ivar out: how many probes of this round have not ended, by principal; only those who have some.
    :ivar succeeded: how many have succeeded.
    :ivar failed_by: whose probe was the last to fail without opening it; empty if none was.
    :ivar failed_at: when that was.
    :ivar probed_at: when the last one was sent.
    """

    terms: BreakerTerms
    entered: Callable[[State], None]
    next_round: Callable[[], int]
    state: State = State.CLOSED
    row: Row = attrs.Factory(Row)
    until: float = 0.0
    round: int = 0
    out: dict[str, int] = attrs.Factory(dict)
    succeeded: int = 0
    failed_by: str = ""
    failed_at: float = 0.0
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
        return sum(self.out.values()) + self.succeeded >= self.terms.max_requests

    def is_full_for(self, principal: str) -> bool:
        """
        Whether this principal may send none: it is full, and not all that are out are one other's.
        """
        return self.is_full() and (len(self.out) != 1 or principal in self.out)

    def take_back(self, round_: int, principal: str) -> bool:
        """
        A probe has ended; return whether it was one of this round.
        """
        count = self.out.get(principal, 0)
        if round_ != self.round or not count:
            return False
        if count > 1:
            self.out[principal] = count - 1
        else:
            del self.out[principal]
        return True

    def is_idle(self, now: float) -> bool:
        """
        Whether it keeps nobody out, and nobody is on the way whose word it waits for.
        """
        return not self.out and (self.state is not State.OPEN or now >= self.until)


def _make_machine() -> Callable[[Core], Breaker]:
    machine = TypeMachineBuilder(Breaker, Core)
    closed = machine.state("closed")
    open_ = machine.state("open")
    half_open = machine.state("half-open")

    # Nothing waits for time while closed, and nobody is kept.
    closed.upon(Breaker.pass_time).loop().returns(None)
    closed.upon(Breaker.admit).loop().returns(0.0)
    closed.upon(Breaker.give_back).loop().returns(None)

    @closed.upon(Breaker.succeed).loop()
    def broke_the_row(breaker: Breaker, core: Core, now: float, round_: int, principal: str) -> None:
        core.row.clear()

    @closed.upon(Breaker.fail).loop()
    def counted(breaker: Breaker, core: Core, now: float, round_: int, principal: str) -> bool:
        row, terms = core.row, core.terms
        row.add(principal, now, terms)
        if row.of_several() >= terms.failure_threshold:
            breaker.trip(now)
            return False
        return row.of(principal) >= terms.failure_threshold

    @closed.upon(Breaker.trip).to(open_)
    @half_open.upon(Breaker.trip).to(open_)
    def tripped(breaker: Breaker, core: Core, now: float) -> None:
        core.row.clear()
        core.out.clear()
        core.until = now + core.terms.timeout_s
        core.enter(State.OPEN)

    @open_.upon(Breaker.pass_time).loop()
    def waited(breaker: Breaker, core: Core, now: float) -> None:
        if now >= core.until:
            breaker._try(now)

    @open_.upon(Breaker.admit).loop()
    def refused(breaker: Breaker, core: Core, now: float, principal: str) -> float:
        return core.until - now

    open_.upon(Breaker.succeed).loop().returns(None)
    open_.upon(Breaker.fail).loop().returns(False)
    open_.upon(Breaker.give_back).loop().returns(None)

    @open_.upon(Breaker._try).to(half_open)
    @half_open.upon(Breaker._try).loop()
    def began_round(breaker: Breaker, core: Core, now: float) -> None:
        core.round = core.next_round()
        core.out.clear()
        core.succeeded = 0
        if core.state is not State.HALF_OPEN:
            core.failed_by = ""
            core.enter(State.HALF_OPEN)

    @half_open.upon(Breaker.pass_time).loop()
    def overdue(breaker: Breaker, core: Core, now: float) -> None:
        if core.is_full() and now - core.probed_at >= core.terms.timeout_s:
            breaker._try(now)

    @half_open.upon(Breaker.admit).loop()
    def probed(breaker: Breaker, core: Core, now: float, principal: str) -> float:
        if core.is_full_for(principal):
            return HALF_OPEN_WAIT_S
        core.out[principal] = core.out.get(principal, 0) + 1
        core.probed_at = now
        return 0.0

    @half_open.upon(Breaker.succeed).loop()
    def proved(breaker: Breaker, core: Core, now: float, round_: int, principal: str) -> None:
        if not core.take_back(round_, principal):
            return
        core.succeeded += 1
        if core.succeeded >= core.terms.max_requests:
            breaker._recover()

    @half_open.upon(Breaker.fail).loop()
    def disproved(breaker: Breaker, core: Core, now: float, round_: int, principal: str) -> bool:
        if not core.take_back(round_, principal):
            return False
        lately = core.failed_by if now - core.failed_at <= core.terms.timeout_s else ""
        if not principal or lately not in ("", principal):
            breaker.trip(now)
            return False
        # His others are not awaited either.
        core.out.pop(principal, None)
        core.failed_by, core.failed_at = principal, now
        return True

    @half_open.upon(Breaker.give_back).loop()
    def given_back(breaker: Breaker, core: Core, round_: int, principal: str) -> None:
        core.take_back(round_, principal)

    @half_open.upon(Breaker._recover).to(closed)
    def recovered(breaker: Breaker, core: Core) -> None:
        core.enter(State.CLOSED)

    return machine.build()


make_breaker: Final = _make_machine()
"""A closed breaker that keeps what it remembers in this `Core`."""
