"""
The backend ``file``: tokens are looked up in memory, and the file they come from is followed.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aibridge.auth.tokenfile import TokensUnusable
from aibridge.auth.tokenreader import TokenReader, Undivided
from aibridge.auth.tokens import Entry, TokenTable
from aibridge.errors import Unauthenticated
from aibridge.identity.failures import Failures
from aibridge.interfaces import IIdentity
from aibridge.model import Principal

POLL_S: Final = 2.0
MOST_BYTES: Final = 8388608

ENTRIES_AT_ONCE: Final = 250
"""That are made ready to be looked up in one step, which takes some milliseconds."""

LARGE: Final = 131072
"""Bytes of a file that takes long enough to be read in several turns."""

Read = tuple[tuple[Entry, ...], TokenTable]

State = tuple[int, ...]
"""What tells one content of a file from another without reading it."""


@implementer(IIdentity)
class TableIdentity:
    """
    Looks tokens up in a table.

    :param wall_clock: Unix seconds; tokens expire at dates.
    """

    verifies_tokens = True

    def __init__(self, table: TokenTable, failures: Failures, wall_clock: Callable[[], float]) -> None:
        self._table = table
        self._failures = failures
        self._wall_clock = wall_clock

    def identify(self, token: bytes | None, client_host: str, now: float) -> Principal:
        """
        See `IIdentity.identify`. A good token passes whatever else came from its address: see Note [Failures] in
        `aibridge.identity.failures`.
        """
        try:
            if token is None:
                raise Unauthenticated
            return self._table.verify(token, self._wall_clock())
        except Unauthenticated as error:
            raise self._failures.count(error, client_host, now) from None

    def principal_named(self, name: str) -> Principal | None:
        """
        See `IIdentity.principal_named`.
        """
        return self._table.named(name)

    def start(self) -> None:
        """
        There is nothing to follow.
        """

    def stop(self) -> None:
        """
        There is nothing to give up.
        """


@implementer(IIdentity)
class FileIdentity(TableIdentity):
    """
    Looks tokens up in what ``tokens.toml`` said last.

    The file is looked at every `POLL_S` seconds. One that was replaced is read at once; one that was written in
    place may not be complete yet, and is read when it has stayed the same for one look. So a change takes effect
    within twice `POLL_S`, and the time that it takes to read. A file that cannot be used changes nothing, and is logged
    once.

    Note [Little by little]: requests are served while a large file is read: what has changed of it in steps of some
    milliseconds, one in each turn; or in a thread, if it cannot be read in steps. The tokens that were read last are
    good until all of it is there.

    :param path: absolute.
    :param in_thread: calls a function in a thread, for a Deferred of what it returns.
    :ivar entries: what the file said last.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        failures: Failures,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        in_thread: Callable[[Callable[[], Read]], Deferred[Read]] = maybeDeferred,
    ) -> None:
        super().__init__(TokenTable(()), failures, wall_clock)
        self.entries: tuple[Entry, ...] = ()
        self._path = path
        self._clock = clock
        self._in_thread = in_thread
        self._seen: State | None = None
        self._unsettled: State | None = None
        self._loop: LoopingCall | None = None
        self._step: IDelayedCall | None = None
        self._is_reading = False

    def start(self) -> None:
        """
        Read the file, and follow it.

        :raises TokensUnusable: it cannot be used as it is.
        """
        self._seen = _state(self._path)
        self.entries = read_file(self._path)
        self._table = TokenTable(self.entries)
        _FOLLOWED[self._path] = self
        if not self._table:
            self._log.warn("{path} has no tokens, so that nobody can come in. {hint}", **self._hint())
        self._loop = loop = LoopingCall(self._look)
        loop.clock = self._clock
        loop.start(POLL_S, now=False).addErrback(self._stopped_looking)

    def stop(self) -> None:
        """
        Follow the file no more; tokens are still known.
        """
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()
            if _FOLLOWED.get(self._path) is self:
                del _FOLLOWED[self._path]
        step, self._step = self._step, None
        if step is not None:
            step.cancel()

    def _look(self) -> None:
        if self._is_reading:
            return
        state = _state(self._path)
        if state == self._seen:
            self._unsettled = None
            return
        if state is not None and self._seen is not None and _same_file(state, self._seen) and state != self._unsettled:
            self._unsettled = state
            return
        self._seen, self._unsettled = state, None
        self._is_reading = True
        self._read(_table_steps(self._path))

    def _read(self, steps: Generator[None, None, Read]) -> None:
        """
        Take one step. See Note [Little by little].
        """
        self._step = None
        try:
            next(steps)
        except StopIteration as done:
            self._changed(done.value)
        except Undivided:
            read = self._in_thread(self._read_at_once)
            read.addCallbacks(self._changed, self._unusable)
            read.addErrback(self._unusable)
        except Exception:
            self._unusable(Failure())
        else:
            self._step = self._clock.callLater(0, self._read, steps)

    def _read_at_once(self) -> Read:
        entries = read_file(self._path, TokenReader())
        return entries, TokenTable(entries)

    def _changed(self, read: Read) -> None:
        self._is_reading = False
        if self._loop is None:
            return
        self.entries, self._table = read
        self._log.info("{count} tokens read from {path}.", count=len(self.entries), path=self._path)

    def _unusable(self, failure: Failure) -> None:
        self._is_reading = False
        error = failure.value
        # The words of other exceptions may show what was found in place of tokens.
        problems = error.problems if isinstance(error, TokensUnusable) else (f"{self._path}: {type(error).__name__}",)
        self._log.error(
            "The tokens have changed and cannot be used; those known before stay in force. {problems}",
            problems="; ".join(problems),
        )

    def _hint(self) -> dict[str, str]:
        return {"path": self._path, "hint": f"Make one with: {_create(self._path)}"}

    def _stopped_looking(self, failure: object) -> None:
        self._log.critical("Changes of {path} are not followed any more: {failure}", path=self._path, failure=failure)


