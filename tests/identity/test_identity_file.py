"""
The backend that looks tokens up in a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest import skipUnless

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibridge.auth.tokenfile import TokenFile, TokensUnusable
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token, TokenTable
from aibridge.errors import TooManyFailures, Unauthenticated
from aibridge.identity.failures import Failures
from aibridge.identity.file import (
    LARGE,
    MOST_BYTES,
    POLL_S,
    FileIdentity,
    Read,
    TableIdentity,
    is_open,
    known_entries,
    read_table,
    read_text,
)
from aibridge.interfaces import IIdentity
from aibridge.model import Class

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOST = "192.0.2.1"


def a_token(number: int) -> Token:
    """
    A token that differs from the others by its number.
    """
    return Token.from_random(bytes([number]) * RANDOM_BYTES)


def text_of(*numbers: int, **values: Any) -> str:
    """
    A file with these tokens.
    """
    file = TokenFile.from_text("")
    for number in numbers:
        token = a_token(number)
        entry = {"id": token.id, "name": f"name {number}", "hash": token.hashed(), "created": NOW, **values}
        file = file.adding(Entry(**entry))
    return file.text()


class Turns(Clock):
    """
    A clock on which what is to be done in the next turn takes a thousandth of a second until then.
    """

    def callLater(self, delay: float, *rest: Any, **more: Any) -> IDelayedCall:
        """
        As `Clock` does, which would do it in the same one.
        """
        return super().callLater(delay or 0.001, *rest, **more)


class FileCase(SynchronousTestCase):
    """
    A file of tokens in a directory of its own.
    """

    def setUp(self) -> None:
        """
        Nobody can come in more than twice with a bad token.
        """
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "tokens.toml"
        self.clock = Turns()
        self.wall = NOW.timestamp()
        self.events: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def write(self, text: str, mode: int = 0o600) -> None:
        """
        Replace the file, as the command does.
        """
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.chmod(mode)
        new.replace(self.path)

    def identity(self, failures: Failures | None = None) -> FileIdentity:
        """
        An identity that follows the file.
        """
        failures = Failures(0, 1, 1) if failures is None else failures
        identity = FileIdentity(str(self.path), failures, self.clock, lambda: self.wall)
        identity.start()
        self.addCleanup(identity.stop)
        return identity

    def knows(self, identity: FileIdentity) -> set[int]:
        """
        The numbers of those tokens that are good.
        """
        known = set()
        for number in range(5):
            try:
                principal = identity.identify(a_token(number).reveal().encode(), HOST, 0.0)
            except Unauthenticated:
                continue
            self.assertEqual(principal.name, f"name {number}")
            known.add(number)
        return known

    def logged(self, level: LogLevel) -> list[dict[str, Any]]:
        """
        What was logged at a level, and take it away.
        """
        found = [event for event in self.events if event["log_level"] is level]
        self.events[:] = [event for event in self.events if event["log_level"] is not level]
        return found


class IdentifyTests(FileCase):
    """
    Who may come in.
    """

    def test_interface(self) -> None:
        """
        Both identities keep the interface's promises, and verify tokens.
        """
        self.write(text_of(1))
        for identity in (self.identity(), TableIdentity(TokenTable(()), Failures(0, 1, 1), lambda: 0.0)):
            self.assertTrue(verifyObject(IIdentity, identity))
            self.assertTrue(identity.verifies_tokens)

    def test_a_fixed_table(self) -> None:
        """
        A table that comes from no file is followed by nobody.
        """
        identity = TableIdentity(TokenTable(TokenFile.from_text(text_of(1)).entries), Failures(0, 1, 1), lambda: 0.0)
        identity.start()
        self.assertEqual(identity.identify(a_token(1).reveal().encode(), HOST, 0.0).name, "name 1")
        identity.stop()

    def test_good_and_bad(self) -> None:
        """
        Tokens of the file are good, and others are not.
        """
        self.write(text_of(1, 2))
        self.assertEqual(self.knows(self.identity()), {1, 2})

    def test_no_token(self) -> None:
        """
        Who shows no token is not authenticated, and is told nothing about tokens.
        """
        self.write(text_of(1))
        error = self.assertRaises(Unauthenticated, self.identity().identify, None, HOST, 0.0)
        self.assertEqual(error.detail, "")

    def test_expiry(self) -> None:
        """
        A token expires by the wall clock while the daemon runs.
        """
        self.write(text_of(1, expires=NOW))
        identity = self.identity()
        self.wall -= 1
        self.assertEqual(self.knows(identity), {1})
        self.wall += 1
        self.assertEqual(self.knows(identity), set())

    def test_failures_are_limited(self) -> None:
        """
        Bad and missing tokens of one address count together; beyond the limit it is told when to come again.
        """
        self.write(text_of(1))
        identity = self.identity(Failures(0.5, 2, 10))
        self.assertRaises(Unauthenticated, identity.identify, None, HOST, 0.0)
        self.assertRaises(Unauthenticated, identity.identify, b"wrong", HOST, 0.0)
        error = self.assertRaises(TooManyFailures, identity.identify, b"wrong", HOST, 0.0)
        self.assertEqual(error.retry_after_s, 2.0)
        self.assertRaises(TooManyFailures, identity.identify, None, HOST, 0.0)
        self.assertRaises(Unauthenticated, identity.identify, b"wrong", "192.0.2.2", 0.0)
        self.assertRaises(Unauthenticated, identity.identify, b"wrong", HOST, 2.0)

    def test_a_good_token_passes_all_the_same(self) -> None:
        """
        A neighbour's bad tokens lock nobody out.
        """
        self.write(text_of(1))
        identity = self.identity(Failures(0.5, 1, 10))
        for _ in range(10):
            self.assertRaises((Unauthenticated, TooManyFailures), identity.identify, b"wrong", HOST, 0.0)
        self.assertEqual(self.knows_at_all(identity), "name 1")

    def knows_at_all(self, identity: FileIdentity) -> str:
        """
        The name of the one good token.
        """
        return identity.identify(a_token(1).reveal().encode(), HOST, 0.0).name


class NameTests(FileCase):
    """
    Whose buckets somebody asks about who runs the daemon.
    """

    def test_by_name(self) -> None:
        """
        The principal that the file names, with the limits that it has there.
        """
        self.write(text_of(1, class_=Class.INTERACTIVE, max_in_flight=4))
        identity = self.identity()
        found = identity.principal_named("name 1")
        assert found is not None
        self.assertEqual((found.id, found.class_, found.max_in_flight), (a_token(1).id, Class.INTERACTIVE, 4))
        self.assertEqual(identity.principal_named(found.id), found)
        self.assertIsNone(identity.principal_named("name 2"))


class FollowTests(FileCase):
    """
    A file that changes.
    """

    def test_a_replaced_file(self) -> None:
        """
        It is read at the next look.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.write(text_of(1, 2))
        self.assertEqual(self.knows(identity), {1})
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1, 2})
        self.assertEqual(len(self.logged(LogLevel.info)), 1)

    def test_a_file_that_is_still_being_written(self) -> None:
        """
        What is written in place is read when it has stayed the same for one look, so that half a file is never taken
        for a whole one; and within 5 s at most.
        """
        self.write(text_of(1, 2))
        identity = self.identity()
        self.path.write_text(text_of(1))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1, 2})
        with self.path.open("a") as file:
            file.write(text_of(3))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1, 2})
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1, 3})
        self.assertLess(2 * POLL_S, 5)

    def test_a_file_that_stays_the_same(self) -> None:
        """
        It is looked at and not read.
        """
        self.write(text_of(1))
        identity = self.identity()
        for _ in range(5):
            self.clock.advance(POLL_S)
        self.assertEqual(self.logged(LogLevel.info), [])
        self.assertEqual(self.knows(identity), {1})

    def test_a_broken_file(self) -> None:
        """
        It changes nothing and is logged once, whole; a good one then takes effect.
        """
        self.write(text_of(1))
        identity = self.identity()
        secret = a_token(2).reveal()
        self.write(f'[[token]]\nname = "{secret}"\nid = 5\n')
        for _ in range(3):
            self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1})
        (event,) = self.logged(LogLevel.error)
        for word in (str(self.path), "name has to be", "id has to be", "hash is missing"):
            self.assertIn(word, event["problems"])
        self.assertNotIn(secret, repr(event))
        self.write("[")
        self.clock.advance(POLL_S)
        self.assertEqual(len(self.logged(LogLevel.error)), 1)
        self.write(text_of(3))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {3})

    def test_a_file_that_goes_away(self) -> None:
        """
        Its tokens stay good, which is logged once, until there is a file again.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.path.unlink()
        for _ in range(3):
            self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1})
        (event,) = self.logged(LogLevel.error)
        self.assertIn("there is no such file", event["problems"])
        self.write(text_of(2))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {2})

    def test_a_file_that_is_opened_to_others(self) -> None:
        """
        It changes nothing until its mode is mended, which is noticed although nothing was written.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.write(text_of(2), mode=0o644)
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1})
        (event,) = self.logged(LogLevel.error)
        self.assertIn("chmod 6", event["problems"])
        self.path.chmod(0o600)
        self.clock.pump([POLL_S, POLL_S])
        self.assertEqual(self.knows(identity), {2})

    def test_an_empty_file(self) -> None:
        """
        A file without tokens lets nobody in; at the start that is worth a warning that says what to do.
        """
        self.write("")
        identity = self.identity()
        self.assertEqual(self.knows(identity), set())
        (event,) = self.logged(LogLevel.warn)
        self.assertIn("aibridge token create", event["hint"])
        self.write(text_of(1))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {1})

    def test_a_large_file(self) -> None:
        """
        It is read a little in each turn, and what was known before stays good until all of it is there. What it has in
        common with the one before is not read again.
        """
        self.write(text_of(1))
        identity = self.identity()
        entries = text_of(*range(1, 151), rate_limit=3.0)
        self.write(entries)
        self.clock.advance(POLL_S)
        turns = 0
        while self.knows(identity) == {1}:
            self.clock.advance(0.001)
            turns += 1
        self.assertGreater(turns, 3)
        self.assertEqual(self.knows(identity), {1, 2, 3, 4})
        self.write(entries.replace('"name 3"', '"name 3a"'))
        self.clock.advance(POLL_S)
        self.clock.pump([0.001] * 2)
        renamed = identity.identify(a_token(3).reveal().encode(), HOST, 0.0)
        self.assertEqual(renamed.name, "name 3a")

    def test_a_large_file_that_changes_meanwhile(self) -> None:
        """
        It is read to its end, and once more.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.write(text_of(*range(2, 152), rate_limit=4.0))
        self.clock.advance(POLL_S)
        self.write(text_of(3))
        self.clock.pump([0.001] * 20)
        self.assertEqual(self.knows(identity), {2, 3, 4})
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {3})

    def test_a_large_file_that_others_ask_for(self) -> None:
        """
        Whoever cannot wait is told what it said last, as long as it is followed; a small one is read.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.write(text_of(2))
        self.assertEqual([entry.name for entry in known_entries(str(self.path))], ["name 2"])
        self.write("# large\n" * LARGE)
        self.assertEqual([entry.name for entry in known_entries(str(self.path))], ["name 1"])
        identity.stop()
        self.assertEqual(known_entries(str(self.path)), ())

    def test_a_large_file_when_it_stops(self) -> None:
        """
        Nobody reads on.
        """
        self.write(text_of(1))
        identity = self.identity()
        self.write(text_of(*range(2, 152), rate_limit=5.0))
        self.clock.advance(POLL_S)
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        identity.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_file_of_another_form(self) -> None:
        """
        One that cannot be read in steps is read in a thread, and what comes of it after the end is not used.
        """
        self.write(text_of(1))
        waiting: list[tuple[Callable[[], Read], Deferred[Read]]] = []

        def in_thread(read: Callable[[], Read]) -> Deferred[Read]:
            waiting.append((read, Deferred()))
            return waiting[-1][1]

        identity = FileIdentity(str(self.path), Failures(0, 1, 1), self.clock, lambda: self.wall, in_thread)
        identity.start()
        for number in (2, 3):
            token = a_token(number)
            self.write(
                f'token = [{{id = "{token.id}", name = "name {number}", hash = "{token.hashed()}", '
                "created = 2026-11-24T12:00:00Z}]"
            )
            self.clock.advance(POLL_S)
            self.clock.advance(POLL_S)
            self.assertEqual(len(waiting), 1)
            read, answer = waiting.pop()
            if number == 3:
                identity.stop()
            answer.callback(read())
            self.assertEqual(self.knows(identity), {2})

    def test_a_file_that_cannot_be_parsed(self) -> None:
        """
        Whatever the parser does, following goes on.
        """
        self.write(text_of(1))
        identity = self.identity()
        for text in ("a = " + "[" * 5000, "a = " + "[" * 5000 + "]" * 5000, "a." * 2000 + "b = 1 1", "\0", "["):
            self.write(text)
            self.clock.advance(POLL_S)
            self.assertEqual(self.knows(identity), {1})
            (event,) = self.logged(LogLevel.error)
            self.assertIn(str(self.path), event["problems"])
        self.write(text_of(2))
        self.clock.advance(POLL_S)
        self.assertEqual(self.knows(identity), {2})

    def test_stop(self) -> None:
        """
        Once stopped it follows nothing and leaves no timer; twice is fine.
        """
        self.write(text_of(1))
        identity = self.identity()
        identity.stop()
        identity.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.knows(identity), {1})


