"""
The keys of one provider: which is used next, and which are left alone.

A key has a pace for each model, as vendors limit each by itself (and for each route that names none), and cools down as
a whole if it is not accepted or not paid for; see `aibridge.admission.cooldown`. Where there is but one key it never
cools down as a whole: there would be nothing to use instead. Changing keys happens before the first byte of an answer
only; how far an exchange has come is its own to know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import sha256
from typing import Final

from aibridge import errors
from aibridge.admission.cooldown import CoolDown
from aibridge.admission.pace import LIMITED, Pace, Ticket
from aibridge.admission.verdict import NOTHING, Subject, Verdict
from aibridge.dialects.limits import Limits
from aibridge.secret import Secret

REST_S: Final = 60.0
"""How long a key, or a model under it, cools down that another can stand in for, when the provider does not say."""

REFUSED: Final = 401

PACES: Final = 128
"""Models that a key has a pace for at least, if it is asked for so many; at most there are twice as many."""

Scope = tuple[str, str]
"""What a provider's limits are kept by beside the key: a route that is limited by itself, or empty; and a model."""


class Key:
    """
    One key, and how it stands with its provider.

    :ivar id: the same for the same key, over restarts too, and not secret: the first 96 bits of its SHA-256.
    :ivar secret: what the provider is shown.
    :ivar cooldown: of the key as a whole.
    :ivar sent: requests that have gone out with it.
    """

    __slots__ = ("_old", "_young", "cooldown", "id", "secret", "sent")

    def __init__(self, secret: Secret) -> None:
        self.id = sha256(secret.reveal().encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.secret = secret
        self.cooldown = CoolDown()
        self.sent = 0
        # Models are the client's to name. Those not asked for while `PACES` others were are forgotten.
        self._young: dict[Scope, Pace] = {}
        self._old: dict[Scope, Pace] = {}

    def pace(self, scope: Scope) -> Pace:
        """
        That of a model or a route.
        """
        found = self._young.get(scope)
        if found is None:
            found = self._old.pop(scope, None) or Pace()
            if len(self._young) >= PACES:
                self._old, self._young = self._young, {}
            self._young[scope] = found
        return found

    def paces(self) -> Iterator[tuple[Scope, Pace]]:
        """
        All there are.
        """
        yield from self._old.items()
        yield from self._young.items()

    def state(self, now: float) -> str:
        """
        How it stands: ``usable``, ``rate_limited`` if any model of it cools down, ``unauthorized``.
        """
        if self.cooldown.is_closed(now):
            return "unauthorized" if self.cooldown.cause != LIMITED else "rate_limited"
        return "rate_limited" if any(pace.cooldown.is_closed(now) for _, pace in self.paces()) else "usable"


class Choice:
    """
    A key to use for a request, and what its answer is counted by.
    """

    __slots__ = ("key", "number", "pace", "ticket")

    def __init__(self, key: Key, pace: Pace, ticket: Ticket) -> None:
        self.key = key
        self.pace = pace
        self.ticket = ticket
        self.number = key.sent


class Wanted:
    """
    What a key is wanted for.

    :ivar principal: whose request it is.
    :ivar only: the id of the key that alone may be used, or empty.
    """

    __slots__ = ("input_tokens", "only", "output_tokens", "principal", "scope")

    def __init__(
        self,
        scope: Scope = ("", ""),
        principal: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        only: str = "",
    ) -> None:
        self.scope = scope
        self.principal = principal
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.only = only


class KeyPool:
    """
    The keys of one provider, in the order in which they are configured.

    The first that is not left alone is used; with `round_robin` each in turn. A choice is settled by `heard` or
    `unanswered`.

    :param on_rest: told the status, 429 or 401, each time a key that another can stand in for begins to cool down, as
        a whole or for a model.
    :raises ValueError: there is no key, an empty one, or one twice.
    """

    __slots__ = ("_keys", "_next", "_on_rest", "round_robin")

    def __init__(
        self, keys: Iterable[Secret], round_robin: bool = False, on_rest: Callable[[int], None] | None = None
    ) -> None:
        self.round_robin = round_robin
        self._on_rest = on_rest
        self._next = 0
        self._keys: tuple[Key, ...] = ()
        self.adopt(keys)

    @property
    def keys(self) -> tuple[Key, ...]:
        """
        All of them, as configured.
        """
        return self._keys

    @property
    def has_several(self) -> bool:
        """
        Whether there is another key to go on with.
        """
        return len(self._keys) > 1

    def find(self, id: str) -> Key | None:
        """
        The key of that id, if it is still there.
        """
        for key in self._keys:
            if key.id == id:
                return key
        return None

    def adopt(self, keys: Iterable[Secret]) -> None:
        """
        Have these keys from now on. One that was there before stays what it was, cooling down included; what is told of
        one that is gone changes nothing.

        :raises ValueError: as above, and then nothing has changed.
        """
        wanted = list(keys)
        if not wanted:
            raise ValueError("no keys provided")
        if not all(secret.reveal().strip() for secret in wanted):
            raise ValueError("empty key")
        if len(set(wanted)) < len(wanted):
            raise ValueError("duplicate key")
        known = {key.secret: key for key in self._keys}
        self._keys = tuple(known.get(secret) or Key(secret) for secret in wanted)

    # -- which? --------------------------------------------------------------------------------------------------

    def choose(self, wanted: Wanted, now: float, tried: Collection[Key] = (), *, heeds: bool = True) -> Choice:
        """
        The key to use, which is counted as used: the first that neither cools down nor has anything left to wait for;
        before one of which this principal lately heard no good, one of which he did not.

        :param tried: those that this request has used already.
        :param heeds: what the provider says is left counts, and a single key has to wait too.
        :raises ProviderWait: the only key has to wait.
        :raises KeysResting: all have to wait, at least one because of a rate limit; with the shortest time.
        :raises KeysRefused: there is none, or the provider accepts none.
        """
        keys = self._keys
        if len(keys) == 1:
            return self._choose_only(keys[0], wanted, now, tried, heeds)
        first = self._next if self.round_robin else 0
        second_best: int | None = None
        soonest, shortest = None, 0.0
        for step in range(len(keys)):
            at = (first + step) % len(keys)
            key = keys[at]
            if key in tried or (wanted.only and key.id != wanted.only):
                continue
            pace = key.pace(wanted.scope)
            whole = key.cooldown.wait(wanted.principal, now)
            wait = whole or self._wait(pace, wanted, now, heeds)
            if wait:
                if (not whole or key.cooldown.cause == LIMITED) and (soonest is None or wait < shortest):
                    soonest, shortest = pace, wait
            elif not self._is_hinted(key, pace, wanted.principal, now):
                return self._take(at, pace, wanted, now)
            elif second_best is None:
                second_best = at
        if second_best is not None:
            return self._take(second_best, keys[second_best].pace(wanted.scope), wanted, now)
        if soonest is not None:
            raise errors.KeysResting(retry_after_s=soonest.sent_away(shortest, now))
        raise errors.KeysRefused

    def _choose_only(self, key: Key, wanted: Wanted, now: float, tried: Collection[Key], heeds: bool) -> Choice:
        if key in tried or (wanted.only and key.id != wanted.only):
            raise errors.KeysRefused
        pace = key.pace(wanted.scope)
        wait = self._wait(pace, wanted, now, True) if heeds else 0.0
        if wait:
            raise errors.ProviderWait(retry_after_s=pace.sent_away(wait, now))
        return self._take(0, pace, wanted, now)

    def _wait(self, pace: Pace, wanted: Wanted, now: float, heeds: bool) -> float:
        if heeds:
            return pace.wait(now, wanted.principal, wanted.input_tokens, wanted.output_tokens)
        return pace.cooldown.wait(wanted.principal, now)

    def _is_hinted(self, key: Key, pace: Pace, principal: str, now: float) -> bool:
        if pace.cooldown.is_quiet and key.cooldown.is_quiet:
            return False
        return pace.cooldown.is_hinted(principal, now) or key.cooldown.is_hinted(principal, now)

    def _take(self, at: int, pace: Pace, wanted: Wanted, now: float) -> Choice:
        key = self._keys[at]
        self._next = at + 1
        key.sent += 1
        if not key.cooldown.is_quiet:
            key.cooldown.sent(wanted.principal, now)
        return Choice(key, pace, pace.send(now, wanted.principal, wanted.input_tokens, wanted.output_tokens))

    # -- what was heard ------------------------------------------------------------------------------------------

    def heard(self, choice: Choice, limits: Limits, verdict: Verdict, status: int, now: float) -> None:
        """
        The provider has answered.

        :param limits: of the answer, or `UNKNOWN` where what is left is not heeded.
        """
        key, pace, subject = choice.key, choice.pace, verdict.subject
        before = pace.cooldown.is_closed(now)
        pace.heard(limits, verdict, status, now, choice.ticket)
        if not self.has_several:
            return
        if subject is NOTHING:
            if not key.cooldown.is_quiet:
                key.cooldown.good(choice.number)
        elif subject is Subject.KEY or subject is Subject.ACCOUNT:
            key.cooldown.met(choice.ticket.principal, verdict.wait_s, key.sent, now)
        elif status >= 400 and not before and pace.cooldown.is_closed(now):
            self._rests(status)

    def confirmed(self, choice: Choice, verdict: Verdict, status: int, now: float) -> None:
        """
        Another key has served the very request for which this one was answered so: it is the key, or the model under
        it.
        """
        key, pace = choice.key, choice.pace
        whole = verdict.subject is Subject.KEY or verdict.subject is Subject.ACCOUNT
        cooldown = key.cooldown if whole else pace.cooldown
        before = cooldown.is_closed(now)
        if whole:
            cooldown.close(now + (REST_S if verdict.wait_s is None else verdict.wait_s), status, key.sent, now)
        elif verdict.subject is Subject.MODEL:
            pace.confirmed(status, verdict.wait_s, REST_S, now)
        if not before and cooldown.is_closed(now):
            self._rests(status)

    def unanswered(self, choice: Choice) -> None:
        """
        There is no answer, or nobody waits for it.
        """
        choice.pace.unanswered(choice.ticket)

    def _rests(self, status: int) -> None:
        if self._on_rest is not None:
            self._on_rest(LIMITED if status == LIMITED else REFUSED)

    def cooling(self, now: float) -> int:
        """
        How many models, and routes that name none, cool down; under each key by itself.
        """
        return sum(pace.cooldown.is_closed(now) for key in self._keys for _, pace in key.paces())

    def counts(self, now: float) -> dict[str, int]:
        """
        How many keys are in which state: ``usable``, ``rate_limited``, ``unauthorized``.
        """
        counts = {"usable": 0, "rate_limited": 0, "unauthorized": 0}
        for key in self._keys:
            counts[key.state(now)] += 1
        return counts
