"""
The keys of one provider: which is used next, and which are left alone.

A key that was answered 429 or 401 rests, and the next one is tried; 403 is about the request, and goes to the client.
Changing keys happens before the first byte of an answer only; how far an exchange has come is its own to know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from typing import Final

from aibridge import errors
from aibridge.admission.pace import Pace
from aibridge.secret import Secret

REST_S: Final = 60.0
"""How long a key rests when the provider does not say."""

MOST_REST_S: Final = 3600.0
"""How long a key rests at most, whatever the provider says; then one request learns how it is by now."""

LIMITED: Final = 429
REFUSED: Final = 401


class Key:
    """
    One key, and how it stands with its provider.

    :ivar id: the same for the same key, over restarts too, and not secret: the first 96 bits of its SHA-256.
    :ivar secret: what the provider is shown.
    :ivar pace: what the provider has said of this key's limits.
    :ivar until: when its rest is over; monotonic seconds.
    :ivar cause: the status for which it rests, or rested last; 0 if it never did.
    """

    __slots__ = ("cause", "id", "pace", "secret", "until")

    def __init__(self, secret: Secret) -> None:
        self.id = sha256(secret.reveal().encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.secret = secret
        self.pace = Pace()
        self.until = float("-inf")
        self.cause = 0

    def is_resting(self, now: float) -> bool:
        """
        Whether it is to be left alone.
        """
        return now < self.until


class KeyPool:
    """
    The keys of one provider, in the order in which they are configured.

    The first that does not rest is used; with `round_robin` each in turn. It does not wait for anything, and needs
    nothing to be given back: what is known of a key is what `report` was told.

    :param on_rest: told the cause, 429 or 401, each time a key goes to rest that did not rest.
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
        Have these keys from now on. One that was there before stays what it was, rest included; what is told of one
        that is gone changes nothing.

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

    def choose(self, now: float, tried: Collection[Key] = ()) -> Key:
        """
        The key to use.

        :param tried: those that this exchange has used already.
        :raises KeysResting: there is none, and at least one rests because of a rate limit; with the shortest rest.
        :raises KeysRefused: there is none, and the provider accepts none.
        """
        keys = self._keys
        if self.round_robin:
            count, first = len(keys), self._next
            for step in range(count):
                at = (first + step) % count
                key = keys[at]
                if key.until <= now and key not in tried:
                    self._next = at + 1
                    return key
        else:
            for key in keys:
                if key.until <= now and key not in tried:
                    return key
        if any(key.cause == LIMITED for key in keys):
            raise errors.KeysResting(retry_after_s=max(0.0, min(key.until for key in keys if key.cause) - now))
        raise errors.KeysRefused

    def report(self, key: Key, status: int, retry_after_s: float | None, now: float) -> bool:
        """
        Hear how the provider has answered `key`.

        A rest is never shortened: of several answers the one that asks for the longest holds.

        :param retry_after_s: how long the provider asked to wait, if it did; of a 429 only.
        :return: whether it is worth trying another key.
        """
        if status == LIMITED:
            rest = REST_S if retry_after_s is None else min(max(0.0, retry_after_s), MOST_REST_S)
        elif status == REFUSED:
            rest = REST_S
        else:
            return False
        rested = key.is_resting(now)
        if not rested or now + rest > key.until:
            key.until = now + rest
            key.cause = status
        if not rested and self._on_rest is not None:
            self._on_rest(status)
        return True

    def counts(self, now: float) -> dict[str, int]:
        """
        How many keys are in which state: ``usable``, ``rate_limited``, ``unauthorized``.
        """
        counts = {"usable": 0, "rate_limited": 0, "unauthorized": 0}
        for key in self._keys:
            if not key.is_resting(now):
                counts["usable"] += 1
            else:
                counts["rate_limited" if key.cause == LIMITED else "unauthorized"] += 1
        return counts