class ReadTests(FileCase):
    """
    What is refused at the start.
    """

    def refused(self) -> str:
        """
        Why the daemon does not start.
        """
        identity = FileIdentity(str(self.path), Failures(0, 1, 1), self.clock, lambda: self.wall)
        error = self.assertRaises(TokensUnusable, identity.start)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsInstance(error, ValueError)
        self.assertTrue(all(problem.startswith(f"{self.path}: ") for problem in error.problems))
        return str(error)

    def test_no_file(self) -> None:
        """
        The words say how to make one.
        """
        self.assertIn(f"aibridge token create --name NAME --file {self.path}", self.refused())

    def test_open_to_others(self) -> None:
        """
        The words say how to close it; any bit is one too many.
        """
        for bit in (stat.S_IROTH, stat.S_IWOTH, stat.S_IWGRP, stat.S_IXGRP):
            self.write(text_of(1), mode=0o600 | bit)
            self.assertIn(f"mode {0o600 | bit:04o}); mend it with: chmod 600 {self.path}", self.refused())

    @skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_open_to_the_group(self) -> None:
        """
        Where root owns it its group may read it, and otherwise not.
        """
        self.write(text_of(1), mode=0o640)
        self.assertEqual(len(read_table(str(self.path))), 1)
        os.chown(self.path, 12345, 12345)
        self.assertIn("chmod 600", self.refused())

    def test_who_may(self) -> None:
        """
        Reading by the group is fine for root's files alone, and nothing else is.
        """
        self.assertFalse(is_open(0o640, 0))
        self.assertTrue(is_open(0o640, 1000))
        self.assertTrue(is_open(0o660, 0))
        self.assertTrue(is_open(0o644, 0))
        self.assertFalse(is_open(0o600, 1000))
        self.assertFalse(is_open(0o400, 1000))

    def test_not_a_file(self) -> None:
        """
        A directory or a pipe is no file, and is not waited for.
        """
        self.path.mkdir()
        self.assertIn("not an ordinary file", self.refused())
        self.path.rmdir()
        os.mkfifo(self.path, 0o600)
        self.assertIn("not an ordinary file", self.refused())

    def test_not_text(self) -> None:
        """
        What is not UTF-8 is refused, with its line.
        """
        self.write("")
        self.path.write_bytes(b"# fine\n# \xff\n")
        self.assertIn("line 2 is not UTF-8", self.refused())

    def test_too_large(self) -> None:
        """
        A file too large to be one of tokens is not read.
        """
        self.write("")
        os.truncate(self.path, MOST_BYTES + 1)
        self.assertIn("larger than", self.refused())
        os.truncate(self.path, MOST_BYTES)
        self.assertEqual(len(read_text(str(self.path))), MOST_BYTES)

    def test_all_problems(self) -> None:
        """
        All problems are told, each with the file.
        """
        self.write("[[token]]\nfoo = 1\n")
        self.assertEqual(self.refused().count("\n"), 4)

    def test_below_a_file(self) -> None:
        """
        A path that leads nowhere is told as the system tells it.
        """
        self.write("")
        self.path = self.path / "below"
        self.assertIn("Not a directory", self.refused())
