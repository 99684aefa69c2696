"""
The page of the AI Proxy leaves nothing unexplained that it says, and what it tells people to do is tested.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry

from aibridge.cli.command import COMMANDS
from aibridge.daemon.decode import decode
from aibridge.daemon.proxy import service
from aibridge.daemon.proxy.settings import SCHEMA
from aibridge.mitm import asking, sessions, tunnel
from aibridge.mitm.hosts import BUILTIN, Hosts
from aibridge.mitm.lines import RequestLine, SessionLine
from aibridge.mitm.metrics import ProxyMetrics
from aibridge.mitm.refusals import Refusal
from aibridge.tally import Spread, Tally
from pages import ROOT, examples, rows

README = ROOT / "README.md"
PAGE = ROOT / "docs" / "proxy.md"
TESTS = ROOT / "tests" / "integration" / "test_proxy_sdks.py"
TOLD = ("HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "update-ca-certificates")


def first_cells() -> set[str]:
    """
    Every word that the first cell of a row explains.
    """
    return {word for row in rows(PAGE) for word in re.findall(r"`([^`]+)`", row[0])}


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: str(refusal.kind))
def test_every_refusal_is_explained(refusal: Refusal) -> None:
    """
    Who refused, with which status, and why.
    """
    (row,) = [row for row in rows(PAGE) if len(row) > 3 and row[2] == f"`{refusal.kind}`"]
    assert row[:2] == [f"`{refusal.reason}`", str(refusal.status)]


def test_every_metric_is_explained() -> None:
    """
    Each metric, by the name that is scraped, with its labels, and no other.
    """
    registry = CollectorRegistry()
    metrics = ProxyMetrics(registry)
    labels = {}
    for counted in vars(metrics).values():
        if isinstance(counted, Tally | Spread):
            labels[counted.collect().name] = counted.names
        elif hasattr(counted, "_labelnames"):
            labels[counted._name] = counted._labelnames
    wanted = {
        family.name + ("_total" if family.type == "counter" else ""): ", ".join(labels[family.name])
        for family in registry.collect()
    }
    assert {row[0].strip("`"): row[1] for row in rows(PAGE) if row[0].startswith("`aibridge_")} == wanted


def test_every_field_of_the_log_is_explained() -> None:
    """
    Of both kinds of lines.
    """
    fields = {
        "time" if field.name == "at" else field.name
        for cls in (SessionLine, RequestLine)
        for field in attrs.fields(cls)
    }
    assert fields - first_cells() == set()


def test_every_cause_is_explained() -> None:
    """
    How a connection can end that is no refusal.
    """
    causes = {sessions.UNTRUSTED, sessions.MISNAMED, sessions.TLS_FAILED, asking.CLIENT_LEFT, service.DRAINING}
    causes |= {tunnel.CLIENT_RESET, tunnel.HOST_RESET, tunnel.IDLE}
    assert causes - first_cells() == set()


def test_every_host_is_named() -> None:
    """
    Those that are intercepted without being configured, with the providers that they stand for.
    """
    told = {(row[0].strip("`"), row[1].strip("`")) for row in rows(PAGE)}
    assert {(place.host, place.name) for place in Hosts(BUILTIN)} <= told


@pytest.mark.parametrize("word", TOLD)
@pytest.mark.parametrize("page", [README, PAGE, TESTS], ids=lambda page: Path(page).stem)
def test_what_people_are_told_to_set_is_tested(page: Path, word: str) -> None:
    """
    Each way to trust the authority.
    """
    assert word in page.read_text()


@pytest.mark.parametrize("page", [PAGE, TESTS], ids=lambda page: Path(page).stem)
def test_what_else_people_are_told_is_tested(page: Path) -> None:
    """
    curl has a variable of its own.
    """
    assert "CURL_CA_BUNDLE" in page.read_text()


def test_examples_are_configurations() -> None:
    """
    Each piece of TOML is one that the proxy would take.
    """
    for text in examples(PAGE):
        assert decode(tomllib.loads(text), SCHEMA)[1] == [], text


@pytest.mark.parametrize(("page", "actions"), [(README, {"init", "export"}), (PAGE, {"init", "export", "rotate"})])
def test_commands_exist(page: Path, actions: set[str]) -> None:
    """
    Each `aibridge` command that a block shows.
    """
    blocks = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", page.read_text(), re.DOTALL))
    commands = re.findall(r"^aibridge ([a-z-]+)(?: ([a-z]+))?", blocks, re.MULTILINE)
    assert {command for command, _ in commands} <= set(COMMANDS)
    assert {action for command, action in commands if command == "ca"} == actions
