"""
The daemon's own log.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aibridge.daemon.logs import LogObserver

LEVELS = ("debug", "info", "warn", "error", "critical")
AT = 1795478400.25


@implementer(ILogObserver)
class Log:
    """
    A logger, its observer, and what was written.
    """

    def __init__(self, level: str = "info", *, as_json: bool = False) -> None:
        self.stream = io.StringIO()
        self.observer = LogObserver(self.stream, level, as_json)
        self.logger = Logger("aibridge.test", observer=self)

    def __call__(self, event: LogEvent) -> None:
        """
        An event comes, at a known time.
        """
        self.observer({**event, "log_time": AT})

    @property
    def text(self) -> str:
        """
        All of it.
        """
        return self.stream.getvalue()

    @property
    def read(self) -> list[dict[str, Any]]:
        """
        All of it, where it is JSON.
        """
        return [json.loads(line) for line in self.text.splitlines()]


def failure() -> Failure:
    """
    A failure with a traceback.
    """
    try:
        raise ValueError("it broke")
    except ValueError:
        return Failure()


def test_it_is_an_observer() -> None:
    """
    For Twisted's logger.
    """
    assert verifyObject(ILogObserver, LogObserver(io.StringIO()))


def test_text() -> None:
    """
    Time, level, who says it, and what.
    """
    log = Log()
    log.logger.info("Listening on {address}.", address="127.0.0.1:4000")
    log.logger.warn("Careful.")
    assert log.text == (
        "2026-11-24T00:00:00.250Z info  aibridge.test: Listening on 127.0.0.1:4000.\n"
        "2026-11-24T00:00:00.250Z warn  aibridge.test: Careful.\n"
    )


def test_json() -> None:
    """
    One object a line, with the same.
    """
    log = Log(as_json=True)
    log.logger.error("It is {what}.", what='"broken"\n')
    assert log.read == [
        {
            "time": "2026-11-24T00:00:00.250Z",
            "event": "log",
            "level": "error",
            "namespace": "aibridge.test",
            "message": 'It is "broken"\n.',
        }
    ]


def test_failures_have_their_traceback() -> None:
    """
    Indented in text, so that each entry begins at the margin; a field of its own in JSON.
    """
    text, as_json = Log(), Log(as_json=True)
    for log in (text, as_json):
        log.logger.failure("Exchange {id} failed.", failure(), id="7")
    first, *rest = text.text.splitlines()
    assert first.endswith("critical aibridge.test: Exchange 7 failed.")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "ValueError: it broke" in rest[-1]
    (told,) = as_json.read
    assert told["message"] == "Exchange 7 failed."
    assert "ValueError: it broke" in told["traceback"]


@pytest.mark.parametrize("least", LEVELS)
def test_levels(least: str) -> None:
    """
    From the chosen one upwards.
    """
    log = Log(least, as_json=True)
    for level in LEVELS:
        log.logger.emit(LogLevel.lookupByName(level), "x")
    assert [told["level"] for told in log.read] == list(LEVELS[LEVELS.index(least) :])


def test_level_and_form_can_change() -> None:
    """
    While it runs.
    """
    log = Log("error")
    log.logger.info("one")
    log.observer.level = LogLevel.debug
    log.observer.as_json = True
    log.logger.debug("two")
    assert [told["message"] for told in log.read] == ["two"]


def test_unknown_level() -> None:
    """
    The configuration refuses it; here it would be a defect.
    """
    with pytest.raises(ValueError, match="loud"):
        LogObserver(io.StringIO(), "loud")


def test_entries_of_the_old_logger() -> None:
    """
    Parts of Twisted still use it, and errors that nobody handled come through it.
    """
    log = Log("debug", as_json=True)
    publisher = legacy.LogPublisher(publishPublisher=LogPublisher(log.observer))
    publisher.msg("Starting.", system="-")
    publisher.msg(failure=failure(), isError=1, why="Unhandled error in Deferred")
    first, second = log.read
    assert (first["level"], first["message"]) == ("debug", "Starting.")
    assert second["level"] == "critical"
    assert "ValueError: it broke" in second["message"]


@pytest.mark.parametrize(
    ("namespace", "level", "shown"),
    [
        ("twisted.web.server", "info", "debug"),
        ("log_legacy", "info", "debug"),
        ("twisted.web.server", "warn", "warn"),
        ("log_legacy", "critical", "critical"),
        ("aibridge.web.site", "info", "info"),
        ("twistedly", "info", "info"),
    ],
)
def test_the_frameworks_own_news(namespace: str, level: str, shown: str) -> None:
    """
    What Twisted finds worth a line is one for those who debug; its warnings and errors are warnings and errors.
    """
    log = Log("debug", as_json=True)
    log.observer({"log_namespace": namespace, "log_level": LogLevel.lookupByName(level), "log_format": "x"})
    assert [told["level"] for told in log.read] == [shown]
    log.observer.level = LogLevel.info
    log.observer({"log_namespace": namespace, "log_level": LogLevel.lookupByName(level), "log_format": "y"})
    assert len(log.read) == (1 if shown == "debug" else 2)


def test_bare_events() -> None:
    """
    An event with nothing in it, and one that cannot be formatted, are no reason to fail.
    """
    log = Log()
    log.observer({})
    log.observer({"log_format": "{missing}", "log_level": LogLevel.warn})
    first, second = log.text.splitlines()[:2]
    assert first == "1970-01-01T00:00:00.000Z info  -: "
    assert "missing" in second


class Fails:
    """
    A stream that cannot be written to.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tried = 0

    def write(self, text: str) -> int:
        """
        Fail.
        """
        self.tried += 1
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("I/O operation on closed file")]
)
def test_a_stream_that_fails(error: Exception) -> None:
    """
    It is tried, and left alone: there is nobody to tell.
    """
    stream = Fails(error)
    observer = LogObserver(stream)  # type: ignore[arg-type]  # it is one that fails
    observer({"log_level": LogLevel.error, "log_format": "x"})
    observer({"log_level": LogLevel.error, "log_format": "y"})
    assert stream.tried == 2


def test_a_stream_that_cannot_hold_it() -> None:
    """
    Characters that its encoding does not have are no reason to fail either.
    """
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    log = LogObserver(stream)
    log({"log_format": "ü"})
    log({"log_format": "u"})
    stream.seek(0)
    assert stream.read().endswith(": u\n")


def test_every_entry_leaves_at_once() -> None:
    """
    A log that is read while the daemon runs is not behind.
    """
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    LogObserver(stream)({"log_format": "now"})
    assert raw.getvalue().endswith(b"now\n")


@given(st.text(st.characters()))
def test_json_is_one_line(text: str) -> None:
    """
    Of ASCII, whatever is told, and the same when it is read back.
    """
    log = Log(as_json=True)
    log.logger.info("{text}", text=text)
    assert log.text.isascii()
    assert log.text.count("\n") == 1
    assert log.read[0]["message"] == text


@given(st.text(st.characters()))
def test_text_begins_entries_at_the_margin(text: str) -> None:
    """
    What is told cannot pretend to be an entry of its own: its further lines are indented.
    """
    log = Log()
    log.logger.info("{text}", text=text)
    first, *rest = log.text.splitlines()
    assert first.startswith("2026-11-24T00:00:00.250Z info  aibridge.test: ")
    assert all(line.startswith("    ") for line in rest)
