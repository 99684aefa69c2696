"""
``aibridge limits``: the limits in force, where each comes from, and how full it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TextIO
from urllib.parse import quote

from aibridge.admission.report import report
from aibridge.auth.tokens import looks_like_token, principal_of
from aibridge.cli.admin import Address, NoSuchPrincipal, Unreachable, addresses, ask
from aibridge.cli.limitstable import lines
from aibridge.cli.parser import Parser, parsed
from aibridge.cli.setting import Configuration, Unsettled
from aibridge.cli.terminal import say
from aibridge.daemon.config import DEFAULT_PATH, ConfigErrors, Loaded, load
from aibridge.daemon.limiting import configured_limiters
from aibridge.identity.file import read_file
from aibridge.model import Principal

IN_FORCE: Final = 0
CONFIGURED: Final = 1
FAILED: Final = 2

Ask = Callable[[Address, str], dict[str, Any]]


class _Failed(Exception):
    """
    There is nothing to show; says why, one line for each reason.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


def run(
    arguments: list[str],
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    *,
    ask: Ask = ask,
    default_config: str = DEFAULT_PATH,
) -> int:
    """
    Show the limits.

    :return: the exit status: 0 they are those in force, 1 no daemon answers and they are those that are configured, 2
        they are not to be had, for reasons that were said in one line each.
    """
    options = parsed(_parser(), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    try:
        told, address = _from_daemon(options, environ, stderr, ask, default_config)
        if told is None:
            told = _from_configuration(options, environ, default_config)
    except _Failed as failed:
        for reason in failed.reasons:
            say(stderr, f"aibridge limits: {reason}")
        return FAILED
    try:
        shown = [json.dumps(told)] if options.json else [*lines(told, "" if address is None else str(address))]
    except (KeyError, TypeError, ValueError):
        say(stderr, "aibridge limits: that daemon is of another version and tells other things; --json shows them")
        return FAILED
    for line in shown:
        say(stdout, line)
    return IN_FORCE if address is not None else CONFIGURED


def _parser() -> Parser:
    parser = Parser(
        prog="aibridge limits",
        description="Shows the limits in force, where each comes from, how full it is and what is left of it, as the "
        "running daemon tells on its admin listener. Without one it shows those that are configured.",
        epilog="Exit status: 0 they are in force, 1 they are only configured, 2 neither is to be had.",
    )
    parser.add_argument(
        "--principal", type=_name, metavar="NAME", help="the name or id of a token, to see its buckets as well"
    )
    parser.add_argument("--admin", type=_address, metavar="URL", help="where the daemon's admin listener is")
    parser.add_argument("--config", metavar="FILE", help="the configuration to look in, if not the daemon's own")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    return parser


def _name(text: str) -> str:
    if looks_like_token(text):
        raise argparse.ArgumentTypeError("that is a token; the name or id of one is needed")
    return text


def _address(text: str) -> Address:
    try:
        return Address.from_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# -- as a daemon tells -------------------------------------------------------------------------------------------


def _from_daemon(
    options: argparse.Namespace, environ: Mapping[str, str], stderr: TextIO, ask: Ask, default_config: str
) -> tuple[dict[str, Any] | None, Address | None]:
    """
    The report of the first daemon that answers, and where that was; nothing where none does, which is said.
    """
    query = f"?principal={quote(options.principal, safe='')}" if options.principal else ""
    failures: list[str] = []
    for address in _places(options, environ, default_config):
        try:
            return ask(address, f"/limits{query}"), address
        except NoSuchPrincipal:
            raise _Failed(f"the daemon at {address} knows no principal of that name; see aibridge token list") from None
        except Unreachable as error:
            failures.append(f"No daemon can be asked at {address}: {error}.")
    for failure in failures or ["The configuration names no admin listener that could be asked; --admin does."]:
        say(stderr, failure)
    return None, None


def _places(options: argparse.Namespace, environ: Mapping[str, str], default_config: str) -> Iterable[Address]:
    if options.admin is not None:
        return [options.admin]
    try:
        return [*addresses(Configuration(options.config, environ, default_config).value("listen.admin"))]
    except OSError as error:
        raise _Failed(f"{error.filename}: {error.strerror or error}") from None
    except Unsettled as error:
        raise _Failed(str(error)) from None


# -- as they are configured --------------------------------------------------------------------------------------


def _from_configuration(options: argparse.Namespace, environ: Mapping[str, str], default_config: str) -> dict[str, Any]:
    try:
        loaded = load(options.config, environ, {}, default_path=default_config)
    except ConfigErrors as errors:
        raise _Failed(*map(str, errors.problems)) from None
    principal = None if options.principal is None else _principal(loaded, options.principal)
    return report(configured_limiters(loaded), principal, 0.0)


def _principal(loaded: Loaded, name: str) -> Principal:
    auth = loaded.settings.auth
    if auth.backend != "file" or loaded.embedded:
        raise _Failed("only the running daemon knows its principals")
    for entry in read_file(auth.tokens_file):
        if name in (entry.name, entry.id):
            return principal_of(entry)
    raise _Failed("there is no token of that name or id; see aibridge token list")
