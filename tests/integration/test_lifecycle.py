"""
Start, reload, drain and stop of a real process.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from pathlib import Path

from daemons import Daemon, Deployment
from wires import chat, connect, post, read_all, read_until

DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n'


def ask(daemon: Daemon, token: str) -> int:
    """
    The status of one blocking answer.
    """
    with connect(daemon.url) as stream:
        stream.sendall(chat(token))
        return int(read_until(stream, b"\r\n").split(b" ")[1])


class TestStart:
    """
    What a person sees who starts it.
    """

    def test_embedded_default(self, deployment: Deployment) -> None:
        """
        Without a configuration it prints where it listens, a token, and a curl line that streams an answer.
        """
        daemon = deployment.launch(
            "--listen", "tcp:port=0:interface=127.0.0.1", "--admin", "tcp:port=0:interface=127.0.0.1"
        ).listening()
        line = daemon.wait_for(r"curl -sN (http\S+) .*Bearer (aib_\S+)'")
        path, token = line[1], line[2]
        body = json.loads(re.search(r"-d '(\{.*\})'", line.string)[1])  # type: ignore[index]  # the line was just found
        with connect(path) as stream:
            stream.sendall(post("/demo/v1/chat/completions", token, body, [("Connection", "close")]))
            answer = read_all(stream)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"data: ") > 3
        assert b"data: [DONE]" in answer

    def test_port_in_use(self, deployment: Deployment) -> None:
        """
        A port in use is one clear line, a failure, and nothing half started.
        """
        deployment.token("t")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listen = f'[listen]\nendpoints = ["tcp:port={port}:interface=127.0.0.1"]\nadmin = []\n'
            deployment.configure(DEMO + listen)
            daemon = deployment.launch("--config", str(deployment.config))
            assert daemon.wait() == 1
        said = [line for line in daemon.lines if "aibridge: " in line]
        assert len(said) == 1
        assert "in use" in said[0] and str(port) in said[0]
        assert "Traceback" not in daemon.output

    def test_bad_configuration(self, deployment: Deployment) -> None:
        """
        Every error of a configuration is told at once, with status 2 and no traceback.
        """
        deployment.configure('[admission]\nmax_concurrency = -1\nno_such_key = 3\n[http]\nmax_body = "big"\n')
        daemon = deployment.launch("--config", str(deployment.config))
        assert daemon.wait() == 2
        for key in ("max_concurrency", "no_such_key", "max_body"):
            assert key in daemon.output
        assert "Traceback" not in daemon.output

    def test_environment(self, deployment: Deployment) -> None:
        """
        Both spellings of the known environment variables set the limits; an option goes before them.
        """
        deployment.token("t")
        deployment.configure(DEMO)
        for environ, arguments, limit in (
            ({"AIBRIDGE_MAX_CONCURRENCY": "7"}, [], 7),
            ({"CODER_AIBRIDGE_MAX_CONCURRENCY": "8"}, [], 8),
            ({"AIBRIDGE_MAX_CONCURRENCY": "7"}, ["--max-concurrency", "9"], 9),
        ):
            daemon = deployment.start(*arguments, environ=environ)
            assert daemon.metric("aibridge_permits_limit") == limit
            daemon.stop()


class TestReload:
    """
    SIGHUP.
    """

    def test_bad_file_changes_nothing(self, deployment: Deployment) -> None:
        """
        A bad file is refused with its errors, and requests are served on.
        """
        token = deployment.token("t")
        deployment.configure(DEMO)
        daemon = deployment.start()
        deployment.configure(DEMO + "[admission]\nmax_concurrency = -5\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("max_concurrency")
        daemon.wait_for("old one stays in force")
        assert ask(daemon, token) == 200

    def test_good_file_takes_effect(self, deployment: Deployment) -> None:
        """
        A new provider answers after a reload, and what needs a restart says so.
        """
        token = deployment.token("t")
        deployment.configure(DEMO)
        daemon = deployment.start()
        deployment.configure(DEMO + '[[provider]]\nname = "second"\ntype = "demo"\n[http]\nmax_headers = 99\n')
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(r"http\.max_headers.*restart")
        daemon.wait_for("was reloaded")
        with connect(daemon.url) as stream:
            stream.sendall(chat(token, name="second"))
            assert b" 200 OK" in read_until(stream, b"\r\n")

    def test_bucket_levels_survive(self, deployment: Deployment) -> None:
        """
        A caller who is over its rate stays so over a reload.
        """
        token = deployment.token("t")
        deployment.configure(DEMO + "[admission]\nrate_limit = 0.001\nrate_burst = 2\n")
        daemon = deployment.start()
        assert [ask(daemon, token) for _ in range(3)] == [200, 200, 429]
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("was reloaded")
        assert ask(daemon, token) == 429

    def test_under_load(self, deployment: Deployment) -> None:
        """
        Fifty reloads under load lose no request and cut no stream.
        """
        token = deployment.token("t")
        deployment.configure(DEMO)
        daemon = deployment.start()
        done = threading.Event()
        bad: list[bytes] = []
        counts = {"answers": 0, "streams": 0}

        def blocking() -> None:
            with connect(daemon.url) as stream:
                while not done.is_set():
                    stream.sendall(chat(token))
                    answer = read_until(stream, b'"usage"')
                    if b" 200 OK" not in answer:
                        bad.append(answer)
                        return
                    while not answer.endswith(b"}"):
                        answer += stream.recv(65536)
                    counts["answers"] += 1

        def streaming() -> None:
            while not done.is_set():
                with connect(daemon.url) as stream:
                    stream.sendall(chat(token, "demo-long-20", stream=True))
                    answer = read_until(stream, b"0\r\n\r\n")
                    if not answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                        bad.append(answer)
                        return
                    counts["streams"] += 1

        threads = [threading.Thread(target=target) for target in (blocking,) * 4 + (streaming,) * 4]
        for thread in threads:
            thread.start()
        turn = 0
        while turn < 50 or counts["streams"] < 8 or counts["answers"] < 50:
            assert not bad and turn < 5000
            turn += 1
            deployment.configure(DEMO + f"[admission]\nbucket_memory = {2000000 + turn}\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("was reloaded")
        done.set()
        for thread in threads:
            thread.join(60)
        assert bad == []
        assert daemon.metric("aibridge_permits_in_use") == 0


class TestDrain:
    """
    SIGTERM.
    """

    def test_drain(self, deployment: Deployment) -> None:
        """
        Readiness goes first, newcomers are told 503, the running stream finishes whole, and it exits with 0.
        """
        token = deployment.token("t")
        deployment.configure(DEMO)
        daemon = deployment.start()
        with connect(daemon.url) as running, connect(daemon.url) as idle:
            running.sendall(chat(token, "demo-long-100", stream=True))
            seen = read_until(running, b"data: ")
            daemon.signal(signal.SIGTERM)
            daemon.wait_for("Draining")
            assert read_all(idle) == b""
            with connect(daemon.admin) as page:
                page.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert b" 503 " in read_all(page)
            with connect(daemon.url) as newcomer:
                newcomer.sendall(chat(token))
                refused = read_all(newcomer)
            assert b" 503 " in refused and b"Retry-After: " in refused and b"Connection: close" in refused
            assert b"X-AI-Bridge-Reason: drain" in refused
            seen += read_all(running)
        assert seen.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert daemon.wait() == 0

    def test_second_signal(self, deployment: Deployment) -> None:
        """
        A second SIGTERM ends at once what was draining, with an error event and no clean end.
        """
        token = deployment.token("t")
        deployment.configure(DEMO)
        daemon = deployment.start()
        with connect(daemon.url) as running:
            running.sendall(chat(token, "demo-long-100000", stream=True))
            seen = read_until(running, b"data: ")
            daemon.signal(signal.SIGTERM)
            daemon.wait_for("Draining")
            daemon.signal(signal.SIGTERM)
            seen += read_all(running)
        assert b"shutting down" in seen
        assert b"[DONE]" not in seen and not seen.endswith(b"0\r\n\r\n")
        assert daemon.wait() == 0

    def test_drain_timeout(self, deployment: Deployment) -> None:
        """
        What still runs when the drain time is up is ended honestly.
        """
        token = deployment.token("t")
        deployment.configure(DEMO + "[daemon]\ndrain_timeout = 0.2\n")
        daemon = deployment.start()
        with connect(daemon.url) as running:
            running.sendall(chat(token, "demo-long-100000", stream=True))
            seen = read_until(running, b"data: ")
            daemon.signal(signal.SIGTERM)
            seen += read_all(running)
        assert b"shutting down" in seen and b"[DONE]" not in seen
        assert daemon.wait() == 0


class TestFiles:
    """
    Logs on disk.
    """

    def test_completions_on_a_full_disk(self, deployment: Deployment) -> None:
        """
        A disk that takes no more costs lines of the log, never a request.
        """
        token = deployment.token("t")
        full = Path("/dev/full")
        assert full.exists()
        deployment.configure(DEMO + f'[log]\ncompletions = "{full}"\n')
        daemon = deployment.start()
        for _ in range(3):
            assert ask(daemon, token) == 200
        daemon.wait_for("Completions cannot be written")
        assert ask(daemon, token) == 200
