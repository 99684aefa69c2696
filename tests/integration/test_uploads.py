"""
Files, pictures and sound cross as they come, however large, and are counted by what they cost.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest

from daemons import Daemon, Deployment
from held import Answer, ask, read_answer, table
from wires import Provider, connect

MIB = 1024 * 1024
KEYS = {"KEY": "sk-central"}
PIECE = bytes(range(256)) * 256


class Taker(Provider):
    """
    A provider that reads bodies without keeping them, once it is let.

    :ivar digests: of the bodies that it has read.
    """

    def __init__(self, answer: Callable[[str], dict[str, object]]) -> None:
        self.answer = answer
        self.let = threading.Event()
        self.let.set()
        self.digests: list[str] = []
        self.heads: list[bytes] = []
        super().__init__(_take)


def _take(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Taker)
    while True:
        head = b""
        while b"\r\n\r\n" not in head:
            data = stream.recv(1024)
            if not data:
                return
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        provider.heads.append(head)
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        provider.let.wait()
        digest, size = sha256(body), len(body)
        while size < length:
            data = stream.recv(MIB)
            if not data:
                return
            digest.update(data)
            size += len(data)
        provider.digests.append(digest.hexdigest())
        told = json.dumps(provider.answer(head.decode().split(" ")[1])).encode()
        stream.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told)
        )


USAGE = {"input_tokens": 700, "output_tokens": 23, "total_tokens": 723}


def told(path: str) -> dict[str, object]:
    """
    What OpenAI answers on such a path, as far as it matters.
    """
    if path == "/files":
        return {"id": "file-1", "object": "file"}
    if path == "/embeddings":
        return {"object": "list", "data": [], "model": "e-1", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    if path == "/completions":
        return {"id": "cmpl-1", "choices": [{"text": "x"}], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    if path == "/responses/compact":
        return {"id": "r", "object": "response.compaction", "output": [], "usage": USAGE}
    return {"text": "hello", "usage": {"type": "tokens", **USAGE}}


@pytest.fixture
def taker() -> Iterator[Taker]:
    """
    A provider that takes what it is given.
    """
    made = Taker(told)
    yield made
    made.let.set()
    made.close()


def start(deployment: Deployment, taker: Taker, more: str = "") -> Daemon:
    """
    A daemon with that provider.
    """
    deployment.configure(table(taker) + more)
    return deployment.start(environ=KEYS)


def head(token: str, path: str, length: int, content_type: str = "multipart/form-data; boundary=b") -> bytes:
    """
    The head of a request.
    """
    lines = [
        f"POST /up/v1{path} HTTP/1.1",
        "Host: bridge",
        f"Authorization: Bearer {token}",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def form(model: str, size: int = 1000) -> bytes:
    """
    A form with a file in it.
    """
    field = f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return field.encode() + file.encode() + b"\0" * size + b"\r\n--b--\r\n"


def send(daemon: Daemon, token: str, path: str, body: bytes, content_type: str = "") -> Answer:
    """
    Send a body as a whole.
    """
    fields = (content_type,) if content_type else ()
    return ask(daemon.url, head(token, path, len(body), *fields) + body)


@pytest.mark.parametrize("size", [64 * MIB, pytest.param(512 * MIB, marks=pytest.mark.slow)])
def test_a_large_file(deployment: Deployment, taker: Taker, size: int) -> None:
    """
    It crosses byte for byte, and the daemon's memory does not grow with it, though its provider does not read at first.
    """
    token = deployment.token("ada")
    daemon = start(deployment, taker)
    send(daemon, token, "/files", b"small")
    before = daemon.memory()
    taker.let.clear()
    digest, most = sha256(), 0
    with connect(daemon.url) as stream:
        stream.sendall(head(token, "/files", size))
        for number in range(size // len(PIECE)):
            if number == 8:
                taker.let.set()
            stream.sendall(PIECE)
            digest.update(PIECE)
            if not number % 64:
                most = max(most, daemon.memory())
        answer = read_answer(stream)
    assert (answer.status, answer.reason) == (200, "")
    assert taker.digests[-1] == digest.hexdigest()
    assert most - before < 16 * MIB


def test_a_provider_that_does_not_read(deployment: Deployment, taker: Taker) -> None:
    """
    Its client is not read either, so that what waits is what sockets hold.
    """
    token = deployment.token("ada")
    daemon = start(deployment, taker)
    send(daemon, token, "/files", b"small")
    before = daemon.memory()
    taker.let.clear()
    sent = 0
    with connect(daemon.url) as stream:
        stream.sendall(head(token, "/files", 256 * MIB))
        stream.settimeout(1.0)
        with pytest.raises(TimeoutError):
            while sent < 128 * MIB:
                sent += stream.send(PIECE)
        assert daemon.memory() - before < 16 * MIB


@pytest.mark.parametrize("path", ["/files", "/audio/transcriptions", "/images/edits"])
def test_what_is_too_large(deployment: Deployment, taker: Taker, path: str) -> None:
    """
    More than may cross is refused by its head; less than that crosses though it is more than may be held.
    """
    token = deployment.token("ada")
    daemon = start(deployment, taker, "[http]\nmax_body = 1024\nmax_upload = 4096\n")
    assert send(daemon, token, path, b"x" * 4000).status == 200
    answer = send(daemon, token, path, b"x" * 4097)
    assert (answer.status, answer.reason) == (413, "body")
    assert send(daemon, token, "/embeddings", b'{"input":"' + b"x" * 2000 + b'"}', "application/json").status == 413


@pytest.mark.parametrize(
    ("path", "body", "model", "tokens"),
    [
        ("/audio/transcriptions", form("gpt-4o-transcribe"), "gpt-4o-transcribe", (700, 23)),
        ("/audio/translations", form("whisper-1"), "whisper-1", (700, 23)),
        ("/images/edits", form("gpt-image-1"), "gpt-image-1", (700, 23)),
        ("/images/edits", {"model": "gpt-image-1"}, "gpt-image-1", (700, 23)),
        ("/images/generations", {"model": "gpt-image-1"}, "gpt-image-1", (700, 23)),
        ("/embeddings", {"model": "e-1", "input": "x"}, "e-1", (8, 0)),
        ("/completions", {"model": "c-1", "prompt": "x"}, "c-1", (5, 7)),
        ("/responses/compact", {"model": "r-1", "input": []}, "r-1", (700, 23)),
    ],
)
def test_what_spends_is_counted(
    deployment: Deployment,
    taker: Taker,
    path: str,
    body: bytes | dict[str, object],
    model: str,
    tokens: tuple[int, int],
) -> None:
    """
    Its request and its tokens, as its answer tells them; the log has its model, and the next one has to wait.
    """
    token = deployment.token("ada")
    limit = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 1\nburst = 1\n'
    daemon = start(deployment, taker, limit)
    asked = (path, body, "") if isinstance(body, bytes) else (path, json.dumps(body).encode(), "application/json")
    answer = send(daemon, token, *asked)
    assert answer.status == 200
    line = daemon.completion(answer.id)
    assert (line["model"], line["usage"], line["tokens_in"], line["tokens_out"]) == (
        model,
        "provider",
        str(tokens[0]),
        str(tokens[1]),
    )
    answer = send(daemon, token, *asked)
    assert (answer.status, answer.reason.partition(";")[0]) == (429, "rate")


def test_a_count_of_requests(deployment: Deployment, taker: Taker) -> None:
    """
    Whatever spends counts among those of its principal; what is free does not.
    """
    token = deployment.token("ada")
    daemon = start(deployment, taker, "[admission]\nrate_limit = 0.001\nrate_burst = 4\n")
    for path in ("/audio/transcriptions", "/images/variations", "/embeddings", "/audio/speech"):
        assert (
            send(
                daemon, token, path, b"{}", "application/json" if path in ("/embeddings", "/audio/speech") else ""
            ).status
            == 200
        )
    assert send(daemon, token, "/completions", b"{}", "application/json").status == 429
    assert send(daemon, token, "/audio/transcriptions", b"x").status == 429
    assert send(daemon, token, "/files", b"x").status == 200
    assert send(daemon, token, "/moderations", b"{}", "application/json").status == 200
