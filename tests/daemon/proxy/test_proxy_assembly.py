"""
Tests for `aibridge.daemon.proxy.assembly`: from a configuration to terms, and what survives a reload.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

import attrs
from prometheus_client import CollectorRegistry
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.daemon.proxy.assembly import Assembly
from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.daemon.proxy.settings import ProxyDaemonSettings
from aibridge.mitm.authority import create
from aibridge.mitm.hosts import BUILTIN, Hosts
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.settings import BridgeSettings, CASettings, ProxySettings
from aibridge.mitm.terms import ProxyTerms
from aibridge.relay.proxyurl import read_proxy_url
from authorities import HOST
from fakes import KnowsOne
from proxies import loaded


class AssemblyTests(SynchronousTestCase):
    """
    Terms, one after the other.
    """

    def setUp(self) -> None:
        """
        The default is in force.
        """
        self.reactor = MemoryReactorClock()
        self.identity = KnowsOne()
        metrics = ProxyMetrics(CollectorRegistry())
        self.assembly = Assembly(self.reactor, lambda: datetime.now(UTC).timestamp(), metrics)
        self.first = self.adopt(loaded())

    def adopt(self, configuration: ProxyLoaded) -> ProxyTerms:
        """
        Bring one into force.
        """
        return self.assembly.adopt(self.assembly.prepare(configuration), configuration, self.identity)

    def settings(self, **sections: Any) -> ProxyLoaded:
        """
        A configuration with other settings.
        """
        return loaded(settings=ProxyDaemonSettings(**sections))

    def test_terms(self) -> None:
        """
        They say what the configuration says.
        """
        terms = self.adopt(
            self.settings(
                proxy=ProxySettings(tunnel="off", ports=(8443,), allowed_private_cidrs=("10.0.0.0/8",)),
                bridge=BridgeSettings(url="https://bridge.test/api/v2/aibridge/"),
            )
        )
        self.assertEqual((terms.tunnel, terms.ports), ("off", frozenset((8443,))))
        self.assertEqual(terms.bridge_url, b"https://bridge.test/api/v2/aibridge")
        self.assertTrue(terms.route.guard.admits(ipaddress.ip_address("10.0.0.1")))
        self.assertFalse(terms.route.guard.admits(ipaddress.ip_address("127.0.0.1")))
        self.assertIsNone(terms.route.proxy)
        self.assertIs(terms.identity, self.identity)

    def test_what_stays(self) -> None:
        """
        Connections to the bridge, certificates and the upstream proxy are kept if nothing has changed for them.
        """
        configuration = loaded(upstream=read_proxy_url("http://u:p@proxy:3128"))
        before = self.adopt(configuration)
        agent = self.assembly.agent
        before.leaves.context_for(HOST)
        after = self.adopt(attrs.evolve(configuration, settings=ProxyDaemonSettings(proxy=ProxySettings(tunnel="off"))))
        self.assertIs(self.assembly.agent, agent)
        self.assertIs(after.leaves, before.leaves)
        self.assertIs(after.route.proxy, before.route.proxy)
        self.assertIn(HOST, after.leaves)

    def test_another_bridge(self) -> None:
        """
        Needs no other connections than its own; other limits do.
        """
        agent = self.assembly.agent
        self.adopt(self.settings(bridge=BridgeSettings(url="http://127.0.0.1:5000")))
        self.assertIs(self.assembly.agent, agent)
        self.adopt(self.settings(bridge=BridgeSettings(connect_timeout=3.0)))
        self.assertIsNot(self.assembly.agent, agent)

    def test_another_authority(self) -> None:
        """
        Issues its own certificates.
        """
        other = create("Other", Hosts(BUILTIN).names(), datetime.now(UTC))
        after = self.adopt(loaded(authority=other))
        self.assertIsNot(after.leaves, self.first.leaves)
        self.assertIs(after.leaves.authority, other)
        self.assertIsNot(self.adopt(self.settings(ca=CASettings(leaf_days=3))).leaves, after.leaves)

    def test_another_upstream(self) -> None:
        """
        Also if only its password has changed.
        """
        before = self.adopt(loaded(upstream=read_proxy_url("http://u:old@proxy:3128")))
        after = self.adopt(loaded(upstream=read_proxy_url("http://u:new@proxy:3128")))
        self.assertIsNot(after.route.proxy, before.route.proxy)
        self.assertIsNone(self.adopt(loaded()).route.proxy)

    def test_what_cannot_be(self) -> None:
        """
        Changes nothing.
        """
        agent = self.assembly.agent
        self.assertRaises(ValueError, self.assembly.prepare, self.settings(bridge=BridgeSettings(ca_file="/dev/null")))
        upstream = read_proxy_url("https://proxy", "/dev/null")
        self.assertRaises(ValueError, self.assembly.prepare, loaded(upstream=upstream))
        self.assertIs(self.assembly.agent, agent)

    def test_close(self) -> None:
        """
        The connections to the bridge end when they are not needed.
        """
        self.assembly.close()
        self.assertEqual(self.assembly._leaving, set())
