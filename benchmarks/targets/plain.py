"""
Stock Twisted and treq: what the daemon would cost without its own wire.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.targets.target import Mode, Server, Started, Target, free_port

SCRIPT = Path(__file__).resolve().parent.parent / "plain" / "proxy.py"


class Plain(Target):
    """
    The steadier reference: the same interpreter, the same reactor.
    """

    name = "plain"
    modes = frozenset(Mode)

    def lacking(self) -> str | None:
        """
        Nothing: the daemon needs the same.
        """
        return None

    def version(self) -> str:
        """
        Of Twisted and treq.
        """
        return f"Twisted {version('twisted')}, treq {version('treq')}"

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start the script.
        """
        port = free_port()
        status = () if mode is Mode.RELAY else (str(mode.value),)
        command = [sys.executable, SCRIPT, str(port), f"http://127.0.0.1:{upstream}", *status]
        server = Server(self.name, command, port=port, directory=directory, cores={core})
        return Started(server, headers=(("Authorization", "Bearer k"),))
