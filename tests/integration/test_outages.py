"""
Circuit breakers of a real process: what opens them, what they say, how they close.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping

import pytest

from daemons import Daemon, Deployment
from held import KEYS, Answer, Asking, Holder, ask, said, table
from wires import whole

CHAT = "/up/v1/chat/completions"
MESSAGES = "/claude/v1/messages"
STATE = "aibridge_circuit_breaker_state"


def start(
    deployment: Deployment, holder: Holder, breaker: str, more: str = "", environ: Mapping[str, str] | None = None
) -> Daemon:
    """
    A daemon with that provider, as one of each dialect, and breakers.
    """
    options = "heed_limits = false\n"
    tables = table(holder, options) + table(holder, options, "claude", "anthropic")
    deployment.configure(f"{tables}[breaker]\nenabled = true\n{breaker}\n{more}")
    return deployment.start(environ={**KEYS, **(environ or {})})


def answered(holder: Holder, daemon: Daemon, request: bytes, status: int) -> Answer:
    """
    A request that the provider answers with this status.
    """
    asking = Asking(daemon.url, request)
    holder.next().answer(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % status)
    answer = asking.answer()
    assert (answer.status, answer.reason) == (status, "")
    return answer


def series(name: str, model: str, route: str = "/v1/chat/completions", provider: str = "up") -> str:
    """
    Of a breaker.
    """
    return f'{name}{{endpoint="{route}",model="{model}",provider="{provider}"}}'


def closed_port() -> int:
    """
    A port on which nobody listens.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class TestOpening:
    """
    What counts, and what does not.
    """

    @pytest.mark.parametrize(
        ("path", "status"), [(CHAT, 503), (CHAT, 504), ("/up/v1/responses", 503), (MESSAGES, 529), (MESSAGES, 503)]
    )
    def test_statuses(self, deployment: Deployment, holder: Holder, path: str, status: int) -> None:
        """
        After so many in a row nobody is sent any more: 503 in the dialect, and when it is tried again. Other models and
        other endpoints go on.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 3\ntimeout = 600")
        for _ in range(3):
            answered(holder, daemon, said(token, path=path), status)
        refused = ask(daemon.url, said(token, path=path))
        assert (refused.status, refused.reason) == (503, "breaker")
        assert refused.headers["retry-after"] == "45"
        assert refused.error["message"] == "circuit breaker is open"
        assert refused.error["type"] == ("overloaded_error" if path == MESSAGES else "server_error")
        told = daemon.completion(refused.id)
        assert (told["cause"], told["attempts"], told["model"]) == ("breaker_open", "0", "m")
        answered(holder, daemon, said(token, "another", path=path), 200)
        answered(holder, daemon, said(token, path="/claude/v1/messages" if path == CHAT else CHAT), 200)
        assert holder.has_none()
        assert daemon.metric(STATE) == 1
        assert daemon.metric("aibridge_circuit_breaker_trips_total") == 1
        assert daemon.metric("aibridge_circuit_breaker_rejects_total") == 1
        labels = 'class="default",kind="breaker_open",policy="",reason="breaker"'
        assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") == 1
        daemon.until("aibridge_permits_in_use", 0)

    def test_nothing_listens(self, deployment: Deployment) -> None:
        """
        A connection that is refused counts.
        """
        token = deployment.token("ada")
        deployment.configure(
            f'[[provider]]\nname = "up"\ntype = "openai-compatible"\nbase_url = "http://127.0.0.1:{closed_port()}"\n'
            'key = "env:KEY"\n[breaker]\nenabled = true\nfailure_threshold = 2\ntimeout = 600\n'
        )
        daemon = deployment.start(environ=KEYS)
        told = [ask(daemon.url, said(token)) for _ in range(3)]
        assert [(answer.status, answer.reason) for answer in told] == [(502, "upstream")] * 2 + [(503, "breaker")]

    def test_no_answer_in_time(self, deployment: Deployment, holder: Holder) -> None:
        """
        So does one that does not begin to answer.
        """
        token = deployment.token("ada")
        deployment.configure(
            table(holder, "first_byte_timeout = 0.1")
            + "[breaker]\nenabled = true\nfailure_threshold = 2\ntimeout = 600\n"
        )
        daemon = deployment.start(environ=KEYS)
        told = [ask(daemon.url, said(token)) for _ in range(3)]
        assert [(answer.status, answer.reason) for answer in told] == [(504, "upstream")] * 2 + [(503, "breaker")]
        assert len(holder.requests) == 2

    def test_what_does_not_count(self, deployment: Deployment, holder: Holder) -> None:
        """
        Errors of the request, of the key, of one answer; refusals of ours; clients that leave, before the answer and in
        it; another vendor's 529; what is not bridged.
        """
        token = deployment.token("ada")
        daemon = start(
            deployment,
            holder,
            "failure_threshold = 1\ntimeout = 600",
            "[admission]\nmax_concurrency = 1\n",
        )
        for status in (400, 401, 403, 404, 429, 500, 502, 529):
            answered(holder, daemon, said(token), status)
        asking = Asking(daemon.url, said(token))
        turn = holder.next()
        assert ask(daemon.url, said(token)).reason == 'gate; policy="daemon"'
        asking.leave()
        daemon.until("aibridge_permits_in_use", 0)
        asking = Asking(daemon.url, said(token, stream=True))
        turn = holder.next()
        turn.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: {}\n\n")
        asking.stream.recv(1)
        asking.leave()
        daemon.until("aibridge_permits_in_use", 0)
        models = b"GET /up/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        answered(holder, daemon, models, 503)
        assert daemon.metric("aibridge_circuit_breaker_trips_total") == 0
        assert ask(daemon.url, said("aib_unknown")).status == 401
        answered(holder, daemon, said(token), 200)
        answered(holder, daemon, said(token), 503)
        assert ask(daemon.url, said(token)).reason == "breaker"

    def test_in_a_row(self, deployment: Deployment, holder: Holder) -> None:
        """
        One that succeeds in between begins the row anew, and so does a pause of `interval`.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 2\ninterval = 3600\ntimeout = 600")
        for status in (503, 200, 503, 200, 503):
            answered(holder, daemon, said(token), status)
        deployment.configure(
            table(holder) + "[breaker]\nenabled = true\nfailure_threshold = 2\ninterval = 0.05\ntimeout = 600\n"
        )
        daemon.reload()
        answered(holder, daemon, said(token), 200)
        for _ in range(3):
            answered(holder, daemon, said(token), 503)
            threading.Event().wait(0.1)
        assert daemon.metric("aibridge_circuit_breaker_trips_total") == 0

    @pytest.mark.parametrize("prefix", ["AIBRIDGE", "CODER_AIBRIDGE", "CODER_AI_GATEWAY"])
    def test_environment(self, deployment: Deployment, holder: Holder, prefix: str) -> None:
        """
        Coder's names of variables work, with its durations.
        """
        token = deployment.token("ada")
        deployment.configure(table(holder))
        values = {
            "ENABLED": "true",
            "FAILURE_THRESHOLD": "2",
            "INTERVAL": "10s",
            "TIMEOUT": "1m30s",
            "MAX_REQUESTS": "1",
        }
        environ = {f"{prefix}_CIRCUIT_BREAKER_{name}": value for name, value in values.items()}
        daemon = deployment.start(environ={**KEYS, **environ})
        told = json.loads(daemon.page("/limits"))["breakers"]
        assert (told["failure_threshold"], told["interval_s"], told["timeout_s"], told["max_requests"]) == (
            2,
            10,
            90,
            1,
        )
        for _ in range(2):
            answered(holder, daemon, said(token), 503)
        assert ask(daemon.url, said(token)).reason == "breaker"

    def test_off_by_default(self, deployment: Deployment, holder: Holder) -> None:
        """
        Unless they are asked for there are none.
        """
        token = deployment.token("ada")
        deployment.configure(table(holder))
        daemon = deployment.start(environ=KEYS)
        for _ in range(8):
            answered(holder, daemon, said(token), 503)


