"""
Command lines: read without ending the process, refused in one line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Final, NoReturn, TextIO

USAGE_ERROR: Final = 2


class Parser(argparse.ArgumentParser):
    """
    Says what is wrong in one line.
    """

    def error(self, message: str) -> NoReturn:
        """
        Say it, and end.
        """
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str], stdout: TextIO, stderr: TextIO
) -> argparse.Namespace | int:
    """
    Read a command line.

    :return: what it says; or the exit status, if there is nothing more to do than what was written: help, or what is
        wrong.
    """
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            return parser.parse_args(arguments)
    except SystemExit as exit:
        return int(exit.code or 0)
