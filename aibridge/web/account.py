"""
A provider as exchanges use it: the way to it, its keys, and how often it may be asked again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from aibridge.admission.keypool import Choice, Key, KeyPool, Wanted
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

    def choose(self, pool: KeyPool, tried: Collection[Key], now: float, request: UpstreamRequest) -> Choice:
        """
        The key to use; see `aibridge.admission.keypool.KeyPool.choose`.

        :param tried: those that the exchange has used already.
        :param request: what is to be sent.
        :raises GatewayError: there is none now.
        """
        wanted = Wanted(
            (request.route, request.model),
            request.principal,
            request.input_tokens,
            request.output_tokens,
            request.key_id,
        )
        return pool.choose(wanted, now, tried, heeds=self.heeds)
