"""
The gate: who may be in flight now, who waits, and who is sent away.

A permit is one of the daemon's, one of its provider's and one of its principal's: all three or none. `shares` says
what there is of each and what is kept for whom, `fair` and `choice` in which order those who wait are let in, and
`displacement` who makes room when too many do.

Note [Work conserving]: whenever somebody waits, something stands in its way: no permit is left of the daemon's, its
provider's or its principal's, or none that its class may have. So one who comes and finds room may pass all who wait.
`_hand_on` restores this after everything that may break it: a permit that came back, other terms.

Note [One order]: a principal's requests for one provider are let in in the order in which they came. Those for
different ones do not wait for each other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred

from aibridge.admission.choice import next_flow
from aibridge.admission.displacement import in_share, obstacle, whose_room
from aibridge.admission.fair import FairQueue
from aibridge.admission.forecast import retry_after
from aibridge.admission.lanes import Party
from aibridge.admission.permit import OVER, SEATED, WAITING, Answers, Claim, Permit, State, Waiter
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Obstacle, Pool
from aibridge.errors import AtCapacity
from aibridge.model import Class

_INTERACTIVE = Class.INTERACTIVE

EXPIRE_AT_ONCE: Final = 100  # Each is answered, so a crowd that came together is not sent away in one turn.


class Seats:
    """
    The gate of a daemon.

    :ivar terms: what holds until `adopt` says otherwise.
    :param now: monotonic seconds; asked only when one that waits is cancelled, as `Deferred.cancel` brings no time.
    :param chance: random numbers from 0 to 1, one for each refusal.
    :ivar answers: what those who wait are to be told.
    :ivar would_have_refused: how many went through only because the limits are in shadow, by what stood in their way.
    """

    __slots__ = (
        "_all",
        "_beside",
        "_chance",
        "_held",
        "_pools",
        "_queue",
        "_waiters",
        "answers",
        "now",
        "terms",
        "would_have_refused",
    )

    def __init__(self, terms: SeatTerms, now: Callable[[], float], chance: Callable[[], float]) -> None:
        self.terms = terms
        self.now = now
        self._chance = chance
        self._all: Pool[Waiter] = Pool(terms, terms.max_concurrency)
        self._pools: dict[str, Pool[Waiter]] = {name: Pool(terms, limit) for name, limit in terms.providers.items()}
        self._held: dict[str, int] = {}
        self._queue: FairQueue[Waiter] = FairQueue(terms.weights, self.held)
        # In the order in which they came, which is that in which their time is up.
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._beside: dict[Waiter, None] = {}
        self.answers = Answers()
        self.would_have_refused: dict[Obstacle, int] = dict.fromkeys(Obstacle, 0)

    # -- coming --------------------------------------------------------------------------------------------------

    def enter(self, claim: Claim, now: float) -> Permit | Deferred[Permit] | AtCapacity:
        """
        Ask for a permit: `at_once`, else `wait`.
        """
        return self.at_once(claim, now) or self.wait(claim, now)

    def at_once(self, claim: Claim, now: float) -> Permit | None:
        """
        A permit, if it can be had without waiting.
        """
        principal = claim.principal
        pool = self._pools.get(claim.provider)
        if pool is None:
            pool = self._pools[claim.provider] = Pool(self.terms, 0)
        interactive = claim.class_ is _INTERACTIVE
        if self._waiters and principal in self._queue and (party := self._others_of(claim, now)) is not None:
            if any(lane in party.flows for lane in pool.line.lanes):
                return None
            interactive = party.class_ is _INTERACTIVE
        everyone, held, most = self._all, self._held, claim.max_in_flight
        mine = held.get(principal, 0)
        if everyone.has_room(interactive) and pool.has_room(interactive) and (not most or mine < most):
            held[principal] = mine + 1
            pool.held[principal] = pool.held.get(principal, 0) + 1
            everyone.in_use += 1
            pool.in_use += 1
            if interactive:
                everyone.interactive += 1
                pool.interactive += 1
            if self._waiters:
                self._queue.reconsider(principal)
            return Permit(self, principal, pool, interactive, now, SEATED)
        return None

    def _others_of(self, claim: Claim, now: float) -> Party[Waiter] | None:
        """
        Those of its principal that wait. If the principal may have another number of permits now than when they came,
        that holds for them first.
        """
        if self._queue.allow(claim.principal, claim.max_in_flight):
            self._hand_on(now)
        return self._queue.party(claim.principal)

    def wait(self, claim: Claim, now: float) -> Permit | Deferred[Permit] | AtCapacity:
        """
        Wait for a permit that could not be had at once. Another one that waits may have to make room for it.

        :return: a Deferred that fires with the permit, or fails with `AtCapacity`, and leaves no trace if it is
            cancelled; or that error, with an `Obstacle` as its `policy`, if there is no place in the queue. It is not
            raised since, in an overload, that is what nearly everybody gets. In shadow: a permit all the same.
        """
        terms, pool, party = self.terms, self._pools[claim.provider], self._queue.party(claim.principal)
        # A token's class may have been changed while others of it wait: they all wait as one.
        class_ = claim.class_ if party is None else party.class_
        refused = self._make_room(claim, class_, pool, now)
        if refused is not None and not terms.shadow:
            return self._refusal(claim.principal, claim.max_in_flight, pool, class_ is _INTERACTIVE, refused, now)
        waiter = Waiter(self, claim, class_, pool, now, State.BESIDE_WAITING if terms.shadow else WAITING)
        answer = waiter.told
        if terms.shadow:
            self._stand_beside(waiter)
        if refused is None:
            self._queue.push(claim.principal, class_, claim.max_in_flight, waiter, pool.line.lanes[waiter.interactive])
            self._waiters[waiter] = None
            self._count_waiting(waiter, 1)
        else:
            waiter.state = State.BESIDE
            self.would_have_refused[refused] += 1
        self.answers.tell()
        return waiter if answer is None else answer

    def foresee(self, claim: Claim, now: float) -> AtCapacity | None:
        """
        Why `enter` would refuse it now, if it would. Nobody is let in, made to wait or displaced by the question.
        """
        if self.terms.shadow:
            return None
        pool, party = self._pools.get(claim.provider) or Pool(self.terms, 0), self._queue.party(claim.principal)
        class_ = claim.class_ if party is None else party.class_
        interactive = class_ is _INTERACTIVE
        has_room = self._all.has_room(interactive) and pool.has_room(interactive)
        found = self._in_the_way(claim, class_, pool)
        if not isinstance(found, Obstacle) or (has_room and self._allows(claim.principal, claim.max_in_flight)):
            return None
        return self._refusal(claim.principal, claim.max_in_flight, pool, interactive, found, now)

    def _make_room(self, claim: Claim, class_: Class, pool: Pool[Waiter], now: float) -> Obstacle | None:
        """
        See to it that one more can wait, or say why it cannot.
        """
        found = self._in_the_way(claim, class_, pool)
        if isinstance(found, Waiter):
            self._leave_queue(found)
            self._refuse(found, Obstacle.DISPLACED, now)
            return None
        return found

    def _in_the_way(self, claim: Claim, class_: Class, pool: Pool[Waiter]) -> Obstacle | Waiter | None:
        """
        What keeps one more from waiting: an obstacle, or another one that would have to make room.
        """
        interactive = class_ is _INTERACTIVE
        is_ready = self._allows(claim.principal, claim.max_in_flight)
        if self.terms.queue_size == 0:
            return obstacle(self._all, pool, interactive, is_ready)
        if len(self._queue) < self.terms.queue_size:
            return None
        is_safe = interactive and is_ready and in_share(self._all, pool, 1)
        found = whose_room(self._queue, self._all, pool, claim.principal, class_, is_safe, self._allows)
        return found or Obstacle.QUEUE

    # -- going ---------------------------------------------------------------------------------------------------

    def returned(self, permit: Permit, now: float) -> None:
        """
        What `Permit.give_back` does.
        """
        if permit.state is not SEATED:
            self._given_up(permit, now)
            return
        permit.state = OVER
        everyone, pool, principal, held = self._all, permit.pool, permit.principal, self._held
        everyone.in_use -= 1
        pool.in_use -= 1
        if permit.interactive:
            everyone.interactive -= 1
            pool.interactive -= 1
        left = held[principal] - 1
        if left:
            held[principal] = left
        else:
            del held[principal]
        held, left = pool.held, pool.held[principal] - 1
        if left:
            held[principal] = left
        else:
            del held[principal]
        service_s = now - permit.since
        everyone.forecast.ended(service_s)
        pool.forecast.ended(service_s)
        if self._waiters:
            self._queue.reconsider(principal)
            self._hand_on(now)

    def _given_up(self, permit: Permit, now: float) -> None:
        state, permit.state = permit.state, OVER
        if state is OVER:
            return
        assert isinstance(permit, Waiter)
        if state is not State.BESIDE:
            self._leave_queue(permit)
        if state is not WAITING:
            self._step_in(permit)
        self._hand_on(now)

    def _hand_on(self, now: float) -> None:
        """
        Let in who may be; see Note [Work conserving].
        """
        while self._waiters and (flow := next_flow(self._queue, self._all, self._pools)) is not None:
            waiter = flow.first
            self._seat(waiter)
            self._queue.take(flow)
            del self._waiters[waiter]
            self._count_waiting(waiter, -1)
            if waiter.told is not None:
                waiter.waited_s = now - waiter.since
                waiter.since = now
                self.answers.add(waiter, waiter)
            else:
                self._step_in(waiter)
        self.answers.tell()

    # -- waiting too long, other terms ---------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """
        Send away those whose time is up, `EXPIRE_AT_ONCE` of them at most: then `next_expiry` is in the past.
        """
        for _ in range(min(EXPIRE_AT_ONCE, len(self._waiters))):
            waiter = next(iter(self._waiters))
            if waiter.since + self.terms.queue_timeout_s > now:
                break
            self._leave_queue(waiter)
            self._refuse(waiter, Obstacle.TIMEOUT, now)
        self._hand_on(now)

    def next_expiry(self) -> float | None:
        """
        When `expire` has something to do next, or None while nobody waits. Never earlier than it was before, except
        that `adopt` may shorten the time.
        """
        return next((waiter.since + self.terms.queue_timeout_s for waiter in self._waiters), None)

    def adopt(self, terms: SeatTerms, now: float) -> None:
        """
        Other terms, which hold for those who wait as well. What is out stays out, and nobody who waits is sent away:
        a limit that was lowered lets nobody in until there are fewer, and a queue that is too long now shrinks by
        itself.
        """
        was_shadow, self.terms = self.terms.shadow, terms
        self._queue.weigh(terms.weights)
        self._all.adopt(terms, terms.max_concurrency)
        pools, limits = self._pools, terms.providers
        for name in [name for name, pool in pools.items() if pool.is_idle and name not in limits]:
            del pools[name]
        for name in limits:
            pools.setdefault(name, Pool(terms, 0))
        for name, pool in pools.items():
            pool.adopt(terms, limits.get(name, 0))
        if terms.shadow and not was_shadow:
            for waiter in self._waiters:
                self._stand_beside(waiter)
                waiter.state = State.BESIDE_WAITING
                waiter.waited_s = now - waiter.since
                self.answers.add(waiter, waiter)
        elif was_shadow and not terms.shadow:
            for waiter in list(self._beside):
                if waiter.state is State.BESIDE_WAITING:
                    self._leave_queue(waiter)
                self._step_in(waiter)
                self._seat(waiter)
        self._hand_on(now)

    # -- the books -----------------------------------------------------------------------------------------------

    @property
    def in_use(self) -> int:
        """
        Exchanges in flight, those that are only because the limits are in shadow included.
        """
        return self._all.in_use + self._all.beside

    def in_use_by_provider(self) -> dict[str, int]:
        """
        The same for each provider that has a limit or was asked for.
        """
        return {name: pool.in_use + pool.beside for name, pool in self._pools.items()}

    def held(self, principal: str) -> int:
        """
        Permits that a principal has.
        """
        return self._held.get(principal, 0)

    @property
    def principals(self) -> int:
        """
        How many principals are remembered: those that have permits or wait, and no others.
        """
        return len(self._held) + sum(key not in self._held for key in self._queue)

    @property
    def waiting(self) -> int:
        """
        Requests in the queue.
        """
        return len(self._queue)

    def waiting_by_class(self) -> dict[Class, int]:
        """
        The same for each class.
        """
        return {class_: self._queue.waiting(class_) for class_ in Class}

    def _seat(self, permit: Permit) -> None:
        permit.state = SEATED
        for held in (self._held, permit.pool.held):
            held[permit.principal] = held.get(permit.principal, 0) + 1
        for pool in (self._all, permit.pool):
            pool.in_use += 1
            pool.interactive += permit.interactive

    def _leave_queue(self, waiter: Waiter) -> None:
        self._queue.remove(waiter.principal, waiter, waiter.pool.line.lanes[waiter.interactive])
        del self._waiters[waiter]
        self._count_waiting(waiter, -1)

    def _count_waiting(self, waiter: Waiter, more: int) -> None:
        for pool in (self._all, waiter.pool):
            pool.waiting += more
            if waiter.interactive:
                pool.interactive_waiting += more

    def _stand_beside(self, waiter: Waiter) -> None:
        self._beside[waiter] = None
        self._all.beside += 1
        waiter.pool.beside += 1

    def _step_in(self, waiter: Waiter) -> None:
        del self._beside[waiter]
        self._all.beside -= 1
        waiter.pool.beside -= 1

    def _allows(self, principal: str, max_in_flight: int) -> bool:
        return not max_in_flight or self._held.get(principal, 0) < max_in_flight

    # -- telling -------------------------------------------------------------------------------------------------

    def _refuse(self, waiter: Waiter, obstacle: Obstacle, now: float) -> None:
        """
        It waited in vain; it has left the queue already.
        """
        if waiter.told is None:
            waiter.state = State.BESIDE
            self.would_have_refused[obstacle] += 1
        else:
            waiter.state = OVER
            why = self._refusal(waiter.principal, waiter.max_in_flight, waiter.pool, waiter.interactive, obstacle, now)
            self.answers.add(waiter, why)

    def _refusal(
        self, principal: str, max_in_flight: int, pool: Pool[Waiter], interactive: bool, obstacle: Obstacle, now: float
    ) -> AtCapacity:
        waits = [each.retry_s(interactive, now) for each in (self._all, pool) if not each.has_room(interactive)]
        if not self._allows(principal, max_in_flight):
            party = self._queue.party(principal)
            waits.append(pool.forecast.wait_s(0 if party is None else party.length, max_in_flight))
        told = retry_after(max(waits, default=0.0), self._chance(), self.terms.max_retry_after_s)
        return AtCapacity(retry_after_s=told, policy=obstacle.value)
