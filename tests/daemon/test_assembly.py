"""
From settings to terms, and what survives a reload.
"""

from __future__ import annotations

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.admission.settings import AdmissionSettings
from aibridge.daemon.assembly import Upstreams, make_terms, transport_of
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings, TransportSettings
from aibridge.relay.proxyurl import ProxyURL
from aibridge.secret import Secret
from fakes import KnowsOne

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


class TermsTests(SynchronousTestCase):
    """
    What exchanges begin with.
    """

    def test_terms(self) -> None:
        """
        Providers have their keys and addresses, and the limits are those of the settings.
        """
        demo = ProviderSettings(name="demo", type="demo")
        settings = Settings(provider=(ONE, demo), admission=AdmissionSettings(rate_limit=0.25, count_passthrough=True))
        identity = KnowsOne()
        key = Secret("sk-one-0123456789")
        terms = make_terms(settings, {"one": key}, identity, {}, lambda: "http://127.0.0.1:5")
        providers = terms.routes.providers
        self.assertEqual((providers["one"].key, providers["one"].base_url), (key, b"https://api.openai.com/v1"))
        self.assertEqual((providers["demo"].key, providers["demo"].base_url), (None, b"http://127.0.0.1:5"))
        self.assertEqual((terms.rate_limit, terms.rate_burst, terms.count_passthrough), (0.25, 1.0, True))
        self.assertIs(terms.identity, identity)
