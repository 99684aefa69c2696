"""
The daemon of this tree, with all on that a deployment has on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.targets.target import Mode, Server, Started, Target, free_port

ROOT = Path(__file__).resolve().parent.parent.parent

TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; sys.exit(run())"
_COMMAND = "import sys; from aibridge.cli import main; sys.exit(main())"

_CONFIGURATION = """\
[listen]
endpoints = ["tcp:port={port}:interface=127.0.0.1:backlog=4096"]
admin = ["tcp:port={admin}:interface=127.0.0.1"]

[admission]
max_concurrency = {max_concurrency}
rate_limit = {rate_limit}
rate_burst = {rate_burst}

[auth]
backend = "file"
tokens_file = "{directory}/tokens.toml"
failure_rate = 1000000.0
failure_burst = 1000000.0

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

_HIGH = {"max_concurrency": 100_000, "rate_limit": 1_000_000.0, "rate_burst": 1_000_000.0}
_ADMISSION = {
    Mode.RELAY: _HIGH,
    Mode.UNAUTHORISED: _HIGH,
    Mode.LIMITED: _HIGH | {"rate_limit": 0.0001, "rate_burst": 1.0},
    Mode.OVERLOADED: _HIGH | {"max_concurrency": 1},
}


def configuration(mode: Mode, *, directory: Path, port: int, admin: int, upstream: int) -> str:
    """
    The configuration: tokens in a file, gate, bucket, metrics and completion log on, with limits that let pass what the
    mode is to let pass.
    """
    return _CONFIGURATION.format(directory=directory, port=port, admin=admin, upstream=upstream, **_ADMISSION[mode])


def spoiled(token: str) -> str:
    """
    A token of the same id whose secret is another: the dearest kind of wrong one.
    """
    return token[:-20] + ("A" if token[-20] != "A" else "B") + token[-19:]


class AIBridge(Target):
    """
    What all this is about.
    """

    name = "aibridge"
    modes = frozenset(Mode)

    def __init__(self, twistd_options: tuple[str, ...] = ()) -> None:
        self._twistd_options = twistd_options

    def lacking(self) -> str | None:
        """
        Nothing: it is in the tree.
        """
        return None

    def version(self) -> str:
        """
        Of the tree.
        """
        code = (
            "import aibridge, aibridge.web.exchange as hot; "
            "print(aibridge.__version__, 'as Python' if hot.__file__.endswith('.py') else 'compiled')"
        )
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return f"{done.stdout.strip()} ({commit.stdout.strip() or 'no commit'}), Python {sys.version.split()[0]}"

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Make a token, write the configuration, start ``twistd aibridge``.
        """
        port = free_port()
        # As installed, unless the environment says which tree.
        environ = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        key = directory / "provider.key"
        key.write_text("upstream-key\n")
        key.chmod(0o600)
        path = directory / "aibridge.toml"
        path.write_text(configuration(mode, directory=directory, port=port, admin=free_port(), upstream=upstream))
        token = make_token(directory / "tokens.toml", environ)
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", *self._twistd_options]
        server = Server(
            self.name,
            [*command, "aibridge", "--config", path],
            port=port,
            directory=directory,
            cores={core},
            environ=environ,
        )
        shown = spoiled(token) if mode is Mode.UNAUTHORISED else token
        return Started(
            server,
            path="/bench/v1/chat/completions",
            headers=(("Authorization", f"Bearer {shown}"),),
            holds_stream=mode is Mode.OVERLOADED,
        )


def make_token(path: Path, environ: dict[str, str]) -> str:
    """
    Make a token in a file, and the file.
    """
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "token", "create", "--name", "bench", "--file", str(path)],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"no token could be made:\n{done.stderr}")
    return done.stdout.strip()
