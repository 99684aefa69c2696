"""
What the load generator saw: a line for each request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.overload.callers import Caller

ADMITTED = 200
REFUSED = (429, 503)


@dataclass(frozen=True)
class Answer:
    """
    A request, and what became of it.

    :ivar purpose: of one of an obedient caller's, see ``c/crowd.c``.
    :ivar due_s: when it was to be sent; all times are since the begin.
    :ivar sent_s: when it was, on a connection.
    :ivar answered_s: when the answer was whole.
    :ivar status: 0 if there was none.
    :ivar retry_ms: what it said about coming back.
    :ivar reason: who refused, or why there was no answer.
    """

    caller: Caller
    purpose: str
    due_s: float
    sent_s: float
    answered_s: float
    status: int
    retry_ms: int | None
    reason: str

    @property
    def took_ms(self) -> float:
        """
        From when it was due, so that nothing that kept it from being sent is left out.
        """
        return (self.answered_s - self.due_s) * 1000

    @property
    def late_ms(self) -> float:
        """
        How much later than due it was sent: what the load generator itself is to be blamed for, and new connections.
        """
        return (self.sent_s - self.due_s) * 1000

    @property
    def is_admitted(self) -> bool:
        """
        Whether it was served.
        """
        return self.status == ADMITTED

    @property
    def is_refused(self) -> bool:
        """
        Whether it was told to come back.
        """
        return self.status in REFUSED


def read_answers(text: str, callers: Iterable[Caller]) -> list[Answer]:
    """
    What ``c/crowd.c`` printed.

    :param callers: in the order in which it was told of them.
    """
    known = list(callers)
    answers = []
    for line in text.splitlines():
        caller, purpose, due, sent, answered, status, retry, reason = line.split("\t")
        answers.append(
            Answer(
                known[int(caller)],
                purpose,
                int(due) / 1e6,
                int(sent) / 1e6,
                int(answered) / 1e6,
                int(status),
                None if retry == "-1" else int(retry),
                reason,
            )
        )
    return answers
