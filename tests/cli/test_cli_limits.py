"""
``aibridge limits``.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aibridge.admission.report import report
from aibridge.auth.tokenfile import TokenFile
from aibridge.auth.tokens import Entry
from aibridge.cli.admin import Address, NoSuchPrincipal, Unreachable
from aibridge.cli.limits import CONFIGURED, FAILED, IN_FORCE, run
from aibridge.daemon.config import load
from aibridge.daemon.limiting import configured_limiters
from aibridge.model import Class

OPEN = '[auth]\nbackend = "none"\n'
DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n'


class Shell:
    """
    Somebody at a terminal.

    :ivar daemons: address → what a daemon there tells, or why it does not.
    :ivar asked: what was asked of which.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ: dict[str, str] = {}
        self.daemons: dict[str, dict[str, Any] | Exception] = {}
        self.asked: list[tuple[str, str]] = []
        self.configure(OPEN + DEMO)

    def configure(self, text: str) -> None:
        """
        Write the daemon's configuration.
        """
        (self.directory / "aibridge.toml").write_text(text)

    def report(self) -> dict[str, Any]:
        """
        What a daemon under that configuration would tell.
        """
        loaded = load(str(self.directory / "aibridge.toml"), {}, {})
        return report(configured_limiters(loaded), None, 0.0)

    def ask(self, address: Address, path: str) -> dict[str, Any]:
        """
        Ask a daemon.
        """
        self.asked.append((str(address), path))
        told = self.daemons.get(str(address), Unreachable("Connection refused"))
        if isinstance(told, Exception):
            raise told
        return told

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
            ask=self.ask,
            default_config=str(self.directory / "aibridge.toml"),
        )
        return status, stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """
    A shell on a machine where no daemon runs.
    """
    return Shell(tmp_path)


class TestDaemon:
    """
    A daemon that answers.
    """

    def test_in_force(self, shell: Shell) -> None:
        """
        What it tells is shown.
        """
        shell.daemons["http://127.0.0.1:4001"] = shell.report()
        status, said, complained = shell()
        assert (status, complained) == (IN_FORCE, "")
        assert said.startswith("In force, as the daemon at http://127.0.0.1:4001 tells.\n")
        assert shell.asked == [("http://127.0.0.1:4001", "/limits")]

    def test_where(self, shell: Shell) -> None:
        """
        It is asked where the configuration or the environment says, the first that answers, or where --admin says.
        """
        shell.daemons["unix:/run/b"] = shell.report()
        shell.configure('[listen]\nadmin = ["ssl:1", "tcp:5", "unix:/run/b"]\n[http]\nwrong = 1\n')
        assert shell()[0] == IN_FORCE
        assert [address for address, _ in shell.asked] == ["http://127.0.0.1:5", "unix:/run/b"]
        shell.environ["AIBRIDGE_ADMIN"] = "unix:/run/b"
        assert shell()[0] == IN_FORCE
        assert shell("--admin", "unix:/run/b", "--config", "/nowhere")[0] == IN_FORCE

    @pytest.mark.parametrize(("name", "query"), [("ada", "ada"), ("é b&c", "%C3%A9%20b%26c")])
    def test_principal(self, shell: Shell, name: str, query: str) -> None:
        """
        A principal is asked for by name.
        """
        shell.daemons["http://127.0.0.1:4001"] = shell.report()
        assert shell("--principal", name)[0] == IN_FORCE
        assert shell.asked[-1][1] == f"/limits?principal={query}"

    def test_nobody(self, shell: Shell) -> None:
        """
        One that it does not know is an error, and nothing else is shown in its stead.
        """
        shell.daemons["http://127.0.0.1:4001"] = NoSuchPrincipal()
        status, said, complained = shell("--principal", "eve")
        assert (status, said) == (FAILED, "")
        assert "knows no principal of that name" in complained

    def test_json(self, shell: Shell) -> None:
        """
        A script gets the whole report.
        """
        told = shell.daemons["http://127.0.0.1:4001"] = shell.report()
        assert json.loads(shell("--json")[1]) == told

    def test_another_version(self, shell: Shell) -> None:
        """
        A report that is not understood is an error, and can be seen as it is.
        """
        told = shell.daemons["http://127.0.0.1:4001"] = {"gate": {}}
        status, said, complained = shell()
        assert (status, said) == (FAILED, "")
        assert "another version" in complained
        assert json.loads(shell("--json")[1]) == told


