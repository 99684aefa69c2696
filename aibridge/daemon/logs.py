"""
The daemon's own log: lines of text or JSON on one stream, from a level upwards.
"""

from __future__ import annotations

import json
from typing import TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from aibridge.log import timestamp

_RANK = {level: rank for rank, level in enumerate(LogLevel.iterconstants())}

_FRAMEWORK = ("twisted.", "log_legacy")


@implementer(ILogObserver)
class LogObserver:
    """
    Writes events from a level upwards to a stream.

    :ivar level: may be changed at any time.
    :ivar as_json: one JSON object a line, else text; may be changed at any time.
    """

    def __init__(self, stream: TextIO, level: str = "info", as_json: bool = False) -> None:
        self._stream = stream
        self.level = LogLevel.lookupByName(level)
        self.as_json = as_json

    def __call__(self, event: LogEvent) -> None:
        """
        Write one event, or nothing if it is below the level. A stream that fails is left alone: where would that be
        reported?
        """
        level = event.get("log_level", LogLevel.info)
        if level is LogLevel.info and event.get("log_namespace", "").startswith(_FRAMEWORK):
            # Ports and factories that come and go are no news to who runs a bridge.
            level = LogLevel.debug
        if _RANK[level] < _RANK[self.level]:
            return
        line = self._json(event, level.name) if self.as_json else self._text(event, level.name)
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):
            pass

    @staticmethod
    def _text(event: LogEvent, level: str) -> str:
        time = timestamp(event.get("log_time", 0.0))
        namespace = event.get("log_namespace", "-")
        message = "\n    ".join(formatEvent(event).splitlines())
        failure = event.get("log_failure")
        traceback = "" if failure is None else "    " + "\n    ".join(failure.getTraceback().splitlines()) + "\n"
        return f"{time} {level:5} {namespace}: {message}\n{traceback}"

    @staticmethod
    def _json(event: LogEvent, level: str) -> str:
        told = {
            "time": timestamp(event.get("log_time", 0.0)),
            "event": "log",
            "level": level,
            "namespace": event.get("log_namespace", "-"),
            "message": formatEvent(event),
        }
        failure = event.get("log_failure")
        if failure is not None:
            told["traceback"] = failure.getTraceback()
        return json.dumps(told, ensure_ascii=True, separators=(",", ":")) + "\n"
