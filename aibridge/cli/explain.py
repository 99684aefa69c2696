"""
``aibridge explain``: what happened to one request, and why, from its line in the log.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TextIO

from aibridge.auth.tokens import looks_like_token
from aibridge.cli.completionlog import BROKEN, Fields, find, journal, open_log, rotated
from aibridge.cli.explanation import explain
from aibridge.cli.parser import Parser, parsed
from aibridge.cli.setting import Configuration, Unsettled
from aibridge.cli.terminal import say
from aibridge.daemon.config import DEFAULT_PATH

FOUND: Final = 0
ABSENT: Final = 1
FAILED: Final = 2

STANDARD_INPUT: Final = "-"

_ID: Final = re.compile(r"[!-~]{1,128}")

Journal = Callable[[str], Iterable[bytes]]


class _Failed(Exception):
    """
    The log cannot be read; says why in one line.
    """


def run(
    arguments: list[str],
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    *,
    stdin: Iterable[bytes] | None = None,
    journal: Journal = journal,
    default_config: str = DEFAULT_PATH,
) -> int:
    """
    Explain a request.

    :return: the exit status: 0 done, 1 the log does not tell of it, 2 there is no log to look in, for a reason that was
        said in one line.
    """
    options = parsed(_parser(), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    try:
        place, fields = _look_up(options, environ, stdin, journal, stderr, default_config)
    except (_Failed, Unsettled) as error:
        say(stderr, f"aibridge explain: {error}")
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(stderr, f"aibridge explain: {where}{error.strerror or error}")
        return FAILED
    if fields is None:
        say(
            stderr, f"aibridge explain: nothing in {place} tells of that request; it may still be running, or be older."
        )
        return ABSENT
    for line in explain(fields):
        say(stdout, line)
    return FOUND


def _parser() -> Parser:
    parser = Parser(
        prog="aibridge explain",
        description="Tells from the log what happened to a request, and why. Its id is in the answer's header "
        "X-AI-Bridge-Request-Id.",
        epilog="Without --log it looks where log.completions says: in that file and those it was rotated into, or in "
        "the journal of the unit. Exit status: 0 done, 1 the log does not tell of it, 2 there is no log to look in.",
    )
    parser.add_argument("id", type=_id, metavar="REQUEST_ID", help="which request")
    parser.add_argument("--log", metavar="FILE", help="the log to look in; - is standard input")
    parser.add_argument("--unit", default="aibridge", help="the unit whose journal to look in (default: aibridge)")
    parser.add_argument("--config", metavar="FILE", help="the configuration that says where, if not the daemon's own")
    return parser


def _id(text: str) -> str:
    if looks_like_token(text):
        raise argparse.ArgumentTypeError("that is a token; the id of a request is in X-AI-Bridge-Request-Id")
    if not _ID.fullmatch(text):
        raise argparse.ArgumentTypeError("an id as in X-AI-Bridge-Request-Id is needed")
    return text


def _look_up(
    options: argparse.Namespace,
    environ: Mapping[str, str],
    stdin: Iterable[bytes] | None,
    journal: Journal,
    stderr: TextIO,
    default_config: str,
) -> tuple[str, Fields | None]:
    """
    Where was looked, in words, and what was found.
    """
    log = options.log
    if log == STANDARD_INPUT:
        return "standard input", find(options.id, sys.stdin.buffer if stdin is None else stdin)
    if log is None:
        log = Configuration(options.config, environ, default_config).value("log.completions")
        if not log:
            raise _Failed("log.completions is empty, so nothing is kept; --log names another log")
        if log == STANDARD_INPUT:
            try:
                return f"the journal of {options.unit}, as far as you may read it,", find(
                    options.id, journal(options.unit)
                )
            except FileNotFoundError:
                raise _Failed("there is no journalctl here; --log names a file, or - standard input") from None
    return log, _in_files(options.id, Path(log), stderr)


def _in_files(request_id: str, path: Path, stderr: TextIO) -> Fields | None:
    files = rotated(path)
    if not files:
        raise _Failed(f"{path}: there is no file of that name")
    for file in files:
        try:
            with open_log(file) as lines:
                fields = find(request_id, lines)
        except BROKEN as error:
            # The others may have it.
            why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            say(stderr, f"aibridge explain: {file}: {why}")
            continue
        if fields is not None:
            return fields
    return None
