"""
Go's `net/http/httputil.ReverseProxy`, bare, on one thread of Go code.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import build
from benchmarks.targets.target import Mode, Server, Started, Target, first_line, free_port, lacking_program


class GoProxy(Target):
    """
    What a compiled language's standard library does.
    """

    name = "go"

    def lacking(self) -> str | None:
        """
        The compiler, if anything.
        """
        return lacking_program("go")

    def version(self) -> str:
        """
        The compiler's.
        """
        return first_line("go", "version").split()[2].removeprefix("go")

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Compile it if it has to be, and start it.
        """
        port = free_port()
        command: list[str | Path] = [build.go_proxy(), str(port), f"http://127.0.0.1:{upstream}"]
        environ = {"GOMAXPROCS": "1"}
        return Started(Server(self.name, command, port=port, directory=directory, cores={core}, environ=environ))
