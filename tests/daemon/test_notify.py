"""
What systemd is told, on a real socket of the kind it listens on.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aibridge.daemon.notify import Notifier


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """
    A service manager that listens on a datagram socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        yield manager


@contextmanager
def a_manager() -> Iterator[tuple[Notifier, socket.socket]]:
    """
    A notifier and the manager that it tells. The path is short, as those of sockets have to be.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = str(Path(directory) / "notify")
        with listening(path) as manager:
            yield Notifier({"NOTIFY_SOCKET": path}), manager


def test_a_socket_with_a_path() -> None:
    """
    One datagram of lines for each message.
    """
    with a_manager() as (notifier, manager):
        assert notifier.tell("A=1", "B=two words")
        assert notifier.tell("STATUS=süß")
        assert manager.recv(1000) == b"A=1\nB=two words"
        assert manager.recv(1000) == "STATUS=süß".encode()


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="abstract addresses are Linux's")
def test_an_abstract_socket() -> None:
    """
    An address that begins with ``@`` is no path.
    """
    name = f"aibridge-test-{secrets.token_hex(8)}"
    with listening(f"\0{name}") as manager:
        assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        assert manager.recv(1000) == b"READY=1"


def test_ready() -> None:
    """
    Listening, and how it goes.
    """
    with a_manager() as (notifier, manager):
        notifier.ready("3 exchanges running")
        assert manager.recv(1000) == b"READY=1\nSTATUS=3 exchanges running"


def test_reloading() -> None:
    """
    With the time at which it began, in microseconds, which tells the manager which `ready` is the answer.
    """
    with a_manager() as (notifier, manager):
        notifier.reloading(12.3456789)
        assert manager.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=12345678\nSTATUS=Reloading"


def test_stopping() -> None:
    """
    And, where that is needed, for how long the manager is to be patient.
    """
    with a_manager() as (notifier, manager):
        notifier.stopping("Draining")
        notifier.stopping("Draining: 2 exchanges running", 10.0)
        assert manager.recv(1000) == b"STOPPING=1\nSTATUS=Draining"
        assert manager.recv(1000) == (b"STOPPING=1\nSTATUS=Draining: 2 exchanges running\nEXTEND_TIMEOUT_USEC=10000000")


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_nobody_asked(environ: dict[str, str]) -> None:
    """
    Nothing is sent, and that is no error.
    """
    notifier = Notifier(environ)
    assert not notifier.tell("READY=1")
    notifier.ready("")
    notifier.reloading(0)
    notifier.stopping("")


@pytest.mark.parametrize(
    "address", ["/nowhere/notify", "@nobody-listens-here", "vsock:2:1234", "x" * 500, "/" + "x" * 500]
)
def test_nobody_listens(address: str) -> None:
    """
    A manager that cannot be told is no reason to fail.
    """
    assert not Notifier({"NOTIFY_SOCKET": address}).tell("READY=1")


def test_a_manager_that_does_not_read() -> None:
    """
    It is not waited for.
    """
    with a_manager() as (notifier, _):
        told = [notifier.tell("STATUS=" + "x" * 1000) for _ in range(10000)]
        assert told[0]
        assert not told[-1]


def test_the_environment_is_read_once() -> None:
    """
    What becomes of it later does not matter.
    """
    environ = {"NOTIFY_SOCKET": ""}
    notifier = Notifier(environ)
    environ["NOTIFY_SOCKET"] = "/nowhere/notify"
    assert not notifier.tell("READY=1")
