"""
``aibridge token``: who may use the bridge, where tokens live in a file.

A token is shown when it is made and never again; standard output then has the token and nothing else, so that a
script can take it.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

import attrs

from aibridge.auth.tokenfile import (
    MOST_IN_FLIGHT,
    MOST_RATE,
    NAME_FORM,
    TokenAbsent,
    TokenFile,
    TokensUnusable,
    name_is_allowed,
)
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token
from aibridge.cli.parser import Parser, hide, parsed
from aibridge.cli.setting import Configuration, Unsettled
from aibridge.cli.terminal import say, table
from aibridge.daemon.config import DEFAULT_PATH
from aibridge.identity.editing import edit
from aibridge.identity.file import read_file
from aibridge.model import Class

FINE: Final = 0
FAILED: Final = 2

SOON: Final = "a running daemon notices within 5 s"

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Clock = Callable[[], datetime]


class _Refused(Exception):
    """
    The command cannot do what it was asked to; says why in one line.
    """


def _now() -> datetime:
    return datetime.now(UTC)


def _pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251  # no reactor runs in this process


@attrs.frozen(kw_only=True)
class _Context:
    """
    What the commands act on.

    :ivar now: the time, to the second.
    """

    stdout: TextIO
    stderr: TextIO
    path: str
    now: datetime
    random: Callable[[int], bytes]
    pause: Callable[[float], None]

    def edit(self, change: Callable[[TokenFile], TokenFile]) -> None:
        edit(self.path, change, self.pause)

    def say(self, line: str) -> None:
        print(hide(line), file=self.stderr)

    def show(self, token: Token) -> None:
        print(token.reveal(), file=self.stdout, flush=True)


def run(
    arguments: list[str],
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    *,
    now: Clock = _now,
    random: Callable[[int], bytes] = os.urandom,
    pause: Callable[[float], None] = _pause,
    default_config: str = DEFAULT_PATH,
) -> int:
    """
    Run one of the commands.

    :return: the exit status: 0 done, 2 not done, for a reason that was said in one line each.
    """
    options = parsed(_parser(now), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    try:
        path, remark = _tokens_file(options, environ, default_config)
        context = _Context(
            stdout=stdout, stderr=stderr, path=path, now=now().replace(microsecond=0), random=random, pause=pause
        )
        options.act(context, options)
    except (TokensUnusable, _Refused, TokenAbsent, Unsettled) as error:
        return _fail(stderr, getattr(error, "problems", (str(error),)))
    except OSError as error:
        return _fail(stderr, [f"{error.filename or path}: {error.strerror or error}"])
    if remark:
        context.say(remark)
    return FINE


# -- the commands ------------------------------------------------------------------------------------------------


def _create(context: _Context, options: argparse.Namespace) -> None:
    token = Token.from_random(context.random(RANDOM_BYTES))
    entry = Entry(
        id=token.id,
        name=options.name,
        hash=token.hashed(),
        created=context.now,
        class_=Class(options.class_),
        rate_limit=options.rate_limit,
        rate_burst=options.rate_burst,
        max_in_flight=options.max_in_flight,
        expires=options.expires,
    )
    context.edit(lambda file: file.adding(entry))
    context.show(token)
    until = "" if entry.expires is None else f", good until {_when(entry.expires)}"
    context.say(f"Token {entry.name} ({entry.id}{until}) is in {context.path}; {SOON}. It is shown this once.")


def _list(context: _Context, options: argparse.Namespace) -> None:
    rows: list[tuple[str, ...]] = [("ID", "NAME", "CLASS", "RATE", "BURST", "IN-FLIGHT", "CREATED", "EXPIRES", "STATE")]
    rows.extend(_row(entry, context.now) for entry in read_file(context.path))
    for line in table(rows):
        say(context.stdout, line)


def _row(entry: Entry, now: datetime) -> tuple[str, ...]:
    state = "good"
    if entry.disabled:
        state = "disabled"
    elif entry.has_expired(now.timestamp()):
        state = "expired"
    elif entry.previous_expires is not None and entry.previous_expires > now:
        state = f"good; the previous secret until {_when(entry.previous_expires)}"
    return (
        entry.id,
        entry.name,
        entry.class_.value,
        "-" if entry.rate_limit is None else f"{entry.rate_limit:g}",
        "-" if entry.rate_burst is None else f"{entry.rate_burst:g}",
        "-" if entry.max_in_flight is None else str(entry.max_in_flight),
        _when(entry.created),
        "-" if entry.expires is None else _when(entry.expires),
        state,
    )


def _revoke(context: _Context, options: argparse.Namespace) -> None:
    gone: list[Entry] = []

    def change(file: TokenFile) -> TokenFile:
        gone.append(file.find(options.token))
        return file.without(gone[0].id)

    _must_exist(context)
    context.edit(change)
    context.say(f"Token {gone[0].name} ({gone[0].id}) is not good any more; {SOON}.")


def _rotate(context: _Context, options: argparse.Namespace) -> None:
    made: list[tuple[Token, Entry]] = []
    ends = None if options.grace is None else context.now + options.grace

    def change(file: TokenFile) -> TokenFile:
        old = file.find(options.token)
        if old.disabled or old.has_expired(context.now.timestamp()):
            raise _Refused(f"token {old.name} is not good now, and a new secret would not be; create another")
        token = Token.from_random(context.random(RANDOM_BYTES), id=old.id)
        entry = attrs.evolve(
            old,
            hash=token.hashed(),
            previous_hash=None if ends is None else old.hash,
            previous_expires=ends,
        )
        made.append((token, entry))
        return file.replacing(entry)

    _must_exist(context)
    context.edit(change)
    token, entry = made[0]
    context.show(token)
    old = "is not good any more" if ends is None else f"stays good until {_when(ends)}"
    context.say(f"Token {entry.name} ({entry.id}) has a new secret, shown this once; the old one {old}; {SOON}.")


def _must_exist(context: _Context) -> None:
    # Otherwise a slip in the path would make an empty file.
    if not Path(context.path).exists():
        raise _Refused(f"{context.path}: there is no such file")


# -- the command line --------------------------------------------------------------------------------------------


def _parser(now: Clock) -> argparse.ArgumentParser:
    parser = Parser(prog="aibridge token", description="Tokens that are kept, hashed, in a file.")
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, act: Callable[[_Context, argparse.Namespace], None], what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        added.set_defaults(act=act)
        place = added.add_mutually_exclusive_group()
        place.add_argument("--file", metavar="PATH", help="the file of tokens")
        place.add_argument("--config", metavar="FILE", help="the configuration that names it, if not the daemon's own")
        return added

    _entry_options(command("create", _create, "make a token, and show it on standard output, this once"), now)
    command("list", _list, "list the tokens; their secrets are not known")
    for name, act, what in (
        ("revoke", _revoke, "take a token out of the file for good"),
        ("rotate", _rotate, "give a token a new secret, and show it on standard output, this once"),
    ):
        added = command(name, act, what)
        added.add_argument("token", metavar="NAME|ID", help="which one")
        if act is _rotate:
            added.add_argument(
                "--grace",
                type=_duration,
                metavar="1h",
                help="how long the old secret stays good; without it, not at all",
            )
    return parser


def _entry_options(create: argparse.ArgumentParser, now: Clock) -> None:
    create.add_argument("--name", required=True, type=_name, help=f"for people; unique; {NAME_FORM}")
    create.add_argument(
        "--class",
        dest="class_",
        choices=[class_.value for class_ in Class],
        default=Class.DEFAULT.value,
        help="how much its requests matter when not all can be served",
    )
    create.add_argument("--rate-limit", type=_number(0), metavar="R", help="requests per second; 0 is no limit")
    create.add_argument("--rate-burst", type=_number(1), metavar="B", help="requests at once")
    create.add_argument("--max-in-flight", type=_count, metavar="N", help="exchanges in flight; 0 is no limit")
    create.add_argument(
        "--expires",
        type=lambda text: _expiry(text, now()),
        metavar="DATE|90d",
        help="when it ends: a date (its first moment in UTC), a date and time with zone, or a time from now (s, m, h, "
        "d, w); without it, never",
    )


def _name(text: str) -> str:
    if not name_is_allowed(text):
        raise argparse.ArgumentTypeError(f"a name has {NAME_FORM}")
    return text


def _number(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not least <= number <= MOST_RATE:
            raise argparse.ArgumentTypeError(f"a number from {least:g} to {MOST_RATE:.0f} is needed")
        return int(number) if number == int(number) else number

    return parse


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > MOST_IN_FLIGHT:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {MOST_IN_FLIGHT} is needed")
    return int(text)


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    try:
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    except OverflowError:
        duration = timedelta()
    if not timedelta() < duration <= timedelta(days=36500):
        raise argparse.ArgumentTypeError("a time such as 30m, 1h, 90d or 2w is needed")
    return duration


def _expiry(text: str, now: datetime) -> datetime:
    if _DURATION.fullmatch(text):
        return (now + _duration(text)).replace(microsecond=0)
    try:
        at = datetime.fromisoformat(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
        passed = at.astimezone(UTC) <= now
    except (ValueError, OverflowError):
        at, passed = datetime.min, False
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("a date such as 2027-01-31, or a time from now such as 90d, is needed")
    if passed:
        raise argparse.ArgumentTypeError("that is not in the future")
    return at.astimezone(UTC).replace(microsecond=0)


# -- where the tokens are ----------------------------------------------------------------------------------------


def _tokens_file(options: argparse.Namespace, environ: Mapping[str, str], default_config: str) -> tuple[str, str]:
    """
    The path, and a remark on it where one is due. The order is the daemon's: option, environment, file, default.
    """
    if options.file:
        return str(Path(options.file).absolute()), ""
    configuration = Configuration(options.config, environ, default_config)
    path: str = configuration.value("auth.tokens_file")
    backend = configuration.value("auth.backend")
    remark = f'The configuration says auth.backend = "{backend}": tokens in this file are not asked for.'
    return path, remark if backend != "file" else ""


# -- what is said ------------------------------------------------------------------------------------------------


def _when(at: datetime) -> str:
    text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.removesuffix("T00:00:00Z")


def _fail(stderr: TextIO, problems: Any) -> int:
    for problem in problems:
        print(hide(f"aibridge token: {problem}"), file=stderr)
    return FAILED
