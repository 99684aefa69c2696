"""
The page of routes.
"""

from __future__ import annotations

from aibridge.daemon.routespage import PAGE_PATH, page
from aibridge.providers.provider import TYPES
from pages import ROOT, rows


def test_the_page_is_as_the_tables_are() -> None:
    """
    As it is in the repository; `make docs` writes it anew.
    """
    assert (ROOT / PAGE_PATH).read_text(encoding="utf-8") == page()


def test_every_rule_has_a_row() -> None:
    """
    With its path, what becomes of it, and why it is refused if it is.
    """
    told = {(row[1].strip("`"), row[2]): row for row in rows(ROOT / PAGE_PATH) if len(row) == 5}
    for type_ in TYPES.values():
        if type_.name == "demo":
            continue
        for rule in type_.rules:
            row = told[rule.path, rule.treatment.value]
            assert rule.why in row[4]
