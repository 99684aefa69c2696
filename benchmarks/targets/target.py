"""
What all targets are to the measurements.
"""

from __future__ import annotations

import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

from benchmarks.processes import Server, free_port
from benchmarks.requests import post


class Mode(Enum):
    """
    What a target is configured to do: to relay, or to refuse with a status.

    A target that refuses with 429 or 503 does so from its second request on, or while a first one is being answered:
    see `Started.prime`.
    """

    RELAY = 200
    UNAUTHORISED = 401
    LIMITED = 429
    OVERLOADED = 503


@dataclass
class Started:
    """
    A running target, and how to speak with it.

    :ivar path: of chat completions.
    :ivar headers: that a request needs, such as a token.
    :ivar keeps_lengths: it relays bytes as they came, so that the length of an answer can be checked.
    :ivar holds_stream: it refuses only while one stream is open.
    :ivar greeting: what a connection to it begins with, to be told 200, before any request.
    """

    server: Server
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str], ...] = ()
    keeps_lengths: bool = True
    holds_stream: bool = False
    greeting: bytes = b""

    def request(self, model: str, *, is_stream: bool = False, key: str = "one") -> bytes:
        """
        The bytes of a request to it.

        :param key: who asks, to references that limit by it.
        """
        return post(self.path, model, is_stream=is_stream, headers=(*self.headers, ("X-Bench-Key", key)))


class Target(ABC):
    """
    A gateway.

    :cvar name: in tables and on the command line.
    :cvar modes: what it can be asked to do.
    :cvar settling_s: how long it is warmed up.
    """

    name: ClassVar[str]
    modes: ClassVar[frozenset[Mode]] = frozenset({Mode.RELAY})
    settling_s: ClassVar[float] = 0.5

    @abstractmethod
    def lacking(self) -> str | None:
        """
        What is missing for it to be measured, in words; None if nothing is.
        """

    @abstractmethod
    def version(self) -> str:
        """
        Of the gateway and what it stands on.
        """

    @abstractmethod
    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start it, between a free port and the upstream's.

        :param directory: an empty one of its own.
        """


def lacking_program(name: str) -> str | None:
    """
    That a program is not installed, or None.
    """
    return None if shutil.which(name) else f"{name} is not installed"


def first_line(*command: str | Path) -> str:
    """
    What a command prints first, on either stream.
    """
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


__all__ = ["Mode", "Server", "Started", "Target", "first_line", "free_port", "lacking_program"]
