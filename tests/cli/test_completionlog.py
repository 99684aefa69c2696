"""
Finding the line of one request.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.cli.completionlog import BROKEN, find, journal, open_log, read, rotated
from aibridge.log import FIELDS, Completion, as_json, as_text, timestamp
from making import completion

texts = st.text(st.characters(), max_size=30)


def told(c: Completion) -> dict[str, str]:
    """
    What a line of it says, as text.
    """
    values = {name: getattr(c, name) for name in FIELDS}
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return {**fields, "at": timestamp(c.at)}


class TestRead:
    """
    One line.
    """

    @given(texts, texts, texts)
    def test_both_forms(self, model: str, principal: str, hint: str) -> None:
        """
        Every field is read from either form as it was told, whatever clients call themselves and their models.
        """
        # Of a name that is a hyphen the text form does not tell whether there is one.
        changes: dict[str, Any] = {"model": model, "principal": principal, "hint": hint}
        c = completion(**{name: value for name, value in changes.items() if value != "-"})
        for line in (as_text(c), as_json(c)):
            fields = read(line)
            assert fields is not None
            fields["at"] = fields.pop("time")
            for name, value in told(c).items():
                if name in ("first_byte_s", "added_s", "duration_s", "queued_s", "retry_after_s"):
                    assert float(fields.pop(name)) == float(value)
                else:
                    assert fields.pop(name) == value, name
            assert not fields

    @pytest.mark.parametrize("form", [as_text, as_json])
    def test_what_stands_in_front(self, form: Any) -> None:
        """
        What journals, container runtimes and shippers put in front of a line, or behind it, does not matter.
        """
        line = form(completion())
        for front in ("Nov 24 09:30:00 host twistd[1]: ", "2026-11-24T09:30:00Z stdout F ", "\ufeff"):
            fields = read(front + line + "\n")
            assert fields is not None
            assert fields["request_id"] == "00ff00ff00ff00ff00ff00ff"
            assert fields["duration_s"] in ("3.500000", "3.5")

    def test_further_fields(self) -> None:
        """
        Fields that nobody knows yet are read as well.
        """
        assert read('x completion request_id=1 new=a other=- third="b c"') == {
            "time": "x",
            "request_id": "1",
            "new": "a",
            "other": "",
            "third": "b c",
        }
        line = '{"event":"completion","request_id":"1","new":[1,{"a":null}],"off":null,"on":true}'
        assert read(line) == {"request_id": "1", "new": '[1, {"a": null}]', "off": "", "on": "true"}

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "2026-11-24T09:30:00.123Z info  aibridge: A completion came.",
            '{"event":"log","request_id":"1"}',
            '{"request_id":"1"}',
            "[1]",
            '{"event":"completion"',
            "{" * 5000,
        ],
    )
    def test_other_lines(self, line: str) -> None:
        """
        What is no completion is none.
        """
        assert read(line) is None

    @given(st.text() | texts.map("completion request_id=".__add__))
    def test_whatever_comes(self, line: str) -> None:
        """
        Any line is one or is none; nothing is raised.
        """
        fields = read(line)
        assert fields is None or all(isinstance(value, str) for value in fields.values())


class TestFind:
    """
    Among others.
    """

    @pytest.mark.parametrize("form", [as_text, as_json])
    def test_the_right_one(self, form: Any) -> None:
        """
        Only the line whose id it is, wherever else the id may stand.
        """
        lines = [form(completion(request_id=id, model=model)) for id, model in (("a1", "b2"), ("a", "x"), ("b2", "y"))]
        data = [line.encode() + b"\n" for line in (*lines, "b2 is not a line")]
        for id, model in (("a1", "b2"), ("b2", "y"), ("a", "x")):
            fields = find(id, data)
            assert fields is not None
            assert fields["model"] == model
        assert find("c", data) is None

    def test_broken_lines(self) -> None:
        """
        Bytes that are no text spoil no other line.
        """
        assert find("a", [b"\xff a \n", as_text(completion(request_id="a")).encode()]) is not None


class TestFiles:
    """
    Logs on disk.
    """

    def test_rotated(self, tmp_path: Path) -> None:
        """
        A log's older parts belong to it, by number or by date, compressed or not; the newest comes first.
        """
        names = ["c.log", "c.log.1", "c.log.2.gz", "c.log-20261124", "c.log-20261123.xz", "c.log-2026-11-22.bz2"]
        for age, name in enumerate(names):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
        for name in ("c.log.old", "c.log.1.txt", "c.log2", "d.log.1", "c.log.1.gz.tmp", "c"):
            (tmp_path / name).touch()
        (tmp_path / "c.log.9").mkdir()
        assert [path.name for path in rotated(tmp_path / "c.log")] == names
        (tmp_path / "c.log").unlink()
        assert [path.name for path in rotated(tmp_path / "c.log")] == names[1:]
        assert rotated(tmp_path / "none.log") == []

    def test_compressed(self, tmp_path: Path) -> None:
        """
        What logrotate makes of a file can be read.
        """
        data = b"one\ntwo\n"
        for suffix, compress in (("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
            path = tmp_path / f"c.log.1{suffix}"
            path.write_bytes(compress(data))
            with open_log(path) as lines:
                assert list(lines) == [b"one\n", b"two\n"]

    @pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
    def test_broken(self, tmp_path: Path, suffix: str) -> None:
        """
        What is cut off or is something else raises what callers look out for.
        """
        compress: dict[str, Any] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        path = tmp_path / f"c.log.1{suffix}"
        for data in (b"no such thing", compress[suffix](os.urandom(1000))[:-20]):
            path.write_bytes(data)
            with pytest.raises(BROKEN), open_log(path) as lines:
                list(lines)


def fake_journalctl(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """
    Have this stand in for journalctl.
    """
    path = directory / "journalctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


class TestJournal:
    """
    systemd's journal.
    """

    def test_lines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The unit's lines as they were written, the newest first.
        """
        fake_journalctl(tmp_path, monkeypatch, 'echo "$@"; echo two')
        first, second = journal("bridge")
        assert first.split() == b"--unit bridge --output cat --reverse --no-pager --quiet".split()
        assert second == b"two\n"

    def test_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What it complains of is told.
        """
        fake_journalctl(tmp_path, monkeypatch, "echo no journal >&2; echo more >&2; exit 1")
        with pytest.raises(OSError, match="no journal"):
            list(journal("bridge"))

    def test_no_journal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where there is no such command, that is told, too.
        """
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(FileNotFoundError):
            list(journal("bridge"))

    def test_leaving_early(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Whoever has found a line leaves no process behind.
        """
        fake_journalctl(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; while :; do echo line; done")
        lines = journal("bridge")
        assert next(iter(lines)) == b"line\n"
        lines.close()  # type: ignore[attr-defined]  # it is a generator, as whoever drops it relies on
        pid = (tmp_path / "pid").read_text().strip()
        assert subprocess.run(["kill", "-0", pid], capture_output=True).returncode != 0
