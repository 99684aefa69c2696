"""
How commands speak: lines and tables, on terminals of whatever means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from aibridge.daemon.problems import one_line


def say(stream: TextIO, line: str) -> None:
    """
    Write one line. What would not be printed as it is, line ends and escapes among it, is written out, and so is what
    the stream's encoding does not have.
    """
    # A path may hold what the terminal's encoding does not.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(one_line(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """
    The lines of a table whose columns are as wide as they have to be.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
