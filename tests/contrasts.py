"""
The two proxies between which the traps are shown: what one would write with stock twisted.web and treq, and the bridge.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from daemons import ROOT, Daemon, Deployment, Process
from wires import PATIENCE_S, Provider, connect, post, read_until

HOLD_S = 2.0
"""How long a stock proxy is watched for what it does not do."""

PATH = "/up/v1/chat/completions"
BODY = {"model": "m", "messages": []}

WALL_CLOCK = ROOT / "tests" / "wall_clock.py"


@attrs.frozen
class Server:
    """
    One of the two, running.
    """

    url: str
    token: str
    process: Process

    def post(self, body: object = BODY, *extra: tuple[str, str]) -> bytes:
        """
        A request that it relays.
        """
        return post(PATH, self.token, body, extra)

    def raw(self, data: bytes, patience_s: float = HOLD_S) -> bytes:
        """
        Everything it says to some bytes, until it closes the connection or has said nothing for a while.
        """
        with connect(self.url) as stream:
            stream.settimeout(patience_s)
            seen = b""
            with contextlib.suppress(OSError):
                stream.sendall(data)
                while piece := stream.recv(65536):
                    seen += piece
            return seen

    def last(self, body: object = BODY) -> bytes:
        """
        Its whole answer to the only request of a connection.
        """
        return self.raw(self.post(body, ("Connection", "close")), PATIENCE_S)

    def first_line(self, data: bytes) -> bytes:
        """
        What it says first to some bytes.
        """
        with connect(self.url) as stream, contextlib.suppress(ConnectionResetError):
            stream.sendall(data)
            return read_until(stream, b"\r\n").partition(b"\r\n")[0]
        return b""

    def refuses(self, request: bytes) -> bool:
        """
        Whether a request is answered with a refusal of its own.
        """
        line = self.first_line(request)
        assert line.startswith(b"HTTP/1."), line
        return line[8:10] in (b" 4", b" 5")


@contextlib.contextmanager
def stock(
    provider: Provider, timeout_s: float = 60.0, *, endpoint: str = "", through: Sequence[str | Path] = ()
) -> Iterator[Server]:
    """
    A stock proxy in front of a provider.

    :param timeout_s: its one idle timer.
    :param endpoint: where it listens, if not on a port of its own choice.
    :param through: a program of ours that runs it.
    """
    script = [ROOT / "tests" / "stock_proxy.py", provider.url, timeout_s, *([endpoint] if endpoint else ())]
    process = Process([sys.executable, "-W", "ignore", *map(str, (*through, *script))])
    try:
        yield Server(f"http://127.0.0.1:{process.wait_for('^[0-9]+$')[0]}", "any", process)
    finally:
        process.stop()


def ours(
    deployment: Deployment, provider: Provider, more: str = "", *, through: Sequence[str | Path] = ()
) -> tuple[Server, Daemon]:
    """
    The bridge in front of a provider.

    :param more: of its configuration, behind the table of the provider.
    """
    token = deployment.token("t")
    table = f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "{provider.url}"\nkey = "env:KEY"\n'
    deployment.configure(table + more)
    daemon = deployment.start(environ={"KEY": "sk-central"}, through=through)
    return Server(daemon.url, token, daemon), daemon
