"""
Refusals: what a request costs that is not let in.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack

from benchmarks.measurements.measurement import BUSY, CPU, REFUSING, RPS, Measurement, Settings, per_request
from benchmarks.rig import Load, Rig
from benchmarks.targets.target import Mode, Started

_keys = itertools.count()


class _Refusal(Measurement):
    columns = (CPU, RPS, BUSY)
    references = ("nginx", "plain")
    targets = REFUSING

    def warm_up(self, rig: Rig, started: Started, seconds: float) -> None:
        """
        Be refused for a while.
        """
        self._refused(rig, started, seconds)

    def sample(self, rig: Rig, started: Started, settings: Settings) -> dict[str, float]:
        """
        A closed loop in which every request is refused.
        """
        before = started.server.cpu_ns()
        load = self._refused(rig, started, settings.seconds)
        cpu_us = (started.server.cpu_ns() - before) / 1e3
        return per_request(load, cpu_us) | {"reconnects": load.reconnects}

    def _refused(self, rig: Rig, started: Started, seconds: float) -> Load:
        # References that limit by a key let its first request pass, and the next a minute later: a new key each time.
        port, key = started.server.port, f"key-{next(_keys)}"
        with ExitStack() as stack:
            if started.holds_stream:
                request = started.request("bench-idle", is_stream=True, key=key)
                stack.enter_context(rig.hold(port, request)).open(1)
            else:
                rig.once(port, started.request("bench-600", key=key))
            refused = started.request("bench-600", key=key)
            return rig.closed(port, refused, seconds, status=self.mode.value).checked()


class Unauthorised(_Refusal):
    """
    A wrong token.
    """

    name = "refusal-401"
    title = "A refusal with 401, keep-alive (nginx: a header that is compared)"
    mode = Mode.UNAUTHORISED


class Limited(_Refusal):
    """
    Too many requests of one principal.
    """

    name = "refusal-429"
    title = "A refusal with 429, keep-alive (nginx: limit_req)"
    mode = Mode.LIMITED


class Overloaded(_Refusal):
    """
    Too many requests at once.
    """

    name = "refusal-503"
    title = "A refusal with 503, keep-alive (nginx: limit_req)"
    mode = Mode.OVERLOADED