class TestOpen:
    """
    While it is open, and afterwards.
    """

    def test_the_remaining_time(self, deployment: Deployment, holder: Holder) -> None:
        """
        Each refusal names the same moment, so that the waits get shorter as time passes.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 30")
        before = time.monotonic()
        answered(holder, daemon, said(token), 503)
        earliest, latest = before + 30 - 0.001, time.monotonic() + 30
        for _ in range(20):
            before = time.monotonic()
            refused = ask(daemon.url, said(token))
            after = time.monotonic()
            assert 20 <= int(refused.headers["retry-after"]) <= 30
            earliest = max(earliest, before + refused.wait_s - 0.001)
            latest = min(latest, after + refused.wait_s)
        assert earliest <= latest

    def test_half_open_and_closed(self, deployment: Deployment, holder: Holder) -> None:
        """
        When its time is over, `max_requests` may try, and no more; one whose client leaves lets another one try. If all
        succeed, everybody may go.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 0.1\nmax_requests = 2")
        answered(holder, daemon, said(token), 200)
        answered(holder, daemon, said(token), 503)
        threading.Event().wait(0.11)
        probes = [Asking(daemon.url, said(token)) for _ in range(2)]
        turns = [holder.next() for _ in probes]
        assert daemon.metric(series(STATE, "m")) == 0.5
        refused = ask(daemon.url, said(token))
        assert (refused.reason, refused.headers["retry-after"]) == ("breaker", "1")
        probes.pop().leave()
        daemon.until("aibridge_permits_in_use", 1)
        probes.append(Asking(daemon.url, said(token)))
        turns.append(holder.next())
        for turn in turns:
            turn.answer()
        assert [probe.answer().status for probe in probes] == [200, 200]
        assert daemon.metric(STATE) == 0
        assert STATE + "{" not in daemon.page("/metrics")
        crowd = [Asking(daemon.url, said(token)) for _ in range(5)]
        for _ in crowd:
            holder.next().answer()
        assert [asking.answer().status for asking in crowd] == [200] * 5
        assert daemon.metric(series("aibridge_circuit_breaker_trips_total", "m")) == 1
        assert daemon.metric(series("aibridge_circuit_breaker_rejects_total", "m")) == 1

    def test_half_open_and_open_again(self, deployment: Deployment, holder: Holder) -> None:
        """
        The first probe that fails opens it again, for as long.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 0.1\nmax_requests = 3")
        answered(holder, daemon, said(token), 200)
        for trips in range(1, 4):
            answered(holder, daemon, said(token), 503)
            assert daemon.metric(series("aibridge_circuit_breaker_trips_total", "m")) == trips
            threading.Event().wait(0.11)
        deployment.configure(table(holder))
        daemon.reload()
        answered(holder, daemon, said(token), 200)

    def test_what_it_refuses_counts_nowhere(self, deployment: Deployment, holder: Holder) -> None:
        """
        Neither as a request nor with its tokens.
        """
        token = deployment.token("ada")
        limits = "".join(
            f'[[limit]]\nscope = "principal"\nunit = "{unit}"\nlimit = 0.5\nburst = {burst}\n'
            for unit, burst in (("requests/min", 3), ("tokens/min", 100000))
        )
        daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 600", limits)
        answered(holder, daemon, said(token), 503)
        for _ in range(5):
            refused = ask(daemon.url, said(token))
            assert refused.reason == "breaker"
            assert refused.headers["ratelimit"].startswith('"per-principal";r=2;')
        told = json.loads(daemon.page("/limits?principal=ada"))["limits"]
        assert [limit["buckets"][0]["remaining"] for limit in told] == [2, 100000]

    def test_made_up_models(self, deployment: Deployment, holder: Holder) -> None:
        """
        There are no more breakers than `max_models`, whatever models clients name, nor more series.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 600\nmax_models = 5")
        for number in range(12):
            asking = Asking(daemon.url, said(token, f"made-up-{number}"))
            if number < 6:
                holder.next().answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                assert asking.answer().reason == ""
            else:
                # The sixth has opened the one that all others share.
                assert asking.answer().reason == "breaker"
        page = [line for line in daemon.page("/metrics").splitlines() if line.startswith(f"{STATE}{{")]
        assert len(page) == 6
        assert any('model="other"' in line for line in page)


