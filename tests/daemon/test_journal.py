"""
The file of what is known of stored objects.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from aibridge.daemon.journal import NAME, Journal, encode, read
from aibridge.model import Stored
from aibridge.providers.objects import Line, Objects

FILE = Stored.FILE


def made(directory: Path, most: int = 1000) -> tuple[Journal, Objects]:
    """
    A journal that was started, and what it keeps.
    """
    objects = Objects(most)
    journal = Journal(str(directory), objects, most)
    journal.start()
    return journal, objects


def learn(journal: Journal, objects: Objects, id: str, principal: str = "alice") -> None:
    """
    Somebody makes an object.
    """
    line = objects.learn("up", FILE, id, principal, "k1")
    assert line is not None
    journal.write(line)


def owner(objects: Objects, id: str) -> str:
    """
    Whose it is.
    """
    found = objects.find("up", FILE, id)
    return "" if found is None else found.principal


def test_it_outlives_the_daemon(tmp_path: Path) -> None:
    """
    What was learned is known by the next one, and what was forgotten is not.
    """
    journal, objects = made(tmp_path)
    learn(journal, objects, "f1")
    learn(journal, objects, "f2", "bob")
    gone = objects.forget("up", FILE, "f1")
    assert gone is not None
    journal.write(gone)
    journal.stop()
    journal, objects = made(tmp_path)
    assert [owner(objects, id) for id in ("f1", "f2")] == ["", "bob"]
    journal.stop()
    assert (tmp_path / NAME).read_bytes().count(b"\n") == 1


def test_it_is_the_daemons_alone(tmp_path: Path) -> None:
    """
    Nobody else may read it, and no other daemon has it at the same time.
    """
    journal, objects = made(tmp_path)
    learn(journal, objects, "f1")
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        made(tmp_path)
    journal.stop()
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    made(tmp_path)[0].stop()


def test_a_line_that_was_not_finished(tmp_path: Path) -> None:
    """
    Is left out, with whatever else cannot be read, and what is written after it is not lost.
    """
    good: Line = ("up", "file", "f1", "alice", "k1", 0)
    rest = encode(("up", "file", "f2", "alice", "k1", 0))[:-5]
    bad = (
        b'\n[1]\nnull\n["up","nothing","f3","alice","k1",0]\n["up","file",3,"alice","k1",0]\n\xff\n'
        + b"[" * 10000
        + b"\n"
    )
    (tmp_path / NAME).write_bytes(encode(good) + bad + rest)
    journal, objects = made(tmp_path)
    assert (owner(objects, "f1"), len(objects)) == ("alice", 1)
    learn(journal, objects, "f4")
    journal.stop()
    _, objects = made(tmp_path)
    assert [owner(objects, id) for id in ("f1", "f2", "f4")] == ["alice", "", "alice"]


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """
    It is written anew before it has many times as many lines as there may be objects.
    """
    journal, objects = made(tmp_path, most=10)
    for number in range(1000):
        learn(journal, objects, f"f{number}")
    journal.stop()
    assert (tmp_path / NAME).read_bytes().count(b"\n") <= 50
    _, objects = made(tmp_path, most=10)
    assert all(owner(objects, f"f{number}") for number in range(990, 1000))


def test_a_disk_that_is_full_costs_lines(tmp_path: Path) -> None:
    """
    They are counted, and nothing is raised.
    """
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    journal = Journal(str(tmp_path), Objects(), 10)
    journal._file = os.open(full, os.O_WRONLY)
    journal._put([("up", "file", "f1", "alice", "k1", 0), ("up", "file", "f2", "alice", "k1", 0)])
    os.close(journal._file)
    assert journal.lost == 2


@pytest.mark.parametrize("changes", [0, 1, 2, 3])
def test_what_was_lost_is_written_when_there_is_room_again(tmp_path: Path, changes: int) -> None:
    """
    All of it, with changes that come then; or at the end, if none does.
    """
    objects = Objects(1000)
    journal = Journal(str(tmp_path), objects, 1000)
    journal.start()
    journal.stop()
    # What the thread does is done here, one after the other.
    journal._thread = Thread()
    journal._file = os.open("/dev/full", os.O_WRONLY)
    learn(journal, objects, "f1")
    learn(journal, objects, "f2")
    work(journal)
    assert journal.lost == 2
    os.close(journal._file)
    journal._file = os.open(tmp_path / NAME, os.O_WRONLY | os.O_APPEND)
    for number in range(changes):
        learn(journal, objects, f"later{number}")
        work(journal)
    if changes < 2:
        journal._thread.start()
        journal.stop()
        work(journal)
    os.close(journal._file)
    journal, objects = made(tmp_path)
    assert [owner(objects, id) for id in ("f1", "f2", "f3")] == ["alice", "alice", ""]
    journal.stop()


def work(journal: Journal) -> None:
    """
    Write what waits.
    """
    entries = []
    while not journal._queue.empty():
        entries.append(journal._queue.get())
    journal._put(entries)


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """
    It says so at its start, and takes lines all the same.
    """
    journal = Journal(str(tmp_path / "none"), Objects(), 10)
    with pytest.raises(FileNotFoundError):
        journal.start()
    journal.write(("up", "file", "f1", "alice", "k1", 0))
    journal.stop()


def test_lines() -> None:
    """
    One is read as it was written.
    """
    line: Line = ("up", "file", "f\n1", "ålice", "k1", 1)
    assert list(read([encode(line)])) == [line]
