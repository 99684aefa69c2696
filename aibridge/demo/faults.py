"""
The models of the simulated provider: one sentence for each, and what it does.

Most exist to fail in one particular way, because a bridge is judged by how it passes on what goes wrong.
"""

from __future__ import annotations

import enum

import attrs


class Conduct(enum.Enum):
    """
    How an answer goes.
    """

    ANSWERS = "answers"
    REFUSES = "refuses"
    """A status other than 200, with the vendor's body."""
    FLAKY = "flaky"
    """503 to the first attempts of a client that counts them, then an answer."""
    NEVER = "never"
    """Not a byte."""
    RESETS = "resets"
    """The connection is reset before a head."""
    GARBAGE = "garbage"
    """What comes is not HTTP."""
    SILENT = "silent"
    """A head and the beginning of an answer, then nothing more."""
    DIES = "dies"
    """The connection is reset within the answer: a stream between two events, a body in its middle."""
    TRUNCATES = "truncates"
    """The connection is closed before the declared length: a stream within an event, a body at its end."""
    ERROR_EVENT = "error event"
    """A stream has the vendor's error event in its middle, and ends; what is no stream is refused with 500."""


class Says(enum.Enum):
    """
    What an answer's text is.
    """

    ECHO = "echo"
    """A short one that quotes the request."""
    HEADERS = "headers"
    """The request's header fields, credentials masked."""
    COUNT = "count"
    """The numbers from 1 to the model's size, one to a piece."""
    BULK = "bulk"
    """As many characters as the model's size says."""


@attrs.frozen(kw_only=True)
class Script:
    """
    A model.

    :ivar sentence: what it does, for people.
    :ivar status: of a refusal.
    :ivar delay_s: from the request to the first byte.
    :ivar interval_s: between two events, or None for the provider's usual one.
    :ivar size: how much it says, or how often it fails; may follow the name.
    :ivar most: the largest `size` that may be asked for; 0 where the name stands alone.
    :ivar calls_tool: it calls a tool whenever it is given one, whoever spoke last.
    """

    name: str
    sentence: str
    conduct: Conduct = Conduct.ANSWERS
    says: Says = Says.ECHO
    status: int = 200
    delay_s: float = 0.0
    interval_s: float | None = None
    size: int = 0
    most: int = 0
    calls_tool: bool = False


PLAIN = Script(name="demo", sentence="Answers at once, in a few words, and calls a tool when it is given one.")

SCRIPTS = (
    PLAIN,
    Script(
        name="demo-slow",
        sentence="Sends its first byte after 3 s, and then 4 events a second.",
        delay_s=3,
        interval_s=0.25,
    ),
    Script(
        name="demo-silent",
        sentence="Sends a head and one event, then nothing more, and keeps the connection.",
        conduct=Conduct.SILENT,
    ),
    Script(name="demo-never", sentence="Never answers, and keeps the connection.", conduct=Conduct.NEVER),
    Script(name="demo-401", sentence="Refuses the key with 401.", conduct=Conduct.REFUSES, status=401),
    Script(name="demo-403", sentence="Refuses permission with 403.", conduct=Conduct.REFUSES, status=403),
    Script(name="demo-429", sentence="Is rate limited: 429 with Retry-After.", conduct=Conduct.REFUSES, status=429),
    Script(name="demo-500", sentence="Fails with 500.", conduct=Conduct.REFUSES, status=500),
    Script(name="demo-503", sentence="Is unavailable: 503 with Retry-After.", conduct=Conduct.REFUSES, status=503),
    Script(name="demo-529", sentence="Is overloaded in Anthropic's way: 529.", conduct=Conduct.REFUSES, status=529),
    Script(
        name="demo-flaky",
        sentence="Fails with 503 on a client's first 2 attempts (demo-flaky-N: N), by its x-stainless-retry-count.",
        conduct=Conduct.FLAKY,
        size=2,
        most=100,
    ),
    Script(name="demo-dies", sentence="Resets the connection in the middle of its answer.", conduct=Conduct.DIES),
    Script(
        name="demo-truncates",
        sentence="Declares a longer answer than it sends, and closes the connection.",
        conduct=Conduct.TRUNCATES,
    ),
    Script(name="demo-garbage", sentence="Answers with bytes that are not HTTP.", conduct=Conduct.GARBAGE),
    Script(name="demo-resets", sentence="Resets the connection instead of answering.", conduct=Conduct.RESETS),
    Script(
        name="demo-error-event",
        sentence="Sends the vendor's error event in the middle of a stream, and ends it.",
        conduct=Conduct.ERROR_EVENT,
    ),
    Script(
        name="demo-long",
        sentence="Counts to 1000 (demo-long-N: to N), a number to an event.",
        says=Says.COUNT,
        size=1000,
        most=1_000_000,
    ),
    Script(
        name="demo-big",
        sentence="Says 200000 characters (demo-big-N: N), 4096 to an event.",
        says=Says.BULK,
        size=200_000,
        most=32 * 1024 * 1024,
    ),
    Script(
        name="demo-echo-headers",
        sentence="Says which header fields it received, with credentials masked.",
        says=Says.HEADERS,
    ),
    Script(name="demo-tool", sentence="Calls a tool whenever it is given one.", calls_tool=True),
)
"""Every model, as it is listed."""

_BY_NAME = {script.name: script for script in SCRIPTS}

_MOST_DIGITS = 9


def script_of(model: str) -> Script | None:
    """
    What `model` does; None if it begins as a model of the demo does and is none, so that a slip does not go unseen.

    Every other name is answered as ``demo`` is: clients have the names of real models built in.
    """
    script = _BY_NAME.get(model)
    if script is not None:
        return script
    if not model.startswith("demo-"):
        return PLAIN
    name, _, digits = model.rpartition("-")
    script = _BY_NAME.get(name)
    if script is None or not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return None
    size = int(digits)
    return attrs.evolve(script, size=size) if 1 <= size <= script.most else None
