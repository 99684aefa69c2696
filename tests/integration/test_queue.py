"""
The queue before a full gate, in a real process: how long it is, in whose order it is served, and who may leave it.
"""

from __future__ import annotations

import selectors
import signal
import socket

from daemons import Daemon, Deployment
from held import KEYS, Answer, Asking, Holder, ask, read_answer, said, table
from wires import connect, post, read_until

LENGTH = "aibridge_queue_length"
IN_USE = "aibridge_permits_in_use"


def start(deployment: Deployment, holder: Holder, admission: str, more: str = "") -> Daemon:
    """
    A daemon with one permit, before which requests wait.
    """
    deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = 1\n{admission}\n{more}")
    return deployment.start(environ=KEYS)


def line_up(daemon: Daemon, *requests: bytes, after: int = 0) -> list[Asking]:
    """
    Let requests wait, one behind the other.

    :param after: how many wait already.
    """
    waiting = []
    for request in requests:
        waiting.append(Asking(daemon.url, request))
        daemon.until(LENGTH, after + len(waiting))
    return waiting


def refusals(policy: str, class_: str = "default") -> str:
    """
    The series of what the gate has refused.
    """
    labels = f'class="{class_}",kind="at_capacity",policy="{policy}",reason="gate"'
    return f"aibridge_refusals_total{{{labels}}}"


def waits(outcome: str, class_: str = "default") -> str:
    """
    The series of how many have waited.
    """
    return f'aibridge_queue_wait_seconds_count{{class="{class_}",outcome="{outcome}"}}'


class TestBounds:
    """
    How many wait, and for how long.
    """

    def test_size(self, deployment: Deployment, holder: Holder) -> None:
        """
        As many wait as there are places; one more is told 503 by the queue, and those in it are served.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 2\nqueue_timeout = 600")
        running = Asking(daemon.url, said(token, "first"))
        first = holder.next()
        waiting = line_up(daemon, said(token, "second"), said(token, "third"))
        refused = ask(daemon.url, said(token, "fourth"))
        assert (refused.status, refused.reason) == (503, 'gate; policy="queue"')
        assert 1 <= int(refused.headers["retry-after"]) <= 45
        assert daemon.metric(f'{LENGTH}{{class="default"}}') == 2
        assert holder.has_none()
        first.answer()
        for name in ("second", "third"):
            taken = holder.next()
            assert taken.model == name
            taken.answer()
        assert [asking.answer().status for asking in (running, *waiting)] == [200] * 3
        daemon.until(IN_USE, 0)
        assert daemon.metric(LENGTH) == 0
        assert daemon.metric(refusals("queue")) == 1
        assert daemon.metric(waits("admitted")) == 2
        assert holder.has_none()

    def test_timeout(self, deployment: Deployment, holder: Holder) -> None:
        """
        Who has waited for the configured time is told so, and its request goes nowhere; the log has how long it was.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 9\nqueue_timeout = 0.2")
        running = Asking(daemon.url, said(token))
        first = holder.next()
        late = ask(daemon.url, said(token, "late"))
        assert (late.status, late.reason) == (503, 'gate; policy="timeout"')
        assert 1 <= int(late.headers["retry-after"]) <= 45
        told = daemon.completion(late.id)
        assert (told["cause"], told["policy"], told["attempts"]) == ("at_capacity", "timeout", "0")
        assert 0.2 <= float(told["queued_s"]) <= float(told["duration_s"])
        assert daemon.metric(waits("at_capacity")) == 1
        first.answer()
        assert running.answer().status == 200
        assert holder.has_none() and len(holder.requests) == 1

    def test_nobody_waits_without_it(self, deployment: Deployment, holder: Holder) -> None:
        """
        By default there is no queue: a full gate refuses at once.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "")
        running = Asking(daemon.url, said(token))
        first = holder.next()
        assert ask(daemon.url, said(token)).reason == 'gate; policy="daemon"'
        first.answer()
        assert running.answer().status == 200

    def test_a_limit_of_requests_is_told_at_once(self, deployment: Deployment, holder: Holder) -> None:
        """
        Whoever a bucket would refuse in any case does not wait for that, and takes no place.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 1\nqueue_timeout = 600\nrate_limit = 0.001\nrate_burst = 1")
        running = Asking(daemon.url, said(token))
        first = holder.next()
        assert ask(daemon.url, said(token)).reason == 'rate; policy="per-principal"'
        assert daemon.metric(LENGTH) == 0
        first.answer()
        assert running.answer().status == 200
        assert daemon.metric("aibridge_queue_wait_seconds_count") == 0

    def test_nobody_makes_room_in_vain(self, deployment: Deployment, holder: Holder) -> None:
        """
        Whoever a bucket would refuse in any case displaces nobody from a full queue, whatever his class.
        """
        hasty = deployment.token("ada", "--class", "interactive", "--rate-limit", "0.001")
        patient = deployment.token("nightly", "--class", "batch")
        daemon = start(deployment, holder, "queue_size = 1\nqueue_timeout = 600")
        running = Asking(daemon.url, said(hasty))
        first = holder.next()
        (waiting,) = line_up(daemon, said(patient, "waits"))
        assert ask(daemon.url, said(hasty)).reason == 'rate; policy="per-principal"'
        assert daemon.metric(LENGTH) == 1
        first.answer()
        second = holder.next()
        assert second.model == "waits"
        second.answer()
        assert (running.answer().status, waiting.answer().status) == (200, 200)


