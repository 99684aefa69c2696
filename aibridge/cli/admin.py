"""
The running daemon, asked over its admin listener.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 16777216

_PIECE: Final = re.compile(r"(?:\A|:)((?:[^:\\]|\\.)*)", re.DOTALL)
_KEYWORD: Final = re.compile(r"([a-zA-Z]+)=(.*)", re.DOTALL)
_POSITIONS: Final = {"tcp": ("port", "interface"), "tcp6": ("port", "interface"), "unix": ("address",)}
_HERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""What is connected to where a listener listens on every address."""


class Unreachable(Exception):
    """
    No daemon answers there; says why in a few words.
    """


class NoSuchPrincipal(Exception):
    """
    The daemon knows nobody of that name.
    """


@attrs.frozen
class Address:
    """
    Where a daemon can be asked: at a host and a port, or at a Unix socket.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def from_url(cls, url: str) -> Address:
        """
        Read ``http://HOST:PORT`` or ``unix:/PATH``.

        :raises ValueError: it is neither.
        """
        if url.startswith("unix:/"):
            return cls(path=url.removeprefix("unix:"))
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("an address such as http://127.0.0.1:4001 or unix:/run/aibridge/admin.sock is needed")
        return cls(parts.hostname, parts.port or 80)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def addresses(endpoints: Iterable[str]) -> Iterator[Address]:
    """
    Where listeners can be reached from their own machine; those that do not say, or speak TLS, are left out.

    :param endpoints: as in ``listen.admin``.
    """
    for endpoint in endpoints:
        kind, *pieces = [match[1] for match in _PIECE.finditer(endpoint)]
        told: dict[str, str] = {}
        for name, piece in zip(_POSITIONS.get(kind, ()), pieces, strict=False):
            if _KEYWORD.fullmatch(piece) is None:
                told[name] = _plain(piece)
        told.update((match[1], _plain(match[2])) for match in map(_KEYWORD.fullmatch, pieces) if match)
        port = told.get("port", "")
        if kind == "unix" and told.get("address", "").startswith("/"):
            yield Address(path=told["address"])
        elif kind in ("tcp", "tcp6") and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536:
            interface = told.get("interface", "::" if kind == "tcp6" else "")
            yield Address(_HERE.get(interface, interface), int(port))


def connect(address: Address) -> socket.socket:
    """
    A connection to a daemon.

    :raises OSError: there is none to be had.
    """
    if not address.path:
        return socket.create_connection((address.host, address.port), TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    try:
        connection.connect(address.path)
    except OSError:
        connection.close()
        raise
    return connection


def ask(address: Address, path: str, connect: Callable[[Address], socket.socket] = connect) -> dict[str, Any]:
    """
    Read a page of a daemon's that is JSON.

    :param path: with its query, encoded.
    :raises Unreachable: there is none.
    :raises NoSuchPrincipal: it knows nobody of the name in the query.
    """
    connection = HTTPConnection(address.host or "localhost", address.port or None)
    try:
        connection.sock = connect(address)
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable((error.strerror if isinstance(error, OSError) else None) or str(error)) from None
    finally:
        connection.close()
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if response.status == 404 and isinstance(told, dict):
        raise NoSuchPrincipal
    if response.status != 200 or not isinstance(told, dict):
        raise Unreachable(f"it has no such page, and answers {response.status}")
    return told


def _plain(piece: str) -> str:
    return re.sub(r"\\(.)", r"\1", piece, flags=re.DOTALL)
