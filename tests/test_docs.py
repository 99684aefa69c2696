"""
What people read agrees with what there is: links lead somewhere, and nothing that the daemon says is left unexplained.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aibridge import errors
from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.daemon.admissionchecks import check_admission
from aibridge.daemon.assembly import Upstreams
from aibridge.daemon.decode import decode
from aibridge.daemon.gauges import Gauges
from aibridge.daemon.settings import leaves
from aibridge.errors import BridgeError
from aibridge.log import FIELDS
from aibridge.tally import Spread, Tally
from aibridge.web.bridge import BridgeResource
from aibridge.web.faults import FAULTS
from aibridge.web.settings import HttpSettings
from aibridge.web.site import BridgeSite
from fakes import bridge
from pages import ROOT, examples, prose, rows

OPERATIONS = ROOT / "docs" / "operations.md"
CLIENTS = ROOT / "docs" / "clients.md"
PROXY = ROOT / "docs" / "proxy.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "newsfragments").glob("*.md")])

_LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")

# A path that is somebody's, or a thing that only those who wrote it have.
FORBIDDEN = (r"/work\b", r"/tmp/", r"/root\b", r"/home/[a-z]", r"\bTODO\b", r"\bFIXME\b", r"\bXXX\b")


def anchors(page: Path) -> set[str]:
    """
    What a heading is called in a link: lower case, blanks become hyphens, punctuation goes.
    """
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    """
    The relative links of a page that lead nowhere.
    """
    for target in _LINK.findall(prose(page)):
        if _ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else page.parent / path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


def kinds() -> list[type[BridgeError]]:
    """
    The errors that can happen.
    """
    classes = (cls for _, cls in inspect.getmembers(errors, inspect.isclass))
    return [cls for cls in classes if issubclass(cls, BridgeError) and hasattr(cls, "kind")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """
    Every relative link leads to a file, and to a heading in it.
    """
    assert list(broken(page)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    """
    A file that is not there, a heading that is not there, and a link over two lines; code is not looked at.
    """
    page = tmp_path / "page.md"
    page.write_text(
        "# The head, or not\n[a](none.md) [b](#the-head-or-not) [c](#foot) [d\ne](lost.md) [f](https://example.com)\n"
        "```\n[g](in-code.md)\n```\n"
    )
    assert list(broken(page)) == ["none.md", "#foot", "lost.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_private_is_told(page: Path) -> None:
    """
    Pages are about the project, not about the machine on which they were written.
    """
    text = page.read_text()
    assert [word for word in FORBIDDEN if re.search(word, text)] == []


def test_every_page_is_linked_from_the_index() -> None:
    """
    A page that nothing leads to is one that nobody reads.
    """
    docs = ROOT / "docs"
    linked = {(docs / target.partition("#")[0]).resolve() for target in _LINK.findall(prose(docs / "index.md"))}
    pages = {page.resolve() for page in docs.rglob("*.md")} - {(docs / "index.md").resolve()}
    assert pages - linked == set()


@pytest.mark.parametrize("page", sorted({*PAGES} - {CLIENTS, PROXY}), ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_are_configurations(page: Path) -> None:
    """
    Each piece of TOML is one that the daemon would take, and nothing about its limits is odd; clients have their own,
    and so has the proxy.
    """
    for text in examples(page):
        settings, faults = decode(tomllib.loads(text))
        assert faults == [], text
        assert list(check_admission(settings, (), ())) == [], text


def test_a_configuration_is_explained_whole() -> None:
    """
    Every option about limits is in the page that explains them.
    """
    told = (ROOT / "docs" / "limits.md").read_text()
    for cls in (AdmissionSettings, BreakerSettings, LimitSettings):
        for leaf in leaves(cls):
            assert re.search(rf"\b{leaf.name}\b", told), leaf.name


@pytest.mark.parametrize("error", kinds(), ids=lambda error: str(error.kind))
def test_every_refusal_is_explained(error: type[BridgeError]) -> None:
    """
    Each error's reason and kind are in a row of operations, with the status that the table of faults gives it.
    """
    status, reason, kind = str(FAULTS[error].status), f"`{error.reason}`", f"`{error.kind}`"
    found = [row for row in rows(OPERATIONS) if kind in row[:3]]
    assert len(found) == 1, f"{kind} has {len(found)} rows"
    assert status in found[0][1]
    # The kinds of one reason that has many are in a table of their own.
    assert reason in (found[0][0], "`upstream`")
    assert any(row[0] == reason for row in rows(OPERATIONS))


@pytest.mark.parametrize("error", kinds(), ids=lambda error: str(error.kind))
def test_clients_are_told_what_errors_look_like(error: type[BridgeError]) -> None:
    """
    Each status that a client can see is in a row of clients, with its reason and its words in both dialects.
    """
    words = FAULTS[error]
    if error is errors.ClientLeft:
        return
    (row,) = [row for row in rows(CLIENTS) if row[0] == str(words.status) and f"`{error.reason}`" in row[1]]
    assert row[2] == ", ".join(f"`{word or 'null'}`" for word in words.openai)
    assert row[3] == f"`{words.anthropic}`"


def test_every_metric_is_explained() -> None:
    """
    Each metric, by the name that is scraped, is in a row of operations with its labels, and no other is.
    """
    fixture = bridge()
    metrics, upstreams = fixture.bridge.metrics, Upstreams(fixture.clock)
    labels: dict[str, Sequence[str]] = {}
    for counted in (getattr(metrics, name) for name in dir(metrics)):
        if isinstance(counted, Tally | Spread):
            labels[counted.collect().name] = counted.names
        elif hasattr(counted, "_labelnames"):
            labels[counted._name] = counted._labelnames
    site = BridgeSite(BridgeResource(fixture.bridge), HttpSettings(), fixture.clock)
    gauges = [*Gauges(fixture.bridge, site, upstreams).collect()]
    labels.update({family.name: family._labelnames for family in gauges})  # type: ignore[attr-defined]  # no other way
    wanted = {
        family.name + ("_total" if family.type == "counter" else ""): ", ".join(labels[family.name])
        for family in (*metrics.registry.collect(), *gauges)
    }
    told = {row[0].strip("`"): row[1] for row in rows(OPERATIONS) if row[0].startswith("`aibridge_")}
    assert told == wanted


def test_every_field_of_a_completion_is_explained() -> None:
    """
    Each field of a completion line is in operations.
    """
    fields = {"time" if name == "at" else name for name in FIELDS}
    told = {name for row in rows(OPERATIONS) for name in re.findall(r"`(\w+)`", row[0])}
    assert fields - told == set()
