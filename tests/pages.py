"""
Pages as tests read them.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """
    A page without its fenced blocks.
    """
    return _FENCE.sub("", page.read_text())


def rows(page: Path) -> list[list[str]]:
    """
    The rows of a page's tables, as cells.
    """
    lines = (line.strip() for line in prose(page).splitlines())
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def examples(page: Path) -> list[str]:
    """
    Its blocks of TOML.
    """
    found: list[str] = _TOML.findall(page.read_text())
    return found
