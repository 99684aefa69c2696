"""
``aibridge token``.
"""

from __future__ import annotations

import io
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aibridge.auth.tokenfile import TokenFile
from aibridge.auth.tokens import Entry, Token, TokenTable
from aibridge.cli.token import run
from aibridge.errors import Unauthenticated
from aibridge.identity.file import read_table, read_text
from aibridge.model import Class

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Shell:
    """
    Somebody at a terminal.

    :ivar path: the file of tokens.
    :ivar now: the time, which passes as the test says.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "tokens.toml"
        self.environ: dict[str, str] = {}
        self.now = NOW
        self.stdout = self.stderr = ""

    def bare(self, *arguments: str) -> int:
        """
        Run a command just so.
        """
        stdout, stderr = io.StringIO(), io.StringIO()
        status = run(
            list(arguments),
            stdout,
            stderr,
            self.environ,
            now=lambda: self.now,
            default_config=str(self.directory / "aibridge.toml"),
        )
        self.stdout, self.stderr = stdout.getvalue(), stderr.getvalue()
        return status

    def do(self, *arguments: str) -> str:
        """
        Run a command on the file, which has to succeed.
        """
        assert self.bare(*arguments, "--file", str(self.path)) == 0, self.stderr
        return self.stdout

    def fail(self, *arguments: str, at: Path | None = None) -> str:
        """
        Run a command on the file, which has to fail, saying why in one line and nothing else.
        """
        assert self.bare(*arguments, "--file", str(at or self.path)) == 2
        assert self.stdout == ""
        assert self.stderr.startswith("aibridge token")
        assert self.stderr.count("\n") == 1
        return self.stderr

    def create(self, *arguments: str) -> Token:
        """
        Make a token.
        """
        token = Token.parse(self.do("create", *arguments).removesuffix("\n"))
        assert token.secret.reveal() not in self.stderr
        return token

    def entries(self) -> tuple[Entry, ...]:
        """
        What the file says.
        """
        return TokenFile.from_text(read_text(str(self.path))).entries

    def is_good(self, token: Token) -> bool:
        """
        Whether the daemon would take it.
        """
        try:
            table: TokenTable = read_table(str(self.path))
            table.verify(token.reveal().encode(), self.now.timestamp())
        except Unauthenticated:
            return False
        return True


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """
    A shell where nothing has been done yet.
    """
    return Shell(tmp_path)


class TestCreate:
    """
    ``create``.
    """

    def test_the_token_is_shown_once(self, shell: Shell) -> None:
        """
        Standard output is the token alone, standard error says the rest, and the file has neither secret nor token.
        """
        token = shell.create("--name", "laptop")
        assert shell.is_good(token)
        assert "laptop" in shell.stderr
        assert str(shell.path) in shell.stderr
        assert "5 s" in shell.stderr
        assert token.secret.reveal() not in shell.path.read_text()
        assert stat.S_IMODE(shell.path.stat().st_mode) == 0o600
        (entry,) = shell.entries()
        assert (entry.id, entry.name, entry.class_, entry.created) == (token.id, "laptop", Class.DEFAULT, NOW)
        assert (entry.rate_limit, entry.rate_burst, entry.expires, entry.disabled) == (None, None, None, False)

    def test_everything_given(self, shell: Shell) -> None:
        """
        What is given is what is kept.
        """
        shell.create(
            *("--name", "ci", "--class", "batch", "--rate-limit", "0.5", "--rate-burst", "20"),
            *("--max-in-flight", "4", "--expires", "90d"),
        )
        (entry,) = shell.entries()
        assert (entry.class_, entry.rate_limit, entry.rate_burst) == (Class.BATCH, 0.5, 20)
        assert entry.max_in_flight == 4
        assert entry.expires == NOW + timedelta(days=90)
        assert "good until 2027-02-22T12:00:00Z" in shell.stderr

    @pytest.mark.parametrize(
        ("text", "expires"),
        [
            ("45s", NOW + timedelta(seconds=45)),
            ("30m", NOW + timedelta(minutes=30)),
            ("1h", NOW + timedelta(hours=1)),
            ("2w", NOW + timedelta(weeks=2)),
            ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
            ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
        ],
    )
    def test_expiry(self, shell: Shell, text: str, expires: datetime) -> None:
        """
        A time from now, a date, or a date and time.
        """
        token = shell.create("--name", "laptop", "--expires", text)
        assert shell.entries()[0].expires == expires
        shell.now = expires - timedelta(seconds=1)
        assert shell.is_good(token)
        shell.now = expires
        assert not shell.is_good(token)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((), "required: --name"),
            (("--name", ""), "1 to 64 printable"),
            (("--name", " x"), "no blanks"),
            (("--name", "a\nb"), "printable"),
            (("--name", "x" * 65), "1 to 64"),
            (("--name", "x", "--class", "vip"), "choose from 'interactive', 'default', 'batch'"),
            (("--name", "x", "--rate-limit", "-1"), "a number from 0 to 1000000 is needed"),
            (("--name", "x", "--rate-limit", "nan"), "a number from 0"),
            (("--name", "x", "--rate-limit", "inf"), "a number from 0"),
            (("--name", "x", "--rate-limit", "lots"), "a number from 0"),
            (("--name", "x", "--rate-burst", "0.5"), "a number from 1"),
            (("--name", "x", "--max-in-flight", "-1"), "a whole number from 0 to 1000000 is needed"),
            (("--name", "x", "--max-in-flight", "1.5"), "a whole number from 0"),
            (("--name", "x", "--max-in-flight", "1000001"), "a whole number from 0"),
            (("--name", "x", "--max-in-flight", "9" * 5000), "a whole number from 0"),
            (("--name", "x", "--max-in-flight", "٣"), "a whole number from 0"),
            (("--name", "x", "--expires", "soon"), "a date such as"),
            (("--name", "x", "--expires", "0d"), "a time such as"),
            (("--name", "x", "--expires", "999999999w"), "a time such as"),
            (("--name", "x", "--expires", "2027-02-30"), "a date such as"),
            (("--name", "x", "--expires", "2027-01-01T00:00:00"), "a date such as"),
            (("--name", "x", "--expires", "0001-01-01T00:00:00+10:00"), "a date such as"),
            (("--name", "x", "--expires", "2026-11-24"), "not in the future"),
            (("--name", "x", "more"), "unrecognized arguments: more"),
            (("--na", "x"), "required: --name"),
        ],
    )
    def test_what_is_not_allowed(self, shell: Shell, arguments: tuple[str, ...], words: str) -> None:
        """
        It says what would be, and makes nothing.
        """
        assert words in shell.fail("create", *arguments)
        assert not shell.path.exists()

    def test_a_name_that_is_taken(self, shell: Shell) -> None:
        """
        Names are unique.
        """
        shell.create("--name", "laptop")
        before = shell.path.read_bytes()
        assert 'the name "laptop" is taken' in shell.fail("create", "--name", "laptop")
        assert shell.path.read_bytes() == before

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
    @given(st.binary(min_size=40, max_size=40))
    def test_the_secret_is_nowhere_else(self, shell: Shell, random: bytes) -> None:
        """
        Whatever the token is, it is said once: on standard output.
        """
        shell.path.unlink(missing_ok=True)
        stdout, stderr = io.StringIO(), io.StringIO()
        arguments = ["create", "--name", "laptop", "--file", str(shell.path)]
        assert run(arguments, stdout, stderr, {}, random=lambda count: random) == 0
        token = Token.parse(stdout.getvalue()[:-1])
        assert token == Token.from_random(random)
        secret = token.secret.reveal()
        assert secret not in stderr.getvalue() + shell.path.read_text()
        assert secret not in shell.do("list") + shell.stderr


class TestList:
    """
    ``list``.
    """

    def test_a_table(self, shell: Shell) -> None:
        """
        One line for each token, with all but its hashes.
        """
        laptop = shell.create("--name", "laptop")
        ci = shell.create("--name", "c i", "--class", "batch", "--rate-limit", "5", "--expires", "2026-12-01")
        gone = shell.create("--name", "gone", "--rate-burst", "2.5", "--max-in-flight", "0")
        shell.do("rotate", "laptop", "--grace", "1h")
        text = shell.path.read_text()
        at = text.index('name = "gone"')
        shell.path.write_text(text[:at] + "disabled = true\n" + text[at:])
        assert shell.do("list") == (
            "ID            NAME    CLASS    RATE  BURST  IN-FLIGHT  CREATED               EXPIRES     STATE\n"
            f"{laptop.id}  laptop  default  -     -      -          2026-11-24T12:00:00Z  -           "
            "good; the previous secret until 2026-11-24T13:00:00Z\n"
            f"{ci.id}  c i     batch    5     -      -          2026-11-24T12:00:00Z  2026-12-01  good\n"
            f"{gone.id}  gone    default  -     2.5    0          2026-11-24T12:00:00Z  -           disabled\n"
        )
        shell.now += timedelta(days=30)
        lines = shell.do("list").splitlines()
        assert [line.split()[-1] for line in lines] == ["STATE", "good", "expired", "disabled"]
        assert not re.search(r"sha256|[0-9a-f]{64}", shell.stdout + shell.stderr)

    def test_no_file(self, shell: Shell) -> None:
        """
        Where there is no file it says how to make one.
        """
        assert f"aibridge token create --name NAME --file {shell.path}" in shell.fail("list")

    def test_problems(self, shell: Shell) -> None:
        """
        Everything that is wrong with the file is told, a line each.
        """
        shell.path.write_text("[[token]]\nname = 5\n")
        shell.path.chmod(0o600)
        assert shell.bare("list", "--file", str(shell.path)) == 2
        lines = shell.stderr.splitlines()
        assert len(lines) == 4
        assert all(line.startswith(f"aibridge token: {shell.path}: line 1: ") for line in lines)


class TestRevoke:
    """
    ``revoke``.
    """

    def test_by_name_and_by_id(self, shell: Shell) -> None:
        """
        The token is gone from the file, the others stay, and its name is free again.
        """
        laptop, ci, other = (shell.create("--name", name) for name in ("laptop", "ci", "other"))
        assert shell.do("revoke", "laptop") == ""
        assert f"laptop ({laptop.id})" in shell.stderr
        shell.do("revoke", ci.id)
        assert [entry.name for entry in shell.entries()] == ["other"]
        assert [shell.is_good(token) for token in (laptop, ci, other)] == [False, False, True]
        shell.create("--name", "laptop")
        assert not shell.is_good(laptop)

    def test_nobody(self, shell: Shell) -> None:
        """
        It is an error if there is no such token, and a token itself is not repeated.
        """
        token = shell.create("--name", "laptop")
        before = shell.path.read_bytes()
        assert "'nobody'" in shell.fail("revoke", "nobody")
        assert token.secret.reveal() not in shell.fail("revoke", token.reveal())
        assert "by its id" in shell.stderr
        assert shell.path.read_bytes() == before

    def test_no_file(self, shell: Shell) -> None:
        """
        A slip in the path makes no file.
        """
        for command in ("revoke", "rotate"):
            assert "no such file" in shell.fail(command, "laptop")
            assert not shell.path.exists()


class TestRotate:
    """
    ``rotate``.
    """

    def test_at_once(self, shell: Shell) -> None:
        """
        Without grace the old secret is not good any more; the token keeps its id and what it may.
        """
        old = shell.create("--name", "laptop", "--class", "batch", "--expires", "90d")
        before = shell.entries()[0]
        new = Token.parse(shell.do("rotate", "laptop")[:-1])
        assert new.id == old.id
        assert new.secret.reveal() not in shell.stderr
        assert (shell.is_good(old), shell.is_good(new)) == (False, True)
        (entry,) = shell.entries()
        assert (entry.class_, entry.expires, entry.created) == (Class.BATCH, before.expires, NOW)
        assert (entry.previous_hash, entry.previous_expires) == (None, None)

    def test_with_grace(self, shell: Shell) -> None:
        """
        With grace both are good for so long; a second rotation leaves only the last secret good beside its own.
        """
        first = shell.create("--name", "laptop")
        second = Token.parse(shell.do("rotate", first.id, "--grace", "1h")[:-1])
        assert "stays good until 2026-11-24T13:00:00Z" in shell.stderr
        assert (shell.is_good(first), shell.is_good(second)) == (True, True)
        third = Token.parse(shell.do("rotate", "laptop", "--grace", "2h")[:-1])
        assert [shell.is_good(token) for token in (first, second, third)] == [False, True, True]
        shell.now += timedelta(hours=2)
        assert [shell.is_good(token) for token in (first, second, third)] == [False, False, True]
        Token.parse(shell.do("rotate", "laptop")[:-1])
        assert shell.entries()[0].previous_hash is None

    @pytest.mark.parametrize("grace", ["", "1", "h", "-1h", "0s", "1y", "1 h"])
    def test_what_grace_is(self, shell: Shell, grace: str) -> None:
        """
        Anything that is no time is refused.
        """
        shell.create("--name", "laptop")
        assert "a time such as" in shell.fail("rotate", "laptop", f"--grace={grace}")

    def test_a_token_that_is_not_good(self, shell: Shell) -> None:
        """
        A new secret would not make it so.
        """
        shell.create("--name", "laptop", "--expires", "1h")
        shell.now += timedelta(hours=1)
        before = shell.path.read_bytes()
        assert "not good now" in shell.fail("rotate", "laptop")
        assert shell.path.read_bytes() == before


class TestWhere:
    """
    Which file is meant.
    """

    def configure(self, shell: Shell, text: str, name: str = "aibridge.toml") -> Path:
        """
        Write a configuration.
        """
        path = shell.directory / name
        path.write_text(text)
        return path

    def made(self, shell: Shell, *arguments: str) -> set[str]:
        """
        The names of the files that a new token makes.
        """
        before = set(shell.directory.iterdir())
        assert shell.bare("create", "--name", "laptop", *arguments) == 0, shell.stderr
        return {path.name for path in set(shell.directory.iterdir()) - before if not path.name.startswith(".")}

    def test_a_relative_path(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A path on the command line starts where the command does.
        """
        monkeypatch.chdir(shell.directory)
        assert self.made(shell, "--file", "here.toml") == {"here.toml"}

    def test_the_configuration(self, shell: Shell) -> None:
        """
        The daemon's own configuration, the one that the environment names, or the one that is given, says where.
        """
        for number in (1, 2, 3):
            name = "aibridge.toml" if number == 1 else f"{number}.toml"
            self.configure(shell, f'[auth]\ntokens_file = "{shell.directory}/tokens-{number}.toml"', name)
        assert self.made(shell) == {"tokens-1.toml"}
        shell.environ["AIBRIDGE_CONFIG"] = str(shell.directory / "2.toml")
        assert self.made(shell) == {"tokens-2.toml"}
        assert self.made(shell, "--config", str(shell.directory / "3.toml")) == {"tokens-3.toml"}

    def test_the_environment(self, shell: Shell) -> None:
        """
        The environment goes before the configuration, as it does for the daemon.
        """
        self.configure(shell, f'[auth]\ntokens_file = "{shell.directory}/tokens-1.toml"')
        shell.environ["AIBRIDGE_TOKENS_FILE"] = f"{shell.directory}/tokens-2.toml"
        assert self.made(shell) == {"tokens-2.toml"}

    def test_the_default(self, shell: Shell) -> None:
        """
        Where nothing says where, it is the daemon's default; problems elsewhere in the configuration do not matter.
        """
        if Path("/etc/aibridge").exists():
            pytest.skip("there is a daemon on this machine")
        for text in (None, "[http]\nwrong = 1\n", "auth = 5"):
            if text is not None:
                self.configure(shell, text)
            assert shell.bare("create", "--name", "laptop") == 2
            assert "/etc/aibridge: There is no such directory" in shell.stderr

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[auth", "not valid TOML; aibridge check says where"),
            ("\xff", "not valid TOML"),
            ("[auth]\ntokens_file = 5", "auth.tokens_file has to be an absolute path"),
            ('[auth]\ntokens_file = "tokens.toml"', "auth.tokens_file has to be an absolute path"),
        ],
    )
    def test_a_broken_configuration(self, shell: Shell, text: str, words: str) -> None:
        """
        One that cannot say where is an error.
        """
        path = shell.directory / "broken.toml"
        path.write_bytes(text.encode("latin-1"))
        assert shell.bare("list", "--config", str(path)) == 2
        assert words in shell.stderr
        assert shell.stderr.count("\n") == 1

    def test_a_missing_configuration(self, shell: Shell) -> None:
        """
        One that was named has to be there.
        """
        missing = str(shell.directory / "missing.toml")
        assert shell.bare("list", "--config", missing) == 2
        assert shell.stderr == f"aibridge token: {missing}: No such file or directory\n"
        shell.environ["AIBRIDGE_CONFIG"] = missing
        assert shell.bare("list") == 2

    @pytest.mark.parametrize("backend", ["coder", "none"])
    def test_another_backend(self, shell: Shell, backend: str) -> None:
        """
        It says so if the daemon does not look at this file at all.
        """
        self.configure(shell, f'[auth]\nbackend = "{backend}"\ntokens_file = "{shell.path}"')
        assert self.made(shell) == {"tokens.toml"}
        assert f'auth.backend = "{backend}"' in shell.stderr

    def test_not_both(self, shell: Shell) -> None:
        """
        Either a file or a configuration is named.
        """
        assert "not allowed with" in shell.fail("list", "--config", "x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "required: command"), (("bogus",), "invalid choice"), (("aib_0123456789ab_hidden",), "invalid choice")],
)
def test_the_command_line(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    """
    A command line that is not understood is one line and status 2, and shows no token.
    """
    assert shell.bare(*arguments) == 2
    assert words in shell.stderr
    assert "hidden" not in shell.stderr
    assert shell.stderr.count("\n") == 1


def test_help(shell: Shell) -> None:
    """
    Help is there for all of it.
    """
    for arguments in (("--help",), ("create", "--help"), ("list", "-h"), ("revoke", "-h"), ("rotate", "-h")):
        assert shell.bare(*arguments) == 0
        assert shell.stdout.startswith("usage: aibridge token")
        assert shell.stderr == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(shell: Shell) -> None:
    """
    What may not be written is one clear line.
    """
    shell.directory.chmod(0o500)
    assert "Permission denied" in shell.fail("create", "--name", "laptop")
