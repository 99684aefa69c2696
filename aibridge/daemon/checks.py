"""
What no option can know alone: whether they fit together, and fit this machine.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.endpoints import serverFromString

from aibridge.auth.settings import AuthSettings
from aibridge.auth.tokenfile import TokensUnusable
from aibridge.auth.tokens import Entry
from aibridge.daemon.admissionchecks import check_admission, warning
from aibridge.daemon.problems import NOT_SHOWN, Fault, KeyPath, quoted
from aibridge.daemon.secrets import unreadable, why
from aibridge.daemon.settings import PROVIDER, ListenSettings, LogSettings, Settings
from aibridge.identity.file import known_entries
from aibridge.providers.provider import TYPES
from aibridge.providers.settings import ProviderSettings
from aibridge.providers.types import KeyStyle
from aibridge.relay.headers import configured
from aibridge.web.settings import BridgeHttpSettings

_PORT = re.compile(r"(?:^(?:tcp6?|ssl):|:port=)([0-9]+)")
_ENDPOINT = "a Twisted server endpoint such as tcp:port=4000:interface=127.0.0.1"
_URL = "a URL such as https://api.example.com/v1"


def check(settings: Settings, *, embedded: bool, given: Collection[str] = ()) -> Iterator[Fault]:
    """
    Everything that is wrong with settings whose options are all right one by one.

    :param embedded: there is no configuration file, so the daemon sees to its tokens itself.
    :param given: the options, dotted, that have another source than a default.
    """
    yield from check_listen(settings.listen)
    tokens = yield from check_auth(settings.auth, embedded=embedded, given=given)
    yield from check_log(settings.log)
    yield from check_bodies(settings.http)
    yield from check_admission(settings, given, tokens)
    seen: dict[str, int] = {}
    for index, provider in enumerate(settings.provider):
        first = seen.setdefault(provider.name, index)
        if first != index:
            yield Fault(
                path=(PROVIDER, index, "name"),
                found=f"{quoted(provider.name)}, which {PROVIDER}[{first}] has too",
                allowed="a name of its own",
            )
        yield from _provider((PROVIDER, index), provider, is_open=settings.auth.backend == "none")


def check_bodies(http: BridgeHttpSettings) -> Iterator[Fault]:
    """
    One alone may have the largest body.
    """
    if http.max_bodies and http.max_bodies < 2 * http.max_body:
        yield Fault(
            path=("http", "max_bodies"),
            found=f"{http.max_bodies}",
            allowed=f"0, or {2 * http.max_body} and more: twice http.max_body",
        )


# -- where it listens --------------------------------------------------------------------------------------------


def check_listen(listen: ListenSettings) -> Iterator[Fault]:
    """
    Whether there are such endpoints and networks.
    """
    for name in ("endpoints", "admin"):
        for text in getattr(listen, name):
            refusal = _refused_endpoint(text)
            if refusal:
                shown = quoted(text)
                found = shown if shown is NOT_SHOWN else f"{shown} ({refusal})"
                yield Fault(path=("listen", name), found=found, allowed=_ENDPOINT)
    for text in listen.proxy_protocol_from:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            yield Fault(
                path=("listen", "proxy_protocol_from"),
                found=quoted(text),
                allowed="networks such as 10.0.0.0/8 or fd00::/8, without bits beyond the prefix",
            )


def _refused_endpoint(text: str) -> str:
    if text.startswith("systemd:"):
        # Its sockets are there only in a process that systemd has started.
        return ""
    try:
        serverFromString(None, text)
    except Exception as error:
        # Parsers are plugins, read certificates, and raise whatever they like.
        return str(error) or type(error).__name__
    return "no such port" if any(int(port[:6]) > 65535 for port in _PORT.findall(text)) else ""


# -- who may come in ---------------------------------------------------------------------------------------------


Tokens = Generator[Fault, None, tuple[Entry, ...]]


def check_auth(auth: AuthSettings, *, embedded: bool, given: Collection[str]) -> Tokens:
    """
    Whether tokens can be verified.

    :return: the tokens of the file, if there is one to be read.
    """
    if auth.backend == "file":
        if "auth.default_class" in given:
            yield warning(
                ("auth", "default_class"),
                'a class of those whose backend knows none, and auth.backend is "file"',
                "classes of tokens (aibridge token create --class)",
            )
        if not embedded:
            return (yield from _tokens(auth.tokens_file))
    elif auth.backend == "coder":
        path = ("auth", "coder_url")
        if not auth.coder_url:
            yield Fault(path=path, found="nothing", allowed=f'{_URL}, since auth.backend is "coder"')
        else:
            yield from check_url(path, auth.coder_url, carries="tokens")
        yield from check_certificates(("auth", "coder_ca_file"), auth.coder_ca_file)
    return ()


def _tokens(path: str) -> Tokens:
    where = ("auth", "tokens_file")
    try:
        tokens = known_entries(path)
    except TokensUnusable as error:
        for problem in error.problems:
            yield Fault(path=where, found=problem, allowed="")
    except ValueError as error:
        yield unreadable(path, error).at(where)
    else:
        if not tokens:
            hint = "`aibridge token create` makes one"
            yield warning(where, f"no token in {quoted(path)}, so nobody can come in", hint=hint)
        return tokens
    return ()


def check_log(log: LogSettings) -> Iterator[Fault]:
    """
    Whether there is a place for completions.
    """
    if not log.completions.startswith("/"):
        return
    path = Path(log.completions)
    try:
        usable = path.parent.is_dir() and not path.is_dir()
    except (OSError, ValueError):
        usable = False
    if not usable:
        yield Fault(
            path=("log", "completions"),
            found=quoted(log.completions),
            allowed="a file in a directory that exists and that the daemon may enter",
        )


# -- providers ---------------------------------------------------------------------------------------------------


def _provider(path: KeyPath, provider: ProviderSettings, *, is_open: bool) -> Iterator[Fault]:
    type_ = TYPES.get(provider.type)
    takes_key = type_ is None or type_.key_style is not KeyStyle.NONE
    if provider.base_url:
        yield from check_url((*path, "base_url"), provider.base_url, carries="keys")
    elif type_ is not None and not type_.base_url and takes_key:
        yield Fault(
            path=(*path, "base_url"), found="nothing", allowed=f"{_URL}, since type {provider.type} has no default"
        )
    yield from check_certificates((*path, "ca_file"), provider.ca_file)
    yield from _headers((*path, "headers"), provider)
    yield from _keys(path, provider, takes_key=takes_key, is_open=is_open)


def _headers(path: KeyPath, provider: ProviderSettings) -> Iterator[Fault]:
    for number, text in enumerate(provider.headers):
        try:
            configured(text)
        except ValueError as error:
            yield Fault(
                path=(*path, number),
                found=f"{quoted(text)} ({error})",
                allowed='a field as "Name: value", neither of a connection nor of a credential',
            )
    if provider.headers and not provider.references:
        yield warning(path, "fields that go with a key, and no key is configured", "a key, or no headers")


def _keys(table: KeyPath, provider: ProviderSettings, *, takes_key: bool, is_open: bool) -> Iterator[Fault]:
    path = (*table, "key" if provider.key or not provider.keys else "keys")
    if provider.key_order != "first" and len(provider.references) < 2:
        yield warning((*table, "key_order"), "an order of fewer than two keys", "more keys, or no key_order")
    if not provider.references:
        if provider.credentials == "central" and takes_key:
            yield Fault(path=path, found="nothing", allowed='a reference to the key, since credentials is "central"')
    elif not takes_key:
        yield warning(path, f"a key that type {provider.type} never asks for", "no key")
    elif provider.credentials == "client":
        yield warning(path, 'a key that is never used, since credentials is "client"', "no key")
    elif is_open:
        yield warning(
            path,
            'a key that everyone may use who can connect, since auth.backend is "none"',
            'no key, or credentials = "client", or another backend',
        )


def check_url(path: KeyPath, url: str, *, carries: str) -> Iterator[Fault]:
    """
    Whether a URL has a host, and does not take what it carries over a network in clear text.
    """
    try:
        parts = urlsplit(url)
        host = "" if parts.port == 0 else parts.hostname
    except ValueError:
        host = ""
    if not host:
        yield Fault(path=path, found=quoted(url), allowed=_URL)
    elif url.startswith("http:") and not _is_here(host):
        yield warning(
            path, f"{quoted(url)}, over which {carries} go unencrypted", "https://, or http:// on this machine"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_certificates(path: KeyPath, file: str) -> Iterator[Fault]:
    """
    Whether a file, if one is named, has certificates in it.
    """
    if not file:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:
        # What OpenSSL says of a file without certificates depends on its version.
        said = "no certificate in it" if isinstance(error, ssl.SSLError) else why(error)
        yield Fault(path=path, found=f"{quoted(file)} ({said})", allowed="a PEM file of certificates")
