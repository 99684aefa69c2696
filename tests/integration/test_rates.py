"""
Limits of requests in a real process: which bucket counts whom, what a refusal says, and what every answer tells.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from daemons import Daemon, Deployment
from held import KEYS, Answer, Asking, Holder, ask, said, table
from wires import Provider, answers, whole

CHAT = "/up/v1/chat/completions"
MESSAGES = "/claude/v1/messages"
ROUTES = [CHAT, "/up/v1/responses", MESSAGES]
SLOW = 'unit = "requests/min"\nlimit = 0.5\n'
"""Two minutes for each: whatever a test does meanwhile, no room appears."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """
    Answers everything at once.
    """
    made = Provider(answers(whole()))
    yield made
    made.close()


def tables(provider: Provider, more: str = "") -> str:
    """
    The same provider, as one of each dialect.
    """
    return table(provider, more) + table(provider, more, "claude", "anthropic")


def start(deployment: Deployment, text: str) -> Daemon:
    """
    A daemon with this configuration.
    """
    deployment.configure(text)
    return deployment.start(environ=KEYS)


def limit(text: str, scope: str = "principal") -> str:
    """
    A ``[[limit]]``.
    """
    return f'[[limit]]\nscope = "{scope}"\n{text}\n'


def statuses(daemon: Daemon, *requests: bytes) -> list[int]:
    """
    What one after the other is told.
    """
    return [ask(daemon.url, request).status for request in requests]


def report(daemon: Daemon, principal: str) -> dict[str, Any]:
    """
    The buckets of a principal, by policy; of several of one policy the last.
    """
    told = json.loads(daemon.page(f"/limits?principal={principal}"))
    return {each["policy"]: each["buckets"][-1] for each in told["limits"] if each["buckets"]}


class TestWaits:
    """
    When to come back.
    """

    @pytest.mark.parametrize("path", ROUTES)
    def test_waiting_as_told_is_enough(self, deployment: Deployment, provider: Provider, path: str) -> None:
        """
        A client that waits for just the milliseconds that it was told is admitted, again and again; `Retry-After` is
        the same, rounded up to seconds.
        """
        token = deployment.token("ada")
        daemon = start(deployment, f"{tables(provider)}[admission]\nrate_limit = 5\nrate_burst = 1\n")
        assert ask(daemon.url, said(token, path=path)).status == 200
        for _ in range(5):
            refused = ask(daemon.url, said(token, path=path))
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert 0 < refused.wait_s <= 0.2
            threading.Event().wait(refused.wait_s)
            assert ask(daemon.url, said(token, path=path)).status == 200

    def test_every_refusal_names_the_same_moment(self, deployment: Deployment, provider: Provider) -> None:
        """
        However often somebody asks, the time at which it will be admitted neither moves away nor comes closer.
        """
        token = deployment.token("ada")
        daemon = start(deployment, table(provider) + limit('unit = "requests/min"\nlimit = 2\nburst = 1'))
        assert ask(daemon.url, said(token)).status == 200
        earliest, latest = 0.0, float("inf")
        for _ in range(50):
            before = time.monotonic()
            refused = ask(daemon.url, said(token))
            after = time.monotonic()
            assert refused.status == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 30
            assert 0 <= int(refused.headers["retry-after"]) - refused.wait_s < 1
            earliest = max(earliest, before + refused.wait_s - 0.001)
            latest = min(latest, after + refused.wait_s)
        assert earliest <= latest
        assert report(daemon, "ada")["per-principal"]["level"] <= 1

    def test_not_longer_than_anybody_is_told_to_wait(self, deployment: Deployment, provider: Provider) -> None:
        """
        Where a bucket takes longer than `max_retry_after`, that is told, and `check` has warned of it.
        """
        token = deployment.token("ada")
        text = f"{table(provider)}{limit(SLOW + 'burst = 1')}[admission]\nmax_retry_after = 20\n"
        daemon = start(deployment, text)
        ask(daemon.url, said(token))
        refused = ask(daemon.url, said(token))
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("20", "20000")
        done = deployment.command("check", "--config", str(deployment.config), check=False, environ=KEYS)
        assert done.returncode == 1
        assert "limit[0].limit" in done.stderr and "they come back too early" in done.stderr


class TestBuckets:
    """
    Whom they count.
    """

    def test_all_are_asked_before_any_is_filled(self, deployment: Deployment, provider: Provider) -> None:
        """
        What one bucket refuses is in none of the others, however often it is asked; the refusal names that one, and
        still tells how the others stand.
        """
        ada, bob = deployment.token("ada"), deployment.token("bob")
        daemon = start(deployment, table(provider) + limit(SLOW + "burst = 3") + limit(SLOW + "burst = 4", "global"))
        assert statuses(daemon, *[said(ada)] * 5) == [200, 200, 200, 429, 429]
        assert ask(daemon.url, said(ada)).reason == 'rate; policy="per-principal"'
        assert ask(daemon.url, said(bob)).status == 200
        for _ in range(3):
            refused = ask(daemon.url, said(bob))
            assert refused.reason == 'rate; policy="global"'
            assert re.match(r'"per-principal";r=2;t=\d+, "global";r=0;t=\d+$', refused.headers["ratelimit"])
        assert report(daemon, "bob")["per-principal"]["remaining"] == 2
        assert report(daemon, "bob")["global"]["remaining"] == 0
        assert len(provider.requests) == 4
        for name, count in (("per-principal", 3), ("global", 3)):
            labels = f'class="default",kind="rate_limited",policy="{name}",reason="rate"'
            assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") == count

    def test_the_longest_wait_is_told(self, deployment: Deployment, provider: Provider) -> None:
        """
        If several refuse, the one that does so for longest is named, and its wait is enough for all.
        """
        token = deployment.token("ada")
        daemon = start(
            deployment,
            table(provider)
            + limit('unit = "requests/s"\nlimit = 1')
            + limit('unit = "requests/min"\nlimit = 3\nburst = 1', "global"),
        )
        ask(daemon.url, said(token))
        refused = ask(daemon.url, said(token))
        assert refused.reason == 'rate; policy="global"'
        assert 10 < refused.wait_s <= 20

    def test_scopes(self, deployment: Deployment, provider: Provider) -> None:
        """
        Each principal, each at each provider, each class, all: each has what it was given, and no more.
        """
        tokens = {name: deployment.token(name, "--class", name) for name in ("interactive", "default", "batch")}
        second = deployment.token("second", "--class", "batch")
        for scope, expected in (
            ("principal", [200, 429, 429, 200, 200]),
            ("principal-provider", [200, 429, 200, 200, 200]),
            ("class", [200, 429, 429, 200, 429]),
            ("global", [200, 429, 429, 429, 429]),
        ):
            daemon = start(deployment, tables(provider) + limit(SLOW + "burst = 1", scope))
            batch = tokens["batch"]
            told = statuses(
                daemon, said(batch), said(batch), said(batch, path=MESSAGES), said(tokens["default"]), said(second)
            )
            assert told == expected, scope
            daemon.stop()

    def test_narrowed_down(self, deployment: Deployment, provider: Provider) -> None:
        """
        To a class, or to a provider; all others are not counted.
        """
        batch, other = deployment.token("nightly", "--class", "batch"), deployment.token("ada")
        text = tables(provider) + limit(SLOW + 'burst = 1\nclass = "batch"\nprovider = "claude"', "global")
        daemon = start(deployment, text)
        assert statuses(daemon, *[said(other, path=MESSAGES)] * 3, *[said(batch)] * 3) == [200] * 6
        assert statuses(daemon, *[said(batch, path=MESSAGES)] * 2) == [200, 429]
        refused = ask(daemon.url, said(batch, path=MESSAGES))
        assert refused.reason == 'rate; policy="global-batch-claude"'

    def test_of_a_token(self, deployment: Deployment, provider: Provider) -> None:
        """
        Its own rate and burst stand in for those of everybody, also for none at all, and also where there are none;
        what all share holds besides.
        """
        tokens = {
            name: deployment.token(name, *arguments.split())
            for name, arguments in (
                ("plain", ""),
                ("own", "--rate-limit 0.001 --rate-burst 3"),
                ("free", "--rate-limit 0"),
            )
        }
        daemon = start(deployment, f"{table(provider)}[admission]\nrate_limit = 0.001\nrate_burst = 1\n")
        for name, passed in (("plain", 1), ("own", 3), ("free", 5)):
            assert statuses(daemon, *[said(tokens[name])] * 5) == [200] * passed + [429] * (5 - passed), name
        deployment.configure(table(provider) + limit(SLOW + "burst = 2", "global"))
        daemon.reload()
        assert statuses(daemon, said(tokens["own"]), said(tokens["free"]), said(tokens["free"])) == [429, 200, 200]
        assert ask(daemon.url, said(tokens["free"])).reason == 'rate; policy="global"'

    @pytest.mark.parametrize("counts", [False, True])
    def test_passthrough(self, deployment: Deployment, provider: Provider, counts: bool) -> None:
        """
        Listing models is counted only where that is asked for, and is told the limits only then.
        """
        token = deployment.token("ada")
        rate = f"rate_limit = 0.001\nrate_burst = 1\ncount_passthrough = {str(counts).lower()}\n"
        daemon = start(deployment, f"{table(provider)}[admission]\n{rate}")
        models = b"GET /up/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        told = [ask(daemon.url, models) for _ in range(2)]
        assert [answer.status for answer in told] == [200, 429 if counts else 200]
        assert ["ratelimit" in answer.headers for answer in told] == [counts, counts]
        assert ask(daemon.url, said(token)).status == (429 if counts else 200)

    def test_reload(self, deployment: Deployment, provider: Provider) -> None:
        """
        A raised limit helps at once, a lowered one counts what was used before, and one that is gone refuses nobody.
        """
        token = deployment.token("ada")
        daemon = start(deployment, table(provider) + limit(SLOW + "burst = 2"))
        assert statuses(daemon, *[said(token)] * 3) == [200, 200, 429]
        deployment.configure(table(provider) + limit(SLOW + "burst = 4"))
        daemon.reload()
        assert statuses(daemon, *[said(token)] * 3) == [200, 200, 429]
        deployment.configure(table(provider) + limit(SLOW + "burst = 3"))
        daemon.reload()
        assert statuses(daemon, said(token)) == [429]
        deployment.configure(table(provider))
        daemon.reload()
        assert statuses(daemon, *[said(token)] * 3) == [200] * 3

    def test_levels_are_metrics(self, deployment: Deployment, provider: Provider) -> None:
        """
        How full the buckets of each policy are, as quantiles, and what they take; no principal is named.
        """
        tokens = [deployment.token(f"caller{number}") for number in range(4)]
        daemon = start(deployment, table(provider) + limit(SLOW + "burst = 4"))
        for number, token in enumerate(tokens, 1):
            statuses(daemon, *[said(token)] * number)
        for quantile, level in (("0.5", 0.5), ("0.9", 1), ("1", 1)):
            found = daemon.metric(f'aibridge_bucket_level_ratio{{policy="per-principal",quantile="{quantile}"}}')
            assert level - 0.05 < found <= level
        assert 4 * 100 < daemon.metric("aibridge_bucket_bytes") < 4 * 500
        page = [line for line in daemon.page("/metrics").splitlines() if "bucket" in line]
        assert "caller" not in "".join(page)


class TestRefusals:
    """
    What somebody over a limit is told.
    """

    @pytest.mark.parametrize(
        ("path", "type_"),
        [(CHAT, "requests"), ("/up/v1/responses", "requests"), (MESSAGES, "rate_limit_error")],
    )
    def test_it_says_which(self, deployment: Deployment, provider: Provider, path: str, type_: str) -> None:
        """
        The policy is named in `X-AI-Bridge-Reason`, in the message of the dialect's body, in the log and in metrics.
        """
        token = deployment.token("ada")
        daemon = start(deployment, tables(provider) + limit(SLOW + 'burst = 1\nname = "agents"'))
        ask(daemon.url, said(token, path=path))
        refused = ask(daemon.url, said(token, path=path))
        assert (refused.status, refused.reason) == (429, 'rate; policy="agents"')
        assert refused.error["type"] == type_
        assert "You've been rate limited. Please try again later." in refused.error["message"]
        assert 'The policy is "agents".' in refused.error["message"]
        told = daemon.completion(refused.id)
        assert (told["cause"], told["reason"], told["policy"]) == ("rate_limited", "rate", "agents")
        assert float(told["retry_after_s"]) == pytest.approx(refused.wait_s, abs=0.0011)
        labels = 'class="default",kind="rate_limited",policy="agents",reason="rate"'
        assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") == 1


class TestFields:
    """
    What every answer tells of the buckets.
    """

    POLICIES = limit('unit = "requests/min"\nlimit = 6\nburst = 12') + limit(
        'unit = "tokens/min"\nlimit = 6\nburst = 60000', "global"
    )

    def check(self, answer: Answer, requests: int) -> None:
        """
        Both fields of the standard, well formed, with so many requests left.
        """
        assert answer.headers["ratelimit-policy"] == (
            '"per-principal";q=12;w=120, "global-tokens";q=60000;w=600000;qu="tokens"'
        )
        found = re.fullmatch(
            r'"per-principal";r=(\d+);t=(\d+), "global-tokens";r=(\d+);t=(\d+)', answer.headers["ratelimit"]
        )
        assert found is not None
        assert int(found[1]) == requests
        assert 0 <= int(found[2]) <= 120
        assert 50000 < int(found[3]) <= 60000

    @pytest.mark.parametrize("path", ROUTES)
    def test_on_every_answer(self, deployment: Deployment, path: str) -> None:
        """
        On those of the provider, errors included, and on the bridge's own once it is known who asks; under the names
        that the dialect's SDKs read as well.
        """
        token = deployment.token("ada")
        holder = Holder()
        daemon = start(deployment, tables(holder) + self.POLICIES + "[admission]\nmax_concurrency = 1\n")
        running = Asking(daemon.url, said(token, path=path, max_tokens=5))
        first = holder.next()
        full = ask(daemon.url, said(token, path=path))
        assert full.status == 503
        self.check(full, 11)
        first.answer(b"HTTP/1.1 418 No\r\nContent-Length: 2\r\n\r\n{}")
        told = running.answer()
        assert told.status == 418
        self.check(told, 11)
        asking = Asking(daemon.url, said(token, path=path, max_tokens=5, stream=True))
        holder.next().answer(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 11\r\n\r\ndata: {}\n\n\n"
        )
        told = asking.answer()
        self.check(told, 10)
        names = [name for name in told.headers if name.startswith(("x-ratelimit-", "anthropic-ratelimit-"))]
        if path == MESSAGES:
            assert len(names) == 6
            assert told.headers["anthropic-ratelimit-requests-limit"] == "12"
            assert told.headers["anthropic-ratelimit-requests-remaining"] == "10"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.headers["anthropic-ratelimit-requests-reset"])
            assert told.headers["anthropic-ratelimit-tokens-limit"] == "60000"
        else:
            assert len(names) == 6
            assert told.headers["x-ratelimit-limit-requests"] == "12"
            assert told.headers["x-ratelimit-remaining-requests"] == "10"
            assert re.fullmatch(r"(\d+m)?\d+(\.\d+)?s", told.headers["x-ratelimit-reset-requests"])
            assert told.headers["x-ratelimit-limit-tokens"] == "60000"
        unknown = ask(daemon.url, said("aib_wrong", path=path))
        assert unknown.status == 401
        assert "ratelimit" not in unknown.headers
        holder.close()

    def test_a_provider_keeps_its_own(self, deployment: Deployment) -> None:
        """
        What the provider says of its limits crosses as it came; the dialect's names are not said twice, and the
        standard's stand side by side.
        """
        theirs = {
            CHAT: {
                "x-ratelimit-limit-requests": "5000",
                "x-ratelimit-remaining-requests": "4999",
                "x-ratelimit-reset-requests": "12ms",
                "RateLimit": '"theirs";r=7;t=3',
            },
            MESSAGES: {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-11-24T02:13:44Z",
                "RateLimit-Policy": '"theirs";q=9;w=1',
            },
        }

        def serve(provider: Provider, stream: socket.socket) -> None:
            while request := provider.take(stream):
                path = MESSAGES if b"/messages" in request.split(b"\r\n")[0] else CHAT
                fields = "".join(f"{name}: {value}\r\n" for name, value in theirs[path].items())
                stream.sendall(whole(extra=fields))

        token = deployment.token("ada")
        provider = Provider(serve)
        daemon = start(deployment, tables(provider, "heed_limits = false") + self.POLICIES)
        for path, sent in theirs.items():
            told = ask(daemon.url, said(token, path=path))
            for name, value in sent.items():
                found = told.headers[name.lower()]
                assert found.startswith(f"{value}, ") if name.startswith("RateLimit") else found == value
            # Of tokens it says nothing, so the bridge does.
            prefix = "anthropic-ratelimit-tokens-limit" if path == MESSAGES else "x-ratelimit-limit-tokens"
            assert told.headers[prefix] == "60000"
        provider.close()


class TestShadow:
    """
    A limit that is tried out.
    """

    def test_it_refuses_nothing_and_counts(self, deployment: Deployment, provider: Provider) -> None:
        """
        Clients are told nothing of it; the log and the metrics tell who would have been refused, by which.
        """
        token = deployment.token("ada")
        text = table(provider) + limit(SLOW + "burst = 1\nshadow = true") + limit(SLOW + "burst = 3", "global")
        daemon = start(deployment, text)
        told = [ask(daemon.url, said(token)) for _ in range(4)]
        assert [answer.status for answer in told] == [200, 200, 200, 429]
        assert told[3].reason == 'rate; policy="global"'
        assert not [answer for answer in told if "per-principal" in answer.headers["ratelimit"]]
        shadowed = [daemon.completion(answer.id)["shadowed"] for answer in told]
        assert shadowed == ["-", "rate:per-principal", "rate:per-principal", "-"]
        assert daemon.metric('aibridge_shadow_refusals_total{policy="per-principal",reason="rate"}') == 2
        deployment.configure(table(provider) + limit(SLOW + "burst = 1"))
        daemon.reload()
        assert ask(daemon.url, said(token)).reason == 'rate; policy="per-principal"'
