"""
What is known of stored objects, kept in a file: a line of JSON for each change.

Note [Never waited for]: a thread writes, and is given lines by a queue that never blocks. When the disk is slow or
full, lines are lost and counted, and requests go on. What was handed over is in the system's hands within milliseconds,
and so outlives the daemon's own end, however sudden.

At start the file is read, a line that was not finished is left out, and so is whatever cannot be read; then it is
written anew, with what is still in force, and so it is whenever it has grown to several times that.

Note [What is owed]: lines that were lost are known to the daemon still. So when lines can be written again the file is
written anew, and at the end it is tried once more. As long as that fails it is tried after twice as many changes each
time, since all there is may take more room than there is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final

from twisted.logger import Logger

from aibridge.model import Stored
from aibridge.providers.objects import Line, Objects

NAME: Final = "objects.jsonl"

MOST_WAITING: Final = 65536
"""Lines that wait for the disk; more are lost."""

GROWS: Final = 4
"""Times as many lines as there may be objects, before the file is written anew."""

_KINDS: Final = frozenset(kind.value for kind in Stored)

_log = Logger(namespace=__name__)


class Journal:
    """
    Keeps `objects` in a directory.

    :param directory: that only this daemon writes to.
    :param most: objects that there may be.
    :ivar lost: lines that were not written.
    """

    def __init__(self, directory: str, objects: Objects, most: int) -> None:
        self._path = Path(directory) / NAME
        self._objects = objects
        self._most_lines = most * GROWS
        self._queue: SimpleQueue[list[Line] | Line | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._file: int = -1
        self._lines = 0  # in the file, and on their way to it
        self._fails = False
        # See Note [What is owed]: lines are missing, after how many changes the file is written anew, and how many of
        # those there were.
        self._owes = False
        self._patience = 1
        self._changes = 0
        self.lost = 0

    def start(self) -> None:
        """
        Read what there is, and follow what changes.

        :raises OSError: the file cannot be read or written, or another daemon has it.
        """
        self._file = _opened(self._path)
        with self._path.open("rb") as file:
            for line in read(file):
                self._objects.take(line)
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        self._renew()

    def write(self, line: Line) -> None:
        """
        A change; see Note [Never waited for].
        """
        if self._thread is None:
            return
        if self._queue.qsize() >= MOST_WAITING:
            self.lost += 1
            self._owes = True
            return
        self._lines += 1
        if self._lines > self._most_lines or self._can_pay():
            self._renew()
        else:
            self._queue.put(line)

    def stop(self) -> None:
        """
        Write what waits, and no more. It takes a moment at most.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._owes:
                self._renew()
            self._queue.put(None)
            thread.join(1.0)

    def _can_pay(self) -> bool:
        if not self._owes or self._fails:
            return False
        self._changes += 1
        if self._changes < self._patience:
            return False
        self._changes = 0
        self._patience *= 2
        return True

    def _renew(self) -> None:
        lines = list(self._objects.lines())
        self._lines = len(lines)
        self._queue.put(lines)

    # -- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        is_over = False
        while not is_over:
            entries = [self._queue.get()]
            while not self._queue.empty():
                entries.append(self._queue.get())
            is_over = entries[-1] is None
            self._put(entries)
        with contextlib.suppress(OSError):
            os.close(self._file)

    def _put(self, entries: list[list[Line] | Line | None]) -> None:
        lines: list[Line] = []
        for entry in entries:
            if isinstance(entry, list):
                lines = []  # they are in it
                self._attempt(entry, self._rewrite)
            elif entry is not None:
                lines.append(entry)
        if lines:
            self._attempt(lines, self._append)

    def _attempt(self, lines: list[Line], write: Callable[[bytes], None]) -> None:
        try:
            write(b"".join(map(encode, lines)))
        except OSError as error:
            self.lost += len(lines)
            self._owes = True
            if not self._fails:
                _log.error("What is known of stored objects cannot be written: {error}.", error=error)
            self._fails = True
        else:
            self._fails = False

    def _append(self, text: bytes) -> None:
        if self._fails:
            # Half a line may be there.
            text = b"\n" + text
        view = memoryview(text)
        while view:
            view = view[os.write(self._file, view) :]

    def _rewrite(self, text: bytes) -> None:
        beside = self._path.with_suffix(".new")
        made = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(made, fcntl.LOCK_EX | fcntl.LOCK_NB)
            view = memoryview(text)
            while view:
                view = view[os.write(made, view) :]
            os.fsync(made)
            beside.rename(self._path)
        except OSError:
            os.close(made)
            raise
        before, self._file = self._file, made
        self._owes, self._patience = False, 1
        os.close(before)


def encode(line: Line) -> bytes:
    """
    A change as a line.
    """
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[Line]:
    """
    The changes that lines tell; those that cannot be read are left out.
    """
    for text in lines:
        if not text.endswith(b"\n"):
            continue
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(told, list) or len(told) != 6:
            continue
        provider, kind, id, principal, key_id, refers = told
        if kind in _KINDS and all(isinstance(each, str) for each in (provider, id, principal, key_id)) and provider:
            yield provider, kind, id, principal, key_id, 1 if refers else 0


def _opened(path: Path) -> int:
    """
    The file, for this daemon alone.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
