"""
Tests for `aibridge.daemon.proxy.checks`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aibridge.auth.settings import AuthSettings
from aibridge.daemon.problems import Fault, Severity, dotted
from aibridge.daemon.proxy.checks import SOON, check, check_authority
from aibridge.daemon.proxy.settings import ProxyDaemonSettings, ProxyListenSettings
from aibridge.mitm.authority import CA_DAYS, Authority, create
from aibridge.mitm.hosts import BUILTIN, Hosts
from aibridge.mitm.settings import BridgeSettings, ProxiedProvider, ProxySettings
from authorities import HOST, NOW
from making import faulty_declarations

OPEN = AuthSettings(backend="coder", coder_url="https://coder.test")


def told(*faults: Fault) -> list[tuple[str, str]]:
    """
    Where they are, and how bad.
    """
    return [(dotted(fault.path), fault.severity.value) for fault in faults]


def checked(**sections: object) -> list[tuple[str, str]]:
    """
    What is wrong with settings that are good but for these.
    """
    return told(*check(ProxyDaemonSettings(**{"auth": OPEN, **sections})))  # type: ignore[arg-type]  # they are sections


def test_defaults_are_good() -> None:
    """
    But for the file of tokens, which somebody has to make.
    """
    assert checked() == []
    assert told(*check(ProxyDaemonSettings(auth=AuthSettings(tokens_file="/nowhere/tokens.toml")))) == [
        ("auth.tokens_file", "error")
    ]
    assert faulty_declarations(ProxyListenSettings) == []


@pytest.mark.parametrize(
    ("sections", "faults"),
    [
        ({"listen": ProxyListenSettings(endpoints=("nonsense:1",))}, [("listen.endpoints", "error")]),
        ({"listen": ProxyListenSettings(proxy_protocol_from=("x",))}, [("listen.proxy_protocol_from", "error")]),
        ({"bridge": BridgeSettings(url="http://bridge.test")}, [("bridge.url", "warning")]),
        ({"bridge": BridgeSettings(url="https://h:99999")}, [("bridge.url", "error")]),
        ({"bridge": BridgeSettings(ca_file="/nowhere")}, [("bridge.ca_file", "error")]),
        ({"proxy": ProxySettings(tunnel="open")}, [("proxy.tunnel", "warning")]),
        ({"proxy": ProxySettings(ports=(0, 443, 65536))}, [("proxy.ports", "error"), ("proxy.ports", "error")]),
        ({"proxy": ProxySettings(allowed_private_cidrs=("10.0.0.1/8",))}, [("proxy.allowed_private_cidrs", "error")]),
        ({"proxy": ProxySettings(upstream_ca_file="/nowhere")}, [("proxy.upstream_ca_file", "error")]),
        ({"auth": AuthSettings(backend="none")}, [("proxy.tunnel", "warning")]),
        ({"auth": AuthSettings(backend="none"), "proxy": ProxySettings(tunnel="off")}, []),
        ({"auth": AuthSettings(backend="coder")}, [("auth.coder_url", "error")]),
    ],
)
def test_checked(sections: dict[str, object], faults: list[tuple[str, str]]) -> None:
    """
    What is wrong is found where it is; what is risky is a warning.
    """
    assert checked(**sections) == faults


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """
    As the bridge's.
    """
    from aibridge.daemon.settings import LogSettings

    assert checked(log=LogSettings(completions=f"{tmp_path}/none/f")) == [("log.completions", "error")]


class TestAuthority:
    """
    Whether clients would accept what it issues.
    """

    hosts = Hosts(BUILTIN)

    def authority(self, *hosts: str) -> Authority:
        """
        For the hosts that are intercepted, and these.
        """
        return create("CA", [*self.hosts.names(), *hosts], NOW)

    def test_good(self) -> None:
        """
        From its first day until a month before its last.
        """
        for days in (0, 1, CA_DAYS - SOON.days - 1):
            assert list(check_authority(self.authority(), self.hosts, NOW + timedelta(days=days))) == []

    def test_ends(self) -> None:
        """
        A warning in time, an error when it is too late or too early.
        """
        authority = self.authority()
        for days, severity in ((CA_DAYS - 29, Severity.WARNING), (CA_DAYS + 1, Severity.ERROR), (-3, Severity.ERROR)):
            (fault,) = check_authority(authority, self.hosts, NOW + timedelta(days=days))
            assert fault.severity is severity
            assert "ca rotate" in fault.hint

    def test_other_hosts(self) -> None:
        """
        One that was made for fewer hosts than are intercepted now is told of, with the hosts.
        """
        hosts = Hosts([ProxiedProvider(name="a", type="openai", hosts=("llm.test", "10.1.2.3")), *BUILTIN])
        (fault,) = check_authority(self.authority(), hosts, NOW)
        assert fault.severity is Severity.ERROR
        assert "llm.test, 10.1.2.3" in fault.found and HOST not in fault.found
        assert list(check_authority(self.authority("llm.test", "10.1.2.3"), hosts, NOW)) == []
