"""
Tests for `aibridge.relay.proxyurl`.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.relay.proxyurl import ProxyURL, read_proxy_url


def shown(url: ProxyURL) -> str | None:
    """
    What the proxy is shown, decoded.
    """
    if url.authorization is None:
        return None
    scheme, _, encoded = url.authorization.reveal().partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(encoded).decode()


@pytest.mark.parametrize(
    ("text", "secure", "host", "port", "credentials"),
    [
        ("http://proxy", False, "proxy", 80, None),
        ("http://proxy:3128/", False, "proxy", 3128, None),
        ("https://proxy.corp.example", True, "proxy.corp.example", 443, None),
        ("HTTP://Proxy.Example:8080", False, "proxy.example", 8080, None),
        ("http://[2001:db8::1]:3128", False, "2001:db8::1", 3128, None),
        ("http://10.0.0.1:3128", False, "10.0.0.1", 3128, None),
        ("http://user:pass@proxy:3128", False, "proxy", 3128, "user:pass"),
        ("http://user@proxy", False, "proxy", 80, "user:"),
        ("http://:pass@proxy", False, "proxy", 80, ":pass"),
        ("http://us%40er:p%3Aa%2Fss@proxy", False, "proxy", 80, "us@er:p:a/ss"),
        ("http://user:a:b@proxy", False, "proxy", 80, "user:a:b"),
        ("http://user:p@ss@proxy", False, "proxy", 80, "user:p@ss"),
    ],
)
def test_read(text: str, secure: bool, host: str, port: int, credentials: str | None) -> None:
    """
    Address and credentials, each of which may be missing.
    """
    url = read_proxy_url(text, "/ca.pem")
    assert (url.secure, url.host, url.port, url.ca_file) == (secure, host, port, "/ca.pem")
    assert shown(url) == credentials


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy:3128",
        "//proxy:3128",
        "socks5://proxy:1080",
        "http://",
        "http://:3128",
        "http://proxy:0",
        "http://proxy:65536",
        "http://proxy:x",
        "http://proxy/path",
        "http://proxy?query",
        "http://proxy#fragment",
        "http://[::1",
        "http://pro xy",
        "http://proxy\r\nX: y",
        "http://pröxy",
        "http://-proxy",
    ],
)
def test_refused(text: str) -> None:
    """
    What is no proxy's address is told so, without being repeated.
    """
    with pytest.raises(ValueError, match="proxy") as caught:
        read_proxy_url(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_labels_have_no_credentials() -> None:
    """
    Neither label nor `repr`.
    """
    url = read_proxy_url("https://user:hunter2@proxy:8443")
    assert url.label == "https://proxy:8443"
    assert read_proxy_url("http://[::1]:1").label == "http://[::1]:1"
    assert "hunter2" not in repr(url)
    assert url.authorization is not None and url.authorization.reveal().split()[1] not in repr(url)


@given(st.text(max_size=60))
def test_whatever_comes(text: str) -> None:
    """
    Any text is an address or is refused; nothing else is raised.
    """
    try:
        url = read_proxy_url(f"http://{text}")
    except ValueError:
        return
    assert 0 < url.port < 65536 and url.host
