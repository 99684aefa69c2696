"""
What counts as one address.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.identity.address import MOST_TEXT, place_of, site_of


@pytest.mark.parametrize(
    ("client_host", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("", ""),
        ("unix", "unix"),
        ("not:an:address", "not:an:address"),
        ("a:\0", "a:\0"),
        ("é::1", "é::1"),
        ("x" * 1000, "x" * MOST_TEXT),
        (":" * 1000, ":" * MOST_TEXT),
    ],
)
def test_each(client_host: str, place: str) -> None:
    """
    IPv4 as it is, IPv6 by its /64, and anything else as it is, at a bounded length.
    """
    assert place_of(client_host) == place


@given(st.ip_addresses(v=6))
def test_ipv6(address: ipaddress.IPv6Address) -> None:
    """
    An IPv6 address is counted for the network of 64 bits that it is in, unless it is an IPv4 address in disguise.
    """
    if address.ipv4_mapped:
        assert place_of(str(address)) == str(address.ipv4_mapped)
    else:
        assert ipaddress.ip_network(place_of(str(address))) == ipaddress.ip_network((address, 64), strict=False)


@given(st.text())
def test_any_text(text: str) -> None:
    """
    No text is an error, and none makes a long key.
    """
    assert len(place_of(text)) <= MOST_TEXT


@pytest.mark.parametrize(
    ("place", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1::/64", "2001:db8:1::/48"),
        ("::/64", "::/48"),
        ("", ""),
        ("unix", "unix"),
        ("nothing::/64", "nothing::/64"),
    ],
)
def test_sites(place: str, site: str) -> None:
    """
    IPv6 by /48, and all else as it is.
    """
    assert site_of(place) == site


@given(st.ip_addresses())
def test_one_place_is_in_one_site(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """
    Whatever it is.
    """
    place = place_of(str(address))
    if "/" in place:
        assert ipaddress.IPv6Network(place).subnet_of(ipaddress.IPv6Network(site_of(place)))
    else:
        assert site_of(place) == place
