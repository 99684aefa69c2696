"""
Who is it, asked of a real daemon: tokens that come and go while it runs, and a Coder deployment that does.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from daemons import PATIENCE_S, Daemon, Deployment

NOTICED_S = 5.0
"""Within which a change of the tokens takes effect."""

CONFIG = """
[[provider]]
name = "demo"
type = "demo"
"""

BODY = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}).encode()


def ask(daemon: Daemon, token: str) -> tuple[int, dict[str, str], str]:
    """
    Status, headers and body of one request.
    """
    request = urllib.request.Request(
        f"{daemon.url}/demo/v1/chat/completions",
        BODY,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, {}, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read().decode()


def soon(expected: int, status: Callable[[], int]) -> None:
    """
    Wait until a request is answered so, and hold that it is soon enough.
    """
    began = time.monotonic()
    while status() != expected:
        assert time.monotonic() - began < NOTICED_S + 1.0
        threading.Event().wait(0.1)


class TestTokens:
    """
    Tokens in a file.
    """

    def test_they_come_and_go(self, deployment: Deployment) -> None:
        """
        A token that is created, rotated or revoked while the daemon runs is noticed within 5 s, and no output of the
        daemon shows one.
        """
        first = deployment.token("first")
        deployment.configure(f'[auth]\ntokens_file = "{deployment.tokens}"\nfailure_rate = 0\n{CONFIG}')
        daemon = deployment.start()
        assert ask(daemon, first)[0] == 200
        second = deployment.token("second")
        soon(200, lambda: ask(daemon, second)[0])
        rotated = deployment.command("token", "rotate", "second", "--file", str(deployment.tokens)).stdout.strip()
        soon(200, lambda: ask(daemon, rotated)[0])
        assert ask(daemon, second)[0] == 401
        deployment.command("token", "revoke", "first", "--file", str(deployment.tokens))
        soon(401, lambda: ask(daemon, first)[0])
        assert ask(daemon, rotated)[0] == 200
        daemon.stop()
        for token in (first, second, rotated):
            assert token[17:] not in daemon.output

    def test_a_refusal(self, deployment: Deployment) -> None:
        """
        A bad token is told so in a way that no client repeats; too many of them, to wait; good ones pass meanwhile.
        """
        token = deployment.token("first")
        deployment.configure(
            f'[auth]\ntokens_file = "{deployment.tokens}"\nfailure_rate = 0.01\nfailure_burst = 2\n{CONFIG}'
        )
        daemon = deployment.start()
        for _ in range(2):
            status, headers, body = ask(daemon, "wrong")
            assert (status, headers["x-should-retry"], headers["www-authenticate"]) == (401, "false", "Bearer")
            assert headers["x-ai-bridge-reason"] == "auth"
            assert "Incorrect API key provided" in body
        status, headers, _ = ask(daemon, "wrong")
        assert (status, headers["x-ai-bridge-reason"]) == (429, "auth")
        assert int(headers["retry-after"]) > 0
        assert ask(daemon, token)[0] == 200


class Coder(BaseHTTPRequestHandler):
    """
    A Coder deployment that knows one user.
    """

    asked: list[str] = []
    is_well = True

    def do_GET(self) -> None:
        """
        Say who asks.
        """
        self.asked.append(self.path)
        is_known = self.headers["Coder-Session-Token"] == "good"
        self.send_response(500 if not self.is_well else 200 if is_known else 401)
        user = {"id": "11111111-2222-3333-4444-555555555555", "username": "ada"}
        body = json.dumps(user if is_known else {"message": "no"}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """
        Nobody reads it.
        """


@pytest.fixture
def coder() -> Iterator[tuple[type[Coder], str]]:
    """
    A deployment, and where it is.
    """

    class Deployed(Coder):
        asked: list[str] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Deployed)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Deployed, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestCoder:
    """
    Tokens of a Coder deployment.
    """

    def test_asked_and_remembered(self, deployment: Deployment, coder: tuple[type[Coder], str]) -> None:
        """
        It is asked once for each token; that it is away is 503 and no verdict, and does not touch what is remembered.
        """
        handler, url = coder
        deployment.configure(f'[auth]\nbackend = "coder"\ncoder_url = "{url}"\n{CONFIG}')
        daemon = deployment.start()
        assert [ask(daemon, "good")[0] for _ in range(3)] == [200, 200, 200]
        assert [ask(daemon, "bad")[0] for _ in range(3)] == [401, 401, 401]
        assert handler.asked == ["/api/v2/users/me"] * 2
        handler.is_well = False
        status, headers, _ = ask(daemon, "another")
        assert (status, headers["x-ai-bridge-reason"]) == (503, "auth")
        assert int(headers["retry-after"]) > 0
        assert ask(daemon, "good")[0] == 200
        handler.is_well = True
        assert ask(daemon, "another")[0] == 401
