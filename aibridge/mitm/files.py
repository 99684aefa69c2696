"""
Where the certificate authority is kept: a file of its certificate, a file of its key, and one of those it had before.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509

from aibridge.identity.editing import Owner, write
from aibridge.identity.file import is_open
from aibridge.mitm.authority import Authority, Unusable, as_pem, key_as_pem, load, read_certificates

MOST_BYTES: Final = 1048576

_CERTIFICATE_MODE: Final = 0o644


def load_authority(cert_file: str, key_file: str) -> Authority:
    """
    The authority that is kept in two files.

    :raises Unusable: there is none, or it cannot be used; with the file, and how to mend it where that can be said.
    """
    certificates = _read(cert_file)
    key = _read(key_file, guarded=True)
    try:
        return load(certificates, key)
    except Unusable as error:
        # Which of the two it is about, the sentence says.
        raise Unusable(f"{cert_file}, {key_file}: {error}") from None


def read_certificate_file(path: str) -> list[x509.Certificate]:
    """
    The certificates in a file.

    :raises Unusable: it cannot be read, or one of them cannot.
    """
    try:
        return read_certificates(_read(path))
    except Unusable as error:
        raise Unusable(str(error) if str(error).startswith(path) else f"{path}: {error}") from None


def previous_file(cert_file: str) -> str:
    """
    Where the certificates of authorities before this one are.
    """
    path = Path(cert_file)
    return str(path.with_name(f"{path.stem}-previous{path.suffix}"))


def write_authority(cert_file: str, key_file: str, authority: Authority, previous: list[x509.Certificate]) -> None:
    """
    Keep an authority, whatever was there before.

    The key's file is for its owner alone; if root makes it in a directory of somebody else's, that is the owner.

    :param previous: certificates of those before it, to be trusted still for a while.
    :raises OSError: it cannot be written.
    """
    if previous:
        _write(previous_file(cert_file), as_pem(previous), _CERTIFICATE_MODE)
    _write(key_file, key_as_pem(authority.key))
    _write(cert_file, as_pem([authority.certificate]), _CERTIFICATE_MODE)


def _write(path: str, data: bytes, mode: int | None = None) -> None:
    target = Path(path)
    owner = Owner.of(target)
    if mode is None:
        # Root's own may be read by the group that root gave the directory to; nobody else's by anybody else.
        mode = 0o640 if not owner.uid and owner.gid else 0o600
    write(target, data, attrs.evolve(owner, mode=mode))


def _read(path: str, *, guarded: bool = False) -> bytes:
    try:
        # Without waiting, since it may be a pipe. What is looked at is what was opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unusable(f"{path}: it is not an ordinary file")
            if guarded:
                _check(path, status)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except Unusable:
        raise
    except FileNotFoundError:
        raise Unusable(f"{path}: there is no such file; `aibridge ca init` makes one") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise Unusable(f"{path}: it is larger than {MOST_BYTES} bytes")
    return data


def _check(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if is_open(mode, status.st_uid):
        kept = 0o640 if status.st_uid == 0 and mode & stat.S_IRGRP else 0o600
        raise Unusable(
            f"{path}: it is open to others than its owner (mode {mode:04o}); mend it with: "
            f"chmod {kept:o} {shlex.quote(path)}"
        )
