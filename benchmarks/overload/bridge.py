"""
The daemon that is asked: its configuration, its tokens, and what it tells of itself.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.overload.callers import Caller
from benchmarks.overload.scenes import Terms
from benchmarks.processes import Server, free_port
from benchmarks.requests import post
from benchmarks.rig import PATIENCE_S, Rig
from benchmarks.targets.aibridge import daemon, made_tokens, write_key

PATH = "/bench/v1/chat/completions"

REST_S = 10.0
"""How long everything that is held may take to come back, once nobody asks any more."""

_CONFIGURATION = """\
[listen]
endpoints = ["tcp:port={port}:interface=127.0.0.1:backlog=4096"]
admin = ["tcp:port={admin}:interface=127.0.0.1"]

[admission]
max_concurrency = {terms.permits}
queue_size = {terms.queue}
interactive_share = {terms.interactive_share}
rate_limit = {terms.rate_limit}

[auth]
backend = "file"
tokens_file = "{directory}/tokens.toml"

[log]
level = "info"
completions = "{directory}/completions.log"

[[provider]]
name = "bench"
type = "openai-compatible"
base_url = "http://127.0.0.1:{upstream}/v1"
key = "file:{directory}/provider.key"
max_connections = 16384
max_idle_connections = 1024
"""


def configuration(terms: Terms, *, directory: Path, port: int, admin: int, upstream: int) -> str:
    """
    The configuration: the gate as the terms have it, and all on that a deployment has on.
    """
    return _CONFIGURATION.format(terms=terms, directory=directory, port=port, admin=admin, upstream=upstream)


class Bridge:
    """
    A running daemon.

    :param callers: those who will ask it; those of one name have one token.
    :param model: what they ask the upstream for; see ``c/mock.c``.
    """

    def __init__(self, rig: Rig, terms: Terms, callers: Iterable[Caller], model: str, directory: Path) -> None:
        port, self._admin = free_port(), free_port()
        known = list({caller.name: caller for caller in callers}.values())
        tokens = made_tokens(directory, [caller.token_arguments() for caller in known])
        self._requests = {
            caller.name: post(PATH, model, headers=[("Authorization", f"Bearer {token}")])
            for caller, token in zip(known, tokens, strict=True)
        }
        text = configuration(terms, directory=directory, port=port, admin=self._admin, upstream=rig.upstream)
        write_key(directory)
        self.server: Server = daemon("aibridge", text, port=port, directory=directory, core=rig.cores.target)

    def request(self, caller: Caller) -> bytes:
        """
        The bytes of a request of a caller's.
        """
        return self._requests[caller.name]

    def held(self) -> float:
        """
        What is held for exchanges: permits, places in the queue, calls to the upstream.
        """
        url = f"http://127.0.0.1:{self._admin}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as page:
                return sum_held(page.read().decode())
        except OSError as error:
            raise BenchError(f"the admin page cannot be read: {error}") from None

    def left(self) -> float:
        """
        The same, after as much time as it takes for nothing to be held, or too much.
        """
        end = time.monotonic() + REST_S
        while (held := self.held()) and time.monotonic() < end:
            time.sleep(0.05)
        return held


_HELD = ("aibridge_permits_in_use", "aibridge_queue_length", "aibridge_interceptions_inflight")
_CALLS = "aibridge_upstream_connections"


def sum_held(page: str) -> float:
    """
    What is held, in a page of metrics: connections to the upstream that are idle are not.
    """
    held = 0.0
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        name = series.partition("{")[0]
        if name in _HELD:
            held += float(value)
        elif name == _CALLS:
            held += float(value) * (-1 if 'state="idle"' in series else 1)
    return held
