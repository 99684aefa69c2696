"""
``aibridge explain``.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from aibridge.cli.explain import ABSENT, FAILED, FOUND, run
from aibridge.log import as_json, as_text
from making import completion

ID = "00ff00ff00ff00ff00ff00ff"
LINE = as_text(completion()).encode() + b"\n"
TOLD = f"Request {ID} ended at 2026-11-24T00:00:00.250Z.\n"


class Shell:
    """
    Somebody at a terminal.

    :ivar journal: what the journal has, or None where there is none.
    :ivar units: those whose journals were looked in.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ: dict[str, str] = {}
        self.stdin: list[bytes] = []
        self.journal: list[bytes] | None = None
        self.units: list[str] = []

    def read_journal(self, unit: str) -> Iterable[bytes]:
        """
        Stands in for journalctl.
        """

        def lines() -> Iterator[bytes]:
            self.units.append(unit)
            if self.journal is None:
                raise FileNotFoundError(2, "No such file or directory", "journalctl")
            yield from self.journal

        return lines()

    def configure(self, text: str) -> None:
        """
        Write the daemon's configuration.
        """
        (self.directory / "aibridge.toml").write_text(text)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """
        Run the command: its status, what it said, and what it complained of.
        """
        stdout, stderr = io.StringIO(), io.StringIO()
        status = run(
            list(arguments),
            stdout,
            stderr,
            self.environ,
            stdin=self.stdin,
            journal=self.read_journal,
            default_config=str(self.directory / "aibridge.toml"),
        )
        return status, stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """
    A shell on a machine without any log.
    """
    return Shell(tmp_path)


class TestWhere:
    """
    Where it looks.
    """

    def test_standard_input(self, shell: Shell) -> None:
        """
        A hyphen is standard input.
        """
        shell.stdin = [b"noise\n", LINE]
        status, said, complained = shell(ID, "--log", "-")
        assert (status, complained) == (FOUND, "")
        assert said.startswith(TOLD)

    def test_a_file(self, shell: Shell) -> None:
        """
        A file that is named, or the one that the configuration names, in either form, and what it was rotated into.
        """
        path = shell.directory / "completions.log"
        path.write_bytes(b"noise\n")
        (shell.directory / "completions.log.2.gz").write_bytes(gzip.compress(as_json(completion()).encode()))
        assert shell(ID, "--log", str(path))[1].startswith(TOLD)
        shell.configure(f'[log]\ncompletions = "{path}"\n[http]\nwrong = 1\n')
        assert shell(ID)[1].startswith(TOLD)
        shell.configure("")
        shell.environ["AIBRIDGE_LOG_COMPLETIONS"] = str(path)
        assert shell(ID)[1].startswith(TOLD)

    def test_another_configuration(self, shell: Shell) -> None:
        """
        One that is named counts.
        """
        (shell.directory / "c.log").write_bytes(LINE)
        other = shell.directory / "other.toml"
        other.write_text(f'[log]\ncompletions = "{shell.directory}/c.log"\n')
        assert shell(ID, "--config", str(other))[0] == FOUND

    def test_the_newest_first(self, shell: Shell) -> None:
        """
        A broken part of a log is complained of, and the others are looked in.
        """
        path = shell.directory / "c.log"
        path.write_bytes(LINE)
        broken = shell.directory / "c.log.1.gz"
        broken.write_bytes(b"no such thing")
        assert shell(ID, "--log", str(path))[0] == FOUND
        os.utime(path, (0, 0))
        status, said, complained = shell(ID, "--log", str(path))
        assert (status, said.startswith(TOLD)) == (FOUND, True)
        assert complained.startswith(f"aibridge explain: {broken}: ")

    def test_the_journal(self, shell: Shell) -> None:
        """
        Where completions go to the daemon's output, they are in the journal of its unit.
        """
        shell.journal = [LINE]
        assert shell(ID)[1].startswith(TOLD)
        assert shell(ID, "--unit", "aibridge@2")[0] == FOUND
        assert shell.units == ["aibridge", "aibridge@2"]


class TestNothing:
    """
    What it says when there is nothing to say.
    """

    def test_absent(self, shell: Shell) -> None:
        """
        A log that does not tell of the request has a status of its own.
        """
        shell.journal = [LINE]
        for arguments, place in ((("--log", "-"), "standard input"), ((), "the journal of aibridge")):
            status, said, complained = shell("1234", *arguments)
            assert (status, said) == (ABSENT, "")
            assert place in complained
            assert complained.count("\n") == 1

    def test_no_log(self, shell: Shell) -> None:
        """
        No journal, no file, and completions that go nowhere are told apart.
        """
        assert "there is no journalctl here" in shell(ID)[2]
        assert "there is no file of that name" in shell(ID, "--log", f"{shell.directory}/none")[2]
        assert "No such file or directory" in shell(ID, "--log", f"{shell.directory}/none/none")[2]
        assert "none.toml: No such file" in shell(ID, "--config", f"{shell.directory}/none.toml")[2]
        shell.configure('[log]\ncompletions = ""\n')
        assert "log.completions is empty" in shell(ID)[2]
        shell.configure("[log]\ncompletions = 5\n")
        assert "log.completions has to be" in shell(ID)[2]
        shell.configure("[log")
        status, said, complained = shell(ID)
        assert (status, said) == (FAILED, "")
        assert "not valid TOML" in complained

    @pytest.mark.parametrize(
        "arguments", [(), ("a b",), ("",), ("é",), ("aib_0123456789ab_x",), ("a", "b"), ("a", "--nothing")]
    )
    def test_wrong_arguments(self, shell: Shell, arguments: tuple[str, ...]) -> None:
        """
        What is no id is an error; a token is not repeated.
        """
        status, said, complained = shell(*arguments)
        assert (status, said) == (FAILED, "")
        assert complained.startswith("aibridge explain: ")
        assert complained.count("\n") == 1
        assert "aib_0" not in complained

    def test_help(self, shell: Shell) -> None:
        """
        Help says where it looks, and what the statuses mean.
        """
        status, said, _ = shell("--help")
        assert status == FOUND
        assert "--log" in said
        assert "Exit status" in said


def test_what_is_in_a_log_does_nothing_to_a_terminal(shell: Shell) -> None:
    """
    A model that is called like an escape sequence is written out.
    """
    shell.stdin = [as_text(completion(model="\x1b[2J\n")).encode()]
    assert "\\x1b[2J\\n" in shell(ID, "--log", "-")[1]
