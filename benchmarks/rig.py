"""
The mock upstream and the load generator, on cores that the targets do not use.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import build
from benchmarks.errors import BenchError
from benchmarks.processes import Server, free_port, prepared
from benchmarks.requests import post

CONNECTIONS = 32
PATIENCE_S = 60.0

_CHECK_S = 1.0


@dataclass(frozen=True)
class Cores:
    """
    Which core does what.
    """

    target: int
    mock: int
    load: int


def chosen_cores(available: list[int]) -> Cores:
    """
    The target has the first core for itself; mock and load have one each, or share one.

    :raises BenchError: there are fewer than two.
    """
    if len(available) < 2:
        raise BenchError("two cores are needed: a target that shares its core with the load measures the load")
    return Cores(target=available[0], mock=available[1], load=available[2 % len(available) or 1])


@dataclass(frozen=True)
class Load:
    """
    What the load generator found.

    :ivar events: lines that begin with ``data:``.
    :ivar faults: kind → how often.
    """

    answered: int
    events: int
    reconnects: int
    seconds: float
    p50_us: float
    p99_us: float
    longest_gap_us: float
    errors: int
    faults: dict[str, int]

    def checked(self) -> Load:
        """
        Itself.

        :raises BenchError: there were errors, or nothing was answered.
        """
        if self.errors or not self.answered:
            raise BenchError(f"{self.answered} answered, {self.errors} errors: {self.faults}")
        return self


class Hold:
    """
    Streams that are kept open until it is told to end.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise BenchError(f"the load generator ended at {line!r}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def open(self, count: int) -> None:
        """
        Have `count` streams open, each with its first event.

        :raises BenchError: a stream could not be opened, or one has ended.
        """
        self._check(self._ask(f"open {count}"), count)

    def stall(self, count: int) -> None:
        """
        Have `count` streams open whose answers are never read.
        """
        self._check(self._ask(f"stall {count}"), count)

    def end(self, count: int) -> dict[str, Any]:
        """
        End them all.

        :raises BenchError: some had ended before.
        """
        return self._check(self._ask("end"), count)

    def _check(self, found: dict[str, Any], count: int) -> dict[str, Any]:
        if found["errors"] or found["open"] != count:
            raise BenchError(f"{found['open']} of {count} streams are open: {found['faults']}")
        return found


class Rig:
    """
    Mock and load.

    :param directory: for requests and what the mock prints.
    :param rests: whether the mock sleeps while there is nothing to do; see ``c/common.h``.
    """

    def __init__(self, directory: Path, cores: Cores, *, rests: bool = False) -> None:
        self.cores = cores
        self._directory = directory
        self._load = build.c_program("load")
        port = free_port()
        command: list[str | Path] = [build.c_program("mock"), str(port), *(["rests"] if rests else ())]
        self._mock = Server("mock", command, port=port, directory=directory, cores={cores.mock}, first=True).wait()

    @property
    def upstream(self) -> int:
        """
        The mock's port.
        """
        return self._mock.port

    def close(self) -> None:
        """
        End the mock.
        """
        self._mock.stop()

    def closed(
        self,
        port: int,
        request: bytes,
        seconds: float,
        *,
        connections: int = CONNECTIONS,
        status: int = 200,
        length: int | None = None,
        greeting: bytes = b"",
    ) -> Load:
        """
        Connections that ask again as soon as they are answered.

        :param length: of each answer's body; None: any.
        :param greeting: what each connection sends first, to be told 200.
        """
        arguments = (connections, seconds, status, -1 if length is None else length)
        return self._run("closed", port, request, seconds, *arguments, greeting=greeting)

    def events(self, port: int, request: bytes, *, streams: int, events: int | None, seconds: float) -> Load:
        """
        Streams that begin together and have to end.

        :param events: of each stream; None: any number.
        :param seconds: after which they must all have ended.
        """
        return self._run("events", port, request, seconds, streams, -1 if events is None else events, seconds)

    def once(self, port: int, request: bytes) -> None:
        """
        One request, whatever its answer.

        :raises BenchError: there was none.
        """
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(request)
            if not connection.recv(65536).startswith(b"HTTP/1.1 "):
                raise BenchError("a single request got no answer")

    @contextlib.contextmanager
    def hold(self, port: int, request: bytes, greeting: bytes = b"") -> Iterator[Hold]:
        """
        Streams that stay open.
        """
        process = subprocess.Popen(
            [self._load, *self._greeting(greeting), "hold", str(port), self._written(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=prepared({self.cores.load}, first=True),
        )
        try:
            yield Hold(process)
        finally:
            process.kill()
            process.communicate()

    def crowd(self, port: int, callers: Iterable[tuple[str, bytes]], seconds: float) -> str:
        """
        Callers that ask at their own pace, as ``c/crowd.c`` has it; what it printed.

        :param callers: each one's line but for the request, and the request.
        """
        path = self._directory / "callers"
        path.write_text("".join(f"{line} {self._written(request)}\n" for line, request in callers))
        return self._output([str(build.c_program("crowd")), str(port), f"{seconds:.3f}", str(path)], seconds)

    def alone(self) -> float:
        """
        Requests per second of load and mock with nothing between them.
        """
        request = post("/v1/chat/completions", "bench-600")
        return self.rate(self.closed(self.upstream, request, _CHECK_S, length=600).checked())

    @staticmethod
    def rate(load: Load) -> float:
        """
        Requests per second.
        """
        return load.answered / load.seconds

    def _written(self, request: bytes) -> Path:
        path = self._directory / f"request-{os.getpid()}-{time.monotonic_ns()}"
        path.write_bytes(request)
        return path

    def _greeting(self, greeting: bytes) -> list[str]:
        return ["-g", str(self._written(greeting))] if greeting else []

    def _run(
        self, mode: str, port: int, request: bytes, seconds: float, *arguments: float, greeting: bytes = b""
    ) -> Load:
        start = [str(self._load), *self._greeting(greeting)]
        command = [*start, mode, str(port), str(self._written(request)), *map(str, arguments)]
        return Load(**json.loads(self._output(command, seconds)))

    def _output(self, command: list[str], seconds: float) -> str:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + PATIENCE_S,
                preexec_fn=prepared({self.cores.load}, first=True),
            )
        except subprocess.TimeoutExpired:
            raise BenchError("the load generator does not come to an end") from None
        if done.returncode:
            raise BenchError(f"the load generator failed: {done.stderr.strip()}")
        return done.stdout
