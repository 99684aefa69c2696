"""
The gate: who may be in flight now, who waits, and who is sent away.

A permit is one of the daemon's, one of its provider's and one of its principal's: all three or none. `shares` says
what there is of each and what is kept for whom, `fair` in which order those who wait are let in.

Note [Work conserving]: whenever somebody waits, something stands in the way of the first request of each principal
that has one waiting. So one who comes and finds room may pass all who wait, except its own principal's. `_hand_on`
restores this after everything that may break it: a permit that came back, a first request that left, other terms.

Note [One order]: a principal's requests are let in in the order in which they came, over all providers. One that waits
for a full provider holds up those behind it, of the same principal, which are for another: it delays nobody else, and
no client sees its second request overtake its first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred

from aibridge.admission.fair import LAST, FairQueue, Flow
from aibridge.admission.forecast import retry_after
from aibridge.admission.permit import OVER, SEATED, WAITING, Answers, Claim, Permit, State, Waiter
from aibridge.admission.seatterms import SeatTerms
from aibridge.admission.shares import Obstacle, Pool
from aibridge.errors import AtCapacity
from aibridge.model import Class

_INTERACTIVE = Class.INTERACTIVE


class Seats:
    """
    The gate of a daemon.

    :ivar terms: what holds until `adopt` says otherwise.
    :param now: monotonic seconds; asked only when a caller that waits is cancelled, since `Deferred.cancel` cannot
        bring the time along.
    :param chance: random numbers from 0 to 1, one for each refusal.
    :ivar would_have_refused: how many went through only because the limits are in shadow, by what stood in their way.
    """

    __slots__ = (
        "_all",
        "_answers",
        "_beside",
        "_chance",
        "_held",
        "_pools",
        "_queue",
        "_waiters",
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
        self._queue: FairQueue[Waiter] = FairQueue(terms.weights, self.held, self._is_ready)
        # In the order in which they came, which is that in which their time is up.
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._beside: dict[Waiter, None] = {}
        self._answers = Answers()
        self.would_have_refused: dict[Obstacle, int] = dict.fromkeys(Obstacle, 0)

    # -- coming --------------------------------------------------------------------------------------------------

    def enter(self, claim: Claim, now: float) -> Permit | Deferred[Permit] | AtCapacity:
        """
        Ask for a permit.

        :return: the permit; or, where it has to be waited for, a Deferred that fires with it, or fails with
            `AtCapacity` when it is displaced or its time is up; or that error, where there is neither a permit nor a
            place in the queue. A caller that cancels the Deferred leaves no trace. The error's `policy` is that of an
            `Obstacle`; it is returned and not raised since, in an overload, that is what nearly everybody gets.
        """
        principal = claim.principal
        pool = self._pools.get(claim.provider)
        if pool is None:
            pool = self._pools[claim.provider] = Pool(self.terms, 0)
        everyone, held = self._all, self._held
        mine = held.get(principal, 0)
        most = claim.max_in_flight
        interactive = claim.class_ is _INTERACTIVE
        if (
            everyone.has_room(interactive)
            and pool.has_room(interactive)
            and (not most or mine < most)
            and (not self._waiters or principal not in self._queue)
        ):
            held[principal] = mine + 1
            everyone.in_use += 1
            pool.in_use += 1
            if interactive:
                everyone.interactive += 1
                pool.interactive += 1
            return Permit(self, principal, pool, interactive, now, SEATED)
        return self._wait(claim, pool, now)

    def _wait(self, claim: Claim, pool: Pool[Waiter], now: float) -> Permit | Deferred[Permit] | AtCapacity:
        terms, flow = self.terms, self._queue.flow(claim.principal)
        # A token's class may have been changed while others of it wait: they all wait as one.
        class_ = claim.class_ if flow is None else flow.class_
        refused = self._make_room(claim, class_, pool, 0 if flow is None else len(flow), now)
        if refused is not None and not terms.shadow:
            return self._refusal(claim.principal, claim.max_in_flight, pool, class_ is _INTERACTIVE, refused, now)
        waiter = Waiter(self, claim, class_, pool, now, State.BESIDE_WAITING if terms.shadow else WAITING)
        answer = waiter.told
        if terms.shadow:
            self._stand_beside(waiter)
        if refused is None:
            self._queue.push(claim.principal, class_, waiter, pool.lanes[waiter.interactive])
            self._waiters[waiter] = None
            self._count_waiting(waiter, 1)
        else:
            waiter.state = State.BESIDE
            self.would_have_refused[refused] += 1
        self._answers.tell()
        return waiter if answer is None else answer

    def _make_room(self, claim: Claim, class_: Class, pool: Pool[Waiter], own: int, now: float) -> Obstacle | None:
        """
        See to it that one more can wait.

        :param own: how many of its principal wait already.
        :return: why not, or None if it can.
        """
        interactive = class_ is _INTERACTIVE
        is_ready = self._allows(claim.principal, claim.max_in_flight)
        if self.terms.queue_size == 0:
            if not is_ready:
                return Obstacle.PRINCIPAL
            if not pool.has_room(interactive):
                return Obstacle.PROVIDER
            return Obstacle.QUEUE if self._all.has_room(interactive) else Obstacle.DAEMON
        if len(self._queue) >= self.terms.queue_size:
            is_safe = interactive and is_ready and self._in_share(pool, 1)
            flow = self._queue.whose_room(class_, own + 1, is_safe, self._is_safe)
            if flow is None:
                return Obstacle.QUEUE
            victim = flow.newest
            self._leave_queue(victim)
            self._refuse(victim, Obstacle.DISPLACED, now)
        return None

    def _is_safe(self, flow: Flow[Waiter]) -> bool:
        """
        Whether the newest request of a principal is not to be displaced; see Note [The kept share].
        """
        newest = flow.newest
        return newest.interactive and self._is_ready(flow.first) and self._in_share(newest.pool, 0)

    def _in_share(self, pool: Pool[Waiter], more: int) -> bool:
        everyone = self._all
        return (everyone.limited or pool.limited) and everyone.in_share(more) and pool.in_share(more)

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
        while (flow := self._next()) is not None:
            waiter = flow.first
            self._seat(waiter)
            self._queue.take(flow)
            del self._waiters[waiter]
            self._count_waiting(waiter, -1)
            if waiter.told is not None:
                waiter.waited_s = now - waiter.since
                waiter.since = now
                self._answers.add(waiter, waiter)
            else:
                self._step_in(waiter)
        self._answers.tell()

    def _next(self) -> Flow[Waiter] | None:
        """
        The principal whose turn it is among those that may go.
        """
        everyone = self._all
        if not self._waiters or not everyone.has_room(True):
            return None
        found: Flow[Waiter] | None = None
        best = (True, LAST)
        others_too, is_kept = everyone.has_room(False), everyone.interactive < everyone.kept
        for pool in self._pools.values():
            if not pool.waiting or not pool.has_room(True):
                continue
            for interactive, lane in enumerate(pool.lanes):
                if interactive or (others_too and pool.has_room(False)):
                    flow = self._queue.front(lane)
                    if flow is not None:
                        # Those within the share that is kept for them come first.
                        turn = (not (interactive and is_kept and pool.interactive < pool.kept), flow.turn)
                        if turn < best:
                            best, found = turn, flow
        return found

    # -- waiting too long, other terms ---------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """
        Send away those whose time is up.
        """
        while self._waiters:
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
        for waiter in self._waiters:
            return waiter.since + self.terms.queue_timeout_s
        return None

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
                self._answers.add(waiter, waiter)
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
        self._held[permit.principal] = self._held.get(permit.principal, 0) + 1
        for pool in (self._all, permit.pool):
            pool.in_use += 1
            pool.interactive += permit.interactive

    def _leave_queue(self, waiter: Waiter) -> None:
        self._queue.remove(waiter.principal, waiter)
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

    def _is_ready(self, waiter: Waiter) -> bool:
        return self._allows(waiter.principal, waiter.max_in_flight)

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
            self._answers.add(waiter, why)

    def _refusal(
        self, principal: str, max_in_flight: int, pool: Pool[Waiter], interactive: bool, obstacle: Obstacle, now: float
    ) -> AtCapacity:
        waits = [each.retry_s(interactive, now) for each in (self._all, pool) if not each.has_room(interactive)]
        if not self._allows(principal, max_in_flight):
            flow = self._queue.flow(principal)
            waits.append(pool.forecast.wait_s(0 if flow is None else len(flow), max_in_flight))
        told = retry_after(max(waits, default=0.0), self._chance(), self.terms.max_retry_after_s)
        return AtCapacity(retry_after_s=told, policy=obstacle.value)
