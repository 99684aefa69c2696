"""
``aibridge ca``: the certificate authority in whose name the AI Proxy speaks for intercepted hosts.

What can be trusted goes to standard output, so that it can be written to a file; everything else is said on standard
error.
"""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import attrs
from cryptography import x509

from aibridge.cli.parser import Parser, parsed
from aibridge.daemon.config import ConfigErrors
from aibridge.daemon.proxy.config import DEFAULT_PATH, PATH_VARIABLE, load_for_ca
from aibridge.mitm.authority import (
    CA_DAYS,
    Unusable,
    as_pem,
    constrained_to,
    create,
    fingerprint,
    permits,
)
from aibridge.mitm.files import load_authority, previous_file, read_certificate_file, write_authority
from aibridge.mitm.targets import Malformed, read_host

FINE: Final = 0
FAILED: Final = 2

SYSTEM_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Where systems keep their roots, beside where OpenSSL was told to look for them."""

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


class _Refused(Exception):
    """
    The command cannot do what it was asked to; says why in one line.
    """


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class _Context:
    """
    What the commands act on.

    :ivar hosts: those that are intercepted.
    """

    stdout: TextIO
    stderr: TextIO
    cert_file: str
    key_file: str
    hosts: Sequence[str]
    now: datetime
    random: Random
    roots: Sequence[str]

    def say(self, *lines: str) -> None:
        print(*lines, sep="\n", file=self.stderr)

    def replace(self, days: int, previous: list[x509.Certificate]) -> x509.Certificate:
        """
        Make an authority and write it to where the one in force is.

        :param previous: those that are exported still.
        """
        # No two of them have one name, so that clients that trust both can tell them apart.
        name = f"AI Bridge Proxy CA {self.now:%Y-%m-%d} {self.random(4).hex()}"
        made = create(name, self.hosts, self.now, days)
        write_authority(self.cert_file, self.key_file, made, previous)
        return made.certificate

    def previous(self) -> list[x509.Certificate]:
        """
        Authorities before this one that clients may still have to trust.
        """
        path = previous_file(self.cert_file)
        kept = read_certificate_file(path) if Path(path).exists() else []
        return [each for each in kept if each.not_valid_after_utc > self.now]


Act = Callable[[_Context, argparse.Namespace], None]


def run(
    arguments: list[str],
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    *,
    now: Clock = _now,
    random: Random = os.urandom,
    default_config: str = DEFAULT_PATH,
    roots: Sequence[str] = (),
) -> int:
    """
    Run one of the commands.

    :param roots: where the system's roots may be; empty for where systems have them.
    :return: the exit status: 0 done, 2 not done, for a reason that was said in one line each.
    """
    options = parsed(_parser(), arguments, stdout, stderr)
    if isinstance(options, int):
        return options
    try:
        settings, hosts = load_for_ca(options.config, environ, default_path=default_config)
        context = _Context(
            stdout=stdout,
            stderr=stderr,
            cert_file=options.cert_file or settings.cert_file,
            key_file=options.key_file or settings.key_file,
            hosts=_hosts(getattr(options, "host", None) or (), hosts.names()),
            now=now().replace(microsecond=0),
            random=random,
            roots=roots or _system_roots(),
        )
        options.act(context, options)
    except ConfigErrors as errors:
        return _fail(stderr, map(str, errors.problems))
    except (Unusable, _Refused) as error:
        return _fail(stderr, [str(error)])
    except OSError as error:
        return _fail(stderr, [f"{error.filename or settings.cert_file}: {error.strerror or error}"])
    return FINE


# -- the commands ------------------------------------------------------------------------------------------------


def _init(context: _Context, options: argparse.Namespace) -> None:
    for path in (context.cert_file, context.key_file):
        if Path(path).exists():
            raise _Refused(f"{path} is there already; `aibridge ca rotate` replaces it, and exports the old one still")
    certificate = context.replace(options.days, previous=[])
    context.say(f"The authority is in {context.cert_file}, its key in {context.key_file}.", *_described(certificate))
    context.say("Clients have to trust it: `aibridge ca export --bundle` writes what to give them.")


def _show(context: _Context, _: argparse.Namespace) -> None:
    lines = [f"In force ({context.cert_file}):"]
    try:
        certificate = load_authority(context.cert_file, context.key_file).certificate
    except Unusable as error:
        # Whoever may not read the key may still want to compare a fingerprint.
        lines.append(f"    the proxy could not use it as it is here: {error}")
        certificate = _first(context.cert_file)
    lines += _described(certificate)
    strangers = [host for host in context.hosts if not permits(certificate, host)]
    if strangers:
        lines.append(f"    may not speak for  {', '.join(strangers)}, which are intercepted too")
    for each in context.previous():
        lines += ["Before it, and exported still:", *_described(each)]
    print(*lines, sep="\n", file=context.stdout)


def _export(context: _Context, options: argparse.Namespace) -> None:
    certificates = [_first(context.cert_file), *context.previous()]
    roots = ""
    if options.bundle:
        roots = _roots([options.roots] if options.roots else context.roots)
        if roots and not roots.endswith("\n"):
            roots += "\n"
    context.stdout.write(roots + as_pem(certificates).decode("ascii"))
    context.stdout.flush()


def _rotate(context: _Context, options: argparse.Namespace) -> None:
    old = _first(context.cert_file)
    previous = [each for each in (old, *context.previous()) if each.not_valid_after_utc > context.now]
    certificate = context.replace(options.days, previous)
    context.say(f"The authority in {context.cert_file} is a new one.", *_described(certificate))
    context.say(
        "A running proxy goes on with the old one until it is reloaded. Before that, give clients what `aibridge ca "
        "export` writes: both, until the old one ends."
    )


def _described(certificate: x509.Certificate) -> list[str]:
    names = constrained_to(certificate)
    subject = certificate.subject.rfc4514_string()
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return [
        f"    name               {subject}",
        f"    SHA-256            {fingerprint(certificate)}",
        f"    valid              {begins:%Y-%m-%d} to {ends:%Y-%m-%d}",
        f"    may speak for      {'any host' if names is None else ', '.join(names)}",
    ]


def _first(cert_file: str) -> x509.Certificate:
    certificates = read_certificate_file(cert_file)
    if not certificates:
        raise Unusable(f"{cert_file}: there is no certificate in it")
    return certificates[0]


# -- the system's roots ------------------------------------------------------------------------------------------


def _system_roots() -> Sequence[str]:
    # What OpenSSL was built with, whatever the environment says: that may already be what is exported here.
    return (ssl.get_default_verify_paths().openssl_cafile, *SYSTEM_ROOTS)


def _roots(paths: Iterable[str]) -> str:
    for path in paths:
        try:
            text = Path(path).read_text("utf-8", "replace")
        except OSError:
            continue
        if "BEGIN CERTIFICATE" in text:
            return text
    raise _Refused("the system's roots were not found; say where they are with --roots FILE")


# -- the command line --------------------------------------------------------------------------------------------


def _hosts(given: Iterable[str], configured: Sequence[str]) -> Sequence[str]:
    try:
        return [read_host(host) for host in given] or configured
    except Malformed as malformed:
        raise _Refused(f"--host: {malformed}") from None


def _days(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 10 * 365:
        raise argparse.ArgumentTypeError("days from 1 to 3650")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="aibridge ca", description="The AI Proxy's certificate authority.")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=Parser)
    where = Parser(add_help=False)
    where.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"the proxy's configuration (default: ${PATH_VARIABLE}, or {DEFAULT_PATH})",
    )
    where.add_argument("--cert-file", metavar="FILE", help="the certificate's file, instead of the configured one")
    where.add_argument("--key-file", metavar="FILE", help="the key's file, likewise")
    made = Parser(add_help=False)
    made.add_argument("--days", type=_days, default=CA_DAYS, help="how long it is good (five years)")
    made.add_argument(
        "--host", action="append", metavar="HOST", help="a host that it may speak for, instead of those configured"
    )
    kinds: tuple[tuple[str, Act, tuple[Parser, ...], str], ...] = (
        ("init", _init, (where, made), "make the authority: a key for the proxy alone, and a certificate"),
        ("show", _show, (where,), "show its fingerprint, how long it is good, and for which hosts"),
        ("export", _export, (where,), "write what clients have to trust, as PEM, to standard output"),
        ("rotate", _rotate, (where, made), "make a new one; the old one is exported still, for a transition"),
    )
    for name, act, parents, what in kinds:
        command = commands.add_parser(name, parents=list(parents), help=what, description=what)
        command.set_defaults(act=act)
        if name == "export":
            command.add_argument("--bundle", action="store_true", help="the system's roots too, for what replaces them")
            command.add_argument("--roots", metavar="FILE", help="where those are, if not where systems have them")
    return parser


def _fail(stderr: TextIO, problems: Iterable[str]) -> int:
    for problem in problems:
        print(f"aibridge ca: {problem}", file=stderr)
    return FAILED
