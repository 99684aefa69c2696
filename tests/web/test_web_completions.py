"""
Where completions are written: in batches, in order, and never at the cost of a request.
"""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aibridge.log import Completion
from aibridge.web.completions import INTERVAL_S, MOST_HELD, Completions
from making import completion

FULL = OSError(errno.ENOSPC, "No space left on device")


class Sink:
    """
    A file that does what the test says: takes so many bytes, takes none, or fails; then takes all.
    """

    def __init__(self, *script: int | OSError | None) -> None:
        self.script: list[int | OSError | None] = list(script)
        self.written = b""
        self.calls = 0
        self.closed = False

    def write(self, data: Any) -> int | None:
        """
        As `io.RawIOBase.write`.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        self.calls += 1
        does = self.script.pop(0) if self.script else len(data)
        if isinstance(does, OSError):
            raise does
        if does is not None:
            does = min(does, len(data))
            self.written += bytes(data[:does])
        return does

    def close(self) -> None:
        """
        No more.
        """
        self.closed = True

    @property
    def lines(self) -> list[str]:
        """
        What was written, line by line.
        """
        return self.written.decode().splitlines()


def render(completion: Completion) -> str:
    """
    A completion by its id.
    """
    return f"line {completion.request_id}"


class CompletionsTests(SynchronousTestCase):
    """
    `Completions` on a clock that the test moves.
    """

    def setUp(self) -> None:
        """
        No time has passed.
        """
        self.clock = Clock()

    def make(self, sink: Sink | None) -> Completions[Completion]:
        """
        Completions that go to `sink`.
        """
        return Completions(self.clock, sink, render)  # type: ignore[arg-type]  # it stands for a raw file

    def add(self, completions: Completions[Completion], *ids: object) -> None:
        """
        Exchanges with these ids have ended.
        """
        for id_ in ids:
            completions.add(completion(request_id=str(id_)))

    def test_written_together_soon_after(self) -> None:
        """
        What comes within a fifth of a second leaves in one write, in its order.
        """
        sink = Sink()
        completions = self.make(sink)
        self.add(completions, 1, 2)
        self.clock.advance(INTERVAL_S / 2)
        self.add(completions, 3)
        self.assertEqual(sink.calls, 0)
        self.clock.advance(INTERVAL_S / 2)
        self.assertEqual((sink.lines, sink.calls), (["line 1", "line 2", "line 3"], 1))

    def test_one_timer_and_only_when_needed(self) -> None:
        """
        However many wait; none when nothing does.
        """
        completions = self.make(Sink())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.add(completions, *range(MOST_HELD // 2))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_flood_does_not_wait(self) -> None:
        """
        What is held is bounded: beyond the mark it is written at once.
        """
        sink = Sink()
        completions = self.make(sink)
        self.add(completions, *range(MOST_HELD - 1))
        self.assertEqual(sink.calls, 0)
        self.add(completions, "last")
        self.assertEqual((len(sink.lines), sink.lines[-1], sink.calls), (MOST_HELD, "line last", 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_flush(self) -> None:
        """
        Now, and not again later.
        """
        sink = Sink()
        completions = self.make(sink)
        self.add(completions, 1)
        completions.flush()
        completions.flush()
        self.clock.advance(10)
        self.assertEqual((sink.lines, sink.calls, self.clock.getDelayedCalls()), (["line 1"], 1, []))

    def test_no_sink(self) -> None:
        """
        Nothing is kept for nobody.
        """
        completions = self.make(None)
        self.add(completions, *range(10))
        completions.flush()
        self.assertEqual((self.clock.getDelayedCalls(), completions.lost), ([], 0))

    def test_a_sink_that_takes_a_part(self) -> None:
        """
        It is given the rest.
        """
        sink = Sink(3, 1, 0x7FFFFFFF)
        completions = self.make(sink)
        self.add(completions, 1, 2)
        completions.flush()
        self.assertEqual((sink.lines, sink.calls, completions.lost), (["line 1", "line 2"], 3, 0))

    def test_a_sink_that_fails(self) -> None:
        """
        Its lines are counted as lost; the log says once that it began and once that it ended.
        """
        sink = Sink(FULL, FULL)
        completions = self.make(sink)
        with capturedLogs() as events:
            self.add(completions, 1, 2)
            self.clock.advance(INTERVAL_S)
            self.add(completions, 3)
            self.clock.advance(INTERVAL_S)
            self.assertEqual(completions.lost, 3)
            self.add(completions, 4)
            self.clock.advance(INTERVAL_S)
            self.add(completions, 5)
            self.clock.advance(INTERVAL_S)
        self.assertEqual((sink.lines, completions.lost), (["line 4", "line 5"], 3))
        self.assertEqual(
            [(event["log_level"].name, formatEvent(event)) for event in events],
            [
                (
                    "error",
                    "Completions cannot be written: [Errno 28] No space left on device. Requests are served on.",
                ),
                ("warn", "Completions are written again; 3 are missing."),
            ],
        )

    def test_a_sink_that_takes_nothing_now(self) -> None:
        """
        A pipe that is full and does not block: what a raw file says with None.
        """
        for nothing in (None, 0):
            sink = Sink(nothing)
            completions = self.make(sink)
            self.add(completions, 1)
            completions.flush()
            self.add(completions, 2)
            completions.flush()
            self.assertEqual((sink.lines, completions.lost), (["line 2"], 1))

    def test_a_sink_that_was_closed(self) -> None:
        """
        By somebody else.
        """
        sink = Sink()
        completions = self.make(sink)
        sink.close()
        self.add(completions, 1)
        completions.flush()
        self.assertEqual(completions.lost, 1)

    def test_a_torn_line_spoils_no_other(self) -> None:
        """
        A line of which a failing sink took a part is ended before the next.
        """
        sink = Sink(9, FULL, FULL)
        completions = self.make(sink)
        self.add(completions, 1, 2)
        completions.flush()
        self.add(completions, 3)
        completions.flush()
        self.add(completions, 4)
        completions.flush()
        self.add(completions, 5)
        completions.flush()
        self.assertEqual((sink.lines, completions.lost), (["line 1", "li", "line 4", "line 5"], 3))

    def test_a_sink_that_fails_between_lines(self) -> None:
        """
        There is nothing to be ended.
        """
        sink = Sink(len("line 1\n"), FULL)
        completions = self.make(sink)
        self.add(completions, 1, 2)
        completions.flush()
        self.add(completions, 3)
        completions.flush()
        self.assertEqual(sink.written, b"line 1\nline 3\n")

    def test_reopen(self) -> None:
        """
        What is held goes to the old sink, which is closed; what comes goes to the new one, in its form.
        """
        old, new = Sink(), Sink()
        completions = self.make(old)
        self.add(completions, 1)
        completions.reopen(new, lambda completion: completion.route)  # type: ignore[arg-type]  # as in `make`
        self.add(completions, 2)
        completions.flush()
        self.assertEqual((old.lines, old.closed, new.lines), (["line 1"], True, ["/v1/chat/completions"]))

    def test_reopen_of_the_same(self) -> None:
        """
        It stays open.
        """
        sink = Sink()
        completions = self.make(sink)
        completions.reopen(sink, render)  # type: ignore[arg-type]  # as in `make`
        self.add(completions, 1)
        completions.flush()
        self.assertEqual((sink.closed, sink.lines), (False, ["line 1"]))

    def test_reopen_with_nothing_and_back(self) -> None:
        """
        A log can be turned off and on.
        """
        old, new = Sink(), Sink()
        completions = self.make(old)
        completions.reopen(None, render)
        self.add(completions, 1)
        completions.reopen(new, render)  # type: ignore[arg-type]  # as in `make`
        self.add(completions, 2)
        completions.flush()
        self.assertEqual((old.closed, new.lines), (True, ["line 2"]))

    def test_reopen_mends(self) -> None:
        """
        A new sink in place of one that failed: the log says that it goes on, how many are missing is kept.
        """
        completions = self.make(Sink(FULL))
        self.add(completions, 1)
        completions.flush()
        new = Sink()
        with capturedLogs() as events:
            completions.reopen(new, render)  # type: ignore[arg-type]  # as in `make`
            self.add(completions, 2)
            completions.flush()
        self.assertEqual((new.lines, completions.lost, len(events)), (["line 2"], 1, 1))

    @given(
        st.lists(st.integers(1, 3), min_size=1, max_size=8),
        st.lists(st.one_of(st.none(), st.integers(0, 30), st.just(FULL)), max_size=12),
    )
    def test_every_line_is_there_or_lost(self, batches: list[int], script: list[int | OSError | None]) -> None:
        """
        Whatever the sink does: whole lines in their order, parts of lines by themselves, and at least as many counted
        as lost as are missing.
        """
        sink = Sink(*script)
        completions = self.make(sink)
        count = 0
        for size in batches:
            # The mark at the end tells a whole line from a part of a longer one.
            self.add(completions, *(f"{id_:02}." for id_ in range(count, count + size)))
            count += size
            self.clock.advance(INTERVAL_S)
        whole = [line for line in sink.lines if line.endswith(".")]
        torn = [line for line in sink.lines if not line.endswith(".")]
        self.assertEqual(whole, sorted(set(whole)))
        self.assertTrue(all(line[:5] == "line "[: len(line)] and len(line) < 8 for line in torn), torn)
        self.assertGreaterEqual(completions.lost, count - len(whole))
