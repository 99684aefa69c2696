"""
How ``tokens.toml`` is changed on disk: by one command at a time, and wholly or not at all.

The new text is written to a file beside the old one, brought to the disk, and put in its place by a rename. Whoever
reads meanwhile, or after a crash at any point, finds the old text or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from aibridge.auth.tokenfile import TokenFile
from aibridge.identity.file import read_text

LOCK_S: Final = 10.0
STEP_S: Final = 0.1


@attrs.frozen
class Owner:
    """
    Whom a file belongs to, and who else may do what.
    """

    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, path: Path) -> Owner:
        """
        That of `path`; of a new file, what suits the directory it will be in. Root may be at work for a service that
        runs as somebody else: then a new file belongs to whom the directory does, and if that is root too, the
        directory's group may read it.
        """
        try:
            status = path.stat()
            return cls(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        except FileNotFoundError:
            if os.geteuid():
                return cls(os.geteuid(), os.getegid(), 0o600)
            status = path.parent.stat()
            return cls(status.st_uid, status.st_gid, 0o600 if status.st_uid or not status.st_gid else 0o640)

    def give(self, descriptor: int, mode: int | None = None) -> None:
        """
        Make an open file so.

        :raises PermissionError: it would have to be given away, which only root may do.
        """
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.fchown(descriptor, self.uid, self.gid)
        os.fchmod(descriptor, self.mode if mode is None else mode)


def edit(
    path: str,
    change: Callable[[TokenFile], TokenFile],
    pause: Callable[[float], None],
    replace: Callable[[str, Path], None] = os.replace,
) -> None:
    """
    Change a file of tokens, or make one.

    Owner and mode stay, and so does a symbolic link to it. Nothing is changed if anything goes wrong, `change`
    raising included.

    :param pause: waits for so many seconds, while another command is at work.
    :param replace: puts a file in the place of another, in one step.
    :raises OSError: it cannot be read or written, or another command did not finish in `LOCK_S`.
    :raises TokensUnusable: what is there cannot be changed, since it cannot be read.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such directory", str(target.parent))
    owner = Owner.of(target)
    with _locked(target, owner, pause):
        try:
            before = read_text(str(target))
        except FileNotFoundError:
            before = ""
        after = change(TokenFile.from_text(before)).text()
        TokenFile.from_text(after)
        write(target, after.encode(), owner, replace)


@contextmanager
def _locked(target: Path, owner: Owner, pause: Callable[[float], None]) -> Iterator[None]:
    # The file itself cannot be locked, since it is replaced. The lock's file stays: whoever removed it could remove
    # one that somebody else has just locked.
    lock = target.with_name(f".{target.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            owner.give(descriptor, mode=0o600)
        for _ in range(round(LOCK_S / STEP_S)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pause(STEP_S)
        else:
            raise TimeoutError(errno.ETIMEDOUT, "Another command is changing it", str(target))
        yield
    finally:
        os.close(descriptor)


def write(target: Path, data: bytes, owner: Owner, replace: Callable[[str, Path], None] = os.replace) -> None:
    """
    Put `data` into a file, wholly or not at all.

    :raises OSError: it cannot be written, or not given to its owner.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            owner.give(descriptor)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    # The rename itself; some file systems cannot be asked for that, and the change is made all the same.
    with suppress(OSError):
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
