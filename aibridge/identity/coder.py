"""
The backend ``coder``: a Coder deployment is asked who a token belongs to, and its answer is remembered for a while.

Note [Coder]: three things may come back. An answer that there is such a user is remembered for the configured time,
from when it was asked for; so long may a token that was revoked there be good here. An answer that there is not (401,
403, 404) is remembered shortly, in a table of its own, so that rubbish can neither be asked about in a loop nor push
good tokens out. Anything else (5xx, redirects, garbage, silence) says nothing about the token and is not remembered:
the client is told 503, and the next request asks again.

Note [Lately good]: a token that is in use is asked about again before its answer is too old, and its owner waits for
nothing. One whose answer is too old is still known as one that was good lately: it is looked up whatever its address
has done, before tokens that nobody knows, see `aibridge.identity.lookupqueue`. For unknown ones see Note [Failures] in
`aibridge.identity.failures`.

Note [Silence]: a deployment that accepts questions and answers none costs everybody the whole time-out. So once it has
been silent for that long to everybody, only a few look-ups are on their way, which find out when it is back; all others
wait for them, and are told 503 with the first of them that gets no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.auth.settings import AuthSettings
from aibridge.deadlines import Deadlines
from aibridge.errors import IdentityUnavailable, TooManyFailures, Unauthenticated
from aibridge.identity.address import place_of, site_of
from aibridge.identity.coderclient import Client, CoderClient, was_silent, why
from aibridge.identity.failures import Failures
from aibridge.identity.lookupqueue import Asker, Lane, LookupQueue
from aibridge.identity.memory import Memory
from aibridge.interfaces import IIdentity
from aibridge.model import Class, Principal

REMEMBERED: Final = 16384
REMEMBERED_UNKNOWN: Final = 4096
UNKNOWN_S: Final = 10.0
"""How long it is remembered that there is no such token; a new one is good here after so long at the latest."""

LATELY_S: Final = 86400.0
"""How long a token that was good is told from one that nobody knows."""

REFRESH_AT: Final = 0.8
"""The part of its time after which an answer is asked for again, when it is used."""

REFRESH_AGAIN_S: Final = 1.0
"""After how long, if that failed."""

PROBES: Final = 4
"""See Note [Silence]."""

AT_ONCE: Final = 50
"""Of those who wait for one answer, or in vain, so many are told in each turn of the reactor."""

MOST_TOKEN: Final = 4096
RETRY_S: Final = 5.0
BUSY_RETRY_S: Final = 1.0

# What no token has and no header field may have; it is not worth a question.
_UNFIT: Final = re.compile(rb"[^!-~]|\A\Z")


@attrs.define(eq=False)
class _Known:
    """
    A token that was good.

    :ivar until: until when that is taken for true.
    :ivar refresh_at: when it is asked about again.
    """

    principal: Principal
    until: float
    refresh_at: float


@attrs.define(eq=False)
class _Lookup:
    """
    One question, and everybody who waits for its answer.

    :ivar host: the address of whoever was first; it answers for the failure even if it does not stay to hear of it.
    :ivar asker: in whose turn it goes.
    :ivar left: called when nobody waits for it any more.
    :ivar asked_at: since when it is on its way; None while it waits for its turn.
    :ivar waiting: each with its address.
    """

    key: bytes
    token: bytes = attrs.field(repr=False)
    host: str
    asker: Asker
    left: Callable[[_Lookup], None]
    asked_at: float | None = None
    waiting: dict[Deferred[Principal], str] = attrs.Factory(dict)

    def wait(self, client_host: str) -> Deferred[Principal]:
        """
        The answer, once it is there. Cancelling it takes it from nobody else, and does not stop a question on its way:
        the answer is worth remembering.
        """
        answer: Deferred[Principal] = Deferred(self._leave)
        self.waiting[answer] = client_host
        return answer

    def _leave(self, answer: Deferred[Principal]) -> None:
        if self.waiting.pop(answer, None) is not None and not self.waiting:
            self.left(self)

    def tell(self, clock: IReactorTime, tell: Callable[[Deferred[Principal], str], None]) -> None:
        """
        Call `tell` with everybody who still waits and their address, `AT_ONCE` in each turn; whoever is told may make
        others leave.
        """
        for _ in range(min(AT_ONCE, len(self.waiting))):
            answer = next(iter(self.waiting), None)
            if answer is None:
                return
            tell(answer, self.waiting.pop(answer))
        if self.waiting:
            clock.callLater(0, self.tell, clock, tell)


@implementer(IIdentity)
class CoderIdentity:
    """
    Asks a Coder deployment. See Note [Coder].

    :param client: as `CoderClient` has it.
    :param clock: monotonic.
    :param close: called at `stop`, to give up what `client` keeps open.
    """

    _log = Logger()
    verifies_tokens = True

    def __init__(
        self,
        settings: AuthSettings,
        client: Client,
        failures: Failures,
        clock: IReactorTime,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._coder = CoderClient(
            settings.coder_url, client, clock, settings.coder_timeout, Class(settings.default_class)
        )
        self._remember_s = settings.coder_cache
        self._unknown_s = min(settings.coder_cache, UNKNOWN_S)
        self._grace_s = settings.coder_grace
        self._timeout_s = settings.coder_timeout
        # Tokens that are looked up, and what nobody has to be asked about: that costs nothing, and takes no look-up
        # from a neighbour.
        self._failures = failures
        self._cheap_failures = failures.another()
        self._clock = clock
        self._close = close
        self._known: Memory[_Known] = Memory(REMEMBERED)
        self._unknown: Memory[bool] = Memory(REMEMBERED_UNKNOWN)
        self._lookups: dict[bytes, _Lookup] = {}
        self._queue: LookupQueue[_Lookup] = LookupQueue(lambda lookup: lookup.asker)
        self._patience: Deadlines[_Lookup] = Deadlines(clock, settings.coder_timeout, self._give_up)
        self._heard_at = clock.seconds()
        self._is_away = False
        self._is_silent = False

    def start(self) -> None:
        """
        There is nothing to follow. Whether the deployment can be reached shows when somebody asks: it may come up
        after the bridge.
        """

    def stop(self) -> object:
        """
        Close idle connections. Questions on their way still find their answers, or their deadline.
        """
        return self._close()

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal | Deferred[Principal]:
        """
        See `IIdentity.identify`. A token whose answer is remembered needs no waiting, and one that is known to be good
        passes whatever else came from its address: see Note [Failures] in `aibridge.identity.failures`.
        """
        if token is None:
            raise self._cheap_failures.count(Unauthenticated(), client_host, now)
        if len(token) > MOST_TOKEN or _UNFIT.search(token):
            raise self._cheap_failures.count(_nobody(), client_host, now)
        key = sha256(token).digest()
        known = self._known.get(key, now)
        if known is not None and self._is_good(known, now):
            if now >= known.refresh_at:
                self._refresh(key, token, known, client_host, now)
            return known.principal
        if self._unknown.get(key, now):
            raise _nobody()
        lookup = self._lookups.get(key)
        if lookup is not None:
            return lookup.wait(client_host)
        asker = _asker(known, client_host)
        self._check_room(asker, client_host, now)
        lookup = self._lookups[key] = _Lookup(key, token, client_host, asker, self._left)
        answer = lookup.wait(client_host)
        self._enter(lookup)
        return answer

    def principal_named(self, name: str) -> Principal | None:
        """
        See `IIdentity.principal_named`. Known are those whose tokens were shown lately.
        """
        principals = (known.principal for known in self._known)
        return next((principal for principal in principals if name in (principal.name, principal.id)), None)

    # -- what may be looked up -----------------------------------------------------------------------------------

    def _is_good(self, known: _Known, now: float) -> bool:
        return now < known.until or (self._is_away and now < known.until + self._grace_s)

    def _refresh(self, key: bytes, token: bytes, known: _Known, client_host: str, now: float) -> None:
        """
        Ask again about a token that is good still, while nobody waits for it.
        """
        known.refresh_at = now + REFRESH_AGAIN_S
        if key not in self._lookups:
            self._lookups[key] = lookup = _Lookup(key, token, client_host, _asker(known, client_host), _stay)
            self._enter(lookup)

    def _check_room(self, asker: Asker, client_host: str, now: float) -> None:
        """
        Refuse what would be refused when its turn came.
        """
        if asker.lane is Lane.UNKNOWN and not self._queue.started_for(asker):
            wait = self._failures.wait(client_host, now)
            if wait:
                raise TooManyFailures(retry_after_s=wait)

    def _may_start(self, lookup: _Lookup) -> bool:
        """
        Whether it is known if its address may have one more look-up: of those on their way some may be forgiven.
        """
        if lookup.asker.lane is Lane.LATELY_GOOD or not self._queue.started_for(lookup.asker):
            return True
        return not self._failures.wait(lookup.host, self._clock.seconds())

    # -- a look-up, from its turn to its answer --------------------------------------------------------------------

    def _enter(self, lookup: _Lookup) -> None:
        victim = self._queue.enter(lookup)
        if victim is not None:
            self._refuse(victim, partial(IdentityUnavailable, retry_after_s=BUSY_RETRY_S))
        self._start()
        if lookup.asked_at is None and self._lookups.get(lookup.key) is lookup:
            self._patience.start(lookup)

    def _start(self) -> None:
        """
        Send those on their way whose turn it is.
        """
        while not (self._is_silent and self._queue.at_once >= PROBES):
            lookup = self._queue.start(self._may_start)
            if lookup is None:
                return
            self._patience.cancel(lookup)
            now = self._clock.seconds()
            wait = self._failures.take(lookup.host, now) if lookup.asker.lane is Lane.UNKNOWN else 0.0
            if wait:
                self._queue.ended(lookup)
                self._refuse(lookup, partial(TooManyFailures, retry_after_s=wait))
                continue
            lookup.asked_at = now
            asked = self._coder.ask(lookup.token)
            asked.addBoth(self._answered, lookup, now)
            asked.addErrback(lambda failure: self._log.failure("A look-up failed in the bridge itself.", failure))

    def _answered(self, result: Principal | Failure | None, lookup: _Lookup, asked_at: float) -> None:
        del self._lookups[lookup.key]
        self._queue.ended(lookup)
        now = self._clock.seconds()
        is_unknown = lookup.asker.lane is Lane.UNKNOWN
        if is_unknown and result is not None:
            self._failures.forgive(lookup.host, now, asked_at)
        if isinstance(result, Failure):
            self._went_away(result, now)
            self._tell_of_absence(lookup, now)
            if self._is_silent:
                self._tell_all_that_wait()
        else:
            self._came_back(now)
            if result is None:
                self._tell_nobody(lookup, asked_at, now)
            else:
                until = asked_at + self._remember_s
                known = _Known(result, until, asked_at + REFRESH_AT * self._remember_s)
                self._known.put(lookup.key, known, until + self._grace_s + LATELY_S)
                lookup.tell(self._clock, lambda answer, _: answer.callback(result))
        self._start()

    def _tell_nobody(self, lookup: _Lookup, asked_at: float, now: float) -> None:
        """
        There is no such token. The address that asked first has been counted already, and any other one is once.
        """
        self._known.forget(lookup.key)
        self._unknown.put(lookup.key, True, asked_at + self._unknown_s)
        counted = {place_of(lookup.host)}

        def tell(answer: Deferred[Principal], host: str) -> None:
            place = place_of(host)
            answer.errback(_nobody() if place in counted else self._failures.count(_nobody(), host, now))
            counted.add(place)

        lookup.tell(self._clock, tell)

    def _tell_of_absence(self, lookup: _Lookup, now: float) -> None:
        known = self._known.get(lookup.key, now)
        if known is not None and self._is_good(known, now):
            lookup.tell(self._clock, lambda answer, _: answer.callback(known.principal))
        else:
            lookup.tell(self._clock, lambda answer, _: answer.errback(IdentityUnavailable(retry_after_s=RETRY_S)))

    def _tell_all_that_wait(self) -> None:
        waiting = list(self._queue.waiting())
        for lookup in waiting:
            self._queue.leave(lookup)
            self._patience.cancel(lookup)
            del self._lookups[lookup.key]
        self._tell_some(waiting)

    def _tell_some(self, lookups: list[_Lookup]) -> None:
        now = self._clock.seconds()
        for lookup in lookups[:AT_ONCE]:
            self._tell_of_absence(lookup, now)
        if len(lookups) > AT_ONCE:
            self._clock.callLater(0, self._tell_some, lookups[AT_ONCE:])

    # -- look-ups that never go ------------------------------------------------------------------------------------

    def _left(self, lookup: _Lookup) -> None:
        """
        Nobody waits for it any more: one whose turn has not come yet is not worth it.
        """
        if lookup.asked_at is None and self._lookups.get(lookup.key) is lookup:
            self._queue.leave(lookup)
            self._patience.cancel(lookup)
            del self._lookups[lookup.key]

    def _give_up(self, lookup: _Lookup) -> None:
        """
        Its turn has not come in time.
        """
        self._queue.leave(lookup)
        self._refuse(lookup, partial(IdentityUnavailable, retry_after_s=BUSY_RETRY_S))

    def _refuse(self, lookup: _Lookup, error: Callable[[], Exception]) -> None:
        self._patience.cancel(lookup)
        del self._lookups[lookup.key]
        lookup.tell(self._clock, lambda answer, _: answer.errback(error()))

    # -- whether it can be asked -----------------------------------------------------------------------------------

    def _went_away(self, failure: Failure, now: float) -> None:
        if not was_silent(failure.value):
            self._heard_at, self._is_silent = now, False
        elif now - self._heard_at >= self._timeout_s:
            self._is_silent = True
        if not self._is_away:
            self._is_away = True
            self._log.error("Coder cannot be asked at {url}: {why}.", url=self._coder.url, why=why(failure.value))

    def _came_back(self, now: float) -> None:
        self._heard_at, self._is_silent = now, False
        if self._is_away:
            self._is_away = False
            self._log.info("Coder can be asked at {url} again.", url=self._coder.url)


def _asker(known: _Known | None, client_host: str) -> Asker:
    if known is not None:
        return Asker(Lane.LATELY_GOOD, known.principal.id)
    place = place_of(client_host)
    return Asker(Lane.UNKNOWN, site_of(place), place)


def _stay(lookup: _Lookup) -> None:
    """
    One that nobody has waited for is worth it all the same.
    """


def _nobody() -> Unauthenticated:
    return Unauthenticated("Coder does not know this token.")
