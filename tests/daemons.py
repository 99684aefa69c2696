"""
Processes for the integration tests, above all our own daemons: started on free ports, watched through what they print.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aibridge.cli.command import run

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")
"""Of this process's environment; with PYTHONPATH a daemon runs the same modules as its tests."""

PATIENCE_S = 60.0
"""How long anything may take before a test gives up; nothing is asserted about how long it does take."""

TWISTD = (str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=")


class Process:
    """
    A server in a process of its own. What it prints is kept in `lines`.

    :param descriptors: how many files it may have open, if that is to be limited.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
    ) -> None:
        keep = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command,
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

    def signal(self, number: signal.Signals) -> None:
        """
        Send a signal.
        """
        self._process.send_signal(number)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """
        Everything that happens meanwhile it finds at once, when it goes on.
        """
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def wait(self) -> int:
        """
        Wait for its end; the rest of the output is in `lines` then.
        """
        status = self._process.wait(PATIENCE_S)
        while (line := self._new.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        return status

    def stop_gently(self) -> None:
        """
        Let it end by itself, so that its logs are written.
        """
        self.signal(signal.SIGTERM)
        assert self.wait() == 0

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


class Daemon(Process):
    """
    A real `twistd aibridge`, or another daemon of ours.

    :param arguments: after its name.
    :param through: a program of ours, and its arguments, that runs twistd.
    :param name: of the plugin.
    """

    def __init__(
        self,
        directory: Path,
        arguments: list[str],
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
        through: Sequence[str | Path] = (),
        name: str = "aibridge",
    ) -> None:
        runner = [sys.executable, *map(str, through)] if through else []
        super().__init__([*runner, *TWISTD, name, *arguments], directory, environ, descriptors)
        self.url = ""
        self.admin = ""
        self.token = ""

    def listening(self) -> Daemon:
        """
        Wait until it listens, and learn where.
        """
        self.url = self.wait_for(r"Listening on (http\S+)\.$")[1]
        self.admin = self.wait_for(r"Admin pages on (http\S+)\.$")[1]
        return self

    def page(self, path: str) -> str:
        """
        Read an admin page.
        """
        with urllib.request.urlopen(f"{self.admin}{path}", timeout=PATIENCE_S) as response:
            return str(response.read().decode())

    def metric(self, series: str) -> float:
        """
        The value of one series, 0 if there is none. Without labels it is the sum over all series of a metric.
        """
        total = 0.0
        for line in self.page("/metrics").splitlines():
            if line.startswith((f"{series} ", f"{series}{{")):
                total += float(line.rpartition(" ")[2])
        return total

    def until(self, series: str, value: float) -> None:
        """
        Wait until a series, or the sum over all of a metric, has a value.
        """
        until = time.monotonic() + PATIENCE_S
        while (found := self.metric(series)) != value:
            if time.monotonic() > until:
                raise AssertionError(f"{series} is {found:g}, not {value:g}")
            threading.Event().wait(0.002)

    def reload(self) -> None:
        """
        Have the configuration read again, and wait until it is in force.
        """
        self.signal(signal.SIGHUP)
        self.wait_for("The configuration was reloaded")

    def completion(self, request_id: str) -> dict[str, str]:
        """
        The fields of a completion, once it is written. What is printed before it is read past.
        """
        mark = f"completion request_id={request_id} "
        line = next((line for line in self.lines if mark in line), None) or self.wait_for(mark).string
        return dict(part.partition("=")[::2] for part in line[line.index("request_id=") :].split(" "))


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
        Make a token with the command that people use; within this process, as nearly every test needs one.
        """
        told, wrong = io.StringIO(), io.StringIO()
        command = ["token", "create", "--name", name, "--file", str(self.tokens), *arguments]
        assert run(command, told, wrong, {}) == 0, wrong.getvalue()
        return told.getvalue().strip()

    def command(
        self, *arguments: str, check: bool = True, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """
        Run `aibridge`.
        """
        code = "import sys; from aibridge.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.directory,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | dict(environ or {}),
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

    def start(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
        through: Sequence[str | Path] = (),
    ) -> Daemon:
        """
        Start a daemon on this configuration and wait until it listens.
        """
        arguments = ("--config", str(self.config), *arguments)
        return self.launch(*arguments, environ=environ, descriptors=descriptors, through=through).listening()

    def launch(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        descriptors: int = 0,
        through: Sequence[str | Path] = (),
        name: str = "aibridge",
    ) -> Daemon:
        """
        Start a daemon with these arguments alone, and wait for nothing.
        """
        daemon = Daemon(self.directory, list(arguments), environ, descriptors, through, name)
        self.daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """
        End every daemon.
        """
        for daemon in self.daemons:
            daemon.stop()