class TestOrder:
    """
    Whose turn it is.
    """

    def test_within_a_principal(self, deployment: Deployment, holder: Holder) -> None:
        """
        Requests of one principal are let in in the order in which they came.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 9\nqueue_timeout = 600")
        names = [f"r{number}" for number in range(6)]
        here = [Asking(daemon.url, said(token, names[0]))]
        turn = holder.next()
        here += line_up(daemon, *(said(token, name) for name in names[1:]))
        seen = [turn.model]
        while len(seen) < len(names):
            turn.answer()
            turn = holder.next()
            seen.append(turn.model)
        turn.answer()
        assert seen == names
        assert [asking.answer().status for asking in here] == [200] * len(names)

    def test_between_principals(self, deployment: Deployment, holder: Holder) -> None:
        """
        One caller with fifty times as many requests, who also comes back as soon as he is refused, costs each of ten
        others no request, and never more than one turn of everybody's.
        """
        crowd = Crowd(deployment, holder)
        for name in crowd.others:
            crowd.send(name)
        crowd.settle()
        served = dict.fromkeys((crowd.HOG, *crowd.others), 0)
        # Turns that a request has waited for. The one that is in flight when it comes does not count.
        waited = dict.fromkeys(crowd.others, -1)
        while min(served.values()) < 3:
            crowd.hammer()
            name, status = crowd.serve_next()
            assert status == 200
            served[name] += 1
            for other in waited:
                waited[other] += 1
            if name != crowd.HOG:
                assert waited[name] <= len(served), "more than one turn of everybody's has passed"
                waited[name] = -1
                crowd.send(name)
                crowd.settle()
        assert max(served.values()) <= 5
        assert crowd.refused[crowd.HOG] > 100
        assert [name for name in crowd.others if crowd.refused[name]] == []
        crowd.leave()
        crowd.daemon.until(IN_USE, 0)
        assert crowd.daemon.metric(LENGTH) == 0


class Crowd:
    """
    One caller with fifty requests at a time, and ten with one each, before one permit and twenty places.

    It goes step by step: a turn is over when its answer is read, and the next one begins when everything that was sent
    meanwhile is where the gate has put it.
    """

    HOG = "hog"
    AT_ONCE = 50

    def __init__(self, deployment: Deployment, holder: Holder) -> None:
        self.others = [f"other{number}" for number in range(10)]
        self._tokens = {name: deployment.token(name) for name in (self.HOG, *self.others)}
        self.daemon = start(deployment, holder, "queue_size = 20\nqueue_timeout = 600", '[log]\ncompletions = ""\n')
        self._holder = holder
        self._here: dict[socket.socket, str] = {}
        self._ended = 0
        self._sent = 0
        self.refused = dict.fromkeys(self._tokens, 0)
        for _ in range(self.AT_ONCE):
            self.send(self.HOG)
        self._turn = holder.next()
        self.settle()

    def send(self, name: str) -> None:
        """
        One more request.
        """
        stream = connect(self.daemon.url)
        stream.sendall(said(self._tokens[name], name))
        self._here[stream] = name
        self._sent += 1

    def settle(self) -> None:
        """
        Wait until each request is in flight, waits or has been refused, and read the refusals.
        """
        while True:
            refused = int(self.daemon.metric("aibridge_refusals_total"))
            known = self._ended + refused + self.daemon.metric(LENGTH) + self.daemon.metric(IN_USE)
            if known == self._sent:
                break
        with selectors.DefaultSelector() as selector:
            for stream in self._here:
                selector.register(stream, selectors.EVENT_READ)
            while sum(self.refused.values()) < refused:
                for key, _ in selector.select():
                    selector.unregister(key.fileobj)
                    name, answer = self._end(key.fileobj)
                    assert (answer.status, answer.reason.partition(";")[0]) == (503, "gate")
                    self.refused[name] += 1

    def hammer(self) -> None:
        """
        Whatever the hog was refused it asks again at once.
        """
        for _ in range(self.AT_ONCE - sum(name == self.HOG for name in self._here.values())):
            self.send(self.HOG)
        self.settle()

    def serve_next(self) -> tuple[str, int]:
        """
        Answer what is in flight; whose it was, and what he was told.
        """
        name = self._turn.model
        self._turn.answer()
        self._turn = self._holder.next()
        ended = self._answered(name)
        self._ended += 1
        return name, ended.status

    def _answered(self, name: str) -> Answer:
        with selectors.DefaultSelector() as selector:
            for stream, whose in self._here.items():
                if whose == name:
                    selector.register(stream, selectors.EVENT_READ)
            ((key, _), *_) = selector.select()
        return self._end(key.fileobj)[1]

    def _end(self, stream: object) -> tuple[str, Answer]:
        assert isinstance(stream, socket.socket)
        name = self._here.pop(stream)
        with stream:
            return name, read_answer(stream)

    def leave(self) -> None:
        """
        All of them go.
        """
        for stream in self._here:
            stream.close()
        self._turn.answer()


class TestLeaving:
    """
    Those who do not wait until their turn.
    """

    def test_no_trace(self, deployment: Deployment, holder: Holder) -> None:
        """
        Who leaves while waiting, by FIN or RST, with a small body or a large one, is nowhere to be found: not in the
        queue, not at the gate, not at the provider. The log says that it left, and how long it had waited.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 99\nqueue_timeout = 600")
        running = Asking(daemon.url, said(token, "stays"))
        first = holder.next()
        large = post("/up/v1/chat/completions", token, {"model": "large", "messages": ["x" * 900_000]})
        requests = [said(token, "leaves"), said(token, "leaves") * 3]
        leavers = line_up(daemon, *requests, *requests)
        leavers += line_up(daemon, large, large, after=len(leavers))
        for number, leaver in enumerate(leavers):
            leaver.leave(abruptly=number % 2 == 0)
        daemon.until(LENGTH, 0)
        daemon.until(IN_USE, 1)
        daemon.until("aibridge_client_connections", 1)
        first.answer()
        assert running.answer().status == 200
        daemon.until(IN_USE, 0)
        assert daemon.metric('aibridge_provider_permits_in_use{provider="up"}') == 0
        assert [b"leaves" in request for request in holder.requests] == [False]
        for _ in leavers:
            line = daemon.wait_for("completion .*cause=client_left").string
            assert " status=499 " in line and " attempts=0 " in line
            assert " queued_s=0.000000 " not in line
        assert daemon.metric(waits("client_left")) == len(leavers)
        # And the next one finds everything as if they had never been.
        last = Asking(daemon.url, said(token))
        holder.next().answer()
        assert last.answer().status == 200

    def test_the_place_is_free(self, deployment: Deployment, holder: Holder) -> None:
        """
        The place of one who has left is another's, and the order of the rest stays.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 3\nqueue_timeout = 600")
        here = [Asking(daemon.url, said(token, "a"))]
        turn = holder.next()
        here += line_up(daemon, *(said(token, name) for name in "bcd"))
        here.pop(2).leave()
        daemon.until(LENGTH, 2)
        here += line_up(daemon, said(token, "e"), after=2)
        for name in "bde":
            turn.answer()
            turn = holder.next()
            assert turn.model == name
        turn.answer()
        assert [asking.answer().status for asking in here] == [200] * 4


class TestReload:
    """
    SIGHUP while somebody waits.
    """

    def test_what_changes_for_those_who_wait(self, deployment: Deployment, holder: Holder) -> None:
        """
        More permits let in as many as there are then; fewer places send nobody away; a bad file changes nothing; a
        shorter time sends away those whose time is up by then.
        """
        token = deployment.token("ada")
        queue = "queue_size = 9\nqueue_timeout = 600\n"
        daemon = start(deployment, holder, queue)
        here = [Asking(daemon.url, said(token, "a"))]
        taken = [holder.next()]
        here += line_up(daemon, *(said(token, name) for name in "bcde"))
        deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = 3\n{queue}")
        daemon.reload()
        taken += [holder.next(), holder.next()]
        assert sorted(each.model for each in taken) == ["a", "b", "c"]
        daemon.until(LENGTH, 2)
        deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = 2\n")
        daemon.reload()
        assert (daemon.metric(LENGTH), daemon.metric(IN_USE)) == (2, 3)
        assert ask(daemon.url, said(token)).reason == 'gate; policy="daemon"'
        deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = -1\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("old one stays in force")
        assert (daemon.metric(LENGTH), daemon.metric("aibridge_permits_limit")) == (2, 2)
        # One comes back of three, where only two may be out: nobody is let in for it; for the next one is.
        taken.pop(0).answer()
        assert here.pop(0).answer().status == 200
        daemon.until(IN_USE, 2)
        assert holder.has_none()
        taken.pop(0).answer()
        taken.append(holder.next())
        assert taken[-1].model == "d"
        deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = 2\nqueue_size = 9\nqueue_timeout = 0.001")
        daemon.reload()
        assert here.pop().answer().reason == 'gate; policy="timeout"'
        for each in taken:
            each.answer()
        assert [asking.answer().status for asking in here] == [200] * 3
        daemon.until(IN_USE, 0)

    def test_a_provider_that_is_gone(self, deployment: Deployment, holder: Holder) -> None:
        """
        Who waits for a provider that is no longer configured is still served by it: it began under the old terms.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "queue_size = 9\nqueue_timeout = 600")
        running = Asking(daemon.url, said(token))
        first = holder.next()
        (waiting,) = line_up(daemon, said(token, "waits"))
        deployment.configure(f"{table(holder, name='another')}[admission]\nmax_concurrency = 1\nqueue_size = 9\n")
        daemon.reload()
        first.answer()
        second = holder.next()
        assert second.model == "waits"
        second.answer()
        assert (running.answer().status, waiting.answer().status) == (200, 200)
        assert ask(daemon.url, said(token)).reason == "route"
        daemon.until(IN_USE, 0)


