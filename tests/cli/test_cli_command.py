"""
The `aibridge` command as a whole.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import aibridge
import aibridge.cli
from aibridge.cli.command import COMMANDS, main, run


def outcome(*arguments: str) -> tuple[int, str, str]:
    """
    The status of a command line, and what it said.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    return run(list(arguments), stdout, stderr, {}), stdout.getvalue(), stderr.getvalue()


def test_version() -> None:
    """
    It says which version it is.
    """
    assert outcome("--version") == (0, f"aibridge {aibridge.__version__}\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(flag: str) -> None:
    """
    It lists every command, with what it does.
    """
    status, stdout, stderr = outcome(flag)
    assert (status, stderr) == (0, "")
    for name, (_, what) in COMMANDS.items():
        assert name in stdout
        assert what in stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "required: command"), (("bogus",), "invalid choice: 'bogus'"), (("--bogus", "check"), "unrecognized")],
)
def test_no_such_command(arguments: tuple[str, ...], words: str) -> None:
    """
    Anything else is one clear line and status 2.
    """
    status, stdout, stderr = outcome(*arguments)
    assert (status, stdout) == (2, "")
    assert words in stderr
    assert stderr.count("\n") == 1


def test_the_rest_of_the_line() -> None:
    """
    A command gets its own arguments, options included, and its status is the command's.
    """
    status, stdout, stderr = outcome("token", "create", "--help")
    assert (status, stderr) == (0, "")
    assert "aibridge token create" in stdout
    assert outcome("token", "bogus")[0] == 2


def test_main(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `main` is what the console script calls: it uses the process's own streams and returns its status.
    """
    assert aibridge.cli.main is main
    path = str(tmp_path / "tokens.toml")
    assert main(["token", "create", "--name", "laptop", "--file", path]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("aib_")
    assert "laptop" in captured.err


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An interrupt ends it without a traceback.
    """

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "check", (interrupted, ""))
    assert main(["check"]) == 130
