"""
Far more bad tokens, and far more principals, than there is memory for: nobody gets past a limit, and nothing grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import pytest

from daemons import Daemon, Deployment
from held import KEYS, ask, said, table
from wires import Provider, answers, connect, read_all, whole

AT_ONCE = 100
"""Clients on one connection, which is cut when more than 64 KiB of requests wait there."""

ROOM = 1 << 20
SLACK = 2 << 20
"""Less than a table would take that had an entry for each."""

COUNTS = [6_000, pytest.param(1_000_000, marks=pytest.mark.slow)]
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


@pytest.fixture
def provider() -> Iterator[Provider]:
    """
    Answers everything at once.
    """
    made = Provider(answers(whole()))
    yield made
    made.close()


def statuses(daemon: Daemon, requests: Sequence[bytes], source: str = "") -> list[int]:
    """
    What each of several requests is told, that are sent on one connection without waiting for answers.

    :param source: the address that they come from.
    """
    with connect(daemon.url, source) as stream:
        last = requests[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        stream.sendall(b"".join(requests[:-1]) + last)
        told = [int(code) for code in STATUS.findall(read_all(stream))]
    assert len(told) == len(requests)
    return told


def batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    """
    So many at once.
    """
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []


@pytest.mark.parametrize("count", COUNTS)
def test_bad_tokens(deployment: Deployment, provider: Provider, count: int) -> None:
    """
    Each another one, from one address: no more of them are looked at than `failure_burst` and `failure_rate` allow,
    no provider sees any, good tokens pass all the while, and memory stays what it was.
    """
    token = deployment.token("ada")
    failures = f'[auth]\ntokens_file = "{deployment.tokens}"\nfailure_rate = 0.001\nfailure_burst = 20\n'
    deployment.configure(table(provider) + failures + '[log]\ncompletions = ""\n')
    daemon = deployment.start(environ=KEYS)
    told: dict[int, int] = {}
    before = 0
    for batch in batches(range(count)):
        requests = [said(f"aib_{number:012d}_{number:043d}") for number in batch]
        for status in statuses(daemon, requests):
            told[status] = told.get(status, 0) + 1
        assert ask(daemon.url, said(token)).status == 200
        if batch[-1] < count // 4:
            before = daemon.memory()
    assert told == {401: 20, 429: count - 20}
    assert len(provider.requests) == count // AT_ONCE
    assert daemon.memory() - before < SLACK


@pytest.mark.parametrize("count", COUNTS)
def test_principals(deployment: Deployment, provider: Provider, count: int) -> None:
    """
    Each another one, all of them with something in their buckets, and memory for a few thousand: the buckets take no
    more than they may, nobody is let in more often than its own bucket allows, those who are known are so still, and
    whoever comes from another address is let in as ever.
    """
    deployment.configure(
        table(provider, 'credentials = "client"\n')
        + '[auth]\nbackend = "none"\n[log]\ncompletions = ""\n'
        + f"[admission]\nrate_limit = 0.00001\nrate_burst = 1\nbucket_memory = {ROOM}\n"
    )
    daemon = deployment.start(environ=KEYS)
    before = 0
    admitted = 0
    for batch in batches(range(count)):
        requests = [said(f"sk-{number:08d}") for number in batch]
        told = statuses(daemon, [request for request in requests for _ in range(2)])
        assert set(told) <= {200, 429}
        assert set(told[1::2]) == {429}
        admitted += told.count(200)
        assert 0 < daemon.metric("aibridge_bucket_bytes") <= ROOM
        if batch[-1] < count // 4:
            before = daemon.memory()
    # As many as have buckets of their own in half of the memory, and one for all those that share.
    assert 1500 < admitted < 3000
    assert len(provider.requests) == admitted
    assert statuses(daemon, [said(f"sk-{number:08d}") for number in (0, 1, count - 1)]) == [429] * 3
    newcomers = [[said(f"sk-new-{number}")] * 2 for number in range(20)]
    elsewhere = [statuses(daemon, requests, f"127.0.0.{9 + number}") for number, requests in enumerate(newcomers)]
    assert elsewhere == [[200, 429]] * 20
    assert daemon.memory() - before < SLACK
