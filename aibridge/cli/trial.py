"""
``aibridge try-proxy``: bridge and AI Proxy on this machine, with simulated providers under real providers' names.

Everything that it makes (a token, a certificate authority, two configurations) is in a directory of its own, and gone
when it ends.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

import attrs

from aibridge import __version__
from aibridge.cli import ca, token
from aibridge.cli.parser import Parser, parsed

FAILED: Final = 2
HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 60.0

_LOOK_S: Final = 0.5
_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)
_TWISTD: Final = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"

# The providers have the names that the proxy knows without being told.
_BRIDGE: Final = """\
listen.endpoints = ["tcp:port={bridge}:interface={host}"]
listen.admin = []
auth.tokens_file = "{tokens}"
daemon.drain_timeout = 5

[[provider]]
name = "openai"
type = "demo"

[[provider]]
name = "anthropic"
type = "demo"
"""

_PROXY: Final = """\
listen.endpoints = ["tcp:port={proxy}:interface={host}"]
listen.admin = ["tcp:port={admin}:interface={host}"]
bridge.url = "http://{host}:{bridge}"
auth.tokens_file = "{tokens}"
ca.cert_file = "{cert}"
ca.key_file = "{key}"
daemon.drain_timeout = 5
"""

_GREETING: Final = """
aibridge {version}: the proxy listens on {host}:{proxy}, the bridge on {host}:{bridge}.
What they run on is in {directory}, and gone when they end. Stop both with Ctrl-C.

Try it; this streams an answer from a simulated provider, under a real provider's name:
    {curl}

For a client that heeds such variables; a key of its own goes to the provider as it is:
    export HTTPS_PROXY={url}
    export NODE_EXTRA_CA_CERTS={cert} SSL_CERT_FILE={bundle} REQUESTS_CA_BUNDLE={bundle}

"""


class _Over(Exception):
    """
    It could not start, or one of the two has ended by itself.
    """


def run(arguments: list[str], stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> int:
    """
    Start both, say how they are used, and stay until they are to end.

    :return: the exit status: 0 they were ended, 2 they did not start, or one ended by itself.
    """
    options = parsed(_parser(), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    try:
        with _endings(), tempfile.TemporaryDirectory(prefix="aibridge-") as directory:
            trial = Trial(directory, *(port or _free() for port in (options.port, options.admin_port, options.bridge)))
            shown = trial.prepare()
            with _Pair(directory, environ) as pair:
                pair.start("aibridge", trial.path("aibridge.toml"))
                pair.start("aibridge-proxy", trial.path("aibridge-proxy.toml"))
                stdout.write(trial.greeting(shown))
                stdout.flush()
                pair.stay()
    except KeyboardInterrupt:
        return 0
    except (_Over, OSError) as error:
        print(f"aibridge try-proxy: {error}", file=stderr)
        return FAILED
    return 0


@attrs.frozen
class Trial:
    """
    What they run on.

    :ivar directory: of all files.
    """

    directory: str
    proxy: int
    admin: int
    bridge: int

    def path(self, name: str) -> str:
        """
        A file of it.
        """
        return f"{self.directory}/{name}"

    def prepare(self) -> str:
        """
        Write everything.

        :return: the token that the proxy is to be shown.
        """
        Path(self.path("aibridge.toml")).write_text(_BRIDGE.format_map(self._words()))
        Path(self.path("aibridge-proxy.toml")).write_text(_PROXY.format_map(self._words()))
        shown = _done(token.run, "create", "--name", "trial", "--file", self.path("tokens.toml"))
        proxy = ("--config", self.path("aibridge-proxy.toml"))
        _done(ca.run, "init", *proxy)
        try:
            bundle = _done(ca.run, "export", "--bundle", *proxy)
        except _Over:
            # A machine without roots has nothing to lose by a bundle without them.
            bundle = _done(ca.run, "export", *proxy)
        Path(self.path("bundle.pem")).write_text(bundle)
        return shown.strip()

    def greeting(self, shown: str) -> str:
        """
        How they are used.
        """
        body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "Hello, proxy"}]}
        url = f"http://trial:{shown}@{HOST}:{self.proxy}"
        words = ["curl", "-sN", "--proxy", url, "--cacert", self.path("ca.pem")]
        words += ["https://api.openai.com/v1/chat/completions", "-H", "Content-Type: application/json"]
        words += ["-d", json.dumps(body)]
        said = {"version": __version__, "curl": shlex.join(words), "url": url, "directory": self.directory}
        return _GREETING.format_map({**self._words(), **said})

    def _words(self) -> dict[str, Any]:
        ports = {"proxy": self.proxy, "admin": self.admin, "bridge": self.bridge}
        files = {"tokens": "tokens.toml", "cert": "ca.pem", "key": "ca.key", "bundle": "bundle.pem"}
        return {"host": HOST, **ports, **{word: self.path(name) for word, name in files.items()}}


class _Pair:
    """
    The two daemons. They are told to end when the block ends; if that is interrupted, to end at once.
    """

    def __init__(self, directory: str, environ: Mapping[str, str]) -> None:
        self._directory = directory
        # They are configured by their files alone.
        self._environ = {name: text for name, text in environ.items() if "AIBRIDGE_" not in name}
        self._environ["NOTIFY_SOCKET"] = f"{directory}/notify"
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.settimeout(_LOOK_S)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> _Pair:
        self._told.bind(self._environ["NOTIFY_SOCKET"])
        return self

    def __exit__(self, *_: object) -> None:
        self._told.close()
        try:
            self._end()
        except KeyboardInterrupt:
            self._end()

    def start(self, name: str, config: str) -> None:
        """
        Start one, and wait until it listens.
        """
        command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", name, "--config", config]
        # Ctrl-C is ours to hear; in a session of their own they end in order.
        daemon = subprocess.Popen(command, cwd=self._directory, env=self._environ, start_new_session=True)
        self._daemons[name] = daemon
        for _ in range(int(PATIENCE_S / _LOOK_S)):
            try:
                if b"READY=1" in self._told.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                if daemon.poll() is not None:
                    raise _Over(f"twistd {name} did not start; it has said why") from None
        raise _Over(f"twistd {name} does not start")

    def stay(self) -> None:
        """
        Wait for the end of one.
        """
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        raise _Over(f"{', '.join(name for name, daemon in self._daemons.items() if daemon.poll() is not None)} ended")

    def _end(self) -> None:
        # The proxy first, whose requests the bridge is serving.
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            daemon.wait()


@contextmanager
def _endings() -> Iterator[None]:
    """
    Whatever ends this process is taken for Ctrl-C.
    """

    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _done(command: Any, *arguments: str) -> str:
    """
    What a command has written.
    """
    output, complaints = io.StringIO(), io.StringIO()
    if command(list(arguments), output, complaints, {}):
        raise _Over(complaints.getvalue().strip())
    return output.getvalue()


def _free() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="aibridge try-proxy",
        description="Runs bridge and AI Proxy in this terminal, with simulated providers under real providers' names.",
    )
    for name, default, what in (
        ("--port", 8888, "of the proxy"),
        ("--admin-port", 8889, "of the proxy's admin pages"),
        ("--bridge", 4000, "of the bridge"),
    ):
        parser.add_argument(name, type=_port, default=default, metavar="PORT", help=f"{what} ({default}; 0: any)")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("ports up to 65535")
    return int(text)
