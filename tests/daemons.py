"""
Real daemons as processes for the integration tests: started on free ports, watched through what they print.
"""

from __future__ import annotations

import os
import queue
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")
"""Of this process's environment; with PYTHONPATH a daemon runs the same modules as its tests."""

PATIENCE_S = 60.0
"""How long anything may take before a test gives up; nothing is asserted about how long it does take."""

TWISTD = (str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=")


class Daemon:
    """
    One process. What it prints is kept in `lines`.

    :param arguments: after the command.
    :param descriptors: how many files it may have open, if that is to be limited.
    :param command: what is run, if not the bridge.
    """

    def __init__(
        self,
        directory: Path,
        arguments: list[str],
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
        command: Sequence[str] = (*TWISTD, "aibridge"),
    ) -> None:
        keep = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [*command, *arguments],
            cwd=directory,
            env={**keep, "PYTHONUNBUFFERED": "1", **(environ or {})},
            stdin=subprocess.DEVNULL,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2))
            if descriptors
            else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""
        self.admin = ""
        self.token = ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    @property
    def pid(self) -> int:
        """
        Of the process.
        """
        return self._process.pid

    @property
    def output(self) -> str:
        """
        Everything that was waited past so far.
        """
        return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """
        Read on until a line matches.
        """
        while True:
            line = self._new.get(timeout=PATIENCE_S)
            if line is None:
                raise AssertionError(f"ended ({self._process.wait()}) before {pattern!r}:\n{self.output}")
            self.lines.append(line)
            found = re.search(pattern, line)
            if found is not None:
                return found

    def listening(self) -> Daemon:
        """
        Wait until it listens, and learn where.
        """
        self.url = self.wait_for(r"Listening on (http\S+)\.$")[1]
        self.admin = self.wait_for(r"Admin pages on (http\S+)\.$")[1]
        return self

    def signal(self, number: signal.Signals) -> None:
        """
        Send a signal.
        """
        self._process.send_signal(number)

    def wait(self) -> int:
        """
        Wait for its end; the rest of the output is in `lines` then.
        """
        status = self._process.wait(PATIENCE_S)
        while (line := self._new.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        return status

    def stop(self) -> None:
        """
        End it, whatever state it is in.
        """
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def page(self, path: str) -> str:
        """
        Read an admin page.
        """
        with urllib.request.urlopen(f"{self.admin}{path}", timeout=PATIENCE_S) as response:
            return str(response.read().decode())

    def memory(self) -> int:
        """
        Its resident memory in bytes.
        """
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize()

    def cpu(self) -> float:
        """
        The processor time that it has used, in seconds.
        """
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, series: str) -> float:
        """
        The value of one series, 0 if there is none.
        """
        for line in self.page("/metrics").splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0


class Deployment:
    """
    A directory as `/etc/aibridge` would be, with a daemon that runs on it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "aibridge.toml"
        self.tokens = directory / "tokens.toml"
        self.daemons: list[Daemon] = []

    def token(self, name: str, *arguments: str) -> str:
        """
        Make a token with the command that people use.
        """
        return self.command("token", "create", "--name", name, "--file", str(self.tokens), *arguments).stdout.strip()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """
        Run `aibridge`.
        """
        code = "import sys; from aibridge.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.directory,
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            capture_output=True,
            text=True,
            check=check,
            timeout=PATIENCE_S,
        )

    def configure(self, text: str) -> None:
        """
        Write the configuration; listeners and the tokens file are filled in unless `text` has them.
        """
        text = textwrap.dedent(text)
        if "[listen]" not in text:
            text += '\n[listen]\nendpoints = ["tcp:port=0:interface=127.0.0.1"]\n'
            text += 'admin = ["tcp:port=0:interface=127.0.0.1"]\n'
        if "[auth]" not in text:
            text += f'\n[auth]\ntokens_file = "{self.tokens}"\n'
        self.config.write_text(text)

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None, descriptors: int = 0) -> Daemon:
        """
        Start a daemon on this configuration and wait until it listens.
        """
        arguments = ("--config", str(self.config), *arguments)
        return self.launch(*arguments, environ=environ, descriptors=descriptors).listening()

    def launch(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
        name: str = "aibridge",
    ) -> Daemon:
        """
        Start a daemon with these arguments alone, and wait for nothing.
        """
        daemon = Daemon(self.directory, list(arguments), environ, descriptors, (*TWISTD, name))
        self.daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """
        End every daemon.
        """
        for daemon in self.daemons:
            daemon.stop()
