"""
What is stored at a provider belongs to whoever made it through the bridge, over restarts too, and is asked for with the
key that made it.
"""

from __future__ import annotations

import gzip
import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import brotli
import pytest
import zstandard

from daemons import Daemon, Deployment
from held import Answer, ask, key_of, table
from wires import Provider

SECRETS = {f"K{number}": f"sk-key-{number}-0123456789abcdef{number}" for number in range(1, 4)}


class Store(Provider):
    """
    A provider that keeps what it is asked to make, for the key that was shown for it, and finds it for that alone.
    """

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        super().__init__(_serve)

    def answer(self, request: bytes) -> bytes:
        """
        As OpenAI does, as far as it matters.
        """
        head, _, body = request.partition(b"\r\n\r\n")
        method, path, _ = head.decode().split("\r\n")[0].split(" ")
        key, parts = key_of(request), path.partition("?")[0].split("/")
        if method == "POST" and len(parts) == 2:
            asked = json.loads(body)
            id = f"{parts[1]}_{len(self.kept) + 1}"
            self.kept[id] = key
            made = {"id": id, "object": parts[1], "metadata": asked.get("metadata")}
            if asked.get("stream"):
                events = [
                    {"type": "response.created", "response": made},
                    {"type": "response.completed", "response": made},
                ]
                stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
                return reply(200, stream, "text/event-stream")
            return reply(200, json.dumps(made).encode())
        if self.kept.get(parts[2]) != key:
            return reply(404, b'{"error":{"message":"not with this key"}}')
        if method == "DELETE":
            del self.kept[parts[2]]
        return reply(200, json.dumps({"id": parts[2]}).encode())


def _serve(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Store)
    while request := provider.take(stream):
        stream.sendall(provider.answer(request))


def reply(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    """
    A whole answer.
    """
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def store() -> Iterator[Store]:
    """
    A provider that keeps things.
    """
    made = Store()
    yield made
    made.close()


def call(daemon: Daemon, token: str, method: str, path: str, body: object = None, *fields: str) -> Answer:
    """
    Ask for something.
    """
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"{method} /up/v1{path} HTTP/1.1",
        "Host: bridge",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *fields,
    ]
    return ask(daemon.url, "\r\n".join(lines).encode() + b"\r\n\r\n" + data)


def made(daemon: Daemon, token: str, path: str, body: Any = None) -> str:
    """
    The id of something that somebody makes.
    """
    answer = call(daemon, token, "POST", path, {} if body is None else body)
    assert answer.status == 200, answer
    return str(json.loads(answer.body)["id"])


def start(deployment: Deployment, store: Store, more: str = 'key = "env:K1"', state: bool = True) -> Daemon:
    """
    A daemon with that provider.
    """
    daemon = f'[daemon]\nstate_dir = "{deployment.directory}"\n' if state else ""
    deployment.configure(table(store, more) + daemon)
    return deployment.start(environ=SECRETS)


def is_hidden(answer: Answer) -> bool:
    """
    Whether it was refused as if there were no such object.
    """
    return (answer.status, answer.reason, answer.error["type"]) == (404, "object", "invalid_request_error")


