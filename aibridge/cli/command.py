"""
`aibridge`: finds the command that is meant, and hands the rest of the line to it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from aibridge import __version__
from aibridge.cli import ca, check, explain, limits, token, trial
from aibridge.cli.parser import Parser, parsed

INTERRUPTED: Final = 130

Command = Callable[[list[str], TextIO, TextIO, Mapping[str, str]], int]

COMMANDS: Final[dict[str, tuple[Command, str]]] = {
    "ca": (ca.run, "make, show, export and rotate the certificate authority of the AI Proxy"),
    "check": (check.run, "say whether the configuration is good, and everything that is wrong with it"),
    "explain": (explain.run, "tell from the log what happened to a request, and why"),
    "limits": (limits.run, "show the limits in force, where each comes from, and how full it is"),
    "token": (token.run, "create, list, revoke and rotate tokens"),
    "try-proxy": (trial.run, "run bridge and AI Proxy here and now, with simulated providers under real names"),
}
"""Name → what runs it, and what it does in words."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line of this process.

    :return: the exit status.
    """
    try:
        return run(sys.argv[1:] if arguments is None else list(arguments), sys.stdout, sys.stderr, os.environ)
    except KeyboardInterrupt:
        return INTERRUPTED


def run(arguments: list[str], stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> int:
    """
    Run a command line.

    :return: the exit status: the command's own, or 2 where there is no such command.
    """
    options = parsed(_parser(), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    command, _ = COMMANDS[options.command]
    return command(options.arguments, stdout, stderr, environ)


def _parser() -> Parser:
    width = max(map(len, COMMANDS))
    parser = Parser(
        prog="aibridge",
        description="Looks after a bridge between AI clients and AI providers. The daemon itself is `twistd aibridge`.",
        epilog="commands:\n" + "\n".join(f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aibridge {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="command", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own; aibridge command --help lists them")
    return parser
