"""
What stands between a request and its provider, once it is known whose it is: the gate, the buckets, the breaker.

An exchange asks them in its own order; here is what one exchange has of them, and how all of it is let go of. What
nearly everybody gets in an overload, the refusals of the gate and of the buckets, is returned; what is rare is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aibridge import errors
from aibridge.admission.permit import Claim, Permit
from aibridge.admission.policies import ADMITTED, Admission, Refusal
from aibridge.admission.reservation import Reservation
from aibridge.log import Completion
from aibridge.model import Class, Dialect, Principal

if TYPE_CHECKING:
    from aibridge.admission.breakers import Pass
    from aibridge.web.terms import Bridge, Terms

NEVER: Final = -1.0
CLASSES: Final = {class_: class_.value for class_ in Class}


class Entrance:
    """
    One exchange at the gate, at its buckets and at its breaker.

    :param terms: that its exchange began with.
    :param completion: what is to be told of its exchange.
    :param provider: its name.
    :param gives_up: its client comes back a few times only, so that it is told a time at which nobody else comes.
    """

    __slots__ = (
        "_admission",
        "_bridge",
        "_charged_at",
        "_claim",
        "_completion",
        "_gives_up",
        "_pass",
        "_permit",
        "_principal",
        "_provider",
        "_since",
        "_terms",
        "_turn",
    )

    def __init__(
        self,
        bridge: Bridge,
        terms: Terms,
        completion: Completion,
        principal: Principal,
        provider: str,
        *,
        gives_up: bool = False,
    ) -> None:
        self._bridge = bridge
        self._terms = terms
        self._completion = completion
        self._principal = principal
        self._provider = provider
        self._since = 0.0
        self._gives_up = gives_up
        most = terms.max_in_flight if principal.max_in_flight is None else principal.max_in_flight
        self._claim = Claim(principal.party, principal.class_, provider, most)
        self._turn: Deferred[Permit] | None = None
        self._permit: Permit | None = None
        self._charged_at = NEVER
        self._admission: Admission | None = None
        self._pass: Pass | None = None

    # -- the gate ------------------------------------------------------------------------------------------------

    def foresee_gate(self, now: float) -> errors.AtCapacity | None:
        """
        Why the gate would not even let it wait now, if that is so. It takes nothing.
        """
        return self._bridge.turns.seats.foresee(self._claim, now)

    def is_open(self, now: float) -> bool:
        """
        Take a permit, if there is one without waiting.
        """
        self._since = now
        self._permit = permit = self._bridge.turns.seats.at_once(self._claim, now)
        return permit is not None

    @property
    def has_queue(self) -> bool:
        """
        A permit that cannot be had at once can be waited for.
        """
        return self._bridge.turns.seats.terms.queue_size > 0

    def wait(self, admitted: Callable[[], None], turned_away: Callable[[Failure], None]) -> errors.AtCapacity | bool:
        """
        Wait for a permit that could not be had at once.

        :param admitted: called when there is one, later.
        :param turned_away: called instead, with the reason, if there will be none.
        :return: True if there is one now, as the gate is in shadow; False if it is waited for, and neither of the two
            is called once `release` was; or why there will be none.
        """
        entered = self._bridge.turns.wait(self._claim, self._since)
        if isinstance(entered, Permit):
            self._permit = entered
            self._shadowed("gate")
            return True
        if isinstance(entered, errors.AtCapacity):
            return entered

        def let_in(permit: Permit) -> None:
            if self._turn is None:
                permit.give_back(self._bridge.now())
                return
            self._turn = None
            self._permit = permit
            self._queued("admitted", permit.waited_s)
            admitted()

        def sent_away(failure: Failure) -> None:
            if self._turn is None:
                return
            self._turn = None
            if isinstance(failure.value, errors.BridgeError):
                self._queued(failure.value.kind, self._bridge.now() - self._since)
            turned_away(failure)

        self._turn = entered
        entered.addCallbacks(let_in, sent_away)
        return False

    def _queued(self, outcome: str, seconds: float) -> None:
        """
        It waits for a permit no longer.
        """
        self._completion.queued_s = seconds
        self._bridge.metrics.queued(CLASSES[self._principal.class_], outcome, seconds)

    # -- the buckets ---------------------------------------------------------------------------------------------

    def foresee(self, reservation: Reservation | None, least: float | None = None) -> errors.RateLimited | None:
        """
        Why the buckets would refuse it now, if they would. None is filled.

        :param reservation: what it is expected to use; None if it uses no tokens.
        :param least: the fewest tokens that it can be expected to use, where its body is not known; then the
            reservation is what it is told to wait for.
        """
        now, policies = self._bridge.now(), self._terms.policies
        tokens, beyond = _tokens(reservation)
        if least is None:
            refusal = policies.refuse(self._principal, self._provider, now, tokens, None, beyond)
        else:
            refusal = policies.refuse(self._principal, self._provider, now, least, tokens, beyond)
        return None if refusal is None else self._over(refusal, reservation, now)

    def charge(self, reservation: Reservation | None) -> errors.RateLimited | None:
        """
        Fill the buckets, all of them or none.

        :param reservation: what it is expected to use; None if it uses no tokens.
        :return: why there was no room.
        """
        now = self._bridge.now()
        tokens, beyond = _tokens(reservation)
        admitted = self._terms.policies.check(self._principal, self._provider, now, tokens, beyond)
        if isinstance(admitted, Refusal):
            return self._over(admitted, reservation, now)
        self._charged_at = now
        if admitted is not ADMITTED:
            self._admission = admitted
            for policy in admitted.shadowed:
                self._shadowed(f"rate:{policy}")
        return None

    def _over(self, refusal: Refusal, reservation: Reservation | None, now: float) -> errors.RateLimited:
        """
        Say when it is to come back: where its client gives up soon, behind those who were told so before.
        """
        error = refusal.error()
        if self._gives_up:
            tokens, beyond = _tokens(reservation)
            error.retry_after_s = self._terms.policies.promise(
                refusal, self._principal, self._provider, now, tokens, beyond
            )
        return error

    def uncharge(self) -> None:
        """
        Its request has not been to a provider, and counts nowhere.
        """
        if self._charged_at == NEVER:
            return
        self._terms.policies.take_back(
            self._principal,
            self._provider,
            self._charged_at,
            self._bridge.now(),
            () if self._admission is None else self._admission.shadowed,
        )

    def settle(self, tokens: float, now: float) -> None:
        """
        Charge what was used instead of the estimate.
        """
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.settle(None, tokens, now)

    # -- the breaker ---------------------------------------------------------------------------------------------

    def meet_breaker(self, endpoint: str, model: str, now: float) -> None:
        """
        Ask the breaker of what is asked for.

        :raises BreakerOpen: it is open.
        """
        breakers, principal = self._bridge.breakers, self._principal.id
        self._pass = given = breakers.admit(self._provider, endpoint, model, now, principal)
        if given.in_shadow:
            self._shadowed("breaker")

    def tell_breaker(self, outcome: errors.BridgeError | int, dialect: Dialect, now: float) -> None:
        """
        The status of the provider's answer, or why there is none. Only the first telling counts.
        """
        if self._pass is not None:
            self._pass.settle(outcome, dialect, now)

    @property
    def is_probe(self) -> bool:
        """
        A breaker that is half-open waits for how it goes.
        """
        return self._pass is not None and self._pass.is_probe

    def begun(self) -> None:
        """
        The provider has begun to write.
        """
        if self._pass is not None:
            self._pass.begun(self._bridge.now())

    # -- the end -------------------------------------------------------------------------------------------------

    def release(self, cause: str, now: float) -> None:
        """
        Let go of everything but the charge, which `settle` corrects.
        """
        turn, self._turn = self._turn, None
        if turn is not None:
            self._queued(cause, now - self._since)
            turn.cancel()
        if self._permit is not None:
            self._permit.give_back(now)
        if self._pass is not None:
            self._pass.ignore(now)

    def _shadowed(self, who: str) -> None:
        """
        Somebody would have refused it if he were not in shadow.
        """
        completion = self._completion
        completion.shadowed = f"{completion.shadowed},{who}" if completion.shadowed else who


def _tokens(reservation: Reservation | None) -> tuple[float | None, float]:
    """
    What a request is expected to use, if it uses tokens, and what it may use beyond that.
    """
    return (None, 0.0) if reservation is None else (float(reservation.expected), float(reservation.beyond))
