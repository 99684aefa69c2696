"""
A provider as exchanges use it: the way to it, its keys, and how often it may be asked again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from aibridge import errors
from aibridge.admission.keypool import Key, KeyPool
from aibridge.admission.retries import RetryBudget
from aibridge.relay.call import Cancellable, Receiver
from aibridge.web.upstreamrequest import UpstreamRequest


class Client(Protocol):
    """
    What asks a provider: `aibridge.relay.client.RelayClient`.
    """

    def ask(
        self, receiver: Receiver, method: bytes, url: bytes, pairs: list[tuple[bytes, bytes]], body: Any
    ) -> Cancellable: ...


class Account:
    """
    What is known of one provider under one reading of the configuration. Keys and budget outlive it.

    :ivar client: asks it.
    :ivar keys: the configured ones, or None if there are none, or none is needed.
    :ivar budget: what retries are paid from.
    :ivar retries: how often one request may be sent again.
    :ivar heeds: what the provider says of its limits slows the bridge down.
    """

    __slots__ = ("budget", "client", "heeds", "keys", "retries")

    def __init__(
        self, client: Client, keys: KeyPool | None, budget: RetryBudget, *, retries: int = 0, heeds: bool = False
    ) -> None:
        self.client = client
        self.keys = keys
        self.budget = budget
        self.retries = retries
        self.heeds = heeds

    @property
    def may_change_keys(self) -> bool:
        """
        Whether there is another key to go on with. One alone does not rest: there would be nothing to use instead,
        and what its provider says of its limits is heeded anyway.
        """
        return self.keys is not None and len(self.keys.keys) > 1

    def choose(self, pool: KeyPool, tried: Collection[Key], now: float, request: UpstreamRequest) -> Key:
        """
        The key to use: the first that neither rests nor has been told to wait.

        :param tried: those that the exchange has used already.
        :param request: what is to be sent.
        :raises KeysResting: all of them rest, at least one because of a rate limit.
        :raises KeysRefused: the provider accepts none.
        :raises ProviderWait: those that do not rest have to wait; with the shortest time, behind those who were told so
            before.
        """
        passed = list(tried)
        if request.key_id:
            passed.extend(key for key in pool.keys if key.id != request.key_id)
        soonest, shortest = None, 0.0
        while True:
            try:
                key = self._usable(pool, passed, now)
            except (errors.KeysResting, errors.KeysRefused):
                if soonest is not None:
                    raise errors.ProviderWait(retry_after_s=soonest.pace.sent_away(shortest, now)) from None
                raise
            wait = key.pace.wait(now, request.input_tokens, request.output_tokens) if self.heeds else 0.0
            if not wait:
                return key
            if soonest is None or wait < shortest:
                soonest, shortest = key, wait
            passed.append(key)

    def _usable(self, pool: KeyPool, passed: list[Key], now: float) -> Key:
        if self.may_change_keys:
            return pool.choose(now, passed)
        (key,) = pool.keys
        if key in passed:
            raise errors.KeysRefused
        return key