def test_drain(deployment: Deployment, holder: Holder) -> None:
    """
    Who waits when the daemon is told to stop is served before it does; who comes then is told to go elsewhere.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, "queue_size = 9\nqueue_timeout = 600")
    running = Asking(daemon.url, said(token))
    first = holder.next()
    (waiting,) = line_up(daemon, said(token, "waits"))
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("Draining: 2 exchanges")
    assert ask(daemon.url, said(token)).reason == "drain"
    first.answer()
    holder.next().answer()
    assert (running.answer().status, waiting.answer().status) == (200, 200)
    assert daemon.wait() == 0


def test_continue_is_said_where_there_is_a_place_to_wait(deployment: Deployment, holder: Holder) -> None:
    """
    A client that asks first sends its body if it may wait for a permit, and waits for that with its body.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, "queue_size = 1\nqueue_timeout = 600")
    running = Asking(daemon.url, said(token))
    first = holder.next()
    head, _, body = said(token, "asks").partition(b"\r\n\r\n")
    asks_first = head + b"\r\nExpect: 100-continue\r\n\r\n"
    waiting = Asking(daemon.url, asks_first)
    assert read_until(waiting.stream, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert daemon.metric(LENGTH) == 0
    waiting.stream.sendall(body)
    daemon.until(LENGTH, 1)
    assert Asking(daemon.url, asks_first).answer().status == 503
    first.answer()
    second = holder.next()
    assert second.model == "asks"
    second.answer()
    assert (running.answer().status, waiting.answer().status) == (200, 200)
