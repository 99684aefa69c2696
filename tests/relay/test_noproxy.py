"""
Tests for `aibridge.relay.noproxy`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.relay.noproxy import goes_direct


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("", "api.openai.com", 443, False),
        ("*", "api.openai.com", 443, True),
        ("openai.com", "api.openai.com", 443, True),
        ("openai.com", "openai.com", 443, True),
        (".openai.com", "api.openai.com", 443, True),
        ("*.openai.com", "api.openai.com", 443, True),
        ("openai.com.", "API.OpenAI.com.", 443, True),
        ("openai.com", "notopenai.com", 443, False),
        ("api.openai.com", "openai.com", 443, False),
        ("com", "api.openai.com", 443, True),
        (".", "api.openai.com", 443, False),
        ("example.org, openai.com", "api.openai.com", 443, True),
        ("example.org openai.com", "api.openai.com", 443, True),
        (",,", "api.openai.com", 443, False),
        ("openai.com:443", "api.openai.com", 443, True),
        ("openai.com:8443", "api.openai.com", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.1/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "api.openai.com", 443, False),
        ("2.3", "10.1.2.3", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd12::1", "fd12::1", 443, True),
        ("[fd12::1]", "fd12::1", 443, True),
        ("[fd12::1]:443", "fd12::1", 443, True),
        ("[fd12::1]:80", "fd12::1", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("http://openai.com", "api.openai.com", 443, False),
        ("", "localhost", 443, True),
        ("", "llm.localhost", 443, True),
        ("", "127.0.0.9", 443, True),
        ("", "::1", 443, True),
    ],
)
def test_goes_direct(no_proxy: str, host: str, port: int, direct: bool) -> None:
    """
    As people write it.
    """
    assert goes_direct(no_proxy, host, port) is direct


@given(no_proxy=st.text(), host=st.text(), port=st.integers(1, 65535))
def test_whatever_is_written(no_proxy: str, host: str, port: int) -> None:
    """
    Nothing fails.
    """
    assert goes_direct(no_proxy, host, port) in (True, False)
