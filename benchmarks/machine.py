"""
What the figures were made on.
"""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def described(now: datetime) -> dict[str, Any]:
    """
    The machine, in what may matter to a figure.
    """
    return {
        "date": now.astimezone(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "system": _system(),
        "python": sys.version.split()[0],
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
    }


def cpu_model(cpuinfo: str) -> str:
    """
    The model's name in ``/proc/cpuinfo``.
    """
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
