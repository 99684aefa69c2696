"""
What a client wants to be connected to: a host and a port, in one spelling. Pure.

A host can be spelled in many ways, and whoever compares spellings is fooled by one that it does not know. So a target
is brought to one form before anybody decides about it: names in lower case without a dot at their end, addresses as
addresses. What the system's resolver would take for an address (``127.1``, ``0x7f000001``, ``017700000001``) is one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import attrs

from aibridge.mitm.addresses import Address

_LABEL = re.compile(r"[0-9a-z_]([0-9a-z_-]*[0-9a-z_])?")
_NUMBER = re.compile(r"0x([0-9a-f]*)|(0[0-7]*)|([1-9][0-9]*)")
_ABSOLUTE = re.compile(r"(https?)://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)

_MOST_HOST: Final = 253
_MOST_LABEL: Final = 63
_PORTS: Final = {"http": 80, "https": 443}


class Malformed(ValueError):
    """
    No host that could be connected to. Its text is for the client.
    """


@attrs.frozen
class Target:
    """
    Where a client wants to go.

    :ivar host: a name in lower case, or an address in its usual form, without brackets.
    :ivar address: the host, if it is an address.
    """

    host: str
    port: int
    address: Address | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_authority(text: str, default_port: int | None = None) -> Target:
    """
    The target that ``host:port`` names, as CONNECT has it.

    :param default_port: taken where there is none; without it there has to be one.
    :raises Malformed: it is none.
    """
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text, ""
    if digits:
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
            raise Malformed("The port is not one.")
        port = int(digits)
    elif default_port is not None:
        port = default_port
    else:
        raise Malformed("There is no port.")
    return _target(host, port)


def read_absolute(text: str) -> tuple[str, Target, str]:
    """
    The scheme, the target and the path with the query of an absolute URI.

    :raises Malformed: it is none.
    """
    match = _ABSOLUTE.fullmatch(text)
    if match is None:
        raise Malformed("The target is no URI.")
    scheme = match[1].lower()
    path = match[3] if match[3].startswith("/") else f"/{match[3]}"
    return scheme, read_authority(match[2], _PORTS[scheme]), path


def read_host(text: str) -> str:
    """
    A host in its one form.

    :raises Malformed: it is none.
    """
    return _target(text, 0).host


def _target(host: str, port: int) -> Target:
    address = _address(host)
    if address is not None:
        return Target(str(address), port, address)
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MOST_HOST or not all(len(label) <= _MOST_LABEL and _LABEL.fullmatch(label) for label in labels):
        raise Malformed("The host is neither a name nor an address.")
    return Target(name, port)


def _address(host: str) -> Address | None:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:].removesuffix("]"))
        except ValueError:
            address = None
        if address is None or address.scope_id is not None or not host.endswith("]"):
            # A zone names an interface of the proxy's machine, which is none of a client's business.
            raise Malformed("The host is no IPv6 address.")
        return address
    labels = host.lower().removesuffix(".").split(".")
    # The last label decides: no name's is a number (RFC 1123, 2.1), and what begins with 0x is none for inet_aton.
    if not (labels[-1].isdigit() or labels[-1].startswith("0x")):
        return None
    numbers = [_number(label) for label in labels]
    *octets, last = numbers
    if len(numbers) > 4 or any(octet > 255 for octet in octets) or last >= 1 << (8 * (4 - len(octets))):
        raise Malformed("The host is no IPv4 address.")
    value = last
    for place, octet in enumerate(octets):
        value |= octet << (8 * (3 - place))
    return ipaddress.IPv4Address(value)


def _number(label: str) -> int:
    """
    As inet_aton reads it: hexadecimal, octal or decimal.
    """
    match = _NUMBER.fullmatch(label) if len(label) <= 32 else None
    if match is None:
        raise Malformed("The host is no IPv4 address.")
    if match[1] is not None:
        return int(match[1] or "0", 16)
    return int(match[2], 8) if match[2] is not None else int(match[3])
