"""
Tests for `aibridge.mitm.plain`: what comes to the proxy in clear text and is no CONNECT.
"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.refusals import Refusal
from authorities import HOST
from channels import Talk
from fakes import TOKEN
from fakes import Answer as Told
from proxies import Rig, shows


class PlainTests(SynchronousTestCase):
    """
    Requests at the proxy's own door.
    """

    def setUp(self) -> None:
        """
        A proxy with its defaults.
        """
        self.rig = Rig()

    def asks(self, target: str, *fields: bytes, method: str = "GET", host: str = "x.test", body: bytes = b"") -> Talk:
        """
        A client that sends one.
        """
        lines = [f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode(), *fields]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        return self.rig.asks(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def assertRefused(self, talk: Talk, refusal: Refusal) -> None:
        """
        The client was told so, and the log.
        """
        answer = talk.answers()[-1]
        self.assertEqual((answer.status, self.rig.lines[-1].cause), (refusal.status, refusal.kind))
        self.assertEqual(self.rig.upstream.calls, [])

    def test_other_hosts(self) -> None:
        """
        Are refused in plain words, with and without a token.
        """
        for fields in ((), (shows(TOKEN),)):
            for target in ("http://example.test/", "http://127.0.0.1/", "http://localhost:8080/a", "https://h.test/"):
                talk = self.asks(target, *fields)
                self.assertRefused(talk, Refusal.PLAIN_HTTP)
                self.assertIn("does not forward plain HTTP", json.loads(talk.answers()[-1].body)["message"])

    def test_a_providers_host(self) -> None:
        """
        Is served as if it had been intercepted; the Host field does not count beside the target.
        """
        body = b'{"model":"m"}'
        own = b"Authorization: Bearer sk-mine"
        talk = self.asks(
            f"http://{HOST}/v1/chat/completions?a=b", shows(TOKEN), own, method="POST", host="elsewhere.test", body=body
        )
        (call,) = self.rig.upstream.calls
        self.assertEqual(call.url, b"http://bridge.test:4000/openai/v1/chat/completions?a=b")
        self.assertEqual(
            call.headers,
            [
                (b"Authorization", b"Bearer sk-mine"),
                (b"X-Coder-Token", TOKEN),
                (b"X-AI-Bridge-Proxy-Request-Id", b"r-1"),
            ],
        )
        self.assertEqual(call.data, body)
        answer = call.answer(Told(length=2))
        answer.body(b"{}")
        answer.end()
        (told,) = talk.answers()
        self.assertEqual((told.status, told.body, told.closes), (200, b"{}", False))
        (line,) = self.rig.lines
        self.assertEqual((line.event, line.host, line.principal), ("request", HOST, "tester"))

    def test_several_on_one_connection(self) -> None:
        """
        Each shows who asks.
        """
        talk = self.rig.client()
        for _ in range(2):
            talk.send(b"GET http://api.openai.com/v1/models HTTP/1.1\r\nHost: a\r\n" + shows(TOKEN) + b"\r\n\r\n")
            answer = self.rig.upstream.calls[-1].answer(Told(length=0))
            answer.end()
        talk.send(b"GET http://api.openai.com/v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([answer.status for answer in talk.answers()], [200, 200, 407])

    def test_no_token(self) -> None:
        """
        Is challenged.
        """
        for fields in ((), (shows(b"wrong"),)):
            self.assertRefused(self.asks(f"http://{HOST}/v1/models", *fields), Refusal.UNAUTHENTICATED)

    def test_the_proxy_itself(self) -> None:
        """
        Serves nothing, and says what it is.
        """
        for target in ("/", "/v1/models", "/metrics", "/ca-cert.pem"):
            self.assertRefused(self.asks(target, shows(TOKEN)), Refusal.NOT_PROXIED)

    def test_malformed(self) -> None:
        """
        What names no host.
        """
        for target in ("http://a..b/", "http://1.2.3.4.5/", "http://[:::1]/"):
            self.assertRefused(self.asks(target, shows(TOKEN)), Refusal.MALFORMED)

    def test_draining(self) -> None:
        """
        Nothing begins any more, as within an interception.
        """
        self.rig.proxy.draining = True
        self.assertRefused(self.asks(f"http://{HOST}/v1/models", shows(TOKEN)), Refusal.DRAINING)

    def test_the_client_leaves(self) -> None:
        """
        The bridge is told by the end of its call.
        """
        talk = self.asks(f"http://{HOST}/v1/models", shows(TOKEN))
        talk.transport.leave()
        self.assertTrue(self.rig.upstream.calls[0].cancelled)
        self.assertEqual(self.rig.lines[-1].cause, "client_left")
        self.assertEqual(self.rig.proxy.running, 0)
