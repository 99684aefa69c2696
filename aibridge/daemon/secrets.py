"""
From references to secrets: ``file:/PATH``, ``env:NAME``, ``credential:NAME``.

A file that holds a secret may be opened by its owner alone; where root owns it, its group may read it as well, which
is how packages give a service its keys (root:aibridge, 0640). That does not depend on who asks, so a check run by
root finds what the daemon would. What systemd hands out below $CREDENTIALS_DIRECTORY is systemd's to guard.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping

from aibridge.daemon.problems import NOT_SHOWN, Fault, KeyPath, Unacceptable, dotted, quoted
from aibridge.daemon.settings import PROVIDER, Settings
from aibridge.daemon.values import REFERENCE, REFERENCE_FORM
from aibridge.identity.file import is_open
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret

MOST_BYTES = 65536
CREDENTIALS = "CREDENTIALS_DIRECTORY"

_ONE_LINE = "one line of visible ASCII characters"


def resolve(settings: Settings, environ: Mapping[str, str]) -> tuple[dict[str, tuple[Secret, ...]], list[Fault]]:
    """
    Fetch every secret that the settings refer to.

    :return: the keys of each provider that has any, by the provider's name and in the order of their use; and a fault
        for each that cannot be had, or is there twice.
    """
    keys: dict[str, tuple[Secret, ...]] = {}
    faults: list[Fault] = []
    for index, provider in enumerate(settings.provider):
        found: dict[Secret, str] = {}
        for place, reference in _references(provider):
            path = (PROVIDER, index, *place)
            try:
                secret = fetch(reference, environ)
                if secret in found:
                    raise Unacceptable(f"the same key as {found[secret]}", "a key that is there once")
                found[secret] = dotted(path)
            except Unacceptable as refusal:
                faults.append(refusal.at(path))
        if found:
            keys[provider.name] = tuple(found)
    return keys, faults


def _references(provider: ProviderSettings) -> Iterator[tuple[KeyPath, str]]:
    if provider.key:
        yield ("key",), provider.key
    for number, reference in enumerate(provider.keys):
        yield ("keys", number), reference


def fetch(reference: str, environ: Mapping[str, str]) -> Secret:
    """
    The secret behind one reference.

    :raises Unacceptable: it is no reference, or there is no secret behind it, or others can read it.
    """
    parts = REFERENCE.fullmatch(reference)
    if parts is None:
        raise Unacceptable(NOT_SHOWN, REFERENCE_FORM)
    if parts["env"]:
        variable = parts["variable"]
        text = environ.get(variable)
        if text is None:
            raise Unacceptable(f"no environment variable {quoted(variable)}", "the name of one that is set")
        return _secret(text, f"environment variable {quoted(variable)}")
    if parts["file"]:
        return _secret(_content(parts["path"], guarded=False), quoted(parts["path"]))
    directory = environ.get(CREDENTIALS)
    if not directory:
        raise Unacceptable(
            f"no ${CREDENTIALS} to look for {quoted(parts['id'])} in",
            "a credential that systemd hands out (LoadCredential= in the unit)",
        )
    path = f"{directory}/{parts['id']}"
    return _secret(_content(path, guarded=True), quoted(path))


def unreadable(path: str, error: Exception) -> Unacceptable:
    """
    A file that could not be read, as a refusal.
    """
    return Unacceptable(f"{quoted(path)}, which cannot be read ({why(error)})", "a file that the daemon may read")


def why(error: Exception) -> str:
    """
    What the system says about a file, without the file's name.
    """
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _content(path: str, *, guarded: bool) -> str:
    try:
        # Opened before it is looked at, so that what was looked at is what is read; without waiting, since it may be
        # a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(path, os.fstat(descriptor), guarded=guarded)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if len(data) > MOST_BYTES:
        raise Unacceptable(f"{quoted(path)} of more than {MOST_BYTES} bytes", _ONE_LINE)
    # What is no ASCII becomes what `_secret` refuses.
    return data.decode("ascii", "replace")


def _check(path: str, state: os.stat_result, *, guarded: bool) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise Unacceptable(f"{quoted(path)}, which is no ordinary file", "a file")
    mode = stat.S_IMODE(state.st_mode)
    if not guarded and is_open(mode, state.st_uid):
        kept = 0o640 if state.st_uid == 0 and mode & stat.S_IRGRP else 0o600
        raise Unacceptable(
            f"{quoted(path)}, which is open to others (mode {mode:04o})",
            "a file that its owner alone may open, or that root owns and its group may read",
            f"chmod {kept:o} {shlex.quote(path)}",
        )


def _secret(text: str, place: str) -> Secret:
    text = text.strip()
    if not text:
        raise Unacceptable(f"nothing in {place}", _ONE_LINE)
    if len(text.splitlines()) > 1:
        raise Unacceptable(f"more than one line in {place}", _ONE_LINE)
    if not all("!" <= character <= "~" for character in text):
        raise Unacceptable(f"white space or other characters that no key has in {place}", _ONE_LINE)
    return Secret(text)