def test_one_cannot_ask_for_anothers(deployment: Deployment, store: Store) -> None:
    """
    Neither by a path nor by a body, whatever is tried; its maker can, and nothing of it is sent for the other.
    """
    alice, bob = deployment.token("alice"), deployment.token("bob")
    daemon = start(deployment, store)
    hers, his = made(daemon, alice, "/responses"), made(daemon, bob, "/responses")
    talk = made(daemon, alice, "/conversations")
    asked = len(store.requests)
    for method, path in (
        ("GET", f"/responses/{hers}"),
        ("GET", f"/responses/{hers}?stream=true"),
        ("DELETE", f"/responses/{hers}"),
        ("POST", f"/responses/{hers}/cancel"),
        ("GET", f"/responses/{hers}/input_items"),
        ("GET", f"/conversations/{talk}/items"),
    ):
        answer = call(daemon, bob, method, path)
        assert is_hidden(answer), (method, path)
    for body in (
        b'{"previous_response_id":"%b"}' % hers.encode(),
        b'{"previous_response_id":"%b","previous_response_id":"%b"}' % (his.encode(), hers.encode()),
        b'{"previous_response_id":"%b","previous_response_id":"%b"}' % (hers.encode(), his.encode()),
        b'{"previous\\u005fresponse_id":"%b"}' % hers.encode(),
        b'{"conversation":"%b"}' % talk.encode(),
        b'{"conversation":{"id":"%b"}}' % talk.encode(),
    ):
        answer = call(daemon, bob, "POST", "/responses", body)
        assert is_hidden(answer), body
    for path in (f"/responses//{hers}", f"/responses/{hers}/", f"/responses/x/../{hers}", f"/responses/{hers[:-1]}%31"):
        assert call(daemon, bob, "GET", path).status in (400, 404), path
    assert len(store.requests) == asked
    assert call(daemon, alice, "GET", f"/responses/{hers}").status == 200
    assert call(daemon, alice, "POST", "/responses", {"previous_response_id": hers}).status == 200
    assert call(daemon, alice, "DELETE", f"/responses/{hers}").status == 200
    assert is_hidden(call(daemon, alice, "GET", f"/responses/{hers}"))


