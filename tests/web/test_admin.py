"""
The pages for those who run the daemon.
"""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families
from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.error import UnsupportedMethod
from twisted.web.test.requesthelper import DummyRequest

from aibridge.web.admin import admin_resource


class AdminTests(SynchronousTestCase):
    """
    `admin_resource`, asked in memory.
    """

    def setUp(self) -> None:
        """
        A daemon that takes requests.
        """
        self.registry = CollectorRegistry()
        self.gauge = Gauge("answer", "To everything.", registry=self.registry)
        self.why = ""
        self.refreshed = 0
        self.asked: list[str | None] = []
        self.client: Any = StubTreq(admin_resource(self.registry, lambda: self.why, self.refresh, self.report))

    def report(self, name: str | None) -> dict[str, Any]:
        """
        Say whose limits were asked for, and know one.
        """
        self.asked.append(name)
        if name not in (None, "ada", "é b"):
            raise KeyError(name)
        return {"principal": name}

    def refresh(self) -> None:
        """
        Look up what is not counted.
        """
        self.refreshed += 1
        self.gauge.set(42)

    def ask(self, path: str, method: str = "GET") -> tuple[int, bytes, Any]:
        """
        Status, body and headers.
        """
        response = self.successResultOf(self.client.request(method, f"http://admin{path}"))
        return response.code, self.successResultOf(response.content()), response.headers

    def test_health(self) -> None:
        """
        Who can answer is alive, ready or not.
        """
        for self.why in ("", "draining"):
            self.assertEqual(self.ask("/healthz")[:2], (200, b"ok\n"))

    def test_readiness(self) -> None:
        """
        It follows the daemon, and says why not.
        """
        self.assertEqual(self.ask("/readyz")[:2], (200, b"ready\n"))
        self.why = "draining"
        self.assertEqual(self.ask("/readyz")[:2], (503, b"draining\n"))
        self.why = ""
        self.assertEqual(self.ask("/readyz")[:2], (200, b"ready\n"))

    def test_metrics(self) -> None:
        """
        In the form that Prometheus reads, with what is looked up as it is now.
        """
        status, body, headers = self.ask("/metrics")
        families = {family.name: family.samples[0].value for family in text_string_to_metric_families(body.decode())}
        self.assertEqual((status, families, self.refreshed), (200, {"answer": 42.0}, 1))
        self.assertTrue(headers.getRawHeaders("Content-Type")[0].startswith("text/plain; version="))

    def test_nothing_else_is_looked_up(self) -> None:
        """
        Being alive costs nothing.
        """
        self.ask("/healthz")
        self.ask("/readyz")
        self.assertEqual(self.refreshed, 0)

    def test_limits(self) -> None:
        """
        What is told of them is JSON, of a principal where one is named.
        """
        for path, name in (
            ("/limits", None),
            ("/limits?principal=", None),
            ("/limits?principal=ada&x=1", "ada"),
            ("/limits?principal=%C3%A9+b", "é b"),
        ):
            status, body, headers = self.ask(path)
            self.assertEqual((status, json.loads(body)), (200, {"principal": name}))
            self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json"])
        self.assertEqual(self.asked, [None, None, "ada", "é b"])

    def test_limits_of_nobody(self) -> None:
        """
        Whom nobody knows has none, and what was asked is not repeated.
        """
        for name in ("eve", "%FF"):
            status, body, headers = self.ask(f"/limits?principal={name}")
            self.assertEqual((status, list(json.loads(body))), (404, ["message"]))
            self.assertNotIn(b"eve", body)
            self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json"])

    def test_nothing_is_cached(self) -> None:
        """
        What was true is not what is.
        """
        for path in ("/healthz", "/readyz", "/metrics", "/limits"):
            headers = self.ask(path)[2]
            self.assertEqual(headers.getRawHeaders("Cache-Control"), ["no-store"])

    def test_head(self) -> None:
        """
        The same without the body.
        """
        self.why = "draining"
        self.assertEqual(self.ask("/readyz", "HEAD")[:2], (503, b""))

    def test_other_methods(self) -> None:
        """
        The pages are read, and nothing else.
        """
        root = admin_resource(self.registry, lambda: self.why)
        for page in root.children.values():
            request = DummyRequest([b""])
            request.method = b"POST"
            refused = self.assertRaises(UnsupportedMethod, page.render, request)
            self.assertEqual(sorted(refused.allowedMethods), [b"GET", b"HEAD"])

    def test_other_paths(self) -> None:
        """
        There are none.
        """
        for path in ("/", "/status", "/healthz2", "/openai/v1/models"):
            self.assertEqual(self.ask(path)[0], 404)
        self.assertEqual(self.asked, [])

    def test_without_anything_to_look_up(self) -> None:
        """
        That is optional.
        """
        self.client = StubTreq(admin_resource(self.registry, lambda: ""))
        self.assertEqual(self.ask("/metrics")[0], 200)
        self.assertEqual(self.ask("/limits")[0], 404)
