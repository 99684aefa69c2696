"""
Tests for `aibridge.daemon.egress`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from aibridge.daemon.egress import proxy_url, resolve_proxies
from aibridge.daemon.problems import NOT_SHOWN, Severity, Unacceptable
from aibridge.daemon.settings import BridgeDaemonSettings, Settings
from aibridge.providers.settings import ProviderSettings

PASSWORD = "pr0xyPassw0rd"
URL = f"http://user:{PASSWORD}@proxy.corp:3128"
OPENAI = ProviderSettings(name="openai", type="openai")


def settings(*providers: ProviderSettings, trust_env: bool = False) -> Settings:
    """
    Of some providers.
    """
    return Settings(provider=providers, daemon=BridgeDaemonSettings(trust_env=trust_env))


class TestConfigured:
    """
    A provider that has a proxy of its own.
    """

    def test_found(self) -> None:
        """
        By reference or as it is; one without is reached without.
        """
        providers = [
            ProviderSettings(name="one", type="openai", proxy="http://proxy.corp:3128"),
            ProviderSettings(name="two", type="anthropic", proxy="env:WAY_OUT"),
            ProviderSettings(name="three", type="anthropic"),
        ]
        proxies, faults = resolve_proxies(settings(*providers), {"WAY_OUT": URL, "HTTPS_PROXY": "http://other"})
        assert faults == []
        assert {name: proxy.label for name, proxy in proxies.items()} == {
            "one": "http://proxy.corp:3128",
            "two": "http://proxy.corp:3128",
        }
        assert proxies["one"].authorization is None
        assert proxies["two"].authorization is not None

    def test_before_the_environment(self) -> None:
        """
        It goes before the one that the environment names, also where that would be left out.
        """
        own = ProviderSettings(name="own", type="openai", proxy="http://own.corp:1")
        environ = {"HTTPS_PROXY": "http://common.corp:2", "NO_PROXY": "*"}
        proxies, _ = resolve_proxies(settings(own, trust_env=True), environ)
        assert proxies["own"].label == "http://own.corp:1"

    def test_unusable(self) -> None:
        """
        Each is told of, and none is shown.
        """
        providers = [
            ProviderSettings(name="one", type="openai", proxy="env:NONE"),
            ProviderSettings(name="two", type="openai", proxy="env:SOCKS"),
            ProviderSettings(name="three", type="openai", proxy_ca_file="/nowhere/ca.pem"),
        ]
        proxies, faults = resolve_proxies(settings(*providers), {"SOCKS": f"socks5://user:{PASSWORD}@proxy"})
        assert proxies == {}
        assert [fault.path for fault in faults] == [
            ("provider", 0, "proxy"),
            ("provider", 1, "proxy"),
            ("provider", 2, "proxy_ca_file"),
        ]
        assert not any(PASSWORD in fault.found for fault in faults)

    def test_demo(self) -> None:
        """
        The simulated provider is in the same process.
        """
        demo = ProviderSettings(name="demo", type="demo", proxy="http://proxy.corp")
        proxies, (fault,) = resolve_proxies(settings(demo), {})
        assert (proxies, fault.severity, fault.path) == ({}, Severity.WARNING, ("provider", 0, "proxy"))


class TestEnvironment:
    """
    What the environment names, if it is trusted.
    """

    @pytest.mark.parametrize(
        ("environ", "label"),
        [
            ({"HTTPS_PROXY": URL}, "http://proxy.corp:3128"),
            ({"https_proxy": URL}, "http://proxy.corp:3128"),
            ({"https_proxy": URL, "HTTPS_PROXY": "http://other"}, "http://proxy.corp:3128"),
            ({"https_proxy": "", "HTTPS_PROXY": "http://other"}, None),
            ({"HTTPS_PROXY": "proxy.corp:3128"}, "http://proxy.corp:3128"),
            ({"HTTPS_PROXY": f"user:{PASSWORD}@proxy.corp:3128"}, "http://proxy.corp:3128"),
            ({"HTTPS_PROXY": "https://proxy.corp"}, "https://proxy.corp:443"),
            ({"HTTPS_PROXY": ""}, None),
            ({"HTTP_PROXY": URL, "http_proxy": URL}, None),
            ({}, None),
            ({"HTTPS_PROXY": URL, "NO_PROXY": "openai.com"}, None),
            ({"HTTPS_PROXY": URL, "no_proxy": "openai.com", "NO_PROXY": "x.test"}, None),
            ({"HTTPS_PROXY": URL, "no_proxy": "", "NO_PROXY": "openai.com"}, "http://proxy.corp:3128"),
            ({"HTTPS_PROXY": URL, "NO_PROXY": "api.anthropic.com"}, "http://proxy.corp:3128"),
        ],
    )
    def test_names(self, environ: dict[str, str], label: str | None) -> None:
        """
        Lower-case names go before upper-case ones, as in most programs.
        """
        proxies, faults = resolve_proxies(settings(OPENAI, trust_env=True), environ)
        assert faults == []
        assert (proxies["openai"].label if proxies else None) == label

    def test_not_trusted(self) -> None:
        """
        Nothing is taken from it, and nothing said about it, unless the configuration says so.
        """
        assert resolve_proxies(settings(OPENAI), {"HTTPS_PROXY": "socks5://x"}) == ({}, [])

    @pytest.mark.parametrize(
        "base_url", ["http://llm.corp:8000", "https://localhost:8443", "https://127.0.0.1:8443", "https://[::1]:8443"]
    )
    def test_direct(self, base_url: str) -> None:
        """
        What is not encrypted, and what is on this machine.
        """
        provider = ProviderSettings(name="own", type="openai-compatible", base_url=base_url)
        assert resolve_proxies(settings(provider, trust_env=True), {"HTTPS_PROXY": URL}) == ({}, [])

    def test_demo(self) -> None:
        """
        The simulated provider is reached without.
        """
        demo = ProviderSettings(name="demo", type="demo")
        assert resolve_proxies(settings(demo, trust_env=True), {"HTTPS_PROXY": URL}) == ({}, [])

    def test_unusable(self) -> None:
        """
        Told of once, with the variable's name and nothing of its text.
        """
        environ = {"https_proxy": f"socks5://user:{PASSWORD}@proxy"}
        proxies, (fault,) = resolve_proxies(settings(OPENAI, OPENAI, trust_env=True), environ)
        assert proxies == {}
        assert fault.path == ("daemon", "trust_env")
        assert fault.found.startswith(f"environment variable https_proxy, {NOT_SHOWN}: ")
        assert PASSWORD not in fault.found

    def test_authorities(self, tmp_path: Path) -> None:
        """
        The provider says whom to trust for it.
        """
        provider = ProviderSettings(name="own", type="openai", proxy_ca_file=f"{tmp_path}/ca.pem")
        proxies, _ = resolve_proxies(settings(provider, trust_env=True), {"HTTPS_PROXY": URL})
        assert proxies["own"].ca_file == f"{tmp_path}/ca.pem"


def test_references(tmp_path: Path) -> None:
    """
    A file may hold the URL; one that others may read is refused.
    """
    path = tmp_path / "proxy"
    path.write_text(f"{URL}\n")
    path.chmod(0o600)
    assert proxy_url(f"file:{path}", "", {}).host == "proxy.corp"
    path.chmod(0o644)
    with pytest.raises(Unacceptable):
        proxy_url(f"file:{path}", "", {})
