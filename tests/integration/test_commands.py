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
