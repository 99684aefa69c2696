"""
Everything that can be wrong with a provider, seen by clients of a real process.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse, IncompleteRead

import pytest

from aibridge.web import faults
from daemons import Daemon, Deployment
from upstream_faults import CLOSE, FAULTS, HANG, HANG_S, PAUSE, PAUSE_S, RESET, SETTINGS, Fault
from wires import PATIENCE_S, Provider, connect, reset, whole

AT_ONCE = 12


def misbehave(provider: Provider, stream: socket.socket) -> None:
    """
    Do what the request's path says.
    """
    while request := provider.take(stream):
        number = request.split(b" ")[1].rpartition(b"/")[2]
        if number == b"well":
            stream.sendall(whole())
            continue
        for step in FAULTS[int(number)].steps:
            if step == CLOSE:
                return
            if step == RESET:
                reset(stream)
                return
            if step == HANG:
                wait_for_end(stream, HANG_S)
            elif step == PAUSE:
                wait_for_end(stream, PAUSE_S)
            else:
                assert isinstance(step, bytes)
                stream.sendall(step)


def wait_for_end(stream: socket.socket, seconds: float) -> None:
    """
    Be silent: what is scripted is a provider that takes its time.
    """
    stream.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        until = time.monotonic() + seconds
        while time.monotonic() < until and stream.recv(1):
            pass
    stream.settimeout(PATIENCE_S)


ALLOW = [f"{method} /models/*" for method in ("POST", "PUT", "PATCH", "DELETE")]
"""Routes that cross whatever their method."""


@pytest.fixture(scope="module")
def misled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    """
    A daemon with that provider, and a token.
    """
    deployment = Deployment(tmp_path_factory.mktemp("faults"))
    provider = Provider(misbehave)
    token = deployment.token("t")
    options = "".join(f"{name} = {value}\n" for name, value in {**SETTINGS, "max_connections": AT_ONCE}.items())
    deployment.configure(
        "".join(
            f'[[provider]]\nname = "{name}"\ntype = "openai-compatible"\nbase_url = "{provider.url}"\n'
            f'key = "env:KEY"\nallow = {ALLOW}\n{options}'
            for name in sorted({place_of(*case)[0] for case in enumerate(FAULTS)})
        )
    )
    daemon = deployment.start("--log-level", "debug", environ={"KEY": "sk-central"})
    yield daemon, token
    daemon.stop()
    daemon.wait()
    deployment.close()
    provider.close()
    assert "Traceback" not in daemon.output


def place_of(number: int, fault: Fault) -> tuple[str, str]:
    """
    The provider that shows a fault, and where: what comes late comes to nobody else's call.
    """
    return f"up{number}" if fault.late else "up", str(number)


def outcome(misled: tuple[Daemon, str], place: tuple[str, str], method: str) -> tuple[int, str, bytes, bool]:
    """
    Status, who refused, body, and whether the body ended well.
    """
    daemon, token = misled
    with connect(daemon.url) as stream:
        length = "" if method == "HEAD" else "Content-Length: 2\r\n"
        name, last = place
        head = f"{method} /{name}/v1/models/{last} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{length}\r\n"
        stream.sendall(head.encode() + (b"" if method == "HEAD" else b"{}"))
        response = HTTPResponse(stream, method=method)
        response.begin()
        try:
            body, ended = response.read(), True
        except IncompleteRead as incomplete:
            body, ended = incomplete.partial, False
        except OSError:
            body, ended = b"", False
        return response.status, response.headers.get("X-AI-Bridge-Reason", ""), body, ended


def judge(misled: tuple[Daemon, str], number: int, fault: Fault) -> str:
    """
    What is wrong about how a fault ended, or nothing.
    """
    status, reason, body, ended = outcome(misled, place_of(number, fault), fault.method.decode())
    found = f"{fault.name}: {status} {reason} {body[:200]!r} {ended}"
    if fault.error is not None and not fault.status:
        told = faults.FAULTS[fault.error]
        return "" if (status, reason, ended) == (told.status, "upstream", True) else found
    if reason:
        return found
    if fault.error is not None:
        return "" if (status, ended) == (fault.status, False) and fault.body.startswith(body) else found
    return "" if (status, body, ended) == (fault.status, fault.body, True) else found


def test_faults(misled: tuple[Daemon, str]) -> None:
    """
    Each ends as documented: told before the first byte, visible after it, and never as if all were well.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(lambda case: judge(misled, *case), enumerate(FAULTS)))
    daemon, _ = misled
    assert [end for end in ends if end] == []
    for _ in range(AT_ONCE):
        assert outcome(misled, ("up", "well"), "POST")[:3] == (200, "", b'{"ok":true}')
    assert daemon.metric("aibridge_permits_in_use") == 0
