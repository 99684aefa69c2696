"""
What no option of the proxy's can know alone: whether they fit together, and fit this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from aibridge.daemon.admissionchecks import warning
from aibridge.daemon.checks import check_auth, check_certificates, check_listen, check_log, check_url
from aibridge.daemon.problems import Fault, quoted
from aibridge.daemon.proxy.settings import ProxyDaemonSettings
from aibridge.mitm.authority import Authority
from aibridge.mitm.hosts import Hosts
from aibridge.mitm.settings import ProxySettings

SOON: Final = timedelta(days=30)
"""How long before its end an authority is worth a word; clients have to be told of the next one."""

_ROTATE: Final = "`aibridge ca rotate` makes a new one"


def check(settings: ProxyDaemonSettings, given: Collection[str] = ()) -> Iterator[Fault]:
    """
    Everything that is wrong with settings whose options are all right one by one.

    :param given: the options, dotted, that have another source than a default.
    """
    yield from check_listen(settings.listen)
    yield from check_auth(settings.auth, embedded=False, given=given)
    yield from check_log(settings.log)
    yield from check_url(("bridge", "url"), settings.bridge.url, carries="tokens and keys")
    yield from check_certificates(("bridge", "ca_file"), settings.bridge.ca_file)
    yield from _proxy(settings.proxy, is_open=settings.auth.backend == "none")


def _proxy(proxy: ProxySettings, *, is_open: bool) -> Iterator[Fault]:
    if proxy.tunnel == "open":
        found = '"open", so that whoever can connect may use this proxy to reach any public host'
        yield warning(("proxy", "tunnel"), found, '"authenticated" or "off"')
    elif proxy.tunnel == "authenticated" and is_open:
        found = '"authenticated", though everyone counts as such, since auth.backend is "none"'
        yield warning(("proxy", "tunnel"), found, '"off", or another backend')
    for port in proxy.ports:
        if not 0 < port < 65536:
            yield Fault(path=("proxy", "ports"), found=f"the number {port}", allowed="ports from 1 to 65535")
    for text in proxy.allowed_private_cidrs:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            yield Fault(
                path=("proxy", "allowed_private_cidrs"),
                found=quoted(text),
                allowed="networks such as 10.0.0.0/8 or fd00::/8, without bits beyond the prefix",
            )
    yield from check_certificates(("proxy", "upstream_ca_file"), proxy.upstream_ca_file)


def check_authority(authority: Authority, hosts: Hosts, now: datetime) -> Iterator[Fault]:
    """
    Whether clients would accept what an authority issues for the hosts that are intercepted.
    """
    path = ("ca", "cert_file")
    begins, ends = authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc
    if not begins <= now <= ends:
        found = f"an authority that is good from {_day(begins)} to {_day(ends)}"
        yield Fault(path=path, found=found, allowed="one that is good today", hint=_ROTATE)
    elif ends - now < SOON:
        yield warning(path, f"an authority that ends on {_day(ends)}", hint=_ROTATE)
    strangers = [host for host in hosts.names() if not authority.permits(host)]
    if strangers:
        found = f"an authority that may not speak for {', '.join(strangers)}"
        yield Fault(path=path, found=found, allowed="one for every intercepted host", hint=_ROTATE)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d")
