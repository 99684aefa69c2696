"""
Who is it, asked of a real daemon: tokens that come and go while it runs, and a Coder deployment that does.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from daemons import PATIENCE_S, Daemon, Deployment
from lag import TURN_S, LagProbe
from wires import chat, connect, read_all

NOTICED_S = 5.0
"""Within which a change of the tokens takes effect."""

CONFIG = """
[[provider]]
name = "demo"
type = "demo"
"""

BODY = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}).encode()


def status_of(daemon: Daemon, token: str, source: str) -> int:
    """
    What a request is told that comes from some address of this machine.
    """
    with connect(daemon.url, source) as stream:
        stream.sendall(chat(token).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        return int(read_all(stream)[9:12])


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


class TestManyTokens:
    """
    A file of ten thousand tokens.
    """

    @pytest.mark.slow
    def test_changes_stop_nothing(self, deployment: Deployment) -> None:
        """
        That tokens come and go is noticed, and that the configuration is read again, while no turn of the reactor takes
        long; nor does one that finds nothing but rubbish, or nearly nothing that was there before.
        """
        deployment.tokens.write_text(tokens_file(10_000, rate=5.0))
        deployment.tokens.chmod(0o600)
        deployment.configure(f'[auth]\ntokens_file = "{deployment.tokens}"\nfailure_rate = 0\n{CONFIG}')
        daemon = deployment.start()
        first = deployment.token("first")
        soon(200, lambda: ask(daemon, first)[0])
        daemon.wait_for("tokens read from")
        with LagProbe(daemon) as probe:
            replace(deployment.tokens, deployment.tokens.read_text().replace('"name 5000"', '"another"'))
            daemon.wait_for("10001 tokens read from")
            daemon.reload()
        assert probe.longest_s <= TURN_S, probe
        good = deployment.tokens.read_text()
        with LagProbe(daemon) as probe:
            replace(deployment.tokens, good.replace('"name 50', '"other 50').replace("created", "made", 100))
            daemon.wait_for("cannot be used")
            replace(deployment.tokens, "a = " + "[" * 5000)
            daemon.wait_for("cannot be used")
            assert ask(daemon, first)[0] == 200
            replace(deployment.tokens, tokens_file(10_000, rate=6.0))
            daemon.reload()
            daemon.wait_for("10000 tokens read from")
        assert probe.longest_s <= TURN_S, probe
        assert ask(daemon, first)[0] == 401


def tokens_file(count: int, rate: float) -> str:
    """
    So many tokens, which nobody has.
    """
    return "\n".join(
        f'[[token]]\nid = "{number:012d}"\nname = "name {number}"\nhash = "sha256:{number:064x}"\n'
        f"created = 2026-11-24T12:00:00Z\nrate_limit = {rate}\n"
        for number in range(count)
    )


def replace(path: Path, text: str) -> None:
    """
    Put another file in the place of one.
    """
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(path)


class Coder(BaseHTTPRequestHandler):
    """
    A Coder deployment that knows one user.
    """

    asked: list[str] = []
    tokens: list[str] = []
    is_well = True
    takes_s = 0.0

    def do_GET(self) -> None:
        """
        Say who asks.
        """
        self.asked.append(self.path)
        self.tokens.append(self.headers["Coder-Session-Token"])
        threading.Event().wait(self.takes_s)
        is_known = self.headers["Coder-Session-Token"].startswith("good")
        self.send_response(500 if not self.is_well else 200 if is_known else 401)
        user = {"id": "11111111-2222-3333-4444-555555555555", "username": "ada"}
        body = json.dumps(user if is_known else {"message": "no"}).encode()
        self.send_header("Content-Length", str(len(body)))
        # Who has asked may have been stopped by its test.
        with contextlib.suppress(OSError):
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
        tokens: list[str] = []

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

    def test_a_neighbour_with_a_wrong_token(self, deployment: Deployment, coder: tuple[type[Coder], str]) -> None:
        """
        Somebody at the same address who shows a wrong token all the time takes nothing from those who show good ones,
        old or new, and costs the deployment a question now and then.
        """
        handler, url = coder
        deployment.configure(f'[auth]\nbackend = "coder"\ncoder_url = "{url}"\ncoder_cache = 0.5\n{CONFIG}')
        daemon = deployment.start()
        stop = threading.Event()
        wrong: list[int] = []

        def repeat() -> None:
            while not stop.is_set():
                wrong.append(status_of(daemon, "wrong", ""))

        neighbour = threading.Thread(target=repeat)
        neighbour.start()
        try:
            until = time.monotonic() + 3.0
            good = [ask(daemon, f"good-{number % 10}")[0] for number in range(100)]
            while time.monotonic() < until:
                good += [ask(daemon, f"good-{number}")[0] for number in range(10)]
            good += [ask(daemon, f"good-new-{number}")[0] for number in range(10)]
        finally:
            stop.set()
            neighbour.join()
        assert set(good) == {200}
        assert len(wrong) > 40
        assert set(wrong) <= {401, 429}
        assert handler.tokens.count("wrong") < len(wrong) / 2

    def test_many_made_up_tokens(self, deployment: Deployment, coder: tuple[type[Coder], str]) -> None:
        """
        However many are shown at once from one address, and although the deployment is slow: whoever comes from another
        address is served, and so is who was there before.
        """
        handler, url = coder
        deployment.configure(f'[auth]\nbackend = "coder"\ncoder_url = "{url}"\nfailure_rate = 0\n{CONFIG}')
        daemon = deployment.start()
        assert status_of(daemon, "good-before", "127.0.0.1") == 200
        handler.takes_s = 0.2
        with contextlib.ExitStack() as stack:
            for number in range(256):
                stream = stack.enter_context(connect(daemon.url, "127.0.0.1"))
                stream.sendall(chat(f"bad-{number}"))
            for number in range(5):
                assert status_of(daemon, f"good-{number}", "127.0.0.2") == 200
                assert status_of(daemon, "good-before", "127.0.0.1") == 200
