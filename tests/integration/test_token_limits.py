"""
Limits of tokens in a real process: what a request is charged at first, and what in the end.
"""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import closing
from typing import Any

import pytest

from aibridge.model import Dialect
from answers import (
    CHAT_BODY,
    MESSAGES_START,
    RESPONSES_START,
    RESPONSES_USAGE,
    STREAMS,
    chunk,
    compact,
    data,
    message,
    named,
    response,
)
from daemons import Daemon, Deployment
from held import KEYS, Asking, Holder, ask, said, table
from wires import Provider, answers, read_until, whole

BURST = 60000
LIMIT = f'[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 1\nburst = {BURST}\n'
"""It leaks a token a minute, so that what is in it is what was charged."""

EVENTS = "text/event-stream; charset=utf-8"
STREAM_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {EVENTS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
PATHS = {
    Dialect.CHAT: "/up/v1/chat/completions",
    Dialect.RESPONSES: "/up/v1/responses",
    Dialect.MESSAGES: "/claude/v1/messages",
}
BODIES = {
    Dialect.CHAT: compact(CHAT_BODY),
    Dialect.RESPONSES: compact(response("completed", usage=RESPONSES_USAGE)),
    Dialect.MESSAGES: compact(message()),
}
DIALECTS = pytest.mark.parametrize("dialect", PATHS, ids=lambda dialect: str(dialect.name))


def start(deployment: Deployment, holder: Holder, more: str = LIMIT) -> Daemon:
    """
    A daemon with that provider as one of each dialect, and a limit of tokens.
    """
    deployment.configure(table(holder) + table(holder, "", "claude", "anthropic") + more)
    return deployment.start(environ=KEYS)


def level(daemon: Daemon, principal: str = "ada") -> int:
    """
    How many tokens are in a principal's bucket.
    """
    told = json.loads(daemon.page(f"/limits?principal={principal}"))
    (limit,) = [each for each in told["limits"] if each["unit"] == "tokens/min"]
    return round(float(limit["buckets"][0]["level"]))


def chunked(payload: bytes) -> bytes:
    """
    A chunk.
    """
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def taken_for(request: bytes) -> int:
    """
    The tokens that a request is taken to have.
    """
    return -(-len(request.partition(b"\r\n\r\n")[2]) // 4)


class TestEstimates:
    """
    What is charged until the answer has ended.
    """

    @DIALECTS
    def test_the_body_and_what_is_configured(self, deployment: Deployment, holder: Holder, dialect: Dialect) -> None:
        """
        A token for four bytes, the output that an answer is taken for at first, or that is allowed, and a part of what
        may be used beyond that; told in the answer's head.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, f"{LIMIT}[admission]\ntoken_default_output = 300\n")
        name = "max_output_tokens" if dialect is Dialect.RESPONSES else "max_tokens"
        charged = 0
        asks: tuple[tuple[dict[str, Any], int], ...] = (
            ({name: 200}, 200),
            ({name: 460}, 300 + 160 // 16),
            ({}, 300 + BURST // 16),
        )
        for more, output in asks:
            request = said(token, path=PATHS[dialect], **more)
            asking = Asking(daemon.url, request)
            turn = holder.next()
            charged += taken_for(request) + output
            assert level(daemon) == charged
            turn.say(STREAM_HEAD)
            head = read_until(asking.stream, b"\r\n\r\n")
            assert f'"per-principal-tokens";r={BURST - charged};'.encode() in head
            asking.leave()
            daemon.until("aibridge_permits_in_use", 0)
            charged = level(daemon)

    def test_more_than_the_bucket_holds(self, deployment: Deployment, holder: Holder) -> None:
        """
        It passes if the bucket is empty, and not beside another one; used is what it has used.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, f"{LIMIT}[admission]\ntoken_default_output = {10 * BURST}\n")
        request = said(token, max_tokens=10 * BURST)
        running = Asking(daemon.url, request)
        first = holder.next()
        assert level(daemon) == BURST
        refused = ask(daemon.url, said(token, max_tokens=1))
        assert (refused.status, refused.reason) == (429, 'rate; policy="per-principal-tokens"')
        first.answer(whole(BODIES[Dialect.CHAT]))
        assert running.answer().status == 200
        assert level(daemon) == 2306
        assert ask(daemon.url, request).status == 429

    @pytest.mark.parametrize("queue", ["", "max_concurrency = 1\nqueue_size = 5\n"], ids=["", "queue"])
    def test_waiting_as_told_is_enough(self, deployment: Deployment, holder: Holder, queue: str) -> None:
        """
        A client that waits for just the milliseconds that it was told is admitted, whatever output is expected; also
        one that would have had to wait for a permit when it came.
        """
        token = deployment.token("ada")
        queue = f"[admission]\ntoken_default_output = 2000\n{queue}"
        limit = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 120000\nburst = 2000\n'
        daemon = start(deployment, holder, limit + queue)
        running = Asking(daemon.url, said(token, max_tokens=1980))
        turn = holder.next()
        for most in (300, 700, 1100):
            request = said(token, max_tokens=most)
            refused = ask(daemon.url, request)
            assert (refused.status, refused.reason) == (429, 'rate; policy="per-principal-tokens"')
            assert 0 < refused.wait_s < 2
            threading.Event().wait(refused.wait_s)
            asking = Asking(daemon.url, request)
            following = None if "queue" in queue else holder.next()
            if following is None:
                daemon.until("aibridge_queue_length", 1)
            turn.answer(b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n")
            assert running.answer().status == 200
            turn = following or holder.next()
            running = asking
        running.leave()

    def test_a_large_body_is_refused_on_its_head(self, deployment: Deployment, holder: Holder) -> None:
        """
        Where its declared length is more than what is left, nothing of it is read.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, f"{LIMIT}[admission]\ntoken_default_output = {BURST}\n")
        running = Asking(daemon.url, said(token, max_tokens=BURST - 1000))
        holder.next()
        head, _, _ = said(token).partition(b"Content-Length")
        refused = ask(daemon.url, head + b"Content-Length: 40000\r\n\r\n")
        assert (refused.status, refused.reason) == (429, 'rate; policy="per-principal-tokens"')
        running.leave()


class TestUsed:
    """
    What is charged in the end.
    """

    @DIALECTS
    @pytest.mark.parametrize("stream", [False, True], ids=["blocking", "stream"])
    def test_what_the_provider_says(
        self, deployment: Deployment, holder: Holder, dialect: Dialect, stream: bool
    ) -> None:
        """
        Input, from a cache or not, and output, in place of the estimate; in the log and in metrics as well.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        read = {Dialect.CHAT: 2006, Dialect.RESPONSES: 2600, Dialect.MESSAGES: 18295}[dialect]
        written = {Dialect.CHAT: 300, Dialect.RESPONSES: 87, Dialect.MESSAGES: 15 if stream else 3}[dialect]
        asking = Asking(daemon.url, said(token, path=PATHS[dialect], stream=stream))
        turn = holder.next()
        if stream:
            events = STREAMS[dialect]
            turn.answer(STREAM_HEAD + chunked(events[:300]) + chunked(events[300:]) + b"0\r\n\r\n")
        else:
            turn.answer(whole(BODIES[dialect]))
        answer = asking.answer()
        assert answer.body == (STREAMS if stream else BODIES)[dialect]
        assert level(daemon) == read + written
        told = daemon.completion(answer.id)
        assert (told["tokens_in"], told["tokens_out"], told["usage"]) == (str(read), str(written), "provider")
        series = [line for line in daemon.page("/metrics").splitlines() if line.startswith("aibridge_tokens_total")]
        counts = {line.partition('type="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in series}
        assert counts["output"] == written
        parts = ("input", "cache_read_input_tokens", "cache_write_input_tokens")
        assert sum(counts.get(name, 0) for name in parts) == read

    def test_compressed(self, deployment: Deployment, holder: Holder) -> None:
        """
        What is compressed is read all the same, and crosses as it came; what cannot be read is charged as estimated.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        packed = gzip.compress(BODIES[Dialect.CHAT])
        asking = Asking(daemon.url, said(token))
        holder.next().answer(whole(packed, extra="Content-Encoding: gzip\r\n"))
        assert asking.answer().body == packed
        assert level(daemon) == 2306
        request = said(token, "other", max_tokens=700)
        asking = Asking(daemon.url, request)
        holder.next().answer(whole(b"\x1b\x2a", extra="Content-Encoding: compress\r\n"))
        answer = asking.answer()
        assert level(daemon) == 2306 + taken_for(request) + 700
        assert daemon.completion(answer.id)["usage"] == "estimated"
        assert daemon.metric('aibridge_unread_answers_total{provider="up",why="encoded"}') == 1

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-unheard-of"])
    def test_an_answer_that_nobody_can_read(self, deployment: Deployment, holder: Holder, content_type: str) -> None:
        """
        An answer of another type is not free: it is charged as estimated.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        request = said(token, max_tokens=700)
        asking = Asking(daemon.url, request)
        holder.next().answer(whole(BODIES[Dialect.CHAT], content_type))
        answer = asking.answer()
        assert level(daemon) == taken_for(request) + 700
        assert daemon.completion(answer.id)["usage"] == "estimated"
        assert daemon.metric('aibridge_unread_answers_total{provider="up",why="other_type"}') == 1

    def test_a_debt(self, deployment: Deployment, holder: Holder) -> None:
        """
        What is used beyond the estimate makes the next one wait, although it fitted when it was asked for.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        asking = Asking(daemon.url, said(token, max_tokens=1))
        usage = {"prompt_tokens": 2 * BURST, "completion_tokens": 5, "total_tokens": 2 * BURST + 5}
        holder.next().answer(whole(compact({**CHAT_BODY, "usage": usage})))
        assert asking.answer().status == 200
        assert level(daemon) == 2 * BURST + 5
        refused = ask(daemon.url, said(token, max_tokens=1))
        assert (refused.status, refused.headers["retry-after"]) == (429, "45")
        assert '"per-principal-tokens";r=0;' in refused.headers["ratelimit"]
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"

    @DIALECTS
    @pytest.mark.parametrize("who", ["client", "provider"])
    def test_an_aborted_stream(self, deployment: Deployment, holder: Holder, dialect: Dialect, who: str) -> None:
        """
        Whoever breaks it off, it is charged what was seen of it: what was said to have been read, or what the request
        is taken for, and what was written until then.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        request = said(token, path=PATHS[dialect], stream=True, max_tokens=900)
        seen, charged = {
            Dialect.CHAT: (data(*[chunk({"content": "a"}) for _ in range(7)]), taken_for(request) + 7),
            Dialect.RESPONSES: (RESPONSES_START, taken_for(request) + 11),
            Dialect.MESSAGES: (MESSAGES_START, 18295 + 7),
        }[dialect]
        asking = Asking(daemon.url, request)
        turn = holder.next()
        turn.say(STREAM_HEAD + chunked(seen))
        assert read_until(asking.stream, seen[-40:]).endswith(chunked(seen))
        if who == "client":
            asking.leave()
        else:
            turn.close()
        daemon.until("aibridge_permits_in_use", 0)
        assert level(daemon) == charged
        cause = "client_left" if who == "client" else "truncated"
        told = daemon.wait_for(f"completion .* cause={cause} ").string
        assert f" usage={'partial' if dialect is Dialect.MESSAGES else 'estimated'} " in told
        asking.stream.close()

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_client_that_does_not_wait_for_the_answer(
        self, deployment: Deployment, holder: Holder, stream: bool
    ) -> None:
        """
        Its request was sent, so the provider has read it, and that is charged: leaving early is not free.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder)
        request = said(token, stream=stream, max_tokens=900)
        asking = Asking(daemon.url, request)
        holder.next()
        asking.leave()
        daemon.until("aibridge_permits_in_use", 0)
        assert level(daemon) == taken_for(request)
        assert " usage=estimated " in daemon.wait_for("completion .* cause=client_left ").string

    @pytest.mark.parametrize("stream", [False, True], ids=["blocking", "stream"])
    @pytest.mark.parametrize(("most", "let_in"), [(100_000, 1), (None, 9)], ids=["a maximum", "none"])
    def test_what_is_made_in_the_background(
        self, deployment: Deployment, stream: bool, most: int | None, let_in: int
    ) -> None:
        """
        Nobody hears what it uses, so each is charged what it may use, or is expected to: of eighty few are let in.
        """
        started = response("queued", background=True)
        event = named({"type": "response.queued", "sequence_number": 0, "response": started})
        token = deployment.token("ada")
        more: dict[str, Any] = {} if most is None else {"max_output_tokens": most}
        request = said(token, path=PATHS[Dialect.RESPONSES], background=True, stream=stream, **more)
        limit = LIMIT.replace(f"burst = {BURST}", "burst = 10000")
        reply = whole(event, EVENTS) if stream else whole(compact(started))
        with closing(Provider(answers(reply))) as provider:
            deployment.configure(table(provider) + limit)
            daemon = deployment.start(environ=KEYS)
            statuses = [ask(daemon.url, request).status for _ in range(80)]
        assert statuses == [200] * let_in + [429] * (80 - let_in)
        assert level(daemon) == let_in * (taken_for(request) + (most or 1024))
        assert daemon.wait_for("completion .* status=200 .* usage=estimated ")

    def test_nothing_for_nothing(self, deployment: Deployment, holder: Holder) -> None:
        """
        What a provider refuses, does not answer, or was never sent, costs nothing.
        """
        token = deployment.token("ada")
        daemon = start(deployment, holder, f"{LIMIT}[admission]\nmax_concurrency = 1\n")
        body = compact({"error": {"message": "no", "type": "invalid_request_error", "code": None, "param": None}})
        for payload in (
            b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
            b"HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + b'{"detail":"no"}',
            b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nSad.",
            b"",
            b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
        ):
            asking = Asking(daemon.url, said(token))
            turn = holder.next()
            assert ask(daemon.url, said(token)).reason == 'gate; policy="daemon"'
            if payload:
                turn.answer(payload)
            else:
                turn.close()
            assert asking.answer().status >= 400
            assert level(daemon) == 0
        assert ask(daemon.url, said("aib_wrong")).status == 401
        assert level(daemon) == 0


def test_a_class_together(deployment: Deployment, holder: Holder) -> None:
    """
    Whoever is of the class fills the same bucket; others do not.
    """
    tokens = {name: deployment.token(name, "--class", "batch") for name in ("nightly", "weekly")}
    tokens["ada"] = deployment.token("ada")
    limit = '[[limit]]\nscope = "class"\nclass = "batch"\nunit = "tokens/min"\nlimit = 1\nburst = 4000\n'
    daemon = start(deployment, holder, limit)
    for name, expected in (("nightly", 2306), ("ada", 2306), ("weekly", 4612)):
        asking = Asking(daemon.url, said(tokens[name]))
        holder.next().answer(whole(BODIES[Dialect.CHAT]))
        assert asking.answer().status == 200
        assert level(daemon, name) == expected
    for name, status in (("nightly", 429), ("weekly", 429)):
        assert ask(daemon.url, said(tokens[name])).status == status


def test_shadow(deployment: Deployment, holder: Holder) -> None:
    """
    Over it nobody is refused, and it is charged on as if it held.
    """
    token = deployment.token("ada")
    daemon = start(deployment, holder, LIMIT.replace(f"burst = {BURST}", "burst = 3000\nshadow = true"))
    answers = []
    for _ in range(3):
        asking = Asking(daemon.url, said(token))
        holder.next().answer(whole(BODIES[Dialect.CHAT]))
        answers.append(asking.answer())
    assert [answer.status for answer in answers] == [200] * 3
    assert [daemon.completion(answer.id)["shadowed"] for answer in answers] == ["-"] + ["rate:per-principal-tokens"] * 2
    # What would have been refused would not have been charged.
    assert level(daemon) == 2306
    assert daemon.metric('aibridge_shadow_refusals_total{policy="per-principal-tokens",reason="rate"}') == 2
