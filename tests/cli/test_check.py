"""
Tests for `aibridge.cli.check`.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from aibridge.cli.check import ERRORS, FINE, WARNINGS, run
from aibridge.mitm.files import write_authority
from authorities import authority

GOOD = '[auth]\nbackend = "none"\n[[provider]]\nname = "demo"\ntype = "demo"\n'


def check(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """
    Run the command: its status, what it said, and what it complained of.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    status = run(list(arguments), stdout, stderr, environ)
    assert "Traceback" not in stdout.getvalue() + stderr.getvalue()
    return status, stdout.getvalue(), stderr.getvalue()


class TestStatus:
    """
    What it exits with, and says.
    """

    @pytest.mark.parametrize("option", ["--config", "-c"])
    def test_fine(self, tmp_path: Path, option: str) -> None:
        """
        A good configuration is one line on standard output.
        """
        path = tmp_path / "aibridge.toml"
        path.write_text(GOOD)
        assert check(option, str(path)) == (FINE, f"{path} is good. Providers: demo.\n", "")

    def test_warnings(self, tmp_path: Path) -> None:
        """
        Warnings alone have a status of their own, and a line each on standard error.
        """
        path = tmp_path / "aibridge.toml"
        path.write_text(GOOD + "[admission]\nrate_burst = 5\n")
        status, said, complained = check("--config", str(path), AIBRIDGE_RATELIMIT="1")
        assert status == WARNINGS
        assert said == f"{path} can be used, with 2 warnings. Providers: demo.\n"
        assert [line.partition(":")[0] for line in complained.splitlines()] == ["warning", "warning"]

    def test_errors(self, tmp_path: Path) -> None:
        """
        Errors and warnings are told together, a line each, and errors decide.
        """
        path = tmp_path / "aibridge.toml"
        path.write_text("x = 1\n" + GOOD + "[admission]\nmax_concurrency = -1\n")
        status, said, complained = check("--config", str(path), AIBRIDGE_RATELIMIT="1")
        assert status == ERRORS
        assert said == "The daemon would not start: 2 errors.\n"
        assert [line.partition(":")[0] for line in complained.splitlines()] == ["error", "error", "warning"]

    @pytest.mark.parametrize("data", [b"\xff", b"= 1", b"\0", b"[" * 3000, b"a = 1" + b"0" * 9000], ids=range(5))
    def test_no_configuration(self, tmp_path: Path, data: bytes) -> None:
        """
        A file that is no configuration at all is an error.
        """
        path = tmp_path / "aibridge.toml"
        path.write_bytes(data)
        status, said, complained = check("--config", str(path))
        assert (status, said) == (ERRORS, "The daemon would not start: 1 error.\n")
        assert len(complained.splitlines()) == 1

    def test_no_file(self, tmp_path: Path) -> None:
        """
        What cannot be read is an error: nothing, a directory, a name that no file has.
        """
        for path in (f"{tmp_path}/none", str(tmp_path), f"{tmp_path}/a\nb", f"{tmp_path}/\udcff", "/\0"):
            status, _, complained = check("--config", path)
            assert status == ERRORS
            assert len(complained.splitlines()) == 1

    def test_environment(self, tmp_path: Path) -> None:
        """
        The environment is checked as the daemon would see it, and can name the file.
        """
        path = tmp_path / "aibridge.toml"
        path.write_text(GOOD)
        assert check(AIBRIDGE_CONFIG=str(path))[0] == FINE
        status, _, complained = check(AIBRIDGE_CONFIG=str(path), AIBRIDGE_MAX_CONCURRENCY="x")
        assert status == ERRORS
        assert "AIBRIDGE_MAX_CONCURRENCY" in complained

    @pytest.mark.parametrize("arguments", [["x"], ["--config"], ["--nothing"], ["--config", "a", "b"]])
    def test_wrong_arguments(self, arguments: list[str]) -> None:
        """
        What is no command line of its is an error.
        """
        status, said, complained = check(*arguments)
        assert (status, said) == (ERRORS, "")
        assert complained.startswith("aibridge check: ")

    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_help(self, option: str) -> None:
        """
        Help goes to standard output, with what the statuses mean.
        """
        status, said, complained = check(option)
        assert (status, complained) == (FINE, "")
        assert "--config" in said
        assert "Exit status" in said
        assert len(said.splitlines()) > 5


class TestEncoding:
    """
    Terminals of little means.
    """

    def test_ascii(self, tmp_path: Path) -> None:
        """
        A path that the terminal's encoding does not have is written out.
        """
        path = tmp_path / "é.toml"
        path.write_text(GOOD)
        stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        assert run(["--config", str(path)], stdout, io.StringIO(), {}) == FINE
        stdout.seek(0)
        assert "\\xe9.toml is good" in stdout.read()


class TestProxy:
    """
    The AI Proxy's configuration.
    """

    def test_checked(self, tmp_path: Path) -> None:
        """
        With its own words, and what is intercepted; what is wrong is told as of the bridge.
        """
        write_authority(f"{tmp_path}/ca.pem", f"{tmp_path}/ca.key", authority(), [])
        path = tmp_path / "aibridge-proxy.toml"
        good = f'[ca]\ncert_file = "{tmp_path}/ca.pem"\nkey_file = "{tmp_path}/ca.key"\n[auth]\nbackend = "coder"\n'
        path.write_text(good + 'coder_url = "https://coder.test"\n')
        status, said, complained = check("--proxy", "--config", str(path))
        assert (status, complained) == (FINE, "")
        assert said.startswith(f"{path} is good. Intercepted: api.openai.com, api.anthropic.com, ")
        path.write_text(good + 'coder_url = "https://coder.test"\n[proxy]\ntunnel = "open"\n')
        status, said, complained = check("--proxy", "--config", str(path))
        assert status == WARNINGS
        assert "warning: " in complained and "proxy.tunnel" in complained
        path.write_text(good)
        status, said, _ = check("--proxy", "--config", str(path))
        assert (status, said) == (ERRORS, "The proxy would not start: 1 error.\n")
