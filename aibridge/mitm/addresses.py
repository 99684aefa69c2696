"""
Which addresses a tunnel may lead to. Pure.

A caller with a token may go out to the Internet, and not into the network that the proxy stands in. What is let
through is what IANA's registries (RFC 6890 and its updates) call globally reachable unicast, judged by everything that
somebody on the way could take an address for: IPv6 has half a dozen ways to spell an IPv4 address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC_4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this host, this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # between providers and their customers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local; cloud metadata
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, deprecated
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)

_UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
"""What IANA hands out; all else in IPv6 is local, multicast, reserved, or a way to spell something else."""

_NOT_PUBLIC_6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo, benchmarks, identifiers
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: a way into IPv4 through whoever answers
            "3fff::/20",  # documentation
        ),
    )
)

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Where the network has only IPv6, this is how the whole of IPv4 is reached (RFC 6052)."""

_ISATAP: Final = (0x00005EFE, 0x02005EFE)


class Guard:
    """
    Says which addresses may be connected to.

    :param allowed: networks that may although they are not public.
    """

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def admits(self, address: Address) -> bool:
        """
        Whether a tunnel may lead to `address`: all that it can mean has to be public or allowed.
        """
        if self._is_allowed(address):
            return True
        return all(is_public(meaning) or self._is_allowed(meaning) for meaning in meanings(address))

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)


def is_public(address: Address) -> bool:
    """
    Whether an address, taken for what it is, is globally reachable unicast.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def meanings(address: Address) -> tuple[Address, ...]:
    """
    What an address leads to. One spelling of IPv4 within IPv6 is nothing but that; where a tunnel might be at the end
    of it, it is both. (Other spellings, Teredo and 6to4 among them, are not public as they stand.)
    """
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    number = int(address)
    embedded = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64:
        return (embedded,)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return (address, embedded)
    return (address,)
