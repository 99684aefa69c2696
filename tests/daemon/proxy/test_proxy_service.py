"""
Tests for `aibridge.daemon.proxy.service`: start, reload, drain and stop, without a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
from prometheus_client import CollectorRegistry
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.auth.settings import AuthSettings
from aibridge.daemon.lifecycle import LOOK_S, TICK_S
from aibridge.daemon.notify import Notifier
from aibridge.daemon.proxy.assembly import Assembly
from aibridge.daemon.proxy.config import ProxyLoaded
from aibridge.daemon.proxy.service import ProxyService, Shares
from aibridge.daemon.proxy.settings import ProxyDaemonSettings, ProxyListenSettings
from aibridge.mitm.authority import as_pem, create
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.places import Places
from aibridge.mitm.settings import ProxySettings
from aibridge.mitm.terms import Proxy
from aibridge.mitm.tunnel import Tunnel, Tunnels
from authorities import HOST, authority
from channels import Talk, answers, get
from fakes import KnowsOne
from proxies import ESTABLISHED, FakeDialer, Kept, Secured, connect, loaded
from upstreams import FakeTransport


class Identity(KnowsOne):
    """
    Remembers whether it runs.
    """

    running = False

    def start(self) -> None:
        """
        Start.
        """
        self.running = True

    def stop(self) -> None:
        """
        Stop.
        """
        self.running = False


class ServiceTests(SynchronousTestCase):
    """
    One service on a reactor in memory.
    """

    def setUp(self) -> None:
        """
        A service that was not started.
        """
        self.reactor = MemoryReactorClock()
        self.identities = [Identity()]
        self.next: Callable[[], ProxyLoaded] = loaded
        self.in_force: list[ProxyLoaded] = []
        metrics = ProxyMetrics(CollectorRegistry())
        assembly = Assembly(self.reactor, lambda: datetime.now(UTC).timestamp(), metrics)
        first = loaded()
        self.proxy = Proxy(
            terms=assembly.adopt(assembly.prepare(first), first, self.identities[0]),
            clock=self.reactor,
            wall_clock=lambda: 1.7e9,
            new_id=lambda: "id",
            new_request_id=lambda: "id",
            metrics=metrics,
            completions=Kept(self.reactor),
            dialer=FakeDialer(self.reactor),  # type: ignore[arg-type]  # it is as good as one
            tunnels=Tunnels(self.reactor, 3600.0),
            places=Places(10),
        )
        self.proxy.dialer.waits = type("Waits", (), {"seconds": 10.0})()
        self.service = ProxyService(
            self.reactor,
            first,
            self.proxy,
            assembly,
            Shares(10, 10, 10),
            Notifier({}),
            load=lambda: self.next(),
            make_identity=self.identity,
            on_change=self.in_force.append,
        )

    def identity(self, now: ProxyLoaded) -> Identity:
        """
        A new one for each other backend.
        """
        if now.settings.auth.backend != "file":
            self.identities.append(Identity())
        return self.identities[-1]

    def start(self) -> None:
        """
        Start it.
        """
        self.service.privilegedStartService()
        self.service.startService()

    def page(self, path: bytes) -> Any:
        """
        An admin page.
        """
        talk = Talk(site=self.service.admin_site)
        talk.send(get(path))
        (answer,) = talk.answers()
        return answer

    def tunnel(self) -> tuple[FakeTransport, FakeTransport]:
        """
        One that runs.
        """
        client, host = FakeTransport(self.reactor), FakeTransport(self.reactor)
        Tunnel(self.proxy.tunnels, lambda *_: self.proxy.ended()).start(client, host, b"", b"")
        return client, host

    def intercepted(self, data: bytes = b"") -> Secured:
        """
        A connection to a provider, on which something was asked for.
        """
        talk = Talk(site=self.service.site)
        talk.send(connect(f"{HOST}:443"))
        client = Secured(talk)
        client.send(data)
        return client

    def test_start(self) -> None:
        """
        Both listeners are open, tokens are verified, and it says that it is ready.
        """
        self.assertEqual(self.page(b"/readyz").status, 503)
        self.start()
        self.assertEqual([port for port, *_ in self.reactor.tcpServers], [8889, 8888])
        self.assertTrue(self.identities[0].running)
        self.assertEqual(self.page(b"/readyz").status, 200)
        self.assertEqual(self.in_force, [self.service.loaded])

    def test_it_serves(self) -> None:
        """
        CONNECT at its door, through what it was assembled from.
        """
        self.start()
        talk = Talk(site=self.service.site)
        talk.send(connect(f"{HOST}:443"))
        self.assertEqual(talk.received, ESTABLISHED)
        talk.transport.leave()

    def test_a_listener_that_cannot_be(self) -> None:
        """
        Is one clear line.
        """
        self.service.loaded = loaded(
            settings=ProxyDaemonSettings(listen=ProxyListenSettings(endpoints=("nonsense:1",)))
        )
        caught = self.assertRaises(SystemExit, self.service.privilegedStartService)
        self.assertTrue(str(caught).startswith("aibridge-proxy: cannot listen on nonsense:1"))

    def test_proxy_protocol(self) -> None:
        """
        Is expected of those networks alone.
        """
        listen = ProxyListenSettings(proxy_protocol_from=("10.0.0.0/8",))
        self.service.loaded = loaded(settings=ProxyDaemonSettings(listen=listen))
        self.start()
        factory = self.reactor.tcpServers[1][1]
        self.assertIs(factory.wrapped, self.service.site)  # type: ignore[attr-defined]  # it has one

    def test_the_certificate(self) -> None:
        """
        And nothing but the certificate is given away.
        """
        answer = self.page(b"/ca-cert.pem")
        self.assertEqual((answer.status, answer.body), (200, as_pem([authority().certificate])))
        self.assertEqual(self.page(b"/ca.key").status, 404)

    def test_the_certificate_of_several(self) -> None:
        """
        What is sent along with a host's certificate is not what clients are to trust.
        """
        above = create("Above", [HOST], datetime.now(UTC)).certificate
        self.start()
        self.next = lambda: loaded(authority=attrs.evolve(authority(), chain=(above,)))
        self.assertTrue(self.service.reload())
        self.assertEqual(self.proxy.terms.leaves.authority.chain, (above,))
        self.assertEqual(self.page(b"/ca-cert.pem").body, as_pem([authority().certificate]))

    def test_metrics(self) -> None:
        """
        What is looked up is looked up when it is asked for.
        """
        self.start()
        self.tunnel()
        Talk(site=self.service.site)
        self.proxy.terms.leaves.context_for(HOST)
        text = self.page(b"/metrics").body.decode()
        for line in (
            'aibridge_proxy_client_connections{type="tunneled"} 1.0',
            'aibridge_proxy_client_connections{type="waiting"} 1.0',
            'aibridge_proxy_client_connections{type="mitm"} 0.0',
            "aibridge_proxy_leaf_cache_entries 1.0",
            'aibridge_proxy_provider_info{provider_name="openai",provider_type="openai"} 1.0',
        ):
            self.assertIn(line, text)
        told = self.proxy.metrics.registry.get_sample_value("aibridge_proxy_ca_expires_timestamp_seconds")
        self.assertEqual(told, authority().certificate.not_valid_after_utc.timestamp())

    def test_reload(self) -> None:
        """
        What begins from then on begins under the new one.
        """
        self.start()
        self.next = lambda: loaded(settings=ProxyDaemonSettings(proxy=ProxySettings(tunnel="off", connect_timeout=3.0)))
        self.assertTrue(self.service.reload())
        self.assertEqual(self.proxy.terms.tunnel, "off")
        self.assertEqual(self.proxy.dialer.waits.seconds, 3.0)
        self.assertEqual(len(self.in_force), 2)

    def test_reload_with_other_tokens(self) -> None:
        """
        The new identity runs, and the old one does not.
        """
        self.start()
        self.next = lambda: loaded(settings=ProxyDaemonSettings(auth=AuthSettings(backend="none")))
        self.assertTrue(self.service.reload())
        self.assertEqual([identity.running for identity in self.identities], [False, True])
        self.assertIs(self.proxy.terms.identity, self.identities[1])

    def test_drain(self) -> None:
        """
        Newcomers are refused; running tunnels may go on, silent ones end with the next look.
        """
        self.start()
        busy, idle = self.tunnel(), self.tunnel()
        waiting, unused = Talk(site=self.service.site), self.intercepted()
        stopped = self.service.stopService()
        waiting.wait(0)
        self.assertTrue(waiting.transport.is_lost)
        unused.move()
        self.assertTrue(unused.ended)
        self.assertTrue(self.proxy.site.draining)
        newcomer = Talk(site=self.service.site)
        newcomer.send(connect("host.test:443"))
        (answer,) = answers(newcomer.received)
        self.assertEqual((answer.status, answer.closes), (503, True))
        self.assertEqual(self.page(b"/readyz").status, 503)
        busy[0].receive(b"x")
        self.reactor.advance(TICK_S)
        self.reactor.advance(0)
        self.assertEqual((busy[0].connected, idle[0].connected), (True, False))
        self.assertNoResult(stopped)
        busy[0].finish()
        for _ in range(3):
            self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertFalse(self.identities[0].running)

    def test_hurry(self) -> None:
        """
        What is left is ended.
        """
        self.start()
        client, _ = self.tunnel()
        asking = self.intercepted(b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.assertEqual((asking.received, self.proxy.running), (b"", 2))
        self.service.hurry()
        asking.move()
        self.assertTrue(asking.received.startswith(b"HTTP/1.1 503 ") and asking.ended)
        asking.talk.transport.leave()
        self.assertFalse(client.connected)
        self.reactor.advance(LOOK_S)
        self.successResultOf(stopped)


class SharesTests(SynchronousTestCase):
    """
    How descriptors are divided.
    """

    def test_they_suffice(self) -> None:
        """
        For all that there may be at once.
        """
        for descriptors in (1024, 4096, 65536, 131072):
            shares = Shares.of(descriptors, 0, 0)
            self.assertLess(shares.waiting + 2 * shares.intercepted + 2 * shares.tunnels, descriptors)

    def test_configured(self) -> None:
        """
        Goes before; and few are still some.
        """
        self.assertEqual(Shares.of(1024, 7, 9).intercepted, 7)
        self.assertEqual(Shares.of(1024, 7, 9).tunnels, 9)
        self.assertTrue(all(vars_ > 0 for vars_ in (Shares.of(10, 0, 0).waiting, Shares.of(10, 0, 0).tunnels)))
