"""
The corpus of odd requests, against a real process, on TCP, TLS and Unix sockets.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certificates import Authority
from daemons import Daemon, Deployment
from wire_corpus import CASES, Case
from wires import PATIENCE_S, Provider, answers, connect, whole

PATH = b"/up/v1/models"
LAST = b"GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"


class Place:
    """
    A daemon that listens in three ways, and its provider.
    """

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.provider = Provider(answers(whole()))
        self.token = deployment.token("corpus").encode()
        authority = Authority(directory)
        certificate = authority.issue("localhost")
        self.unix = str(directory / "s")
        deployment.configure(
            f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "{self.provider.url}"\n'
            'key = "env:KEY"\nallow = ["POST /models", "PUT /models", "PATCH /models", "DELETE /models"]\n'
            f'[log]\nlevel = "debug"\n[listen]\nendpoints = ["tcp:port=0:interface=127.0.0.1", '
            f'"ssl:port=0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.chain}", '
            f'"unix:{self.unix}"]\nadmin = []\n'
        )
        self.daemon: Daemon = deployment.launch("--config", str(deployment.config), environ={"KEY": "sk-central"})
        self.plain = self.daemon.wait_for(r"Listening on (http:\S+)\.$")[1]
        self.secure = self.daemon.wait_for(r"Listening on https(:\S+)\.$")[1]
        self.daemon.wait_for("Listening on unix:")
        self._context = ssl.create_default_context(cafile=str(authority.certificate))

    @contextlib.contextmanager
    def over_tcp(self) -> Iterator[socket.socket]:
        """
        A plain connection.
        """
        with connect(self.plain) as stream:
            yield stream

    @contextlib.contextmanager
    def over_tls(self) -> Iterator[socket.socket]:
        """
        An encrypted one.
        """
        with (
            connect(f"http{self.secure}") as stream,
            self._context.wrap_socket(stream, server_hostname="localhost") as secure,
        ):
            yield secure

    @contextlib.contextmanager
    def over_unix(self) -> Iterator[socket.socket]:
        """
        One that does not leave the machine.
        """
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(PATIENCE_S)
            stream.connect(self.unix)
            yield stream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """
    One daemon for all cases, since none of them may harm it.
    """
    directory = tmp_path_factory.mktemp("c")
    deployment = Deployment(directory)
    made = Place(deployment, directory)
    yield made
    made.daemon.stop()
    made.daemon.wait()
    deployment.close()
    made.provider.close()
    assert "Traceback" not in made.daemon.output
    assert made.token.decode() not in made.daemon.output


def said(stream: socket.socket, data: bytes, last: bytes) -> bytes:
    """
    Everything that is said to some bytes, and then to a last request.
    """
    seen = b""
    with contextlib.suppress(OSError):
        stream.sendall(data)
        stream.sendall(last)
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while piece := stream.recv(65536):
            seen += piece
    return seen


@pytest.mark.parametrize("way", [Place.over_tcp, Place.over_tls, Place.over_unix])
def test_corpus(place: Place, way: Callable[[Place], contextlib.AbstractContextManager[socket.socket]]) -> None:
    """
    Each case is refused, or reaches the provider as exactly one well-formed request; never as two, never with the
    token, and never as a failure of the bridge's own.
    """
    wrong = []
    for case in CASES:
        place.provider.requests.clear()
        with way(place) as stream:
            answer = said(stream, case.to(PATH, place.token), LAST % (PATH, place.token))
        problem = judge(case, answer, list(place.provider.requests), place.token)
        if problem:
            wrong.append(f"{case.name}: {problem}: {answer[:200]!r} {place.provider.requests!r}")
    assert wrong == []


def judge(case: Case, answer: bytes, requests: list[bytes], token: bytes) -> str:
    """
    What is wrong about an outcome, or nothing.
    """
    statuses = [int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]]
    if any(token in request for request in requests):
        return "the token crossed"
    heads = [request.partition(b"\r\n\r\n")[0] for request in requests]
    if any(head.count(b"HTTP/1.1") != 1 or b"smuggled" in head for head in heads):
        return "something else was asked for"
    if case.status:
        if statuses != [case.status]:
            return f"{statuses} instead of {case.status} alone"
        return "a refused request reached the provider" if requests else ""
    if len(statuses) < 1 or statuses[0] != 200:
        return f"{statuses} instead of 200"
    if requests[0].partition(b"\r\n\r\n")[2] not in (case.body, b""):
        return "another body arrived"
    return "" if len(requests) in (1, 2) and len(statuses) == len(requests) else f"{len(requests)} requests, {statuses}"
