"""
The commands for those who run a daemon, beside a real one.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from aibridge.admission.report import report
from aibridge.daemon.config import load
from aibridge.daemon.limiting import configured_limiters
from daemons import Deployment
from held import CHAT, KEYS, Asking, Holder, ask, said, table
from wires import chat, connect, post, read_until

DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n'
ID = re.compile(rb"X-AI-Bridge-Request-Id: (\w+)")


def request_id(url: str, request: bytes, until: bytes = b"}") -> str:
    """
    The id of a request, once it is answered.
    """
    with connect(url) as stream:
        stream.sendall(request)
        found = ID.search(read_until(stream, until))
    assert found is not None
    return found[1].decode()


class TestExplain:
    """
    What became of a request.
    """

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_requests(self, deployment: Deployment, form: str) -> None:
        """
        An answer and a refusal are explained by the id that their headers have, from the log in either form, before it
        is rotated and after.
        """
        log = deployment.directory / "completions.log"
        token = deployment.token("ada", "--rate-limit", "0.01")
        deployment.configure(DEMO + f'[log]\ncompletions = "{log}"\nformat = "{form}"\n')
        daemon = deployment.launch("--config", str(deployment.config))
        url = daemon.wait_for(r"Listening on (http://\S+?)\.(?:\"|$)")[1]
        answered, refused = (request_id(url, chat(token)) for _ in range(2))
        unknown = request_id(url, post("/demo/v1/chat/completions", "aib_x", {}))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        for path in (log, Path(f"{log}.1")):
            log.rename(path)
            told = {
                id: deployment.command("explain", id, "--config", str(deployment.config))
                for id in (answered, refused, unknown)
            }
            assert (
                "ada, from 127.0.0.1, asked for POST /v1/chat/completions of the provider demo" in told[answered].stdout
            )
            assert "It was answered: 200." in told[answered].stdout
            assert "It was refused with 429 (rate_limited) by a limit of requests or tokens" in told[refused].stdout
            assert "aibridge limits --principal ada" in told[refused].stdout
            assert "It was refused with 401 (unauthenticated) by the check of the token." in told[unknown].stdout
        absent = deployment.command("explain", "0" * 24, "--log", f"{log}.1", check=False)
        assert (absent.returncode, absent.stdout) == (1, "")


@contextmanager
def admin(server: socketserver.BaseServer) -> Iterator[None]:
    """
    Serve as an admin listener does.
    """
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestInForce:
    """
    What the limits are, and how they stand, as a running daemon tells.
    """

    def shown(self, deployment: Deployment, *arguments: str) -> str:
        """
        What `aibridge limits` prints, with single blanks between columns.
        """
        done = deployment.command("limits", "--admin", deployment.daemons[-1].admin, *arguments)
        assert done.stderr == ""
        return re.sub(" +", " ", done.stdout)

    def test_levels(self, deployment: Deployment) -> None:
        """
        Of the gate and its queue, of buckets, breakers and keys: where each comes from, what is used, what is left.
        """
        ada = deployment.token("ada", "--class", "interactive", "--rate-limit", "0.001", "--rate-burst", "9")
        bob = deployment.token("bob")
        holder = Holder()
        keys = 'keys = ["env:K1", "env:K2"]\nmax_concurrency = 2\nretries = 1\n'
        limits = "".join(
            f'[[limit]]\nscope = "{scope}"\nunit = "{unit}"\nlimit = 1\nburst = {burst}\n'
            for scope, unit, burst in (("principal", "requests/min", 40), ("global", "tokens/min", 10000))
        )
        deployment.configure(
            table(holder, keys)
            + limits
            + "[admission]\nmax_concurrency = 4\ninteractive_share = 0.25\nqueue_size = 5\nqueue_timeout = 600\n"
            + "[breaker]\nenabled = true\nfailure_threshold = 1\ntimeout = 600\n"
        )
        daemon = deployment.start(
            environ={"K1": "sk-1", "K2": "sk-2", "AIBRIDGE_MAX_IN_FLIGHT": "3"},
        )
        here = [Asking(daemon.url, said(ada, max_tokens=50)), Asking(daemon.url, said(ada, max_tokens=50))]
        turns = [holder.next(), holder.next()]
        here.append(Asking(daemon.url, said(bob, "another", max_tokens=50)))
        daemon.until("aibridge_queue_length", 1)
        file = re.escape(str(deployment.config))
        text = self.shown(deployment, "--principal", "ada")
        for row in (
            r"^For ada, of the class interactive\.$",
            rf"^all 4 2 2 1 admission\.max_concurrency \({file}\)$",
            rf"^provider up 2 2 0 - provider\[0\]\.max_concurrency \({file}\)$",
            r"^principal ada 3 2 1 - admission\.max_in_flight \(environment AIBRIDGE_MAX_IN_FLIGHT\)$",
            rf"^Up to 5 wait, each for 600 s at most: admission\.queue_size \({file}\)\. Now: 1 default\.$",
            r"^per-principal each principal 0\.06 requests/min 9 (2|1\.99\d*) 7 [\d.]+ s 0 token$",
            rf"^global-tokens all 1 tokens/min 10000 \d+(\.\d+)? 98\d\d [\d.]+ s 0 limit\[1\] \({file}\)$",
            rf"^A breaker opens after 1 failure, for 600 s; then 3 have to succeed: breaker\.enabled \({file}\)\.$",
            r"^up first 1 usable - - - 3$",
            r"^up first 2 usable - - - 3$",
        ):
            assert re.search(row, text, re.MULTILINE), f"{row}\n{text}"
        # One is told to wait, and then the model fails.
        used_up = b"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 300s\r\n"
        turns[0].answer(b"HTTP/1.1 429 X\r\nRetry-After: 300\r\n" + used_up + b"Content-Length: 0\r\n\r\n")
        turns.append(holder.next())
        for _ in range(2):
            turns.pop().answer(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
        holder.next().answer()
        assert sorted(asking.answer().status for asking in here) == [200, 503, 503]
        assert ask(daemon.url, said(ada)).reason == "breaker"
        text = self.shown(deployment)
        for row in (
            r"^each principal 3 - - - admission\.max_in_flight",
            r"^up /v1/chat/completions m open 1 principal \d+(\.\d+)? s$",
            r"^up first 1 rate_limited m \d+(\.\d+)? s 0 requests left 3$",
            r"^up first 2 usable - - - 3$",
            r"Now: nobody\.$",
        ):
            assert re.search(row, text, re.MULTILINE), f"{row}\n{text}"
        told = json.loads(deployment.command("limits", "--admin", daemon.admin, "--json").stdout)
        assert told["gate"] == json.loads(daemon.page("/limits"))["gate"]
        holder.close()

    def test_shadows(self, deployment: Deployment) -> None:
        """
        What is only tried out says so, and what it would have refused.
        """
        token = deployment.token("ada")
        holder = Holder()
        limit = '[[limit]]\nscope = "global"\nunit = "requests/min"\nlimit = 1\nshadow = true\n'
        deployment.configure(
            table(holder)
            + limit
            + "[admission]\nmax_concurrency = 1\ngate_shadow = true\n"
            + "[breaker]\nenabled = true\nfailure_threshold = 1\ntimeout = 600\nshadow = true\n"
        )
        daemon = deployment.start(environ=KEYS)
        here, turns = [], []
        for _ in range(3):
            here.append(Asking(daemon.url, said(token)))
            turns.append(holder.next())
        for turn in turns:
            turn.answer(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
        assert [asking.answer().status for asking in here] == [503] * 3
        asking = Asking(daemon.url, said(token))
        holder.next().answer()
        assert asking.answer().status == 200
        text = self.shown(deployment)
        assert "The gate is in shadow and lets everybody through; it would have refused 2 (daemon)." in text
        assert "Breakers are in shadow and refuse nothing; they would have refused 1." in text
        assert re.search(r"^global \(shadow\) all 1 requests/min 1 \S+ 0 \S+ s 3 limit\[0\]", text, re.MULTILINE)
        holder.close()

    def test_after_a_reload(self, deployment: Deployment) -> None:
        """
        What is shown is what holds now.
        """
        deployment.token("ada")
        deployment.configure(DEMO + "[admission]\nmax_concurrency = 7\n")
        daemon = deployment.start()
        deployment.configure(DEMO + "[admission]\nmax_concurrency = 8\nrate_limit = 3\n")
        assert re.search(r"^all 7 0 7 ", self.shown(deployment), re.MULTILINE)
        daemon.reload()
        text = self.shown(deployment)
        assert re.search(r"^all 8 0 8 ", text, re.MULTILINE)
        assert re.search(
            r"^per-principal each principal 3 requests/s 3 - - - 0 admission.rate_limit", text, re.MULTILINE
        )

    def test_nobody_of_that_name(self, deployment: Deployment) -> None:
        """
        Is said, with what to do, and no table is shown; the id of a token does as well as its name.
        """
        deployment.token("ada")
        deployment.configure(DEMO)
        daemon = deployment.start()
        done = deployment.command("limits", "--admin", daemon.admin, "--principal", "eve", check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "knows no principal of that name; see aibridge token list" in done.stderr
        listed = deployment.command("token", "list", "--file", str(deployment.tokens)).stdout
        found = re.search(r"\b[a-z0-9]{12}\b", listed)
        assert found is not None
        assert "For ada, " in self.shown(deployment, "--principal", found[0])


class TestWhy:
    """
    Refusals of a running daemon, explained by their ids.
    """

    def test_each_kind(self, deployment: Deployment) -> None:
        """
        Who refused, by which limit, why, what can be done, what the client was told, and where the request had got to.
        """
        ada = deployment.token("ada", "--max-in-flight", "1")
        bob = deployment.token("bob", "--class", "batch")
        holder = Holder()
        log = deployment.directory / "completions.log"
        limit = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 1\nburst = 5000\nprovider = "tight"\n'
        several = 'keys = ["env:K1", "env:K2"]\n'
        tables = (
            table(holder, "max_concurrency = 1", "full")
            + table(holder, "heed_limits = true")
            + table(holder, several, "several")
        )
        deployment.configure(
            tables
            + table(holder, name="tight")
            + limit
            + f'[log]\ncompletions = "{log}"\n[breaker]\nenabled = true\nfailure_threshold = 1\ntimeout = 600\n'
            + "[admission]\nmax_concurrency = 2\ntoken_default_output = 5000\n"
        )
        daemon = deployment.start(environ={**KEYS, "K1": "sk-1", "K2": "sk-2"})

        def refused(token: str, provider: str, **more: Any) -> str:
            answer = ask(daemon.url, said(token, path=f"/{provider}{CHAT}", **more))
            assert answer.status >= 400
            return answer.id

        def answered(token: str, provider: str, head: bytes, **more: Any) -> str:
            asking = Asking(daemon.url, said(token, path=f"/{provider}{CHAT}", **more))
            for _ in range(2 if provider == "several" else 1):
                holder.next().answer(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\n\r\n")
            return asking.answer().id

        wanted: dict[str, tuple[str, ...]] = {}
        running = Asking(daemon.url, said(ada, path=f"/full{CHAT}"))
        first = holder.next()
        wanted[refused(ada, "up")] = "by the gate, policy principal.", "max_in_flight", "not sent to a provider"
        wanted[refused(bob, "full")] = "by the gate, policy provider.", "Raise it if the provider bears more", "503"
        other = Asking(daemon.url, said(bob))
        second = holder.next()
        wanted[refused(bob, "up")] = "by the gate, policy daemon.", "admission.max_concurrency", "come back after"
        for turn, asking in ((first, running), (second, other)):
            turn.answer()
            wanted[asking.answer().id] = ("It was answered: 200.",)
        wanted[answered(ada, "up", b"429 X\r\nRetry-After: 300")] = ("The provider answered 429",)
        wanted[refused(ada, "up")] = "the provider's own limit, as it was last told", "heed_limits", "after 45 s"
        wanted[answered(ada, "several", b"429 X\r\nRetry-After: 300")] = "The provider answered 429", "sent 2 times"
        wanted[answered(ada, "tight", b"200 X", max_tokens=10**6)] = ("It was answered: 200.",)
        wanted[refused(ada, "tight", max_tokens=10**6)] = "policy per-principal-tight-tokens", "--principal ada"
        wanted[answered(ada, "full", b"503 X")] = ("The provider answered 503",)
        wanted[refused(ada, "full")] = "by a circuit breaker.", "Look for what failed before"
        daemon.stop_gently()
        for request_id, texts in wanted.items():
            done = deployment.command("explain", request_id, "--config", str(deployment.config), environ=KEYS)
            for text in texts:
                assert text in done.stdout, f"{text}\n{done.stdout}"
        holder.close()


class _Unix(socketserver.UnixStreamServer):
    def get_request(self) -> tuple[socket.socket, Any]:
        """
        A peer without an address has none that the handler could name.
        """
        connection, _ = super().get_request()
        return connection, ("unix", 0)


class TestLimits:
    """
    What the limits are.
    """

    def test_over_sockets(self, deployment: Deployment) -> None:
        """
        A daemon is asked over TCP or a Unix socket, as its admin listener is configured.
        """
        deployment.token("ada")
        deployment.configure(DEMO)
        told = json.dumps(report(configured_limiters(load(str(deployment.config), {}, {})), None, 0.0)).encode()
        asked: list[str] = []

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """
                Tell it.
                """
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *arguments: object) -> None:
                """
                Say nothing of it.
                """

        path = deployment.directory / "admin.sock"
        tcp = HTTPServer(("127.0.0.1", 0), Page)
        for server, endpoint in (
            (tcp, f"tcp:port={tcp.server_port}:interface=127.0.0.1"),
            (_Unix(str(path), Page), f"unix:{path}"),
        ):
            with admin(server):
                deployment.configure(DEMO + f'[listen]\nadmin = ["{endpoint}"]\n')
                done = deployment.command("limits", "--principal", "ada b", "--config", str(deployment.config))
            assert done.stdout.startswith("In force, as the daemon at ")
            assert asked.pop() == "/limits?principal=ada%20b"

    def test_nothing_there(self, deployment: Deployment) -> None:
        """
        Where no daemon runs, the configured limits are shown, with those of the token that is asked for.
        """
        deployment.token("ada", "--max-in-flight", "4", "--class", "batch")
        deployment.configure(DEMO + "[admission]\nmax_concurrency = 7\n")
        done = deployment.command("limits", "--principal", "ada", "--config", str(deployment.config), check=False)
        assert done.returncode == 1
        assert "For ada, of the class batch." in done.stdout
        assert re.search(r"^all +7 +- +admission.max_concurrency ", done.stdout, re.MULTILINE)
        assert re.search(r"^principal ada +4 +- +token$", done.stdout, re.MULTILINE)