def test_nobody_claims_what_he_only_names(deployment: Deployment, store: Store) -> None:
    """
    An answer that repeats another's id does not make it one's own.
    """
    alice, bob = deployment.token("alice"), deployment.token("bob")
    daemon = start(deployment, store)
    hers = made(daemon, alice, "/responses")
    made(daemon, bob, "/responses", {"metadata": {"id": hers, "output": [{"id": hers}]}})
    assert is_hidden(call(daemon, bob, "GET", f"/responses/{hers}"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_it_outlives_a_restart(deployment: Deployment, store: Store, how: signal.Signals) -> None:
    """
    However the daemon ended, and though half a line was written last.
    """
    alice, bob = deployment.token("alice"), deployment.token("bob")
    daemon = start(deployment, store)
    answer = call(daemon, alice, "POST", "/responses", {"stream": True})
    hers = json.loads(answer.body.split(b"\n")[0].removeprefix(b"data: "))["response"]["id"]
    talk = made(daemon, alice, "/conversations")
    journal = deployment.directory / "objects.jsonl"
    daemon.until("aibridge_stored_objects", 2)
    while journal.read_bytes().count(b"\n") < 2:
        daemon.page("/healthz")
    daemon.signal(how)
    daemon.wait()
    with journal.open("ab") as file:
        file.write(b'["up","response","resp')
    daemon = deployment.start(environ=SECRETS)
    assert call(daemon, alice, "GET", f"/responses/{hers}").status == 200
    assert call(daemon, alice, "GET", f"/conversations/{talk}").status == 200
    assert is_hidden(call(daemon, bob, "GET", f"/responses/{hers}"))


def test_a_file_of_parts_and_a_restart(deployment: Deployment, store: Store) -> None:
    """
    What was put together of several parts makes no batch, whenever the daemon was started anew; what is one part does.
    """
    token = deployment.token("ada")
    daemon = start(deployment, store)
    # The provider gives a file the id of its upload.
    for parts, status in ((["part_1", "part_2"], 403), (["part_1"], 200)):
        upload = made(daemon, token, "/uploads")
        for number, piece in enumerate((b'{"body":{"input":"Hi"', b"}}\n")):
            assert call(daemon, token, "POST", f"/uploads/{upload}/parts", piece).status == 200, number
        daemon.stop_gently()
        daemon = deployment.start(environ=SECRETS)
        assert call(daemon, token, "POST", f"/uploads/{upload}/complete", {"part_ids": parts}).status == 200
        daemon.stop_gently()
        daemon = deployment.start(environ=SECRETS)
        assert call(daemon, token, "POST", "/batches", {"input_file_id": upload}).status == status


def test_without_a_place_for_it(deployment: Deployment, store: Store) -> None:
    """
    It says so at its start, and a restart makes everything unknown, which is refused; unless anybody may name anything.
    """
    alice, bob = deployment.token("alice"), deployment.token("bob")
    daemon = start(deployment, store, state=False)
    assert "Without daemon.state_dir" in daemon.output
    hers = made(daemon, alice, "/responses")
    assert is_hidden(call(daemon, bob, "GET", f"/responses/{hers}"))
    daemon.stop_gently()
    daemon = deployment.start(environ=SECRETS)
    assert is_hidden(call(daemon, alice, "GET", f"/responses/{hers}"))
    deployment.configure(table(store, 'key = "env:K1"\nstored_objects = "anyone"'))
    daemon.reload()
    assert call(daemon, bob, "GET", f"/responses/{hers}").status == 200
    assert call(daemon, bob, "POST", "/responses", {"previous_response_id": hers}).status == 200


def test_lists_and_administration(deployment: Deployment, store: Store) -> None:
    """
    Are refused with the configured key and say why; what the configuration allows crosses.
    """
    token = deployment.token("ada")
    daemon = start(deployment, store)
    for method, path in (
        ("GET", "/files"),
        ("GET", "/batches?limit=100"),
        ("GET", "/vector_stores"),
        ("DELETE", "/models/ft:gpt-4.1:org::id"),
        ("GET", "/organization/admin_api_keys"),
        ("POST", "/fine_tuning/jobs"),
    ):
        answer = call(daemon, token, method, path)
        assert (answer.status, answer.reason) == (403, "route"), (method, path)
        assert answer.error["code"] == "not_allowed"
    assert call(daemon, token, "PUT", "/models/gpt-4.1").status == 404
    assert store.requests == []
    deployment.configure(table(store, 'key = "env:K1"\nallow = ["DELETE /models/*"]'))
    daemon.reload()
    store.kept["ft:m"] = SECRETS["K1"]
    assert call(daemon, token, "DELETE", "/models/ft:m").status == 200
    assert call(daemon, token, "GET", "/files").status == 403


def test_each_goes_to_the_key_that_made_it(deployment: Deployment, store: Store) -> None:
    """
    Three accounts, in turn: whatever is made is found again, by its path, by a body, and after a restart.
    """
    token = deployment.token("ada")
    daemon = start(deployment, store, 'keys = ["env:K1", "env:K2", "env:K3"]\nkey_order = "round-robin"')
    ids = [made(daemon, token, "/responses") for _ in range(6)]
    assert set(store.kept.values()) == set(SECRETS.values())

    def found() -> None:
        for id in ids:
            assert call(daemon, token, "GET", f"/responses/{id}").status == 200
            assert call(daemon, token, "POST", "/responses", {"previous_response_id": id}).status == 200
            assert key_of(store.requests[-1]) == store.kept[id]

    found()
    found()
    daemon.stop_gently()
    daemon = deployment.start(environ=SECRETS)
    found()


def test_a_compressed_body(deployment: Deployment, store: Store) -> None:
    """
    What it names is seen, and one in an encoding that nobody knows here is refused.
    """
    token, other = deployment.token("ada"), deployment.token("bob")
    daemon = start(deployment, store)
    for encoding, compress in (("gzip", gzip.compress), ("zstd", zstandard.compress), ("br", brotli.compress)):
        hers = made(daemon, other, "/responses")
        body = compress(json.dumps({"previous_response_id": hers}).encode())
        assert is_hidden(call(daemon, token, "POST", "/responses", body, f"Content-Encoding: {encoding}"))
    store.requests.clear()
    answer = call(daemon, token, "POST", "/responses", b"anything", "Content-Encoding: x-unheard-of")
    assert (answer.status, answer.reason) == (415, "body")
    assert store.requests == []