def test_shadow(deployment: Deployment, holder: Holder) -> None:
    """
    It opens, counts and says so in the log, and refuses nobody.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 600\nshadow = true")
    answered(holder, daemon, said(token), 503)
    told = [answered(holder, daemon, said(token), 200) for _ in range(3)]
    assert [daemon.completion(answer.id)["shadowed"] for answer in told] == ["breaker"] * 3
    assert daemon.metric(STATE) == 1
    assert daemon.metric("aibridge_circuit_breaker_rejects_total") == 3
    assert daemon.metric('aibridge_shadow_refusals_total{policy="",reason="breaker"}') == 3
    assert daemon.metric("aibridge_refusals_total") == 0


def test_a_reload_leaves_them_open(deployment: Deployment, holder: Holder) -> None:
    """
    What is open stays so, and who is on the way is counted.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, "failure_threshold = 2\ntimeout = 600")
    asking = Asking(daemon.url, said(token))
    turn = holder.next()
    answered(holder, daemon, said(token), 503)
    daemon.reload()
    turn.answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    assert asking.answer().status == 503
    daemon.reload()
    assert ask(daemon.url, said(token)).reason == "breaker"


def test_whole_answers_close_it(deployment: Deployment, holder: Holder) -> None:
    """
    A head proves nothing: the answer may still be an error, or break off.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, "failure_threshold = 1\ntimeout = 0.1\nmax_requests = 1")
    answered(holder, daemon, said(token), 503)
    threading.Event().wait(0.11)
    probe = Asking(daemon.url, said(token))
    turn = holder.next()
    payload = whole()
    turn.say(payload[:-1])
    probe.stream.recv(1)
    assert daemon.metric(STATE) == 0.5
    turn.answer(payload[-1:])
    daemon.until(STATE, 0)
    probe.stream.close()
