"""
The daemon of this tree, with all on that a deployment has on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.targets.target import Mode, Server, Started, Target, free_port

ROOT = Path(__file__).resolve().parent.parent.parent

_TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; sys.exit(run())"
_COMMANDS = "import json, sys; from aibridge.cli import main; sys.exit(max(map(main, json.load(sys.stdin))))"

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

    @property
    def python(self) -> str:
        """
        The interpreter it is installed for.
        """
        return sys.executable

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
        text = configuration(mode, directory=directory, port=port, admin=free_port(), upstream=upstream)
        (token,) = made_tokens(directory, [["--name", "bench"]])
        write_key(directory)
        server = daemon(
            self.name,
            text,
            port=port,
            directory=directory,
            core=core,
            options=self._twistd_options,
            python=self.python,
        )
        shown = spoiled(token) if mode is Mode.UNAUTHORISED else token
        return Started(
            server,
            path="/bench/v1/chat/completions",
            headers=(("Authorization", f"Bearer {shown}"),),
            holds_stream=mode is Mode.OVERLOADED,
        )


class Earlier(AIBridge):
    """
    The daemon as it is installed elsewhere, to tell what a change costs: ``EARLIER=/path/to/.venv/bin/python``.
    """

    name = "earlier"

    @property
    def python(self) -> str:
        """
        The interpreter it is installed for; empty if none is named.
        """
        return os.environ.get("EARLIER", "")

    def lacking(self) -> str | None:
        """
        That no other installation is named.
        """
        return None if self.python else "EARLIER names no interpreter"

    def version(self) -> str:
        """
        Which installation it is.
        """
        return self.python


def daemon(
    name: str,
    configuration: str,
    *,
    port: int,
    directory: Path,
    core: int,
    options: Sequence[str] = (),
    plugin: str = "aibridge",
    python: str = sys.executable,
) -> Server:
    """
    Start a daemon on a configuration: this tree's, unless another interpreter is named.

    :param port: on which it listens then.
    :param options: of twistd's.
    :param plugin: what twistd runs.
    :param python: the interpreter that the daemon is installed for.
    """
    path = directory / f"{plugin}.toml"
    path.write_text(configuration)
    command: list[str | Path] = [python, "-c", _TWISTD, "-n", "--pidfile=", *options, plugin, "--config", path]
    return Server(name, command, port=port, directory=directory, cores={core}, environ=_environ())


def write_key(directory: Path) -> None:
    """
    The provider's key, in ``provider.key``.
    """
    path = directory / "provider.key"
    path.write_text("upstream-key\n")
    path.chmod(0o600)


def made_tokens(directory: Path, principals: Sequence[Sequence[str]]) -> list[str]:
    """
    New tokens in ``tokens.toml``, by the command that people use.

    :param principals: what ``aibridge token create`` is told of each.
    """
    lines = [["token", "create", "--file", str(directory / "tokens.toml"), *arguments] for arguments in principals]
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS],
        input=json.dumps(lines),
        env={"PATH": os.environ["PATH"], **_environ()},
        capture_output=True,
        text=True,
        check=False,
    )
    tokens = done.stdout.split()
    if done.returncode or len(tokens) != len(principals):
        raise BenchError(f"no token could be made:\n{done.stderr}")
    return tokens


def _environ() -> dict[str, str]:
    # As installed, unless the environment says which tree.
    return {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
