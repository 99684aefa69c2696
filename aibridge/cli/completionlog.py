"""
The completion line of one request: in a log file and those it was rotated into, or in the journal; as text or as JSON.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

Fields = dict[str, str]
"""Name → value, as text; empty where the line has none."""

BROKEN: Final = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What reading a file can raise, one that is cut off among them."""

_ROTATED: Final = re.compile(r"[.-][0-9][0-9.-]*(\.(?:gz|bz2|xz))?")
_OPENERS: Final[dict[str, Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

_TEXT: Final = re.compile(r"(?:(\S+) )?completion (?=\w+=)")
_FIELD: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def find(request_id: str, lines: Iterable[bytes]) -> Fields | None:
    """
    The fields of the line that tells of a request, if there is one among these.
    """
    needle = request_id.encode("utf-8", "surrogateescape")
    for line in lines:
        if needle in line:
            fields = read(line.decode("utf-8", "replace"))
            if fields is not None and fields.get("request_id") == request_id:
                return fields
    return None


def read(line: str) -> Fields | None:
    """
    The fields of a completion line, whatever a shipper of logs has put in front of it; None if it is none.
    """
    if (found := _TEXT.search(line)) is not None:
        fields = {"time": found[1] or ""}
        for name, value in _FIELD.findall(line[found.end() :]):
            fields[name] = _unquoted(value)
        return fields
    start = line.find("{")
    if start < 0:
        return None
    try:
        told, _ = json.JSONDecoder().raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("event") != "completion":
        return None
    return {name: _text(value) for name, value in told.items() if name != "event"}


def rotated(path: Path) -> list[Path]:
    """
    A log file and those it was rotated into, the newest first.
    """
    found = [path, *(other for other in path.parent.iterdir() if _is_rotated(other.name, path.name))]
    return sorted((other for other in found if other.is_file()), key=lambda other: -other.stat().st_mtime)


def open_log(path: Path) -> BinaryIO:
    """
    A log file to be read, compressed or not.
    """
    opened: BinaryIO = _OPENERS.get(path.suffix, open)(path, "rb")
    return opened


def journal(unit: str) -> Iterator[bytes]:
    """
    What a unit has written to systemd's journal, the newest line first.

    :raises OSError: there is no journal to be read.
    """
    command = ["journalctl", "--unit", unit, "--output", "cat", "--reverse", "--no-pager", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            yield from process.stdout
            said = process.stderr.read().decode("utf-8", "replace").strip()
            if process.wait():
                raise OSError(said.partition("\n")[0] or f"journalctl ended with {process.returncode}")
        finally:
            process.kill()


def _is_rotated(name: str, original: str) -> bool:
    return name.startswith(original) and _ROTATED.fullmatch(name, len(original)) is not None


def _unquoted(value: str) -> str:
    if value == "-":
        return ""
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
