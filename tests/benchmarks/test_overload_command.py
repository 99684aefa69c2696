"""
Tests for `benchmarks.overload.command`, as far as nothing is started.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.overload.command import main
from benchmarks.overload.scenes import Size
from benchmarks.results import Results


def saved(directory: Path, **figures: float) -> str:
    """
    A file of results of one scene.
    """
    size = Size()
    results = Results(settings={"permits": size.permits, "service_ms": size.service_ms})
    results.add("fair", "queue on", {"ten_lost": 0.0, "ten_wait_p99_ms": 40.0, "left": 0.0, **figures})
    path = directory / "results.json"
    results.save(path)
    return str(path)


def test_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The tables, and nothing to complain about.
    """
    assert main(["--saved", saved(tmp_path)]) == 0
    assert "every promise is kept" in capsys.readouterr().out


def test_what_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    It is named, and the status says so, too.
    """
    assert main(["--saved", saved(tmp_path, ten_lost=3.0)]) == 1
    assert "requests that the ten lose: broken" in capsys.readouterr().out


def test_no_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Then it says so in a line.
    """
    assert main(["--saved", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--only", "fair,foul"], ["--rounds", "0"], ["--seconds", "x"], ["--permits", "1.5"]]
)
def test_what_is_not_understood(arguments: list[str]) -> None:
    """
    Nothing is measured then.
    """
    with pytest.raises(SystemExit):
        main(arguments)