_FOLLOWED: Final[dict[str, FileIdentity]] = {}
"""Who follows which file in this process."""


def known_entries(path: str) -> tuple[Entry, ...]:
    """
    The entries of ``tokens.toml`` for those who cannot wait for a large one: if it is followed, what it said last; what
    it says now is known, or told to be wrong, as soon as that is read.

    :raises TokensUnusable: as `read_file` does.
    """
    follower, state = _FOLLOWED.get(path), _state(path)
    return follower.entries if follower is not None and state is not None and state[2] >= LARGE else read_file(path)


_READER: Final = TokenReader()
"""What all files of tokens are read by, which mostly is the same one again and again."""


def read_table(path: str, reader: TokenReader = _READER) -> TokenTable:
    """
    The tokens of ``tokens.toml``, to be looked up.

    :param reader: may know some of them.
    :raises TokensUnusable: as `read_file` does.
    """
    return TokenTable(read_file(path, reader))


def read_file(path: str, reader: TokenReader = _READER) -> tuple[Entry, ...]:
    """
    The entries of ``tokens.toml``.

    :param reader: may know some of them.
    :raises TokensUnusable: with everything that is wrong, each problem with the file's name and, where one can be
        given, how to mend it.
    """
    with _named(path):
        return reader.read(read_text(path))


def _table_steps(path: str) -> Generator[None, None, Read]:
    """
    The entries and their table, in steps.

    :raises Undivided: that cannot be.
    """
    with _named(path):
        entries = yield from _READER.steps(read_text(path))
    table = TokenTable(())
    for start in range(0, len(entries), ENTRIES_AT_ONCE):
        table.add(entries[start : start + ENTRIES_AT_ONCE])
        if start + ENTRIES_AT_ONCE < len(entries):
            yield
    return entries, table


@contextmanager
def _named(path: str) -> Iterator[None]:
    """
    Problems that name the file.
    """
    try:
        yield
    except FileNotFoundError:
        raise TokensUnusable([f"{path}: there is no such file; make it, with a token, by: {_create(path)}"]) from None
    except OSError as error:
        raise TokensUnusable([f"{path}: it cannot be read: {error.strerror or error}"]) from None
    except TokensUnusable as error:
        raise TokensUnusable([f"{path}: {problem}" for problem in error.problems]) from None
    except RecursionError:
        raise TokensUnusable([f"{path}: it is nested more deeply than any file of tokens"]) from None


def read_text(path: str) -> str:
    """
    The text of a file that nobody else may read.

    :raises OSError: it cannot be read.
    :raises TokensUnusable: it is open to others, or nothing that a file of tokens could be.
    """
    # Without waiting, since it may be a pipe. What is looked at is what was opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor), path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MOST_BYTES:
        raise TokensUnusable([f"it is larger than {MOST_BYTES} bytes"])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TokensUnusable([f"line {line} is not UTF-8"]) from None


def is_open(mode: int, owner: int) -> bool:
    """
    Whether others than the owner may touch a file, or read it. Where that is root, its group may read it, which is
    how a package gives a service its secrets (root:aibridge, 0640).
    """
    shared = stat.S_IRGRP if owner == 0 else 0
    return bool(mode & (stat.S_IRWXG | stat.S_IRWXO) & ~shared)


def _check(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TokensUnusable(["it is not an ordinary file"])
    mode = stat.S_IMODE(status.st_mode)
    if is_open(mode, status.st_uid):
        kept = 0o640 if status.st_uid == 0 and mode & stat.S_IRGRP else 0o600
        raise TokensUnusable(
            [f"it is open to others than its owner (mode {mode:04o}); mend it with: chmod {kept:o} {_quoted(path)}"]
        )


def _state(path: str) -> State | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    # Owner and mode are not told by the time of modification, but by that of change.
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _same_file(one: State, other: State) -> bool:
    return one[:2] == other[:2]


def _create(path: str) -> str:
    return f"aibridge token create --name NAME --file {_quoted(path)}"


def _quoted(path: str) -> str:
    return shlex.quote(path)
