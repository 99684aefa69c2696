"""
Tests for `aibridge.mitm.connecting`: CONNECT, on whole connections in memory.
"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.connecting import CROWDED_RETRY_S
from aibridge.mitm.refusals import Refusal, Refused
from aibridge.model import Principal
from aibridge.web.settings import HttpSettings
from authorities import HOST
from channels import Talk
from disguises import MALFORMED
from fakes import TOKEN, AsksSomebody
from fakes import Answer as Told
from proxies import ESTABLISHED, Rig, Secured, connect, shows

GET = b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n"


class ConnectTests(SynchronousTestCase):
    """
    What becomes of a CONNECT.
    """

    def setUp(self) -> None:
        """
        A proxy with its defaults.
        """
        self.rig = Rig()

    def assertRefused(self, talk: Talk, refusal: Refusal) -> None:
        """
        The client was told so, and the log.
        """
        answer = talk.answers()[-1]
        self.assertEqual(answer.status, refusal.status)
        self.assertEqual(answer.named(b"x-ai-bridge-reason"), [refusal.reason.encode()])
        self.assertTrue(json.loads(answer.body)["message"])
        line = self.rig.lines[-1]
        self.assertEqual((line.kind, line.status, line.cause), ("refused", refusal.status, refusal.kind))

    # -- who ---------------------------------------------------------------------------------------------------------

    def test_no_token(self) -> None:
        """
        CONNECT itself is challenged, for providers and for all others; on the same connection it may be done again.
        """
        for authority in (f"{HOST}:443", "host.test:443"):
            talk = self.rig.connects(authority, None)
            self.assertRefused(talk, Refusal.UNAUTHENTICATED)
            self.assertEqual(talk.answers()[0].named(b"proxy-authenticate"), [b'Basic realm="AI Bridge Proxy"'])
            self.assertFalse(talk.answers()[0].closes)
            talk.send(connect(f"{HOST}:443"))
            self.assertTrue(talk.received.endswith(ESTABLISHED))
        self.assertEqual(self.rig.dialer.asked, [])

    def test_a_bad_token(self) -> None:
        """
        Is no better than none.
        """
        self.assertRefused(self.rig.connects(token=b"wrong"), Refusal.UNAUTHENTICATED)

    def test_open_tunnels(self) -> None:
        """
        Need no token where they are open to all; providers do all the same.
        """
        self.rig = Rig(tunnel="open")
        talk = self.rig.connects("host.test:443", None)
        self.rig.dialer.succeed()
        self.assertEqual(talk.received, ESTABLISHED)
        self.assertEqual(self.rig.identity.asked, [])
        self.assertRefused(self.rig.connects(token=None), Refusal.UNAUTHENTICATED)

    # -- where to ----------------------------------------------------------------------------------------------------

    def test_malformed(self) -> None:
        """
        What is no CONNECT is told so and opens nothing, whatever comes behind it.
        """
        for line in MALFORMED:
            talk = self.rig.asks(line + b"\r\nHost: a.test\r\n" + shows(TOKEN) + b"\r\n\r\n" + GET)
            status = talk.answers()[0].status
            self.assertIn(status, (400, 414, 501, 505), line)
        self.assertEqual((self.rig.dialer.asked, self.rig.upstream.calls), ([], []))
        self.assertGreaterEqual(len(set(MALFORMED)), 30)

    def test_half_sent(self) -> None:
        """
        One that does not come to its end is given its time, and no more.
        """
        whole = connect(f"{HOST}:443")
        for size in (1, 7, len(b"CONNECT api"), len(whole) - 2, len(whole) - 1):
            talk = self.rig.asks(whole[:size])
            self.assertEqual(talk.received, b"")
            talk.wait(31.0)
            self.assertEqual([answer.status for answer in talk.answers()], [408])
            talk.wait(10.0)
            self.assertTrue(talk.transport.is_lost)
        self.assertEqual(self.rig.lines, [])

    def test_byte_by_byte(self) -> None:
        """
        It may come in any pieces.
        """
        talk = self.rig.client()
        talk.send_bytes(connect(f"{HOST}:443"))
        self.assertEqual(talk.received, ESTABLISHED)

    def test_with_a_body(self) -> None:
        """
        CONNECT has none; what comes behind it would be somebody else's.
        """
        for fields in ((b"Content-Length: 5",), (b"Transfer-Encoding: chunked",)):
            self.assertRefused(self.rig.asks(connect(f"{HOST}:443", TOKEN, *fields)), Refusal.MALFORMED)

    def test_http_1_0(self) -> None:
        """
        Some clients still say that.
        """
        talk = self.rig.asks(f"CONNECT {HOST}:443 HTTP/1.0\r\n".encode() + shows(TOKEN) + b"\r\n\r\n")
        self.assertEqual(talk.received, ESTABLISHED)

    # -- interception ------------------------------------------------------------------------------------------------

    def test_a_providers_host(self) -> None:
        """
        Is spoken for, in every spelling; nobody connects to it.
        """
        for authority in (f"{HOST}:443", "API.OPENAI.COM:443", "api.openai.com.:443"):
            client = Secured(self.rig.connects(authority))
            self.assertEqual(client.error, "")
            client.send(GET)
            self.rig.upstream.calls[-1].answer(Told()).body(b"{}")
            client.move()
            self.assertTrue(client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(self.rig.dialer.asked, [])
        self.assertEqual(self.rig.count("connect_sessions_total", type="mitm"), 3)
        self.assertEqual(self.rig.count("leaf_cache_total", outcome="miss"), 1)
        self.assertEqual(self.rig.count("leaf_cache_total", outcome="hit"), 2)

    def test_its_certificate_is_kept_and_a_tunnels_is_none(self) -> None:
        """
        Only hosts that are intercepted have one.
        """
        self.rig.connects(f"{HOST}:443")
        self.rig.connects("host.test:443")
        self.rig.dialer.succeed()
        self.assertIn(HOST, self.rig.proxy.terms.leaves)
        self.assertNotIn("host.test", self.rig.proxy.terms.leaves)

    def test_a_hello_that_does_not_wait(self) -> None:
        """
        A client may send its hello with the CONNECT.
        """
        talk = self.rig.client()
        client = Secured(talk, at_once=True)
        talk.send(connect(f"{HOST}:443") + client.hello())
        client.move()
        self.assertEqual(client.error, "")
        client.send(GET)
        self.assertEqual(len(self.rig.upstream.calls), 1)

    def test_no_tls(self) -> None:
        """
        A provider that is spoken to in clear text is intercepted in clear text.
        """
        talk = self.rig.connects("llm.test:8000")
        self.assertEqual(talk.received, ESTABLISHED)
        talk.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: llm.test:8000\r\nContent-Length: 2\r\n\r\n{}")
        (call,) = self.rig.upstream.calls
        self.assertEqual(call.url, b"http://bridge.test:4000/plain/v1/chat/completions")
        answer = call.answer(Told(length=2))
        answer.body(b"ok")
        answer.end()
        self.assertTrue(talk.received.endswith(b"\r\n\r\nok"))
        talk.transport.leave()
        self.assertEqual((self.rig.lines[-1].kind, self.rig.lines[-1].requests), ("mitm", 1))

    def test_how_an_interception_ends(self) -> None:
        """
        The log has what was made of it, and how it went.
        """
        client = Secured(self.rig.connects())
        for _ in range(2):
            client.send(GET)
            answer = self.rig.upstream.calls[-1].answer(Told(length=2))
            answer.body(b"{}")
            answer.end()
        client.talk.transport.leave()
        session = self.rig.lines[-1]
        self.assertEqual((session.kind, session.cause), ("mitm", "completed"))
        self.assertEqual((session.requests, session.bytes_out), (2, 4))
        self.assertEqual((session.host, session.port, session.provider), (HOST, 443, "openai"))
        self.assertEqual(session.principal, "tester")

    def test_a_crowd(self) -> None:
        """
        There is an end to how many there may be.
        """
        self.rig = Rig(http=HttpSettings(max_connections=1))
        first = Secured(self.rig.connects())
        first.send(GET)
        second = Secured(self.rig.connects())
        second.send(GET)
        third = self.rig.connects()
        self.assertRefused(third, Refusal.AT_CAPACITY)
        self.assertEqual(third.answers()[0].named(b"retry-after"), [b"%d" % CROWDED_RETRY_S])

    # -- tunnels -----------------------------------------------------------------------------------------------------

    def test_a_tunnel(self) -> None:
        """
        The client is told when the host is there, and then bytes pass; also those that it did not wait with.
        """
        talk = self.rig.asks(connect("host.test:443") + b"early")
        (asked,) = self.rig.dialer.asked
        self.assertEqual(str(asked[0]), "host.test:443")
        self.assertEqual(talk.received, b"")
        host = self.rig.dialer.succeed()
        self.assertEqual((talk.received, host.sent), (ESTABLISHED, b"early"))
        talk.send(b"up")
        host.receive(b"down")
        self.assertEqual((talk.received, host.sent), (ESTABLISHED + b"down", b"earlyup"))
        self.assertEqual(self.rig.proxy.running, 1)
        host.finish()
        self.rig.turn()
        (line,) = self.rig.lines
        self.assertEqual((line.kind, line.status, line.cause), ("tunneled", 200, "completed"))
        self.assertEqual((line.bytes_in, line.bytes_out), (7, 4))
        self.assertEqual(self.rig.count("connect_sessions_total", type="tunneled"), 1)
        self.assertEqual(self.rig.count("tunnel_bytes_total", direction="to_host"), 7)
        self.assertEqual(self.rig.count("tunnel_bytes_total", direction="to_client"), 4)
        self.assertEqual(self.rig.proxy.running, 0)

    def test_ports(self) -> None:
        """
        Only those that are allowed; a provider's own is.
        """
        self.rig = Rig(ports=frozenset((443, 8443)))
        for authority in ("host.test:8443", "host.test:443"):
            self.rig.connects(authority)
        self.assertEqual(len(self.rig.dialer.asked), 2)
        for authority in ("host.test:80", "host.test:25", "host.test:22", f"{HOST}:80"):
            self.assertRefused(self.rig.connects(authority), Refusal.PORT)
        self.assertEqual(len(self.rig.dialer.asked), 2)
        self.assertEqual(self.rig.connects("llm.test:8000").received, ESTABLISHED)

    def test_no_tunnels(self) -> None:
        """
        Where there are none, a good token does not make one.
        """
        self.rig = Rig(tunnel="off")
        self.assertRefused(self.rig.connects("host.test:443"), Refusal.TUNNEL_OFF)
        self.assertRefused(self.rig.connects("host.test:443", None), Refusal.UNAUTHENTICATED)
        self.assertEqual(self.rig.connects().received, ESTABLISHED)

    def test_no_connection(self) -> None:
        """
        Why there is none is told as the dialer says it; the client may ask for another one.
        """
        for refusal in (Refusal.ADDRESS, Refusal.RESOLVE, Refusal.CONNECT, Refusal.CONNECT_TIMEOUT):
            talk = self.rig.connects("host.test:443")
            self.rig.dialer.fail(Refused(refusal))
            self.assertRefused(talk, refusal)
            talk.send(connect(f"{HOST}:443"))
            self.assertTrue(talk.received.endswith(ESTABLISHED))

    def test_the_client_leaves_meanwhile(self) -> None:
        """
        The attempt is given up.
        """
        talk = self.rig.connects("host.test:443")
        talk.transport.leave()
        self.assertEqual(self.rig.dialer.cancelled, 1)
        self.assertEqual(self.rig.lines[-1].cause, "client_left")
        self.assertEqual(self.rig.proxy.running, 0)

    def test_bounded(self) -> None:
        """
        Tunnels, and those that are about to be some.
        """
        self.rig = Rig(most_tunnels=2)
        self.rig.connects("host.test:443")
        host = self.rig.dialer.succeed()
        self.rig.connects("host.test:443")
        self.assertRefused(self.rig.connects("host.test:443"), Refusal.AT_CAPACITY)
        host.finish()
        self.rig.turn()
        self.rig.connects("host.test:443")
        self.assertEqual(len(self.rig.dialer.waiting), 2)

    def test_a_share_each(self) -> None:
        """
        One client cannot have them all, and whatever becomes of each, its place comes back.
        """
        self.rig = Rig(most_tunnels=8)
        talks = [self.rig.connects("host.test:443") for _ in range(6)]
        self.assertRefused(self.rig.connects("host.test:443"), Refusal.AT_CAPACITY)
        self.assertEqual(self.rig.proxy.places.taken, 6)
        self.rig.identity.principal = Principal(id="another", name="another")
        self.rig.connects("host.test:443")
        self.assertEqual(len(self.rig.dialer.waiting), 7)
        host = self.rig.dialer.succeed()
        talks[0].transport.leave()
        self.rig.dialer.fail(Refused(Refusal.CONNECT))
        self.rig.turn()
        self.assertEqual(self.rig.proxy.places.taken, 5)
        host.finish()
        self.rig.turn()
        self.assertEqual(self.rig.proxy.places.taken, 4)

    def test_sent_too_much_ahead(self) -> None:
        """
        A client that does not wait for its tunnel is cut when it has sent too much.
        """
        talk = self.rig.connects("host.test:443")
        talk.send(b"x" * 65536, b"x" * 65536)
        self.rig.turn()
        self.assertTrue(talk.transport.is_lost)
        self.assertEqual(self.rig.dialer.cancelled, 1)

    # -- when --------------------------------------------------------------------------------------------------------

    def test_draining(self) -> None:
        """
        Nothing begins any more.
        """
        self.rig.proxy.draining = True
        for authority in (f"{HOST}:443", "host.test:443"):
            self.assertRefused(self.rig.connects(authority), Refusal.DRAINING)

    def test_other_terms(self) -> None:
        """
        What has begun keeps those it began with.
        """
        identity = AsksSomebody()
        self.rig = Rig(identity=identity)
        self.rig.connects("host.test:443")
        old = self.rig.proxy.terms
        self.rig.proxy.terms = Rig(tunnel="off").proxy.terms
        identity.waiting[0].callback(identity.principal)
        ((_, route),) = self.rig.dialer.asked
        self.assertIs(route, old.route)
