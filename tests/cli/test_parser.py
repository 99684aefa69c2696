"""
Command lines.
"""

from __future__ import annotations

import argparse
import io

import pytest

from aibridge.cli.parser import USAGE_ERROR, Parser, hide, parsed

TOKEN = "aib_0123456789ab_" + "x" * 43


def outcome(*arguments: str) -> tuple[argparse.Namespace | int, str, str]:
    """
    What becomes of a command line with one option.
    """
    parser = Parser(prog="p")
    parser.add_argument("--number", type=int)
    stdout, stderr = io.StringIO(), io.StringIO()
    return parsed(parser, list(arguments), stdout, stderr), stdout.getvalue(), stderr.getvalue()


def test_options() -> None:
    """
    A good one gives its options, and nothing is said.
    """
    options, stdout, stderr = outcome("--number", "5")
    assert isinstance(options, argparse.Namespace)
    assert (options.number, stdout, stderr) == (5, "", "")


@pytest.mark.parametrize("arguments", [("--number", "x"), ("--num", "5"), ("more",)])
def test_mistakes(arguments: tuple[str, ...]) -> None:
    """
    A mistake is one line and status 2; an abbreviation is one.
    """
    status, stdout, stderr = outcome(*arguments)
    assert (status, stdout) == (USAGE_ERROR, "")
    assert stderr.startswith("p: ")
    assert stderr.count("\n") == 1


def test_help() -> None:
    """
    Help goes to standard output, with status 0.
    """
    status, stdout, stderr = outcome("--help")
    assert (status, stderr) == (0, "")
    assert stdout.startswith("usage: p")


@pytest.mark.parametrize(
    "arguments", [(TOKEN,), ("--number", TOKEN), (f"--{TOKEN}",), ("--number", f"x{TOKEN.upper()}")]
)
def test_tokens_are_not_repeated(arguments: tuple[str, ...]) -> None:
    """
    Wherever one stands by mistake.
    """
    _, _, stderr = outcome(*arguments)
    assert TOKEN.lower() not in stderr.lower()
    assert "<secret>" in stderr


def test_hide() -> None:
    """
    The rest of a text stays.
    """
    assert hide(f"a {TOKEN}, b") == "a <secret>, b"
