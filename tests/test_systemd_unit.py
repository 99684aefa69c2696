"""
The systemd units are ones that systemd takes without a word, and that give a daemon no more than it needs.

Skipped only where there is no `systemd-analyze`, since nothing else knows what it would say.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

from aibridge.daemon.settings import DaemonSettings

DIRECTORY = Path(__file__).resolve().parent.parent / "systemd"
MOST_EXPOSURE = 1.3

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed on this machine")


@attrs.frozen
class Unit:
    """
    The unit of one daemon.

    :ivar name: of the daemon, which the unit, the account and the directories have too.
    :ivar check: what checks its configuration.
    """

    name: str
    check: str

    @property
    def path(self) -> Path:
        """
        Where it is.
        """
        return DIRECTORY / f"{self.name}.service"

    def settings(self) -> list[tuple[str, str]]:
        """
        Its assignments, in order.
        """
        lines = [line for line in self.path.read_text().splitlines() if line[:1] != "#"]
        return [(name, value) for name, sign, value in (line.partition("=") for line in lines) if sign]

    def values(self, name: str) -> list[str]:
        """
        What it assigns to one setting.
        """
        return [value for found, value in self.settings() if found == name]

    def accounts(self) -> list[list[str]]:
        """
        The lines for systemd-sysusers, as words.
        """
        lines = (DIRECTORY / f"{self.name}.sysusers.conf").read_text().splitlines()
        return [line.split() for line in lines if line and not line.startswith("#")]


BRIDGE = Unit("aibridge", "check")
PROXY = Unit("aibridge-proxy", "check --proxy")

each_unit = pytest.mark.parametrize("unit", [BRIDGE, PROXY], ids=lambda unit: unit.name)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run `systemd-analyze`.
    """
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


@each_unit
@needs_systemd
def test_verify_is_clean(tmp_path: Path, unit: Unit) -> None:
    """
    `systemd-analyze verify` says nothing about the unit but that the daemon is not installed where it is built; with
    programs that are, it says nothing at all.
    """
    program = shutil.which("true")
    assert program is not None
    installed = tmp_path / unit.path.name
    installed.write_text(re.sub(r"/usr/bin/(aibridge|twistd)\b", program, unit.path.read_text()))
    verified = analyze("verify", "--man=no", str(installed))
    assert (verified.stdout + verified.stderr, verified.returncode) == ("", 0)


@needs_systemd
def test_verify_would_complain(tmp_path: Path) -> None:
    """
    The check above notices a setting that systemd does not know.
    """
    broken = tmp_path / BRIDGE.path.name
    broken.write_text(BRIDGE.path.read_text().replace("Type=notify", "Type=notify\nNoSuchSetting=yes"))
    assert "NoSuchSetting" in analyze("verify", "--man=no", str(broken)).stderr


@each_unit
@needs_systemd
def test_exposure_is_small(unit: Unit) -> None:
    """
    The unit is as closed as a network daemon on CPython with cffi can be.
    """
    rated = analyze("security", "--offline=yes", "--no-pager", str(unit.path))
    found = re.search(rf"Overall exposure level for {unit.name}\.service: ([0-9.]+)", rated.stdout)
    assert found is not None, rated.stdout + rated.stderr
    assert float(found[1]) <= MOST_EXPOSURE


@each_unit
def test_systemd_waits_for_the_drain(unit: Unit) -> None:
    """
    What is running has its whole time before systemd loses patience.
    """
    (patience,) = unit.values("TimeoutStopSec")
    assert float(patience) > DaemonSettings().drain_timeout


@each_unit
def test_a_bad_configuration_is_not_tried_again(unit: Unit) -> None:
    """
    The daemon ends with 2 when its configuration has errors, which no restart mends; a check that fails first would be
    repeated, and so does not count.
    """
    assert unit.values("RestartPreventExitStatus") == ["2"]
    assert unit.values("ExecStartPre") == [f"-/usr/bin/aibridge {unit.check}"]


@each_unit
@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, True), (2, False), (127, False)])
def test_reload_checks_first(tmp_path: Path, status: int, passes: bool, unit: Unit) -> None:
    """
    A configuration with errors stops a reload before the daemon hears of it, one with warnings does not.
    """
    check, hangup = unit.values("ExecReload")
    found = re.fullmatch(r"/bin/sh -c '(.*)'", check)
    assert found is not None
    program = tmp_path / "aibridge"
    program.write_text(f'#!/bin/sh\n[ "$*" = "{unit.check}" ] && exit {status}\nexit 3\n')
    program.chmod(0o755)
    # systemd makes one dollar sign of two.
    script = found[1].replace("/usr/bin/aibridge", str(program)).replace("$$", "$")
    done = subprocess.run(["/bin/sh", "-c", script], check=False, timeout=60)
    assert (done.returncode == 0) is passes
    assert hangup == "/bin/kill -HUP $MAINPID"


@each_unit
def test_the_account_exists(unit: Unit) -> None:
    """
    The accounts and groups that the unit names are those that systemd-sysusers makes, and its directories are its own.
    """
    accounts = unit.accounts()
    assert ["u", unit.name] in [words[:2] for words in accounts]
    assert unit.values("User") == unit.values("Group") == [unit.name]
    made = {words[1] for words in accounts if words[0] in "ug"}
    assert made >= set(unit.values("SupplementaryGroups"))
    for directory in ("StateDirectory", "RuntimeDirectory", "LogsDirectory"):
        assert unit.values(directory) == [unit.name]


def test_no_way_to_the_keys() -> None:
    """
    The proxy's account is not in the group that may read providers' keys.
    """
    assert BRIDGE.name not in PROXY.values("SupplementaryGroups")
    assert ["m", PROXY.name, BRIDGE.name] not in PROXY.accounts()


@each_unit
def test_the_plugin_is_what_is_started(unit: Unit) -> None:
    """
    twistd stays in the foreground, writes no file of its own, and runs the daemon.
    """
    assert unit.values("ExecStart") == [f"/usr/bin/twistd --nodaemon --pidfile= {unit.name}"]