class TestConfigured:
    """
    No daemon that answers.
    """

    def test_as_configured(self, shell: Shell) -> None:
        """
        The configured limits are shown, and it is said that they are no more than that, and why.
        """
        shell.environ["AIBRIDGE_RATE_LIMIT"] = "5"
        status, said, complained = shell()
        assert status == CONFIGURED
        assert complained == "No daemon can be asked at http://127.0.0.1:4001: Connection refused.\n"
        assert said.startswith("As configured; nothing is known of a running daemon.\n")
        assert "admission.rate_limit (environment AIBRIDGE_RATE_LIMIT)" in said
        assert json.loads(shell("--json")[1])["limits"][0]["policy"] == "per-principal"

    def test_no_listener(self, shell: Shell) -> None:
        """
        Where there is nothing to ask, that is said.
        """
        shell.configure(f"[listen]\nadmin = []\n{OPEN}{DEMO}")
        status, _, complained = shell()
        assert status == CONFIGURED
        assert "names no admin listener that could be asked" in complained
        assert shell.asked == []

    def test_errors(self, shell: Shell) -> None:
        """
        A configuration with errors has no limits; all of them are told.
        """
        shell.configure(f"[admission]\nx = 1\ny = 2\n{OPEN}{DEMO}")
        status, said, complained = shell()
        assert (status, said) == (FAILED, "")
        assert [line.partition(":")[0] for line in complained.splitlines()] == [
            "No daemon can be asked at http",
            "aibridge limits",
            "aibridge limits",
        ]

    @pytest.mark.parametrize(
        ("text", "words"), [("[listen", "not valid TOML"), ("[listen]\nadmin = 5\n", "listen.admin has to be a list")]
    )
    def test_no_address(self, shell: Shell, text: str, words: str) -> None:
        """
        A configuration that cannot say where to ask is an error.
        """
        shell.configure(text)
        status, said, complained = shell()
        assert (status, said) == (FAILED, "")
        assert words in complained
        assert "none.toml: No such file" in shell("--config", f"{shell.directory}/none.toml")[2]

    def test_principal(self, shell: Shell) -> None:
        """
        A principal's own limits are those of the tokens file.
        """
        path = shell.directory / "tokens.toml"
        entry = Entry(
            id="0" * 12,
            name="ada",
            hash="sha256:" + "0" * 64,
            created=datetime(2026, 1, 1, tzinfo=UTC),
            class_=Class.BATCH,
            rate_limit=2.0,
            max_in_flight=4,
        )
        path.write_text(TokenFile.from_text("").adding(entry).text())
        path.chmod(0o600)
        shell.configure(f'[auth]\ntokens_file = "{path}"\n{DEMO}')
        for name in ("ada", "0" * 12):
            status, said, _ = shell("--principal", name)
            assert status == CONFIGURED
            assert "For ada, of the class batch.\n" in said
            assert "principal ada" in said
        assert "there is no token of that name or id" in shell("--principal", "eve")[2]
        shell.configure(OPEN + DEMO)
        assert "only the running daemon knows" in shell("--principal", "ada")[2]


class TestCommandLine:
    """
    What it is given.
    """

    @pytest.mark.parametrize(
        "arguments",
        [("x",), ("--admin", "ftp://x"), ("--princ", "x"), ("--principal", "aib_0123456789ab_x"), ("--admin",)],
    )
    def test_wrong_arguments(self, shell: Shell, arguments: tuple[str, ...]) -> None:
        """
        What is no command line of its is one line; a token is not repeated.
        """
        status, said, complained = shell(*arguments)
        assert (status, said) == (FAILED, "")
        assert complained.startswith("aibridge limits: ")
        assert complained.count("\n") == 1
        assert "aib_0" not in complained

    def test_help(self, shell: Shell) -> None:
        """
        Help says what the statuses mean.
        """
        status, said, _ = shell("--help")
        assert status == IN_FORCE
        assert "Exit status" in said
