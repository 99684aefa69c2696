"""
The PROXY protocol's header, versions 1 and 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). Pure.

A load balancer that hands connections on says with it who is at the other end, before the first byte of what it hands
on. Only a sender that is known to be one may be believed; that is decided elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final

import attrs

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""With which version 2 begins; no HTTP request does."""

MOST_V1: Final = 107
MOST_V2: Final = 16 + 4096

_V1 = re.compile(rb"PROXY (TCP[46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\Z")
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES = {0x11: (4, "!4s4sHH"), 0x21: (6, "!16s16sHH")}


class NotProxied(ValueError):
    """
    The bytes are no header of the PROXY protocol.
    """


@attrs.frozen
class Source:
    """
    Who is at the other end of a connection that was handed on.

    :ivar host: address as text, or empty where the sender speaks for itself (health checks) or does not say.
    :ivar port: of the other end.
    :ivar length: bytes of the header.
    """

    host: str
    port: int
    length: int


def parse(data: bytes) -> Source | None:
    """
    Read a header from the beginning of `data`.

    :return: None if it is not complete yet.
    :raises NotProxied: it is not one, or a malformed one.
    """
    if data.startswith(SIGNATURE):
        return _parse_v2(data)
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return None
    return _parse_v1(data)


def _parse_v1(data: bytes) -> Source | None:
    if not data.startswith(b"PROXY ") and not b"PROXY ".startswith(data):
        raise NotProxied
    end = data.find(b"\r\n", 0, MOST_V1)
    if end < 0:
        if len(data) >= MOST_V1:
            raise NotProxied
        return None
    line, length = data[:end], end + 2
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return Source("", 0, length)
    match = _V1.fullmatch(line)
    if match is None:
        raise NotProxied
    version = 4 if match[1] == b"TCP4" else 6
    port, to = int(match[4]), int(match[5])
    if port > 65535 or to > 65535:
        raise NotProxied
    _address(match[3], version)
    return Source(_address(match[2], version), port, length)


def _address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise NotProxied from None
    if address.version != version:
        raise NotProxied
    return str(address)


def _parse_v2(data: bytes) -> Source | None:
    if len(data) < 16:
        return None
    command, family, size = struct.unpack("!BBH", data[12:16])
    length = 16 + size
    if command not in (_LOCAL, _PROXY) or length > MOST_V2:
        raise NotProxied
    if len(data) < length:
        return None
    known = _FAMILIES.get(family)
    if command == _LOCAL or known is None:
        # RFC-less, but said by the specification: what is not understood is skipped, and the real address counts.
        return Source("", 0, length)
    layout = known[1]
    if size < struct.calcsize(layout):
        raise NotProxied
    source, _, port, _ = struct.unpack_from(layout, data, 16)
    return Source(str(ipaddress.ip_address(source)), port, length)
