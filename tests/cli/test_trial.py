"""
Tests for `aibridge.cli.trial`. Whether the two daemons start, serve and end is tested with real processes.
"""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest

from aibridge.cli import trial
from aibridge.cli.trial import FAILED, Trial, run
from aibridge.daemon import config
from aibridge.daemon.proxy import config as proxy_config


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Trial, str]:
    """
    A trial whose files are there, and its token.
    """
    made = Trial(str(tmp_path), proxy=8888, admin=8889, bridge=4000)
    return made, made.prepare()


class TestPrepare:
    """
    What both run on.
    """

    def test_configurations(self, prepared: tuple[Trial, str]) -> None:
        """
        Both are good, fit together, and give nobody anything to complain about.
        """
        made, _ = prepared
        bridge = config.load(made.path("aibridge.toml"), {}, {})
        proxy = proxy_config.load(made.path("aibridge-proxy.toml"), {}, {})
        assert bridge.warnings == proxy.warnings == ()
        assert bridge.settings.listen.endpoints == ("tcp:port=4000:interface=127.0.0.1",)
        assert proxy.settings.bridge.url == "http://127.0.0.1:4000"
        assert bridge.settings.auth == proxy.settings.auth
        assert {provider.name for provider in bridge.settings.provider} <= {place.name for place in proxy.hosts}

    def test_no_roots(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A machine without roots gets a bundle of the authority alone.
        """
        monkeypatch.setattr("aibridge.cli.ca._system_roots", lambda: ["/nowhere/roots.pem"])
        made = Trial(str(tmp_path), proxy=1, admin=2, bridge=3)
        made.prepare()
        assert Path(made.path("bundle.pem")).read_text() == Path(made.path("ca.pem")).read_text()

    def test_greeting(self, prepared: tuple[Trial, str]) -> None:
        """
        The line can be pasted.
        """
        made, shown = prepared
        (line,) = (line for line in made.greeting(shown).splitlines() if line.startswith("    curl "))
        words = shlex.split(line)
        assert words[words.index("--proxy") + 1] == f"http://trial:{shown}@127.0.0.1:8888"
        assert Path(words[words.index("--cacert") + 1]).exists()
        assert "https://api.openai.com/v1/chat/completions" in words


class TestRun:
    """
    The command line.
    """

    @pytest.mark.parametrize("arguments", [["--port", "x"], ["--port", "65536"], ["--bridge", "-1"], ["more"]])
    def test_usage(self, arguments: list[str]) -> None:
        """
        What is no port is refused in one line.
        """
        stderr = io.StringIO()
        assert run(arguments, io.StringIO(), stderr, {}) == FAILED
        assert stderr.getvalue().count("\n") == 1

    def test_help(self) -> None:
        """
        It says what it does.
        """
        stdout = io.StringIO()
        assert run(["--help"], stdout, io.StringIO(), {}) == 0
        assert "--bridge PORT" in stdout.getvalue()

    def test_does_not_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A daemon that ends before it listens is told of, and nothing is left.
        """
        monkeypatch.setattr(trial, "_TWISTD", "raise SystemExit(1)")
        stdout, stderr = io.StringIO(), io.StringIO()
        assert run(["--port", "0", "--admin-port", "0", "--bridge", "0"], stdout, stderr, {}) == FAILED
        assert stderr.getvalue() == "aibridge try-proxy: twistd aibridge did not start; it has said why\n"
        assert stdout.getvalue() == ""
