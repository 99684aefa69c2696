"""
The keys of all providers.
"""

from __future__ import annotations

from typing import Any

import pytest

from aibridge.admission.keypool import Wanted
from aibridge.admission.keypools import KeyPools
from aibridge.errors import ProviderWait
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret
from making import cool_down

A, B, C = (Secret(f"sk-{name}") for name in "abc")


M = Wanted(("", "m"))


def provider(name: str = "one", **changes: Any) -> ProviderSettings:
    """
    A provider of OpenAI's.
    """
    return ProviderSettings(**{"name": name, "type": "openai", **changes})


def test_each_provider_has_its_own() -> None:
    """
    In the order of the configuration and in the way that it says; who has no keys has no pool.
    """
    providers = [provider("one"), provider("two", key_order="round-robin"), provider("none"), provider("empty")]
    pools = KeyPools().adopt(providers, {"one": (A, B), "two": (B, C), "empty": (), "gone": (A,)})
    assert list(pools) == ["one", "two"]
    assert [pools["one"].choose(M, 0.0).key.secret for _ in range(3)] == [A, A, A]
    assert [pools["two"].choose(M, 0.0).key.secret for _ in range(3)] == [B, C, B]


def test_what_stays() -> None:
    """
    A key that is there before a reload and after rests on; others come and go, and the order may change.
    """
    pools = KeyPools()
    before = pools.adopt([provider()], {"one": (A, B)})["one"]
    cool_down(before, before.keys[0], 429, 100.0, 0.0)
    after = pools.adopt([provider(key_order="round-robin")], {"one": (C, A)})["one"]
    assert after is before
    assert after.round_robin
    assert [after.choose(M, 0.5).key.secret for _ in range(2)] == [C, C]
    assert pools.adopt([provider()], {"one": (A,)})["one"] is before
    with pytest.raises(ProviderWait):
        before.choose(M, 0.5)


@pytest.mark.parametrize("changes", [{"type": "anthropic"}, {"base_url": "https://elsewhere.example.com"}])
def test_another_provider_of_the_same_name(changes: dict[str, Any]) -> None:
    """
    What was known of a key elsewhere is not known of it here.
    """
    pools = KeyPools()
    before = pools.adopt([provider()], {"one": (A,)})["one"]
    cool_down(before, before.keys[0], 401, None, 0.0)
    after = pools.adopt([provider(**changes)], {"one": (A,)})["one"]
    assert after is not before
    assert after.choose(M, 1.0).key.secret == A


def test_who_was_away() -> None:
    """
    A provider that has no keys for one configuration begins anew with the next.
    """
    pools = KeyPools()
    before = pools.adopt([provider()], {"one": (A,)})
    assert pools.adopt([provider()], {}) == {}
    assert pools.adopt([provider()], {"one": (A,)})["one"] is not before["one"]
    assert list(before) == ["one"]


def test_rests_are_told() -> None:
    """
    With the provider whose key it is.
    """
    told: list[tuple[str, int]] = []
    pools = KeyPools(lambda name, cause: told.append((name, cause)))
    for pool in pools.adopt([provider("one"), provider("two")], {"one": (A, B), "two": (B, C)}).values():
        cool_down(pool, pool.keys[0], 429, 1.0, 0.0)
    assert told == [("one", 429), ("two", 429)]
