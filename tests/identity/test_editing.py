"""
How a file of tokens is changed on disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from aibridge.auth.tokenfile import TokenFile, TokensUnusable
from aibridge.auth.tokens import Entry
from aibridge.identity.editing import LOCK_S, edit
from aibridge.identity.file import read_table

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def entry(number: int = 0) -> Entry:
    """
    An entry that differs from the others by its number.
    """
    return Entry(
        id=f"{number:012d}",
        name=f"name {number}",
        hash="sha256:" + "0a" * 32,
        created=datetime(2026, 11, 24, tzinfo=UTC),
    )


def add(path: Path, number: int = 0) -> None:
    """
    Add a token to a file that nobody else is at.
    """
    edit(str(path), lambda file: file.adding(entry(number)), impatient)


def impatient(seconds: float) -> NoReturn:
    """
    Fails where waiting is not expected.
    """
    raise AssertionError("nobody else is at work")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """
    A file of tokens that is not there yet.
    """
    return tmp_path / "tokens.toml"


def others(path: Path) -> set[str]:
    """
    What else is in the directory, but for the lock.
    """
    return {each.name for each in path.parent.iterdir()} - {path.name, f".{path.name}.lock"}


def test_a_new_file(path: Path) -> None:
    """
    It can be read and written by its owner alone, whatever the umask, and nothing is left beside it but the lock.
    """
    umask = os.umask(0o277)
    try:
        add(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read_table(str(path))) == 1
    assert others(path) == set()


def test_an_old_file(path: Path) -> None:
    """
    What was there stays, and so does its mode.
    """
    path.write_text("# Mine.\n")
    path.chmod(0o400)
    add(path, 1)
    add(path, 2)
    assert path.read_text().startswith("# Mine.\n\n[[token]]\n")
    assert len(read_table(str(path))) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_link(path: Path) -> None:
    """
    A symbolic link stays one; the file it leads to is changed.
    """
    real = path.parent / "elsewhere" / "real.toml"
    real.parent.mkdir()
    add(real, 1)
    path.symlink_to(real)
    add(path, 2)
    assert path.is_symlink()
    assert len(read_table(str(real))) == 2
    assert others(real) == set()


@needs_root
def test_the_owner_stays(path: Path) -> None:
    """
    Root's changes leave the file, and the lock, to whom they belong.
    """
    add(path, 1)
    os.chown(path, 12345, 23456)
    path.with_name(".tokens.toml.lock").unlink()
    add(path, 2)
    for each in (path, path.with_name(".tokens.toml.lock")):
        status = each.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o600)


@needs_root
@pytest.mark.parametrize(
    ("uid", "gid", "mode"), [(0, 0, 0o600), (0, 23456, 0o640), (12345, 23456, 0o600), (12345, 0, 0o600)]
)
def test_whose_a_new_file_of_roots_is(path: Path, uid: int, gid: int, mode: int) -> None:
    """
    It belongs to whom its directory belongs, so that the service it is for can read it.
    """
    os.chown(path.parent, uid, gid)
    add(path)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, mode)
    assert len(read_table(str(path))) == 1


DIES = """
import os, sys, time
from aibridge.identity.editing import edit

edit(sys.argv[1], lambda file: file.without(file.entries[0].id), time.sleep, lambda new, target: os._exit(9))
"""


class TestCrash:
    """
    Whatever goes wrong, the old file is there, whole.
    """

    def test_before_the_rename(self, path: Path) -> None:
        """
        A failure between writing and renaming changes nothing, and leaves nothing behind.
        """
        add(path, 1)
        before = path.read_bytes(), path.stat().st_ino
        seen: list[bytes] = []

        def fail(new: str, target: Path) -> None:
            seen.append(Path(new).read_bytes())
            assert Path(new).parent == target.parent
            raise OSError(errno.EIO, "broken")

        with pytest.raises(OSError, match="broken"):
            edit(str(path), lambda file: file.adding(entry(2)), impatient, fail)
        assert (path.read_bytes(), path.stat().st_ino) == before
        assert others(path) == set()
        assert len(TokenFile.from_text(seen[0].decode()).entries) == 2

    def test_a_process_that_dies(self, path: Path) -> None:
        """
        A process that dies there leaves the old file and a lock that is free.
        """
        add(path, 1)
        before = path.read_bytes()
        died = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False)
        assert died.returncode == 9
        assert path.read_bytes() == before
        (left,) = others(path)
        assert stat.S_IMODE((path.parent / left).stat().st_mode) == 0o600
        add(path, 3)
        assert len(read_table(str(path))) == 2

    def test_a_change_that_fails(self, path: Path) -> None:
        """
        So does a change that raises; a file that was not there is not made.
        """

        def fail(file: TokenFile) -> TokenFile:
            raise LookupError("no")

        with pytest.raises(LookupError):
            edit(str(path), fail, impatient)
        assert not path.exists()
        assert others(path) == set()

    @pytest.mark.parametrize("text", ["[[token]]\n", "\0"])
    def test_a_file_that_cannot_be_read(self, path: Path, text: str) -> None:
        """
        What is not understood is not changed.
        """
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(TokensUnusable):
            add(path)
        assert path.read_text() == text

    def test_a_file_that_is_open_to_others(self, path: Path) -> None:
        """
        It has to be closed first.
        """
        path.write_text("")
        path.chmod(0o604)
        with pytest.raises(TokensUnusable, match="chmod 6"):
            add(path)

    def test_no_directory(self, path: Path) -> None:
        """
        A directory that is not there is not made.
        """
        with pytest.raises(FileNotFoundError) as caught:
            add(path / "tokens.toml")
        assert caught.value.filename == str(path)


class TestLock:
    """
    One command at a time.
    """

    def test_waiting(self, path: Path) -> None:
        """
        A second command waits until the first is done, and builds on what it did.
        """
        add(path, 1)
        lock = os.open(path.with_name(".tokens.toml.lock"), os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        waits: list[float] = []

        def pause(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                path.write_text(TokenFile.from_text(path.read_text()).adding(entry(2)).text())
                os.close(lock)

        edit(str(path), lambda file: file.adding(entry(3)), pause)
        assert len(waits) == 3
        assert len(read_table(str(path))) == 3

    def test_waiting_ends(self, path: Path) -> None:
        """
        It does not wait for ever.
        """
        add(path, 1)
        lock = os.open(path.with_name(".tokens.toml.lock"), os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        waits: list[float] = []
        with pytest.raises(TimeoutError, match="Another command"):
            edit(str(path), lambda file: file.adding(entry(2)), waits.append)
        os.close(lock)
        assert sum(waits) == pytest.approx(LOCK_S)
        assert len(read_table(str(path))) == 1

    def test_a_lock_that_is_a_link(self, path: Path) -> None:
        """
        A link in the lock's place is not followed.
        """
        path.with_name(".tokens.toml.lock").symlink_to(path.parent / "victim")
        with pytest.raises(OSError, match="symbolic links"):
            add(path)
        assert not (path.parent / "victim").exists()
