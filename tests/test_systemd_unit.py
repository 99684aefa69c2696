"""
The systemd unit is one that systemd takes without a word, and that gives the daemon no more than it needs.

Skipped only where there is no `systemd-analyze`, since nothing else knows what it would say.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from aibridge.daemon.settings import DaemonSettings

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "systemd" / "aibridge.service"
ACCOUNT = ROOT / "systemd" / "aibridge.sysusers.conf"
MOST_EXPOSURE = 1.3

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed on this machine")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run `systemd-analyze`.
    """
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


def settings() -> list[tuple[str, str]]:
    """
    The assignments of the unit, in order.
    """
    lines = UNIT.read_text().splitlines()
    return [(name, value) for name, sign, value in (line.partition("=") for line in lines if line[:1] != "#") if sign]


def values(name: str) -> list[str]:
    """
    What the unit assigns to one setting.
    """
    return [value for found, value in settings() if found == name]


@needs_systemd
def test_verify_is_clean(tmp_path: Path) -> None:
    """
    `systemd-analyze verify` says nothing about the unit but that the daemon is not installed where it is built; with
    programs that are, it says nothing at all.
    """
    program = shutil.which("true")
    assert program is not None
    installed = tmp_path / UNIT.name
    installed.write_text(re.sub(r"/usr/bin/(aibridge|twistd)\b", program, UNIT.read_text()))
    verified = analyze("verify", "--man=no", str(installed))
    assert (verified.stdout + verified.stderr, verified.returncode) == ("", 0)


@needs_systemd
def test_verify_would_complain(tmp_path: Path) -> None:
    """
    The check above notices a setting that systemd does not know.
    """
    broken = tmp_path / UNIT.name
    broken.write_text(UNIT.read_text().replace("Type=notify", "Type=notify\nNoSuchSetting=yes"))
    assert "NoSuchSetting" in analyze("verify", "--man=no", str(broken)).stderr


@needs_systemd
def test_exposure_is_small() -> None:
    """
    The unit is as closed as a network daemon on CPython with cffi can be.
    """
    rated = analyze("security", "--offline=yes", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for aibridge\.service: ([0-9.]+)", rated.stdout)
    assert found is not None, rated.stdout + rated.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_systemd_waits_for_the_drain() -> None:
    """
    Running exchanges have their whole time before systemd loses patience.
    """
    (patience,) = values("TimeoutStopSec")
    assert float(patience) > DaemonSettings().drain_timeout


def test_a_bad_configuration_is_not_tried_again() -> None:
    """
    The daemon ends with 2 when its configuration has errors, which no restart mends; a check that fails first would be
    repeated, and so does not count.
    """
    assert values("RestartPreventExitStatus") == ["2"]
    assert values("ExecStartPre") == ["-/usr/bin/aibridge check"]


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, True), (2, False), (127, False)])
def test_reload_checks_first(tmp_path: Path, status: int, passes: bool) -> None:
    """
    A configuration with errors stops a reload before the daemon hears of it, one with warnings does not.
    """
    check, hangup = values("ExecReload")
    found = re.fullmatch(r"/bin/sh -c '(.*)'", check)
    assert found is not None
    program = tmp_path / "aibridge"
    program.write_text(f'#!/bin/sh\n[ "$*" = check ] && exit {status}\nexit 3\n')
    program.chmod(0o755)
    # systemd makes one dollar sign of two.
    script = found[1].replace("/usr/bin/aibridge", str(program)).replace("$$", "$")
    done = subprocess.run(["/bin/sh", "-c", script], check=False, timeout=60)
    assert (done.returncode == 0) is passes
    assert hangup == "/bin/kill -HUP $MAINPID"


def test_the_account_exists() -> None:
    """
    The account and the group that the unit names are those that systemd-sysusers makes.
    """
    (line,) = [line for line in ACCOUNT.read_text().splitlines() if line and not line.startswith("#")]
    kind, name, *_ = line.split()
    assert kind == "u"
    assert values("User") == values("Group") == [name]


def test_the_plugin_is_what_is_started() -> None:
    """
    twistd stays in the foreground, writes no file of its own, and runs the bridge.
    """
    assert values("ExecStart") == ["/usr/bin/twistd --nodaemon --pidfile= aibridge"]
