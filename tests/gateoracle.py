"""
The gate as one would write it if it could be slow: lists, and rules that are looked up anew each time.

It decides nothing where the rules leave a choice; it checks that what the gate did is one of the things that are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from aibridge.admission.permit import Claim
from aibridge.admission.seatterms import SeatTerms
from aibridge.model import Class


@attrs.define(eq=False)
class Request:
    """
    One request, from when it comes.

    :ivar class_: as what it waits, or went.
    """

    claim: Claim
    class_: Class
    since: float

    @property
    def principal(self) -> str:
        """
        Whose it is.
        """
        return self.claim.principal

    @property
    def provider(self) -> str:
        """
        Where it is to go.
        """
        return self.claim.provider

    @property
    def interactive(self) -> bool:
        """
        It counts for the share.
        """
        return self.class_ is Class.INTERACTIVE


Event = tuple[str, Request]
"""What a request that waited was told: ``admitted``, ``displaced`` or ``timeout``."""


class Oracle:
    """
    What is out and what waits, as it has to be.

    :ivar out: requests that have a permit.
    :ivar waiting: requests that wait, in the order in which they came.
    """

    def __init__(self, terms: SeatTerms) -> None:
        self.terms = terms
        self.out: list[Request] = []
        self.waiting: list[Request] = []
        # How many permits a principal that waits may have, as it said last.
        self._most: dict[str, int] = {}

    # -- what there is -------------------------------------------------------------------------------------------

    def _limit(self, provider: str) -> int:
        return self.terms.providers.get(provider, 0) if provider else self.terms.max_concurrency

    def _of(self, requests: Iterable[Request], provider: str = "", principal: str = "") -> list[Request]:
        return [
            each
            for each in requests
            if (not provider or each.provider == provider) and (not principal or each.principal == principal)
        ]

    def free(self, provider: str, interactive: bool) -> float:
        """
        Permits that are left of a provider's, or of the daemon's if that has no name.
        """
        limit, out = self._limit(provider), self._of(self.out, provider)
        if not limit:
            return float("inf")
        left = limit - len(out)
        if not interactive:
            others = sum(not each.interactive for each in out)
            left = min(left, limit - self.terms.kept(limit) + self.terms.lent(limit) - others)
        return max(0, left)

    def may_go(self, request: Request, most: int) -> bool:
        """
        All three permits are there.
        """
        return bool(
            self.free("", request.interactive)
            and self.free(request.provider, request.interactive)
            and self._allows(request.principal, most)
        )

    def _allows(self, principal: str, most: int) -> bool:
        return not most or len(self._of(self.out, principal=principal)) < most

    def able(self) -> list[Request]:
        """
        Those that wait and could go: it must never be any, once the gate is done.
        """
        return [each for each in self.waiting if self.may_go(each, self._most[each.principal])]

    # -- what may happen -----------------------------------------------------------------------------------------

    def comes(self, request: Request, outcome: str, events: Sequence[Event]) -> None:
        """
        A request came, and this was the outcome: ``admitted``, ``waits`` or ``queue``; meanwhile others were told.
        """
        claim, told = request.claim, list(events)
        own = self._of(self.waiting, principal=request.principal)
        if own:
            self._most[request.principal] = claim.max_in_flight
            self._goes_on(told)
            own = self._of(self.waiting, principal=request.principal)
        if own:
            request.class_ = own[0].class_
        if not self._of(own, request.provider) and self.may_go(request, claim.max_in_flight):
            assert outcome == "admitted", "it could have gone"
            self.out.append(request)
        else:
            assert outcome == self._has_to_wait(request, told)
            if outcome == "waits":
                self.waiting.append(request)
                self._most[request.principal] = claim.max_in_flight
        assert not told, "somebody was told something for no reason"
        assert not self.able(), "somebody waits who could go"

    def _has_to_wait(self, request: Request, told: list[Event]) -> str:
        terms = self.terms
        if len(self.waiting) < terms.queue_size:
            return "waits"
        if not terms.queue_size:
            return "refused"
        victims = self._victims(request)
        if not victims:
            return "queue"
        what, victim = told.pop(0)
        assert what == "displaced"
        assert victim in victims, "another one should have made room"
        self.waiting.remove(victim)
        return "waits"

    def _victims(self, request: Request) -> list[Request]:
        """
        Those that may make room; of several principals that are equally far beyond their share, one of each.
        """
        most = request.claim.max_in_flight
        is_safe = request.interactive and self._allows(request.principal, most) and self._in_share(request, 1)
        others = [each for each in self.waiting if each.principal != request.principal]
        movable = [each for each in others if not self._is_safe(each)]
        spared = [each for each in movable if not self._is_last(each, request)]
        found = self._furthest_beyond(request, spared, is_safe)
        return self._furthest_beyond(request, movable, True) if is_safe and not found else found

    def _furthest_beyond(self, request: Request, movable: Sequence[Request], is_safe: bool) -> list[Request]:
        own = len(self._of(self.waiting, principal=request.principal)) + 1
        newest = {each.principal: each for each in movable}
        share = {name: self._share(each) for name, each in newest.items()}
        batch = [name for name, each in newest.items() if each.class_ is Class.BATCH]
        if request.class_ is Class.BATCH:
            names = [name for name in batch if share[name] * self.terms.weights[Class.BATCH] > own]
        elif batch:
            names = batch
        else:
            least = 0.0 if is_safe else own / self.terms.weights[request.class_]
            names = [name for name in newest if share[name] > least]
        return [newest[name] for name in names if share[name] == max(share[each] for each in names)]

    def _share(self, request: Request) -> float:
        return len(self._of(self.waiting, principal=request.principal)) / self.terms.weights[request.class_]

    def _is_last(self, victim: Request, request: Request) -> bool:
        """
        Nobody would wait for its provider any more, while the other's is waited for already.
        """
        return bool(
            self._limit(request.provider)
            and self._of(self.waiting, request.provider)
            and victim.provider != request.provider
            and len(self._of(self.waiting, victim.provider)) == 1
        )

    def _is_safe(self, request: Request) -> bool:
        allowed = self._allows(request.principal, self._most[request.principal])
        return request.interactive and allowed and self._in_share(request, 0)

    def _in_share(self, request: Request, more: int) -> bool:
        limits = [name for name in ("", request.provider) if self._limit(name)]
        return bool(limits) and all(
            sum(each.interactive for each in self._of(self.out + self.waiting, name)) + more
            <= self.terms.kept(self._limit(name))
            for name in limits
        )

    def returns(self, request: Request, events: Sequence[Event]) -> None:
        """
        A permit came back.
        """
        self.out.remove(request)
        self._settles(events)

    def leaves(self, request: Request, events: Sequence[Event]) -> None:
        """
        One that waited did so no more.
        """
        self.waiting.remove(request)
        self._settles(events)

    def time_is(self, now: float, events: Sequence[Event]) -> None:
        """
        Those whose time is up are told so.
        """
        late = [each for each in self.waiting if each.since + self.terms.queue_timeout_s <= now]
        assert [each for what, each in events if what == "timeout"] == late
        self.waiting = [each for each in self.waiting if each not in late]
        self._settles([event for event in events if event[0] != "timeout"])

    def adopts(self, terms: SeatTerms, events: Sequence[Event]) -> None:
        """
        Other terms.
        """
        self.terms = terms
        self._settles(events)

    # -- who is next ---------------------------------------------------------------------------------------------

    def _settles(self, events: Sequence[Event]) -> None:
        told = list(events)
        self._goes_on(told)
        assert not told, "somebody was told something for no reason"

    def _goes_on(self, told: list[Event]) -> None:
        """
        Permits are handed out for as long as somebody can take one, each to one whose turn it is.
        """
        while able := self.able():
            assert told, "somebody waits who could go"
            what, request = told.pop(0)
            assert what == "admitted"
            assert request in able, "it could not go"
            assert self._of(self.waiting, request.provider, request.principal)[0] is request, "not the first of its own"
            by_all = self._is_daemon_scarce()
            turns = [self._turn(each, by_all) for each in able]
            assert self._turn(request, by_all) == min(turns), "another one has fewer permits"
            self.waiting.remove(request)
            self.out.append(request)

    def _is_daemon_scarce(self) -> bool:
        wanted = 0.0
        for provider in {each.provider for each in self.waiting}:
            ready = [
                each
                for each in self._of(self.waiting, provider)
                if self._allows(each.principal, self._most[each.principal])
                and self.free("", each.interactive)
                and self.free(provider, each.interactive)
            ]
            wanted += min(len(ready), self.free(provider, True))
        return wanted > self.free("", True)

    def _turn(self, request: Request, by_all: bool) -> tuple[bool, float]:
        """
        Within the share that is kept for it first, then whoever has fewest of what is scarce, for its weight.
        """
        is_within = request.interactive and all(
            not self._limit(name)
            or sum(each.interactive for each in self._of(self.out, name)) < self.terms.kept(self._limit(name))
            for name in ("", request.provider)
        )
        held = self._of(self.out, "" if by_all else request.provider, request.principal)
        # A principal waits as one class, whatever it was when its permits went out.
        return not is_within, len(held) / self.terms.weights[request.class_]
