"""
Tests for `aibridge.mitm.addresses`.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.mitm.addresses import Guard, is_public, meanings
from aibridge.mitm.targets import Malformed, read_authority
from disguises import DISGUISES

V4 = st.ip_addresses(v=4)
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16")))


@pytest.mark.parametrize("text", [text for text in DISGUISES if "localhost" not in text.lower()])
def test_disguises_are_seen_through(text: str) -> None:
    """
    Whatever it is spelled like, it is refused as an address, without a name being looked up.
    """
    target = read_authority(text)
    assert target.address is not None
    assert not Guard().admits(target.address)


def test_there_are_many() -> None:
    """
    And no two of them are the same.
    """
    assert len(set(DISGUISES)) == len(DISGUISES) >= 40


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2606:4700::1111",
        "3ffe::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2606:4700::5efe:8.8.8.8",
    ],
)
def test_public_ones_are_let_through(text: str) -> None:
    """
    Up to the borders of what is not, and in the spellings that a network without IPv4 needs.
    """
    assert Guard().admits(ipaddress.ip_address(text))


@given(V4)
def test_ipv6_opens_no_way_into_ipv4(address: ipaddress.IPv4Address) -> None:
    """
    In whatever spelling, an IPv4 address is let through only if it is public; and where that spelling is needed, then
    it is let through.
    """
    number = int(address)
    guard, admitted = Guard(), is_public(address)
    for base in (0, 0xFFFF << 48, 0x2002 << 112):
        wide = base | (number << 80 if base >> 112 else number)
        assert not guard.admits(ipaddress.IPv6Address(wide))
    assert guard.admits(ipaddress.IPv6Address((0xFFFF << 32) | number)) is admitted
    assert guard.admits(ipaddress.IPv6Address((0x64FF9B << 96) | number)) is admitted
    for identifier in (0x00005EFE, 0x02005EFE):
        isatap = ipaddress.IPv6Address((0x26064700 << 96) | (identifier << 32) | number)
        assert guard.admits(isatap) is admitted


@given(V4 | st.ip_addresses(v=6))
def test_allowing_everything_allows_everything(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """
    And allowing something takes nothing away from others.
    """
    everything = Guard([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])
    assert everything.admits(address)
    if Guard().admits(address):
        assert Guard(PRIVATE).admits(address)


def test_allowed_networks() -> None:
    """
    In every spelling, and nothing beside them.
    """
    guard = Guard([ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")])
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2606:4700::5efe:10.1.2.3", "fd00::1"):
        assert guard.admits(ipaddress.ip_address(text))
    for text in ("10.2.0.1", "::ffff:10.2.0.1", "::10.1.2.3", "2002:a01:203::", "fc00::1", "127.0.0.1"):
        assert not guard.admits(ipaddress.ip_address(text))


def test_meanings() -> None:
    """
    What an address can lead to.
    """
    private = ipaddress.ip_address("10.0.0.1")
    assert meanings(private) == (private,)
    assert meanings(ipaddress.ip_address("::ffff:10.0.0.1")) == (private,)
    assert meanings(ipaddress.ip_address("64:ff9b::10.0.0.1")) == (private,)
    isatap = ipaddress.ip_address("2606:4700::200:5efe:10.0.0.1")
    assert meanings(isatap) == (isatap, private)
    plain = ipaddress.ip_address("2606:4700::1111")
    assert meanings(plain) == (plain,)


def test_what_python_calls_global() -> None:
    """
    The standard library's own opinion is never stricter in what it refuses, but for what is left out on purpose.
    """
    lenient = (ipaddress.ip_network("2001:1::/32"), ipaddress.ip_network("192.0.0.0/24"))
    for text in ("10.0.0.1", "100.64.0.1", "192.168.0.1", "::1", "fe80::1", "fc00::1", "2001:db8::1", "198.18.0.1"):
        address = ipaddress.ip_address(text)
        assert not address.is_global
        assert not is_public(address)
    assert all(not is_public(network[1]) for network in lenient)


@given(st.text(alphabet="0123456789abcdefx.:[]", max_size=40))
def test_whatever_is_taken_for_an_address(text: str) -> None:
    """
    No text makes the guard fail.
    """
    try:
        target = read_authority(f"{text}:443")
    except Malformed:
        return
    if target.address is not None:
        Guard().admits(target.address)
