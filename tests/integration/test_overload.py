"""
The bench of overloads: that its load generator asks as it says, and that all of it still runs, in small.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from daemons import KEPT, PATIENCE_S, ROOT
from wires import Provider, post, whole

C = ROOT / "benchmarks" / "c"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

Row = dict[str, str]
NAMES = ("caller", "purpose", "due", "sent", "answered", "status", "retry", "reason")

LIMITED = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nretry-after-ms: 300\r\n"
    b'X-AI-Bridge-Reason: rate; policy="per-principal"\r\n\r\n'
)

Crowd = Callable[[Provider, float, str], list[Row]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The load generator.
    """
    made = tmp_path_factory.mktemp("crowd") / "crowd"
    subprocess.run(["cc", "-O1", "-std=gnu11", "-o", str(made), str(C / "crowd.c"), "-lm"], check=True)
    return made


@pytest.fixture
def crowd(program: Path, tmp_path: Path) -> Crowd:
    """
    Runs it: a provider, for how many seconds, and the callers, each line but for the request.
    """

    def run(provider: Provider, seconds: float, callers: str) -> list[Row]:
        request, file = tmp_path / "request", tmp_path / "callers"
        request.write_bytes(post("/v1/chat/completions", "token", {}))
        file.write_text("".join(f"{line} {request}\n" for line in callers.splitlines()))
        port = provider.url.rpartition(":")[2]
        command = [str(program), port, str(seconds), str(file)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in ran.stdout.splitlines()]

    return run


def test_it_asks_whatever_it_is_answered(crowd: Crowd) -> None:
    """
    The same requests are due at the same times, be they answered at once or all at the end.
    """
    callers = "steady 150 0 1\nsteady 50 0 2"
    enough = threading.Semaphore(0)

    def at_once(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            stream.sendall(whole())
            enough.release()

    quick = Provider(at_once)
    rows = crowd(quick, 0.5, callers)
    quick.close()
    assert len(rows) > 50
    expected = len(rows)
    arrived, all_here = threading.Semaphore(0), threading.Event()

    def at_the_end(provider: Provider, stream: socket.socket) -> None:
        provider.take(stream)
        arrived.release()
        assert all_here.wait(PATIENCE_S)
        stream.sendall(whole())

    def wait_for_all() -> None:
        for _ in range(expected):
            assert arrived.acquire(timeout=PATIENCE_S)
        all_here.set()

    slow = Provider(at_the_end)
    waiter = threading.Thread(target=wait_for_all)
    waiter.start()
    held = crowd(slow, 0.5, callers)
    waiter.join()
    slow.close()
    assert {row["status"] for row in (*rows, *held)} == {"200"}
    assert sorted((row["caller"], row["due"]) for row in held) == sorted((row["caller"], row["due"]) for row in rows)
    assert all(int(row["due"]) <= int(row["sent"]) <= int(row["answered"]) for row in held)


def test_it_leaves_out_what_would_be_too_much_at_once(crowd: Crowd) -> None:
    """
    A caller with a limit of its own never has more under way.
    """
    now, most, lock = [0], [0], threading.Lock()

    def slow(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            # Until as many are here as may be; the last ones have nobody to wait for.
            full.wait(0.1)
            with lock:
                now[0] -= 1
                if most[0] == 3:
                    full.set()
            stream.sendall(whole())

    full = threading.Event()
    provider = Provider(slow)
    rows = crowd(provider, 0.5, "steady 300 3 1")
    provider.close()
    assert len(rows) > 3
    assert most[0] <= 3


def test_it_comes_back_when_it_is_told_to(crowd: Crowd) -> None:
    """
    First too early, then exactly then, and so on.
    """
    served = [0]

    def bucket(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            served[0] += 1
            # 200 to the first, and then to each third, which comes exactly when the one before the last was told to.
            stream.sendall(whole() if served[0] % 3 == 1 else LIMITED)

    provider = Provider(bucket)
    rows = crowd(provider, 2.0, "obedient 100")
    provider.close()
    assert [row["purpose"] for row in rows[:6]] == ["ask", "ask", "early", "exact", "ask", "early"]
    assert [row["status"] for row in rows[:6]] == ["200", "429", "429", "200", "429", "429"]
    assert {row["reason"] for row in rows if row["status"] == "429"} == {'rate; policy="per-principal"'}
    told, early, exact = rows[1:4]
    assert told["retry"] == "300"
    # Times are cut to whole microseconds.
    assert int(early["due"]) - int(told["answered"]) in (199_999, 200_000, 200_001)
    assert int(exact["due"]) - int(told["answered"]) in (299_999, 300_000, 300_001)


def test_it_tells_what_was_not_answered(crowd: Crowd) -> None:
    """
    A connection that ends, and an answer that is none, are not left out.
    """

    def rude(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            if len(provider.requests) % 2:
                return
            stream.sendall(b"what?\r\n\r\n")

    provider = Provider(rude)
    rows = crowd(provider, 0.3, "steady 100 1 1")
    provider.close()
    assert {row["status"] for row in rows} == {"0"}
    assert {row["reason"] for row in rows} <= {"closed", "not understood"}
    assert {row["reason"] for row in rows} >= {"closed"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the bench needs two cores")
@pytest.mark.slow
def test_all_of_it_in_small(tmp_path: Path) -> None:
    """
    Every kind of scene of those who ask steadily, for a moment, at a tiny capacity: figures come out, every request is
    answered, and nothing is held afterwards. How long anything takes is not looked at.
    """
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.overload", "--only", "load-10,fair,classes", "--rounds", "1"]
    command += ["--seconds", "0.4", "--permits", "8", "--busy", "--to", str(file)]
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert file.exists(), ran.stderr
    results = json.loads(file.read_text())
    assert results["failures"] == [], ran.stderr
    found = {
        (scene, terms): {metric: values[0] for metric, values in samples.items()}
        for scene, each in results["measurements"].items()
        for terms, samples in each.items()
    }
    assert set(found) == {
        ("load-10", "queue off"),
        ("load-10", "queue on"),
        ("fair", "queue off"),
        ("fair", "queue on"),
        ("classes", "share, queue off"),
        ("classes", "share, queue on"),
    }
    for figures in found.values():
        assert figures["asked"] > 0 and figures["goodput"] > 0
        assert (figures["unanswered"], figures["left"]) == (0, 0)
    for part in ("requests that the ten lose", "permits, places and calls still held afterwards"):
        assert part in ran.stdout
