"""
The running daemon, asked.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.cli.admin import Address, NoSuchPrincipal, Unreachable, addresses, ask

HERE = Address("127.0.0.1", 4001)


def asked(answer: bytes) -> dict[str, Any]:
    """
    What is made of a daemon that answers like this, and then hangs up.
    """
    ours, its = socket.socketpair()
    with its:
        its.sendall(answer)
        its.shutdown(socket.SHUT_WR)
        return ask(HERE, "/limits", lambda _: ours)


def page(status: str, body: bytes) -> bytes:
    """
    An answer.
    """
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class TestAddresses:
    """
    Where a listener can be reached.
    """

    @pytest.mark.parametrize(
        ("endpoint", "address"),
        [
            ("tcp:4001", "http://127.0.0.1:4001"),
            ("tcp:port=4001:interface=127.0.0.1", "http://127.0.0.1:4001"),
            ("tcp:interface=10.0.0.1:port=4001", "http://10.0.0.1:4001"),
            ("tcp:4001:10.0.0.1:50", "http://10.0.0.1:4001"),
            ("tcp:4001:interface=0.0.0.0", "http://127.0.0.1:4001"),
            ("tcp6:4001", "http://[::1]:4001"),
            ("tcp6:4001:interface=\\:\\:1", "http://[::1]:4001"),
            ("tcp6:port=4001:interface=fd00\\:\\:7", "http://[fd00::7]:4001"),
            ("unix:/run/aibridge/admin.sock:mode=660", "unix:/run/aibridge/admin.sock"),
            ("unix:address=/run/a\\:b", "unix:/run/a:b"),
        ],
    )
    def test_reachable(self, endpoint: str, address: str) -> None:
        """
        At a host and a port, or at a path; a listener on every address is reached on this machine's own.
        """
        (found,) = addresses([endpoint])
        assert str(found) == address

    @pytest.mark.parametrize(
        "endpoint",
        [
            "",
            "4001",
            "tcp:",
            "tcp:0",
            "tcp:65536",
            "tcp:http",
            "tcp:٣",
            "ssl:4001",
            "tls:/x:port=1",
            "systemd:domain=INET:index=0",
            "unix:x",
        ],
    )
    def test_not_reachable(self, endpoint: str) -> None:
        """
        What does not say where it is, or speaks TLS, is left out.
        """
        assert list(addresses([endpoint])) == []

    @given(st.lists(st.text(max_size=30)))
    def test_whatever_comes(self, endpoints: list[str]) -> None:
        """
        Whatever stands there, nothing is raised.
        """
        assert all(isinstance(address, Address) for address in addresses(endpoints))

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("http://127.0.0.1:4001", HERE),
            ("http://127.0.0.1:4001/", HERE),
            ("http://bridge.example.com", Address("bridge.example.com", 80)),
            ("http://[::1]:4001", Address("::1", 4001)),
            ("unix:/run/x", Address(path="/run/x")),
        ],
    )
    def test_urls(self, url: str, address: Address) -> None:
        """
        One may be given as a URL, which reads back.
        """
        assert Address.from_url(url) == address
        assert Address.from_url(str(address)) == address

    @pytest.mark.parametrize(
        "url", ["", "x", "https://h", "http://", "http://h/x", "http://h?x", "http://h:x", "unix:x"]
    )
    def test_no_urls(self, url: str) -> None:
        """
        Anything else is none.
        """
        with pytest.raises(ValueError, match=r"."):
            Address.from_url(url)


class TestAsk:
    """
    One question.
    """

    def test_answer(self) -> None:
        """
        A page of JSON is read.
        """
        assert asked(page("200 OK", b'{"a": 1}')) == {"a": 1}

    def test_question(self) -> None:
        """
        It is asked for by its path and query, at the address.
        """
        ours, its = socket.socketpair()
        its.sendall(page("200 OK", b"{}"))
        ask(HERE, "/limits?principal=a%20b", lambda _: ours)
        head = its.recv(65536).decode()
        assert head.startswith("GET /limits?principal=a%20b HTTP/1.1\r\n")
        assert "Host: 127.0.0.1:4001\r\n" in head
        its.close()

    def test_nobody(self) -> None:
        """
        A principal that the daemon does not know is told from a page that it does not have.
        """
        with pytest.raises(NoSuchPrincipal):
            asked(page("404 Not Found", b'{"message": "No"}'))
        with pytest.raises(Unreachable, match="no such page, and answers 404"):
            asked(page("404 Not Found", b"<html>"))

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"SSH-2.0-x\r\n",
            page("200 OK", b"x"),
            page("200 OK", b"[1]"),
            page("200 OK", b"[" * 5000),
            page("500 Oops", b"{}"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        ],
    )
    def test_something_else(self, answer: bytes) -> None:
        """
        What does not answer as a daemon does is none.
        """
        with pytest.raises(Unreachable, match=r"."):
            asked(answer)

    def test_nothing_there(self) -> None:
        """
        What cannot be connected to is told in the system's words.
        """

        def connect(_: Address) -> socket.socket:
            raise ConnectionRefusedError(111, "Connection refused")

        with pytest.raises(Unreachable, match=r"\AConnection refused\Z"):
            ask(HERE, "/limits", connect)
