"""
A run: each bridge is started once and goes through all its scenes, round by round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import procfs
from benchmarks.errors import BenchError
from benchmarks.overload.bridge import Bridge
from benchmarks.overload.callers import Caller, Steady
from benchmarks.overload.crowd import Answer, read_answers
from benchmarks.overload.figures import Figures, Window, figures, percentile
from benchmarks.overload.scenes import Scene, Size, Terms, loads, off_and_on
from benchmarks.requests import post
from benchmarks.results import OTHERS, Results
from benchmarks.rig import Rig

WARM_UP_S = 1.0
"""Before each window, at most; it is long enough for the queue to be as full as it gets."""

OBEDIENT_S = 7.0
"""At least, in scenes of those who wait for two seconds each time."""

ANSWER_SIZE = 600

ATTEMPTS = 3
SETTLING_S = 0.3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """
    How long and how often.

    :ivar most_late_ms: a load generator that sends more than one of a hundred requests later than this was kept from
        its core, and is not believed.
    """

    rounds: int = 3
    seconds: float = 5.0
    most_late_ms: float = 5.0

    @property
    def warm_up_s(self) -> float:
        """
        What goes before a window.
        """
        return min(WARM_UP_S, self.seconds)


class Run:
    """
    Fills in the results, under a scene's name and that of its terms.
    """

    def __init__(self, rig: Rig, size: Size, pace: Pace, results: Results, directory: Path, say: Say) -> None:
        self._rig = rig
        self._size = size
        self._pace = pace
        self._results = results
        self._directory = directory
        self._say = say

    @property
    def _model(self) -> str:
        return f"bench-after-{self._size.service_ms}-{ANSWER_SIZE}"

    def alone(self) -> Figures:
        """
        What load and upstream do with nothing between them at the largest load, where nobody is refused.
        """
        scene = loads(self._size, off_and_on(self._size)[0])[-1]
        request = post("/v1/chat/completions", self._model)
        answers = self._asked(scene, self._rig.upstream, lambda _: request, self._pace.warm_up_s, 0)
        took = [answer.took_ms for answer in answers if answer.is_admitted]
        if len(took) != len(answers):
            raise BenchError(f"load and upstream alone: {len(answers) - len(took)} of {len(answers)} went wrong")
        late = percentile((answer.late_ms for answer in answers), 0.99)
        return {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99), "late_p99_ms": late}

    def measure(self, scenes: Sequence[Scene]) -> None:
        """
        All scenes, each as often as there are rounds.
        """
        bridges: dict[Terms, Bridge] = {}
        try:
            for terms in dict.fromkeys(scene.terms for scene in scenes):
                bridges[terms] = self._started(terms, [scene for scene in scenes if scene.terms == terms])
            for number in range(self._pace.rounds):
                self._say(f"round {number + 1} of {self._pace.rounds}")
                shift = number % len(scenes)
                for scene in (*scenes[shift:], *scenes[:shift]):
                    with self._guarded(scene):
                        self._take(scene, bridges[scene.terms], number)
        finally:
            for bridge in bridges.values():
                bridge.server.stop()

    def _started(self, terms: Terms, scenes: Sequence[Scene]) -> Bridge:
        directory = self._directory / terms.name.replace(" ", "-").replace(",", "")
        directory.mkdir()
        callers = [caller for scene in scenes for caller in scene.callers]
        bridge = Bridge(self._rig, terms, callers, self._model, directory)
        try:
            bridge.server.wait()
            # As busy as it will be: what is allocated once is allocated then.
            most = max(scenes, key=lambda scene: scene.offered)
            self._asked(most, bridge.server.port, bridge.request, self._pace.warm_up_s, 0)
            bridge.left()
        except BaseException:
            bridge.server.stop()
            raise
        return bridge

    def _take(self, scene: Scene, bridge: Bridge, number: int) -> None:
        for attempt in range(ATTEMPTS):
            found = self._sample(scene, bridge, number)
            if found.get("load_late_p99_ms", 0.0) <= self._pace.most_late_ms:
                break
            self._say(f"  {scene.name}, {scene.terms.name}: the load was late, attempt {attempt + 1}")
        else:
            raise BenchError("the load generator was late each time: is the machine busy?")
        self._results.add(scene.name, scene.terms.name, found)
        self._say(
            f"  {scene.name:9} {scene.terms.name:17} goodput {found['goodput']:5.1%}"
            f"  admitted p99 {found.get('admitted_p99_ms', 0.0):6.1f} ms"
            f"  refused p99 {found.get('refused_p99_ms', 0.0):5.1f} ms  core busy {found['busy']:4.0%}"
        )

    def _sample(self, scene: Scene, bridge: Bridge, number: int) -> Figures:
        server, core = bridge.server, self._rig.cores.target
        server.check()
        seconds, warm_up_s = self._pace.seconds, self._pace.warm_up_s
        if not all(isinstance(caller, Steady) for caller in scene.callers):
            seconds = max(seconds, OBEDIENT_S)
        window = Window(warm_up_s, warm_up_s + seconds)
        before = time.monotonic_ns(), server.cpu_ns(), procfs.core_ns(core)
        answers = self._asked(scene, server.port, bridge.request, window.end_s, number)
        after = time.monotonic_ns(), server.cpu_ns(), procfs.core_ns(core)
        passed, own, all_ = (now - then for now, then in zip(after, before, strict=True))
        found = figures(scene, answers, window, self._size)
        found["left"] = bridge.left()
        time.sleep(SETTLING_S)
        found["mib"] = server.pss() / 2**20
        found["busy"] = own / passed
        found[OTHERS] = max(0.0, (all_ - own) / passed)
        return found

    def _asked(
        self, scene: Scene, port: int, request: Callable[[Caller], bytes], seconds: float, number: int
    ) -> list[Answer]:
        # The same requests at the same times, whatever the terms.
        lines = [(caller.line(1000 * number + place), request(caller)) for place, caller in enumerate(scene.callers)]
        return read_answers(self._rig.crowd(port, lines, seconds), scene.callers)

    @contextmanager
    def _guarded(self, scene: Scene) -> Iterator[None]:
        # One scene's failure is noted, and leaves the others to be looked at.
        try:
            yield
        except BenchError as error:
            self._results.failures.append(f"{scene.name}, {scene.terms.name}: {error}")
            self._say(f"  FAILED {scene.name}, {scene.terms.name}: {error}")
