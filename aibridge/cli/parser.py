"""
Command lines: one line for each mistake, status 2, and never a token repeated.
"""

from __future__ import annotations

import argparse
import re
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Final, NoReturn, TextIO

from aibridge.secret import HIDDEN

USAGE_ERROR: Final = 2

_LIKE_A_TOKEN: Final = re.compile(r"aib_[A-Za-z0-9_-]+", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """
    A parser in whose command lines a token may stand by mistake. Options are not abbreviated, so that a new one changes
    the meaning of no script.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(allow_abbrev=False, **words)

    def error(self, message: str) -> NoReturn:
        """
        Say what is wrong, in one line.
        """
        self.exit(USAGE_ERROR, hide(f"{self.prog}: {message}; see {self.prog} --help\n"))


def parsed(
    parser: argparse.ArgumentParser, arguments: list[str], stdout: TextIO, stderr: TextIO
) -> argparse.Namespace | int:
    """
    The options of a command line; or the exit status, where all there is to do has been said: help, or a mistake.
    """
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            return parser.parse_args(arguments)
    except SystemExit as exit:
        return int(exit.code or 0)


def hide(text: str) -> str:
    """
    A text without the tokens in it.
    """
    return _LIKE_A_TOKEN.sub(HIDDEN, text)
