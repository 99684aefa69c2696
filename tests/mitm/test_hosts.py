"""
Tests for `aibridge.mitm.hosts`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.errors import BadRequest
from aibridge.mitm.hosts import BUILTIN, Clash, Hosts, Intercepted
from aibridge.mitm.settings import ProxiedProvider
from aibridge.mitm.targets import read_authority
from aibridge.model import Dialect


def hosts(*providers: ProxiedProvider) -> Hosts:
    """
    What these providers intercept.
    """
    return Hosts(providers)


def provider(name: str = "p", type: str = "openai", base_url: str = "", hosts: tuple[str, ...] = ()) -> ProxiedProvider:
    """
    One of them.
    """
    return ProxiedProvider(name=name, type=type, base_url=base_url, hosts=hosts)


def found(table: Hosts, authority: str) -> str | None:
    """
    Whose a target is.
    """
    place = table.find(read_authority(authority))
    return None if place is None else place.name


def place(**options: str) -> Intercepted:
    """
    The only host of a provider.
    """
    (only,) = hosts(provider(**options))  # type: ignore[arg-type]  # none of them is a list
    return only


class TestFind:
    """
    Which targets are intercepted.
    """

    def test_builtin(self) -> None:
        """
        What everybody means by these names.
        """
        table = hosts(*BUILTIN)
        assert {host: found(table, f"{host}:443") for host in table.names()} == {
            "api.openai.com": "openai",
            "api.anthropic.com": "anthropic",
            "api.individual.githubcopilot.com": "copilot",
            "api.business.githubcopilot.com": "copilot-business",
            "api.enterprise.githubcopilot.com": "copilot-enterprise",
        }

    @pytest.mark.parametrize("authority", ["api.openai.com:443", "API.OPENAI.COM:443", "api.openai.com.:00443"])
    def test_in_every_spelling(self, authority: str) -> None:
        """
        A host is the same however it is written.
        """
        assert found(hosts(*BUILTIN), authority) == "openai"

    @pytest.mark.parametrize(
        "authority",
        [
            "api.openai.com:80",
            "api.openai.com:8443",
            "openai.com:443",
            "www.api.openai.com:443",
            "api.openai.com.evil.test:443",
            "xapi.openai.com:443",
        ],
    )
    def test_nothing_else(self, authority: str) -> None:
        """
        Host and port have to be the same.
        """
        assert found(hosts(*BUILTIN), authority) is None

    def test_configured(self) -> None:
        """
        By the base URL's host and port, and by what else is named.
        """
        table = hosts(
            provider("a", base_url="https://llm.corp.test:8443/v1", hosts=("alias.test", "other.test:444")),
            provider("b", base_url="http://plain.test/v1"),
            provider("c", "demo", hosts=("[2001:db8::1]:443", "10.0.0.1")),
        )
        assert found(table, "llm.corp.test:8443") == "a"
        assert found(table, "llm.corp.test:443") is None
        assert found(table, "alias.test:443") == found(table, "other.test:444") == "a"
        assert found(table, "plain.test:80") == "b"
        assert found(table, "[2001:db8:0::1]:443") == found(table, "10.1:443") == "c"
        assert [each.secure for each in table] == [True, True, True, False, True, True]

    def test_clashes(self) -> None:
        """
        The first one has the host; the second is told of.
        """
        table = hosts(provider("a"), provider("b"), provider("b", hosts=("api.openai.com",)))
        assert found(table, "api.openai.com:443") == "a"
        assert Clash("api.openai.com:443", "a", "b") in table.clashes
        assert hosts(provider("a", hosts=("api.openai.com",))).clashes == []

    def test_in_clear_text(self) -> None:
        """
        A request in clear text may name a provider's host with the port that HTTP has; other ports are others'.
        """
        table = hosts(provider("a"), provider("b", base_url="https://llm.test:8443"))
        names = {
            authority: None if (place := table.find_plain(read_authority(authority))) is None else place.name
            for authority in ("api.openai.com:80", "api.openai.com:443", "llm.test:80", "llm.test:8443", "llm.test:81")
        }
        assert list(names.values()) == ["a", "a", "b", "b", None]


class TestPath:
    """
    What is asked of the bridge.
    """

    @pytest.mark.parametrize(
        ("options", "target", "path"),
        [
            ({}, b"/v1/chat/completions", b"/p/v1/chat/completions"),
            ({}, b"/v1/models?limit=5&a=%2F", b"/p/v1/models?limit=5&a=%2F"),
            ({}, b"/", b"/p/"),
            ({}, b"/anything/else", b"/p/anything/else"),
            ({"type": "anthropic"}, b"/v1/messages?beta=true", b"/p/v1/messages?beta=true"),
            ({"type": "copilot"}, b"/chat/completions", b"/p/chat/completions"),
            ({"base_url": "https://h.test/api/openai/v1/"}, b"/api/openai/v1/responses", b"/p/v1/responses"),
            ({"base_url": "https://h.test/api/openai/v1"}, b"/api/openai/v1", b"/p/v1"),
            ({"base_url": "https://h.test/api/openai/v1"}, b"/api/openai/v1beta/x", b"/p/api/openai/v1beta/x"),
            ({"base_url": "https://h.test/api/openai/v1"}, b"/v1/responses", b"/p/v1/responses"),
            ({"base_url": "https://h.test"}, b"/chat/completions", b"/p/v1/chat/completions"),
            ({"type": "anthropic", "base_url": "https://h.test/claude"}, b"/claude/v1/messages", b"/p/v1/messages"),
        ],
    )
    def test_paths(self, options: dict[str, str], target: bytes, path: bytes) -> None:
        """
        The provider's name and the client's path; what the base URL has before it becomes what the bridge has before
        it.
        """
        assert place(**options).path(target) == path

    @pytest.mark.parametrize(
        "target",
        [
            b"/v1/../../admin",
            b"/..",
            b"/./x",
            b"/v1/%2e%2e/%2E%2E/other/v1/models",
            b"/v1/..;a/x",
            b"/v1/..%2fother",
            b"/v1\\..\\x",
            b"/%252e%252e/x",
        ],
    )
    def test_no_way_out(self, target: bytes) -> None:
        """
        A path that could lead to another provider, or out of the bridge, goes nowhere.
        """
        with pytest.raises(BadRequest):
            place().path(target)

    @given(st.text("/.%2eEaAfF;\\?", max_size=30))
    def test_every_path_stays_below_its_provider(self, text: str) -> None:
        """
        Whatever the path is.
        """
        try:
            path = place().path(b"/" + text.encode())
        except BadRequest:
            return
        assert path.startswith(b"/p/")


class TestKnown:
    """
    How it is spoken of.
    """

    @pytest.mark.parametrize(
        ("type_", "target", "dialect", "label"),
        [
            ("openai", b"/v1/chat/completions", Dialect.CHAT, "/v1/chat/completions"),
            ("openai", b"/v1/responses?a", Dialect.RESPONSES, "/v1/responses"),
            ("openai", b"/v1/files", Dialect.CHAT, "/v1/files"),
            ("openai", b"/v1/nothing", Dialect.CHAT, ""),
            ("anthropic", b"/v1/messages", Dialect.MESSAGES, "/v1/messages"),
            ("anthropic", b"/nowhere", Dialect.MESSAGES, ""),
            ("demo", b"/v1/messages", Dialect.MESSAGES, "/v1/messages"),
            ("copilot", b"/v1/messages", Dialect.MESSAGES, "/v1/messages"),
        ],
    )
    def test_dialects(self, type_: str, target: bytes, dialect: Dialect, label: str) -> None:
        """
        By the route, and where there is none by the provider's type.
        """
        (only,) = hosts(provider("p", type_, hosts=("h.test",) if type_ == "demo" else ()))
        assert only.known_as(b"POST", only.path(target)) == (dialect, label)

    @pytest.mark.parametrize(
        ("value", "is_its"),
        [
            (b"api.openai.com", True),
            (b"api.openai.com:443", True),
            (b"API.openai.com.", True),
            (b"api.openai.com:80", False),
            (b"api.anthropic.com", False),
            (b"openai.com", False),
            (b"", False),
            (b"api.openai.com:x", False),
            (b"api.openai.com\xff", False),
        ],
    )
    def test_host_fields(self, value: bytes, is_its: bool) -> None:
        """
        With or without the port, and nothing else.
        """
        assert place().is_host(value) is is_its
