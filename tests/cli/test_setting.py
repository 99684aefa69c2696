"""
One option of the configuration.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from aibridge.cli.setting import Configuration, Unsettled


class TestWhere:
    """
    Which file is read.
    """

    def test_which(self, tmp_path: Path) -> None:
        """
        The one that is asked for, else the one in the environment, else the default one, as it is with the daemon.
        """
        for name in ("asked", "environment", "default"):
            (tmp_path / name).write_text(f'[log]\ncompletions = "/{name}"\n')
        asked, environment, default = (str(tmp_path / name) for name in ("asked", "environment", "default"))
        variable = {"AIBRIDGE_CONFIG": environment}
        for configuration, expected in (
            (Configuration(asked, variable, default), "/asked"),
            (Configuration(None, variable, default), "/environment"),
            (Configuration(None, {}, default), "/default"),
            (Configuration(None, {}, str(tmp_path / "none")), "-"),
        ):
            assert configuration.value("log.completions") == expected

    def test_absent(self, tmp_path: Path) -> None:
        """
        One that was named has to be there.
        """
        missing = str(tmp_path / "none")
        for config, environ in ((missing, {}), (None, {"AIBRIDGE_CONFIG": missing})):
            with pytest.raises(FileNotFoundError):
                Configuration(config, environ)

    @pytest.mark.parametrize("data", [b"[log", b"\xff", b"a = " + b"[" * 5000])
    def test_no_toml(self, tmp_path: Path, data: bytes) -> None:
        """
        What is no TOML says nothing.
        """
        path = tmp_path / "broken"
        path.write_bytes(data)
        with pytest.raises(Unsettled, match="not valid TOML"):
            Configuration(str(path), {})


class TestValue:
    """
    What is in it.
    """

    def read(self, tmp_path: Path, text: str, option: str, **environ: str) -> object:
        """
        The value of an option under a file with this text.
        """
        path = tmp_path / "aibridge.toml"
        path.write_text(text)
        return Configuration(str(path), environ).value(option)

    def test_sources(self, tmp_path: Path) -> None:
        """
        The environment goes before the file, the file before the default; a variable set to nothing is not set.
        """
        text = '[listen]\nadmin = ["tcp:1", "tcp:2"]\n'
        assert self.read(tmp_path, text, "listen.admin") == ("tcp:1", "tcp:2")
        assert self.read(tmp_path, text, "listen.admin", AIBRIDGE_ADMIN="tcp:3 tcp:4") == ("tcp:3", "tcp:4")
        assert self.read(tmp_path, text, "listen.admin", AIBRIDGE_ADMIN="") == ("tcp:1", "tcp:2")
        assert self.read(tmp_path, "", "listen.admin") == ("tcp:port=4001:interface=127.0.0.1",)

    @pytest.mark.parametrize("text", ["x = 1", "[log]\nlevel = 5\n", "log = 5", "[[provider]]\n"])
    def test_whatever_else_is_wrong(self, tmp_path: Path, text: str) -> None:
        """
        Only the option itself matters.
        """
        assert self.read(tmp_path, text, "log.completions") == "-"

    def test_what_is_not_allowed(self, tmp_path: Path) -> None:
        """
        A value that the daemon would refuse is refused, wherever it comes from, and is not shown.
        """
        with pytest.raises(Unsettled, match=r"log\.completions has to be -, an absolute path, or empty"):
            self.read(tmp_path, '[log]\ncompletions = "x"\n', "log.completions")
        with pytest.raises(Unsettled, match=r"log\.completions has to be"):
            self.read(tmp_path, "", "log.completions", AIBRIDGE_LOG_COMPLETIONS="x")
