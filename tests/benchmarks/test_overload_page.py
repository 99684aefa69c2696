"""
Tests for `benchmarks.overload.page` and `benchmarks.overload.plots`, where what draws is installed.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.documents import filled
from benchmarks.overload.promises import promises
from benchmarks.overload.scenes import Size, all_scenes
from benchmarks.results import Results

pytest.importorskip("matplotlib")

from benchmarks.overload.page import ALTERNATIVES, COMMAND, section, write
from benchmarks.overload.plots import drawn

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "overload.md"
MOST_BYTES = 65536


def results() -> Results:
    """
    A round of figures.
    """
    found = Results(
        machine={"date": "2026-11-26", "cpu": "EPYC", "cores": 2, "kernel": "6.1", "system": "Debian 12"},
        versions={"aibridge": "26.11.0 compiled"},
        settings={
            "permits": 32,
            "service_ms": 50,
            "rounds": 3,
            "seconds": 5.0,
            "alone": {"p50_ms": 50.1, "p99_ms": 50.3, "late_p99_ms": 0.1},
        },
        failures=["waits, bucket: it ended:\n    secret output"],
    )
    for scene in all_scenes(Size()):
        found.add(scene.name, scene.terms.name, {"goodput": 0.97, "admitted_p99_ms": 60.0, "ten_served": 0.5})
    return found


def test_the_page_has_the_marks() -> None:
    """
    So that the command can write into it.
    """
    assert filled(PAGE.read_text(), "new", COMMAND)


def test_section() -> None:
    """
    Machine, promises, pictures, tables; of a failure only the first line, as the rest is a program's output.
    """
    text = section(results())
    for part in (
        "EPYC",
        "640 answers/s",
        "a queue of 64",
        "| 97.0% |",
        "](overload/latency.svg)",
        "waits, bucket: it ended",
    ):
        assert part in text
    assert all(promise.label in text for promise in promises(results(), Size()))
    assert "secret" not in text


def test_pictures() -> None:
    """
    Each is named in the page, is SVG, and stays small.
    """
    pictures = drawn(results())
    assert set(pictures) == set(ALTERNATIVES)
    for picture in pictures.values():
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(picture) < MOST_BYTES


def test_pictures_are_the_same_each_time() -> None:
    """
    No date, no name that comes by chance, no version of what drew it.
    """
    pictures = drawn(results())
    assert pictures == drawn(results())
    assert not any("dc:date" in picture or "Matplotlib v" in picture for picture in pictures.values())


def test_pictures_stand_on_any_page() -> None:
    """
    Nothing is filled with the colour of one, and nothing is drawn in it.
    """
    for picture in drawn(results()).values():
        assert not any(colour in picture.lower() for colour in ("#ffffff", "#000000", "fill: white", "fill: black"))


def test_write(tmp_path: Path) -> None:
    """
    The page and its pictures; the rest of the page stays, and writing again changes nothing.
    """
    (tmp_path / "overload.md").write_text(PAGE.read_text())
    write(results(), tmp_path)
    once = {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert set(once) == {"overload.md", *ALTERNATIVES}
    assert once["overload.md"].decode().startswith(PAGE.read_text()[:1000])
    write(results(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")} == once
