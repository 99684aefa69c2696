"""
Tests for `aibridge.mitm.targets`.
"""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.mitm.targets import Malformed, Target, read_absolute, read_authority, read_host


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.openai.com:443", "api.openai.com", 443),
        ("API.OpenAI.COM:443", "api.openai.com", 443),
        ("api.openai.com.:443", "api.openai.com", 443),
        ("api.openai.com:00443", "api.openai.com", 443),
        ("a:1", "a", 1),
        ("a_b.test:65535", "a_b.test", 65535),
        ("xn--nxasmq6b.test:443", "xn--nxasmq6b.test", 443),
        ("1and1.example:443", "1and1.example", 443),
        ("0xabc.example:443", "0xabc.example", 443),
        ("1.2.3.4:80", "1.2.3.4", 80),
        ("0x7f.1:80", "127.0.0.1", 80),
        ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443),
        ("[::ffff:1.2.3.4]:443", "::ffff:102:304", 443),
        (f"{'a' * 63}.{'b' * 63}:443", f"{'a' * 63}.{'b' * 63}", 443),
    ],
)
def test_authorities(text: str, host: str, port: int) -> None:
    """
    Every spelling comes to one form.
    """
    target = read_authority(text)
    assert (target.host, target.port) == (host, port)
    assert (target.address is not None) == (":" in host or host.replace(".", "").isdigit())
    assert read_authority(str(target)) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "a",
        "a:",
        "a:0",
        "a:65536",
        "a:-1",
        "a:٣",
        "a:4 3",
        "a:443443",
        "a..b:443",
        ".a:443",
        "a..:443",
        "-a:443",
        "a-:443",
        "a b:443",
        "user@a:443",
        "a/b:443",
        "a%2eb:443",
        "ä.test:443",
        "１.2.3.4:443",
        f"{'a' * 64}:443",
        f"{'a.' * 127}aa:443",
        "[::1:443",
        "::1]:443",
        "[::1]443",
        "[]:443",
        "[:::1]:443",
        "[1.2.3.4]:443",
        "[fe80::1%eth0]:443",
        "[fe80::1%25eth0]:443",
        "256.1.1.1:443",
        "1.2.3.256:443",
        "1.2.65536:443",
        "1.16777216:443",
        "4294967296:443",
        "1.2.3.4.5:443",
        "1..2:443",
        "08.1.1.1:443",
        "1.2.3.0xg:443",
        "a.0x:443 ",
        f"{'9' * 5000}:443",
    ],
)
def test_no_authorities(text: str) -> None:
    """
    What is none is refused, in words that are free of it.
    """
    with pytest.raises(Malformed) as caught:
        read_authority(text)
    assert str(caught.value)


def test_default_ports() -> None:
    """
    Taken only where one is given to be taken.
    """
    assert read_authority("a.test", 443) == Target("a.test", 443)
    assert read_authority("[::1]", 443).port == 443
    assert read_authority("a.test:80", 443).port == 80
    assert read_authority("a.test:", 443).port == 443


@pytest.mark.parametrize(
    ("text", "scheme", "authority", "path"),
    [
        ("http://api.test/v1/models?a=b", "http", "api.test:80", "/v1/models?a=b"),
        ("HTTPS://API.test", "https", "api.test:443", "/"),
        ("http://api.test:8080?a", "http", "api.test:8080", "/?a"),
        ("http://[::1]/", "http", "[::1]:80", "/"),
        ("http://a.test//b", "http", "a.test:80", "//b"),
    ],
)
def test_absolute(text: str, scheme: str, authority: str, path: str) -> None:
    """
    Scheme, target, and what a server would have been asked for.
    """
    found, target, rest = read_absolute(text)
    assert (found, str(target), rest) == (scheme, authority, path)


@pytest.mark.parametrize("text", ["", "/a", "ftp://a/", "http:/a", "http:///a", "http://a b/", "http://u@a/"])
def test_not_absolute(text: str) -> None:
    """
    And nothing is guessed.
    """
    with pytest.raises(Malformed):
        read_absolute(text)


def test_hosts() -> None:
    """
    A host alone, in its one form.
    """
    assert read_host("API.Test.") == "api.test"
    assert read_host("0x7f.1") == "127.0.0.1"
    with pytest.raises(Malformed):
        read_host("a b")


NUMBERS = st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "00{:o}"])


@given(
    st.lists(st.tuples(NUMBERS, st.integers(0, 2**33)), min_size=1, max_size=5),
    st.booleans(),
)
def test_numbers_are_read_as_the_system_reads_them(parts: list[tuple[str, int]], dotted: bool) -> None:
    """
    What inet_aton takes for an address is the same address here, and what it does not is none.
    """
    text = ".".join(form.format(value) for form, value in parts)
    try:
        known: str | None = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        known = None
    try:
        found = read_authority(f"{text}{'.' if dotted else ''}:443").address
    except Malformed:
        assert known is None
    else:
        assert str(found) == known


@given(st.text(max_size=80))
def test_whatever_comes(text: str) -> None:
    """
    Any text is a target or is refused, and a target's form is stable.
    """
    try:
        target = read_authority(text)
    except Malformed:
        return
    assert read_authority(str(target)) == target
    assert target.host == target.host.lower()
    if target.address is None:
        with pytest.raises(ValueError, match="address"):
            ipaddress.ip_address(target.host)
