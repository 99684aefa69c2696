"""
``NO_PROXY``: the hosts that are reached without a proxy, as people write them down. Pure.

There is no standard. This is what curl, Go and Python's clients have in common, and where they differ, the reading by
which fewer connections leave past the proxy's back.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_ENTRY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+(?:/[0-9]{1,3})?)")


def goes_direct(no_proxy: str, host: str, port: int) -> bool:
    """
    Whether a host is reached without a proxy. This machine always is.

    :param no_proxy: names, which stand for what is below them too; addresses; networks; each with or without a port;
        or ``*``. Separated by commas or white space.
    :param host: a name, or an address without brackets.
    """
    host = host.rstrip(".").lower()
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback):
        return True
    return any(_covers(entry, host, address, port) for entry in re.split(r"[,\s]+", no_proxy.lower()) if entry)


def _covers(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    match = _ENTRY.fullmatch(entry)
    if match is None or (match[2] and int(match[2]) != port):
        return False
    name = match[3] or match[1].strip("[]")
    if address is None:
        name = name.removeprefix("*").removeprefix(".").rstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
