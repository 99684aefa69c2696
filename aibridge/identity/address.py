"""
What counts as one address when clients are told apart by where they come from.
"""

from __future__ import annotations

import socket
from typing import Final

MOST_TEXT: Final = 64

_MAPPED: Final = bytes(10) + b"\xff\xff"


def place_of(client_host: str) -> str:
    """
    The address that a client's requests are counted for: an IPv4 address as it is, an IPv6 address by its /64, since
    one network has at least that many addresses to change between (RFC 6177). An IPv4 address in an IPv6 socket's
    spelling (RFC 4291, 2.5.5.2) is the IPv4 address.

    :param client_host: as text, with or without a zone; any other text (a Unix socket's peer has none) is its own
        place.
    """
    if ":" not in client_host:
        return client_host[:MOST_TEXT]
    try:
        packed = socket.inet_pton(socket.AF_INET6, client_host.partition("%")[0])
    except (OSError, ValueError):
        return client_host[:MOST_TEXT]
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"


def site_of(place: str) -> str:
    """
    Who can come from as many addresses as he likes, as far as addresses tell: an IPv6 address by its /48, which is
    what one site is given (RFC 6177; many are given less), and any other as it is.

    :param place: as `place_of` has it.
    """
    if not place.endswith("::/64"):
        return place
    try:
        packed = socket.inet_pton(socket.AF_INET6, place.removesuffix("/64"))
    except (OSError, ValueError):
        return place
    return socket.inet_ntop(socket.AF_INET6, packed[:6] + bytes(10)) + "/48"
