"""
Tests for `aibridge.cli.parser`.
"""

from __future__ import annotations

import argparse
import io

import pytest

from aibridge.cli.parser import USAGE_ERROR, Parser, parse


def parsed(*arguments: str) -> tuple[argparse.Namespace | int, str, str]:
    """
    What becomes of a command line, and what was written.
    """
    parser = Parser(prog="thing", allow_abbrev=False)
    parser.add_argument("--size", type=int)
    stdout, stderr = io.StringIO(), io.StringIO()
    return parse(parser, arguments, stdout, stderr), stdout.getvalue(), stderr.getvalue()


def test_good() -> None:
    """
    Nothing is written.
    """
    assert parsed("--size", "3") == (argparse.Namespace(size=3), "", "")


@pytest.mark.parametrize("arguments", [["--size", "x"], ["--siz", "3"], ["more"]])
def test_wrong(arguments: list[str]) -> None:
    """
    One line, with where to read on.
    """
    status, output, complaints = parsed(*arguments)
    assert (status, output) == (USAGE_ERROR, "")
    assert complaints.startswith("thing: ") and complaints.endswith("; see thing --help\n")
    assert complaints.count("\n") == 1


def test_help() -> None:
    """
    Help is what was asked for.
    """
    status, output, complaints = parsed("--help")
    assert (status, complaints) == (0, "")
    assert "--size" in output
