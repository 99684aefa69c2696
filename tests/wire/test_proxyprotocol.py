"""
The PROXY protocol's header.
"""

from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.wire.proxyprotocol import MOST_V1, SIGNATURE, NotProxied, Source, parse


def v2(source: str, port: int, command: int = 0x21, extra: bytes = b"") -> bytes:
    """
    A header of version 2.
    """
    packed = ipaddress.ip_address(source).packed
    family = 0x11 if len(packed) == 4 else 0x21
    body = packed + packed + struct.pack("!HH", port, 443) + extra
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7", 56324),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n", "2001:db8::7", 1),
    (b"PROXY UNKNOWN\r\n", "", 0),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "", 0),
    (v2("192.0.2.7", 56324), "192.0.2.7", 56324),
    (v2("2001:db8::7", 9), "2001:db8::7", 9),
    (v2("192.0.2.7", 56324, extra=b"\x04\x00\x01x"), "192.0.2.7", 56324),
    (v2("192.0.2.7", 1, command=0x20), "", 0),
    (SIGNATURE + struct.pack("!BBH", 0x20, 0, 0), "", 0),
    (SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + b"/" * 216, "", 0),
]

BAD = [
    b"GET / HTTP/1.1\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 443\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1 99999\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
    b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
    b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    b"PROXY " + b"x" * MOST_V1,
    SIGNATURE + struct.pack("!BBH", 0x22, 0x11, 12) + bytes(12),
    SIGNATURE + struct.pack("!BBH", 0x11, 0x11, 12) + bytes(12),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 11) + bytes(11),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 65535),
]


@pytest.mark.parametrize(("header", "host", "port"), GOOD)
def test_good(header: bytes, host: str, port: int) -> None:
    """
    The other end is read, and exactly the header is taken.
    """
    assert parse(header + b"GET / HTTP/1.1\r\n") == Source(host, port, len(header))


@pytest.mark.parametrize(("header", "host", "port"), GOOD)
def test_incomplete(header: bytes, host: str, port: int) -> None:
    """
    Whatever part of it has come, the rest is waited for.
    """
    assert [parse(header[:length]) for length in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize("header", BAD)
def test_bad(header: bytes) -> None:
    """
    What is malformed is not taken for something else.
    """
    with pytest.raises(NotProxied):
        parse(header)


@given(st.binary(max_size=300))
def test_anything(data: bytes) -> None:
    """
    Any bytes are a header, the beginning of one, or none.
    """
    with contextlib.suppress(NotProxied):
        parse(data)
