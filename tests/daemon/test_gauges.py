"""
What is looked up when metrics are asked for.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.breaker import BreakerTerms
from aibridge.admission.policy import Policy, Scope, Unit
from aibridge.daemon.assembly import Upstreams
from aibridge.daemon.gauges import Gauges
from aibridge.model import Principal
from aibridge.web.bridge import BridgeResource
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from fakes import Answer, Asked, Fixture, bridge
from making import cool_down


class GaugesTests(SynchronousTestCase):
    """
    `Gauges`, of bridges in various states.
    """

    def told(self, fixture: Fixture) -> dict[tuple[str, ...], float]:
        """
        Everything, by name and labels.
        """
        site = BridgeSite(BridgeResource(fixture.bridge), HttpSettings(), fixture.clock)
        gauges = Gauges(fixture.bridge, site, Upstreams(fixture.clock))
        return {
            (sample.name.removeprefix("aibridge_"), *sample.labels.values()): sample.value
            for family in gauges.collect()
            for sample in family.samples
        }

    def test_gate(self) -> None:
        """
        Permits, by provider too, and who waits.
        """
        fixture = bridge(limit=2, seats={"queue_size": 5, "providers": {"openai": 2}})
        for _ in range(3):
            Asked().ask(fixture.bridge)
        told = self.told(fixture)
        self.assertEqual((told["permits_in_use",], told["permits_limit",]), (2, 2))
        self.assertEqual(told["provider_permits_in_use", "openai"], 2)
        self.assertEqual(told["provider_permits_limit", "openai"], 2)
        self.assertEqual((told["queue_length", "default"], told["queue_length", "batch"]), (1, 0))

    def test_buckets(self) -> None:
        """
        How full they are, what they take, and what shadows would have refused.
        """
        shadow = Policy(scope=Scope.GLOBAL, limit=1, shadow=True, unit=Unit.REQUESTS_PER_MINUTE)
        fixture = bridge(rate_limit=0.001, rate_burst=4.0, policies=[shadow])
        for number, requests in enumerate((1, 2, 4)):
            fixture.identity.principal = Principal(id=f"p{number}", name=f"p{number}")
            for _ in range(requests):
                Asked().ask(fixture.bridge)
        told = self.told(fixture)
        quantiles = [told["bucket_level_ratio", "per-principal", quantile] for quantile in ("0.5", "0.9", "0.99", "1")]
        self.assertEqual([round(quantile, 3) for quantile in quantiles], [0.5, 1.0, 1.0, 1.0])
        self.assertGreater(told["bucket_bytes",], 0)
        self.assertEqual(told["shadow_refusals_total", "rate", "global"], 6)

    def test_gate_in_shadow(self) -> None:
        """
        Likewise, by what would have stood in the way.
        """
        fixture = bridge(limit=1, seats={"shadow": True})
        for _ in range(3):
            Asked().ask(fixture.bridge)
        told = self.told(fixture)
        self.assertEqual((told["permits_in_use",], told["shadow_refusals_total", "gate", "daemon"]), (3, 2))

    def test_breakers_in_shadow(self) -> None:
        """
        Likewise.
        """
        fixture = bridge(breaker=BreakerTerms(failure_threshold=1, shadow=True))
        for _ in range(3):
            Asked().ask(fixture.bridge)
            fixture.upstream.calls[-1].answer(Answer(503)).end()
        self.assertEqual(self.told(fixture)["shadow_refusals_total", "breaker", ""], 2)

    def test_breakers(self) -> None:
        """
        Those that are not closed.
        """
        fixture = bridge(breaker=BreakerTerms(failure_threshold=1))
        self.assertNotIn("circuit_breaker_state", [name[0] for name in self.told(fixture)])
        Asked().ask(fixture.bridge)
        fixture.upstream.calls[0].fail(ConnectionRefusedError())
        self.flushLoggedErrors(ConnectionRefusedError)
        self.assertNotIn("circuit_breaker_state", [name[0] for name in self.told(fixture)])
        fixture.bridge.breakers.admit("openai", "/v1/chat/completions", "m", 0.0).failure(0.0)
        told = self.told(fixture)
        self.assertEqual(told["circuit_breaker_state", "openai", "/v1/chat/completions", "m"], 1.0)

    def test_breakers_that_are_switched_off(self) -> None:
        """
        Keep nobody out any more, and are not told.
        """
        fixture = bridge(breaker=BreakerTerms(failure_threshold=1))
        fixture.bridge.breakers.admit("openai", "/v1/chat/completions", "m", 0.0).failure(0.0)
        fixture.bridge.terms = attrs.evolve(fixture.bridge.terms, breaks=False)
        self.assertNotIn("circuit_breaker_state", [name[0] for name in self.told(fixture)])

    def test_keys_and_budgets(self) -> None:
        """
        Budgets only where retries are made.
        """
        fixture = bridge(keys=("sk-one", "sk-two"))
        account = fixture.bridge.terms.accounts["openai"]
        pool: Any = account.keys
        now = fixture.clock.seconds()
        cool_down(pool, pool.keys[0], 401, None, now)
        cool_down(pool, pool.keys[1], 429, None, now, "m")
        cool_down(pool, pool.keys[1], 429, None, now, "n")
        told = self.told(fixture)
        states = [told["key_pool_state", "openai", state] for state in ("usable", "rate_limited", "unauthorized")]
        self.assertEqual(states, [0, 1, 1])
        self.assertEqual(told["cooling_models", "openai"], 2)
        self.assertNotIn(("retry_budget", "openai"), told)
        self.assertEqual(self.told(bridge(account={"retries": 1}))["retry_budget", "openai"], 3.0)
