"""
The keys of all providers, over reloads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from aibridge.admission.keypool import KeyPool
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret

Place = tuple[str, str]
"""Type and address: what a key that is known is known of."""


class KeyPools:
    """
    Keeps a pool for each provider that has keys, for as long as it has any.

    A pool goes on over a reload, and with it what is known of the keys that stay: that they rest, and what the provider
    said of their limits. The pool of a provider that is another one by now, of another type or at another address,
    begins anew.

    :param on_rest: told the provider and the cause, 429 or 401, each time a key goes to rest.
    """

    __slots__ = ("_known", "_on_rest")

    def __init__(self, on_rest: Callable[[str, int], None] | None = None) -> None:
        self._on_rest = on_rest
        self._known: dict[str, tuple[Place, KeyPool]] = {}

    def adopt(
        self, providers: Iterable[ProviderSettings], secrets: Mapping[str, Sequence[Secret]]
    ) -> dict[str, KeyPool]:
        """
        Have these keys from now on; exchanges that are under way choose among them as well.

        :param secrets: provider name → its keys, in the order of their use; as `aibridge.daemon.config.Loaded` has
            them, hence none is there twice.
        :return: provider name → its pool, of those that have keys.
        """
        known: dict[str, tuple[Place, KeyPool]] = {}
        for provider in providers:
            keys = secrets.get(provider.name)
            if keys:
                place = (provider.type, provider.base_url)
                known[provider.name] = (place, self._pool(provider, place, keys))
        self._known = known
        return {name: pool for name, (_, pool) in known.items()}

    def _pool(self, provider: ProviderSettings, place: Place, keys: Sequence[Secret]) -> KeyPool:
        in_turn = provider.key_order == "round-robin"
        before, pool = self._known.get(provider.name, (None, None))
        if pool is None or before != place:
            told = None if self._on_rest is None else partial(self._on_rest, provider.name)
            return KeyPool(keys, in_turn, told)
        pool.adopt(keys)
        pool.round_robin = in_turn
        return pool
