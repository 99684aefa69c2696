"""
Bytes that stand for many, or cost much to be read: nobody else waits for that.
"""

from __future__ import annotations

import gzip

import brotli
import pytest
import zstandard

from aibridge.model import Dialect
from answers import STREAMS
from daemons import Daemon, Deployment
from held import KEYS, Asking, Holder, said, table
from lag import TURN_S, LagProbe

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
ENCODINGS = {
    b"gzip": gzip.compress,
    b"br": lambda body: bytes(brotli.compress(body, quality=3)),
    b"zstd": zstandard.compress,
}


def started(deployment: Deployment, holder: Holder) -> tuple[Daemon, str]:
    """
    A daemon that has served something of the kind before.
    """
    token = deployment.token("ada")
    deployment.configure(table(holder))
    daemon = deployment.start(environ=KEYS)
    for encoding, encode in ENCODINGS.items():
        asking = Asking(daemon.url, said(token))
        body = encode(STREAMS[Dialect.CHAT])
        holder.next().answer(HEAD % (b"text/event-stream", encoding, len(body)) + body)
        assert asking.answer().status == 200
    return daemon, token


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json"])
def test_an_answer_that_expands_a_thousandfold(
    deployment: Deployment, holder: Holder, encoding: bytes, kind: bytes
) -> None:
    """
    It crosses as it is, and is read a little at a time.
    """
    daemon, token = started(deployment, holder)
    unit = b": x\n\n" if kind == b"text/event-stream" else b'{"a":"b"},'
    body = ENCODINGS[encoding]((b"" if kind == b"text/event-stream" else b"[") + unit * 4_000_000)
    with LagProbe(daemon) as probe:
        asking = Asking(daemon.url, said(token))
        holder.next().answer(HEAD % (kind, encoding, len(body)) + body)
        answer = asking.answer()
    assert answer.body == body
    assert probe.longest_s <= TURN_S, probe


@pytest.mark.parametrize("unit", [b"1,", b'"",', b"[[[[", b'"a":1,', rb'"\"\"\"\"",'])
def test_a_request_that_costs_much_to_be_read(deployment: Deployment, holder: Holder, unit: bytes) -> None:
    """
    Of four megabytes.
    """
    daemon, token = started(deployment, holder)
    filler = unit * (4_000_000 // len(unit))
    body = b'{"model":"m","x":[' + filler
    head, _, _ = said(token).partition(b"Content-Length")
    with LagProbe(daemon) as probe:
        asking = Asking(daemon.url, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        holder.next().answer()
        assert asking.answer().status == 200
    assert probe.longest_s <= TURN_S, probe
