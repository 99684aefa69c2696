"""
From settings to terms, and what survives a reload.
"""

from __future__ import annotations

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.settings import AdmissionSettings, BreakerSettings
from aibridge.daemon.assembly import Shop, Upstreams, transport_of
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings, TransportSettings
from aibridge.relay.proxyurl import ProxyURL
from aibridge.secret import Secret
from aibridge.web.ending import NOBODY
from aibridge.web.terms import Terms
from fakes import KnowsOne
from making import cool_down

ONE = ProviderSettings(name="one", type="openai")
TWO = ProviderSettings(name="two", type="anthropic", connect_timeout=3.0)


class UpstreamsTests(SynchronousTestCase):
    """
    Clients and their connections.
    """

    def setUp(self) -> None:
        """
        Two providers.
        """
        self.upstreams = Upstreams(MemoryReactorClock())
        self.settings = Settings(provider=(ONE, TWO))
        self.clients = self.upstreams.adopt(self.upstreams.prepare(self.settings))

    def again(self, *providers: ProviderSettings) -> dict[str, object]:
        """
        Reload with these.
        """
        return dict(self.upstreams.adopt(self.upstreams.prepare(Settings(provider=providers))))

    def test_each_has_its_own(self) -> None:
        """
        Providers share no connections.
        """
        self.assertEqual(set(self.clients), {"one", "two"})
        self.assertEqual(len(set(self.upstreams.agents().values())), 2)

    def test_unchanged(self) -> None:
        """
        A provider whose transport stays keeps its client, though its key or name of credentials changes.
        """
        now = self.again(attrs.evolve(ONE, key="env:NEW", credentials="central"), TWO)
        self.assertEqual(now, dict(self.clients))

    def test_changed(self) -> None:
        """
        One whose transport changes gets a new one.
        """
        now = self.again(attrs.evolve(ONE, connect_timeout=1.0), TWO)
        self.assertIsNot(now["one"], self.clients["one"])
        self.assertIs(now["two"], self.clients["two"])

    def test_through_a_proxy(self) -> None:
        """
        A provider's connections go through its proxy, and are others when that is another one.
        """
        reactor = MemoryReactorClock()
        upstreams = Upstreams(reactor)
        settings = Settings(provider=(ONE,))
        proxies = {"one": ProxyURL(secure=False, host="10.0.0.1", port=3128)}
        clients = upstreams.adopt(upstreams.prepare(settings, proxies))
        upstreams.agents()["one"].send(b"GET", b"https://api.openai.com/v1/models", []).addErrback(lambda _: None)
        self.assertEqual([client[:2] for client in reactor.tcpClients], [("10.0.0.1", 3128)])
        self.assertEqual(upstreams.adopt(upstreams.prepare(settings, dict(proxies))), clients)
        now = upstreams.adopt(upstreams.prepare(settings, {}))
        self.assertIsNot(now["one"], clients["one"])

    def test_prepared_only(self) -> None:
        """
        What is prepared and not adopted changes nothing.
        """
        before = self.upstreams.agents()
        self.upstreams.prepare(Settings(provider=(attrs.evolve(ONE, connect_timeout=1.0),)))
        self.assertEqual(self.upstreams.agents(), before)

    def test_removed(self) -> None:
        """
        A provider that is gone is asked no more.
        """
        self.assertEqual(list(self.again(TWO)), ["two"])

    def test_transport_of(self) -> None:
        """
        Every transport option is part of it, and nothing else.
        """
        self.assertEqual(transport_of(TWO), TransportSettings(connect_timeout=3.0))


class ShopTests(SynchronousTestCase):
    """
    What exchanges begin with.
    """

    def setUp(self) -> None:
        """
        A shop that was never asked.
        """
        self.rested: list[tuple[str, int]] = []
        self.upstreams = Upstreams(MemoryReactorClock())
        self.shop = Shop(self.upstreams, lambda: "http://127.0.0.1:5", lambda *rested: self.rested.append(rested))

    def terms(self, settings: Settings, now: float = 0.0, **secrets: tuple[Secret, ...]) -> Terms:
        """
        The terms of these settings.
        """
        return self.shop.terms(settings, secrets, KnowsOne(), self.upstreams.prepare(settings), now)

    def test_terms(self) -> None:
        """
        Providers have their keys and addresses, and the limits are those of the settings.
        """
        demo = ProviderSettings(name="demo", type="demo")
        one = attrs.evolve(ONE, retries=2, heed_limits=False, key_order="round-robin")
        admission = AdmissionSettings(rate_limit=0.25, count_passthrough=True, max_in_flight=7, max_retry_after=9)
        settings = Settings(provider=(one, demo), admission=admission, breaker=BreakerSettings(enabled=True))
        first, second = Secret("sk-one-0123456789"), Secret("sk-two")
        terms = self.terms(settings, one=(first, second))
        providers, accounts = terms.routes.providers, terms.accounts
        self.assertEqual((providers["one"].key, providers["one"].base_url), (first, b"https://api.openai.com/v1"))
        self.assertEqual((providers["demo"].key, providers["demo"].base_url), (None, b"http://127.0.0.1:5"))
        pool = accounts["one"].keys
        assert pool is not None
        self.assertEqual(([key.secret for key in pool.keys], pool.round_robin), ([first, second], True))
        self.assertEqual((accounts["one"].retries, accounts["one"].heeds), (2, False))
        self.assertEqual((accounts["demo"].keys, accounts["demo"].retries, accounts["demo"].heeds), (None, 0, True))
        self.assertEqual((terms.max_in_flight, terms.count_passthrough, terms.breaks), (7, True, True))
        self.assertEqual((terms.max_retry_after_s, terms.max_body), (9.0, settings.http.max_body))
        (state,) = terms.policies.states(NOBODY, "one", 0.0)
        self.assertEqual((state.limit.rate, state.limit.burst), (0.25, 1.0))

    def test_what_outlives_a_reload(self) -> None:
        """
        Levels of buckets, what is known of keys that stay, and what retries are paid from.
        """
        admission = AdmissionSettings(rate_limit=1.0, rate_burst=3.0)
        settings = Settings(provider=(ONE, TWO), admission=admission)
        stays, goes, comes = Secret("sk-stays"), Secret("sk-goes"), Secret("sk-comes")
        before = self.terms(settings, one=(stays, goes))
        pool = before.accounts["one"].keys
        assert pool is not None
        cool_down(pool, pool.keys[0], 429, 50.0, 0.0)
        self.assertEqual(self.rested, [("one", 429)])
        before.policies.check(NOBODY, "one", 0.0)
        after = self.terms(attrs.evolve(settings, provider=(ONE,)), one=(stays, comes))
        now = after.accounts["one"].keys
        assert now is not None
        self.assertEqual([key.state(1.0) for key in now.keys], ["rate_limited", "usable"])
        self.assertIs(after.accounts["one"].budget, before.accounts["one"].budget)
        self.assertEqual(list(after.accounts), ["one"])
        self.assertEqual(after.policies.states(NOBODY, "one", 0.0)[0].remaining, 2)
