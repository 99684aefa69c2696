"""
Processes that are measured or measure: pinned to cores, with many descriptors, and ended with the bench.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import procfs
from benchmarks.errors import BenchError

START_S = 120.0
"""Patience with a gateway that starts; LiteLLM imports for a long time."""

STOP_S = 5.0

NICE = -15
"""Before what else runs on the machine, where that is allowed: a load generator that waits measures its waiting."""

FIRST_PORT, PORTS = 20000, 12000
"""Below the range from which the kernel takes ports for outgoing connections, of which there will be many."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_offsets = itertools.count(os.getpid() * 53)


def free_port() -> int:
    """
    A port of 127.0.0.1 on which nobody listens, and not the same one twice.
    """
    for offset in itertools.islice(_offsets, PORTS):
        port = FIRST_PORT + offset % PORTS
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError("no free port")


def prepared(cores: Iterable[int], *, first: bool = False) -> Callable[[], None]:
    """
    What a child does before it becomes the program: its cores, its priority, its descriptors, its death with ours.

    :param first: before everything else on its cores, where that is allowed: for mock and load, who never sleep and
        make room for each other only.
    """
    wanted = set(cores)

    def prepare() -> None:
        os.sched_setaffinity(0, wanted)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
            if first:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


class Server:
    """
    A process that listens on a port; what it prints goes to a file.

    :param directory: its working directory, where the file is, too.
    :param environ: beside a few variables of ours.
    :param first: as `prepared` has it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        port: int,
        directory: Path,
        cores: Iterable[int],
        environ: Mapping[str, str] | None = None,
        first: bool = False,
    ) -> None:
        self.name = name
        self.port = port
        self._log = directory / f"{name}.out"
        keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=directory,
                env={**keep, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepared(cores, first=first),
            )

    @property
    def pid(self) -> int:
        """
        Of the process that was started.
        """
        return self._process.pid

    def wait(self) -> Server:
        """
        Wait until it accepts a connection.
        """
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            self.check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise BenchError(f"{self.name} does not listen after {START_S:.0f} s:\n{self.tail()}")

    def check(self) -> None:
        """
        Raise if it has ended.
        """
        status = self._process.poll()
        if status is not None:
            raise BenchError(f"{self.name} ended with status {status}:\n{self.tail()}")

    def tail(self) -> str:
        """
        The last lines that it printed.
        """
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-8:])

    def cpu_ns(self) -> int:
        """
        CPU time of it and its children so far.
        """
        return procfs.cpu_ns(procfs.tree(self.pid))

    def pss(self) -> int:
        """
        Memory of it and its children, in bytes.
        """
        return procfs.pss(procfs.tree(self.pid))

    def stop(self) -> None:
        """
        End it and its children: they are asked first.
        """
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # the group is its own, from its start
        self._process.wait()
