"""
A provider that is asked for the usage of all its streams, and clients that did not ask for it.
"""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import pytest

from answers import CHAT_STREAM, CHAT_USAGE, DONE, chunk, cut, data
from daemons import Daemon, Deployment
from held import KEYS, Answer, Asking, Holder, read_answer, said, table
from wires import connect, post

USAGE = data(chunk(None, usage=CHAT_USAGE))
WHOLE = CHAT_STREAM.removesuffix(DONE) + USAGE + DONE
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ADDED = {"include_usage": True}


def started(deployment: Deployment, holder: Holder) -> tuple[Daemon, str]:
    """
    A daemon that asks for it.
    """
    token = deployment.token("ada")
    deployment.configure(table(holder, 'include_usage = "add"'))
    return deployment.start(environ=KEYS), token


def chunked(pieces: list[bytes]) -> bytes:
    """
    A body in chunks.
    """
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


def exchange(daemon: Daemon, holder: Holder, request: bytes, answer: bytes) -> tuple[bytes, Answer]:
    """
    What the provider was asked, and what the client got.
    """
    asking = Asking(daemon.url, request)
    taken = holder.next()
    taken.answer(answer)
    return taken.request.partition(b"\r\n\r\n")[2], asking.answer()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_it_is_counted_and_not_seen(deployment: Deployment, holder: Holder, end: bytes) -> None:
    """
    However the answer is framed, and wherever it is cut.
    """
    daemon, token = started(deployment, holder)
    stream, expected = WHOLE.replace(b"\n", end), WHOLE.replace(USAGE, b"").replace(b"\n", end)
    at = stream.rindex(USAGE.replace(b"\n", end))
    inside = range(at - 3, at + len(USAGE) + 3)
    for body in (
        b"Content-Length: %d\r\n\r\n%b" % (len(stream), stream),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunked([stream]),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunked(cut(stream, inside)),
    ):
        asked, answer = exchange(daemon, holder, said(token, stream=True), HEAD + body)
        assert json.loads(asked)["stream_options"] == ADDED
        assert answer.body == expected
        told = daemon.completion(answer.id)
        assert told["usage"] == "provider"
        assert told["tokens_out"] == str(CHAT_USAGE["completion_tokens"])


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ({"stream_options": None}, ADDED),
        ({"stream_options": {}}, ADDED),
        ({"stream_options": {"include_usage": False, "a": [1]}}, {**ADDED, "a": [1]}),
        ({"user": '"stream_options":{"include_usage":false}'}, ADDED),
    ],
)
def test_what_a_client_says_of_it(
    deployment: Deployment, holder: Holder, more: dict[str, Any], asks: dict[str, object]
) -> None:
    """
    Nothing else of its request is changed.
    """
    daemon, token = started(deployment, holder)
    answer = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
    asked, answered = exchange(daemon, holder, said(token, stream=True, **more), answer)
    assert json.loads(asked) == {"model": "m", "messages": [], "stream": True, **more, "stream_options": asks}
    assert USAGE not in answered.body


@pytest.mark.parametrize("more", [{"stream": True, "stream_options": ADDED}, {"stream": False}, {}])
def test_who_asks_gets_it(deployment: Deployment, holder: Holder, more: dict[str, Any]) -> None:
    """
    And what is no stream crosses as it is.
    """
    daemon, token = started(deployment, holder)
    request = said(token, **more)
    answer = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
    asked, answered = exchange(daemon, holder, request, answer)
    assert asked == request.partition(b"\r\n\r\n")[2]
    assert answered.body == WHOLE


def test_encoded_bodies_cross_as_they_are(deployment: Deployment, holder: Holder) -> None:
    """
    A request that is encoded is not changed; nor is an answer that is, though nobody asked for that.
    """
    daemon, token = started(deployment, holder)
    plain = json.dumps({"model": "m", "messages": [], "stream": True}).encode()
    packed = gzip.compress(plain)
    answer = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
    request = post("/up/v1/chat/completions", token, packed, [("Content-Encoding", "gzip")])
    asked, answered = exchange(daemon, holder, request, answer)
    assert (asked, answered.body) == (packed, WHOLE)
    body = gzip.compress(WHOLE)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    _, answered = exchange(daemon, holder, said(token, stream=True), answer)
    assert answered.body == body


def test_a_request_in_chunks(deployment: Deployment, holder: Holder) -> None:
    """
    Is asked for all the same.
    """
    daemon, token = started(deployment, holder)
    body = json.dumps({"model": "m", "messages": [], "stream": True}).encode()
    head = (
        f"POST /up/v1/chat/completions HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    stream: socket.socket
    with connect(daemon.url) as stream:
        stream.sendall(head.encode() + chunked(cut(body, range(1, len(body), 7))))
        taken = holder.next()
        taken.answer(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE))
        answer = read_answer(stream)
    assert json.loads(taken.request.partition(b"\r\n\r\n")[2])["stream_options"] == ADDED
    assert USAGE not in answer.body
    assert answer.body.endswith(DONE)
