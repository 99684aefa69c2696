"""
The keys of a provider in a real process: which is used, which rests, and what its provider says of it is heeded.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from daemons import Daemon, Deployment
from held import Asking, Holder, ask, key_of, said, table
from wires import Provider, post, read_all, whole

CHAT = "/up/v1/chat/completions"
MESSAGES = "/claude/v1/messages"
SECRETS = {f"K{number}": f"sk-key-{number}-0123456789abcdef{number}" for number in range(1, 5)}


class Keyed(Provider):
    """
    Answers by the key that a request shows.

    :ivar said: key → what it is answered; what is not in it is answered 200.
    """

    def __init__(self) -> None:
        self.said: dict[str, bytes] = {}
        super().__init__(_by_key)

    @property
    def keys(self) -> list[str]:
        """
        The keys that were shown, by their short names, in their order.
        """
        short = {secret: name for name, secret in SECRETS.items()}
        return [short.get(key_of(request), key_of(request)) for request in self.requests]


def _by_key(provider: Provider, stream: socket.socket) -> None:
    assert isinstance(provider, Keyed)
    while request := provider.take(stream):
        stream.sendall(provider.said.get(key_of(request), whole()))


@pytest.fixture
def keyed() -> Iterator[Keyed]:
    """
    A provider that knows its keys.
    """
    made = Keyed()
    yield made
    made.close()


def status(code: int, *fields: str, body: bytes = b'{"theirs":1}') -> bytes:
    """
    An answer that is an error.
    """
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def keys(*names: str, order: str = "first", heed: bool = False) -> str:
    """
    Options of a provider with these keys.
    """
    listed = ", ".join(f'"env:{name}"' for name in names)
    return f'keys = [{listed}]\nkey_order = "{order}"\nheed_limits = {str(heed).lower()}\n'


def start(deployment: Deployment, provider: Provider, options: str) -> Daemon:
    """
    A daemon with that provider, as one of each dialect.
    """
    deployment.configure(table(provider, options) + table(provider, options, "claude", "anthropic"))
    return deployment.start(environ=SECRETS)


def states(daemon: Daemon, provider: str = "up") -> dict[str, float]:
    """
    How many keys are in which state.
    """
    names = ("usable", "rate_limited", "unauthorized")
    return {name: daemon.metric(f'aibridge_key_pool_state{{provider="{provider}",state="{name}"}}') for name in names}


class TestFailover:
    """
    Another key, before the first byte of an answer.
    """

    @pytest.mark.parametrize("path", [CHAT, "/up/v1/responses", MESSAGES])
    @pytest.mark.parametrize(("code", "state"), [(429, "rate_limited"), (401, "unauthorized")])
    def test_the_next_one(self, deployment: Deployment, keyed: Keyed, path: str, code: int, state: str) -> None:
        """
        A key that is told 429 or 401 rests, and the same request goes out with the next; the client sees only the
        answer to that. From then on the next one is used at once.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = status(code, "Retry-After: 30")
        request = said(token, path=path, stream=True)
        answer = ask(daemon.url, request)
        assert (answer.status, answer.reason) == (200, "")
        assert keyed.keys == ["K1", "K2"]
        first, second = (sent.partition(b"\r\n\r\n")[2] for sent in keyed.requests)
        assert first == second == request.partition(b"\r\n\r\n")[2]
        told = daemon.completion(answer.id)
        assert (told["key"], told["attempts"], told["hint"]) == ("2", "2", "sk-k...def2")
        name = path.split("/")[1]
        assert states(daemon, name) == {"usable": 1, "rate_limited": 0, "unauthorized": 0, state: 1}
        labels = f'provider="{name}",reason="{state}"'
        assert daemon.metric(f"aibridge_key_pool_state_transitions_total{{{labels}}}") == 1
        assert ask(daemon.url, request).status == 200
        assert keyed.keys == ["K1", "K2", "K2"]
        assert daemon.metric("aibridge_upstream_calls_total") == 3

    @pytest.mark.parametrize("code", [400, 403, 404, 500, 503])
    def test_what_is_no_matter_of_the_key(self, deployment: Deployment, keyed: Keyed, code: int) -> None:
        """
        Goes to the client as it came, and no other key is tried.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = status(code, "X-Theirs: 1")
        answer = ask(daemon.url, said(token))
        assert (answer.status, answer.reason, answer.body) == (code, "", b'{"theirs":1}')
        assert answer.headers["x-theirs"] == "1"
        assert keyed.keys == ["K1"]
        assert states(daemon)["usable"] == 2

    def test_never_after_the_first_byte(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        A stream that breaks off is not begun again with another key.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"9\r\ndata: 1\n\n\r\nnot a chunk\r\n"
        )
        asking = Asking(daemon.url, said(token, stream=True))
        with asking.stream:
            assert b"data: 1" in read_all(asking.stream)
        assert keyed.keys == ["K1"]

    @pytest.mark.parametrize("code", [429, 401])
    @pytest.mark.parametrize("count", [2, 3, 4])
    @pytest.mark.parametrize("heed", [True, False])
    def test_two_say_the_same(self, deployment: Deployment, keyed: Keyed, code: int, count: int, heed: bool) -> None:
        """
        Then it is the request: its client gets that answer each time, no third key is asked, none cools down, and
        everybody else is served.
        """
        bob, alice = deployment.token("bob"), deployment.token("alice")
        names = list(SECRETS)[:count]
        daemon = start(deployment, keyed, keys(*names, heed=heed))
        for number in range(6):
            for name in names:
                keyed.said[SECRETS[name]] = status(code, "X-Theirs: 1", body=b'{"theirs":"too large"}')
            before = len(keyed.keys)
            answer = ask(daemon.url, said(bob))
            assert (answer.status, answer.reason, answer.body) == (code, "", b'{"theirs":"too large"}'), number
            assert len(keyed.keys) == before + 2
            keyed.said.clear()
            assert ask(daemon.url, said(alice)).status == 200
            assert states(daemon) == {"usable": count, "rate_limited": 0, "unauthorized": 0}

    def test_all_are_used_up(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        As each says itself: then the client is told when the first of them may be used again, and the provider is not
        asked.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        for name, rest in (("K1", 40), ("K2", 20)):
            left = ("x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 60s")
            keyed.said[SECRETS[name]] = status(429, f"Retry-After: {rest}", *left)
        assert (answer := ask(daemon.url, said(token))).status == 429
        assert answer.reason == ""
        asked = len(keyed.keys)
        refused = ask(daemon.url, said(token))
        if len(keyed.keys) == asked:
            assert (refused.status, refused.reason) == (429, "keys")
            assert 15 < refused.wait_s <= 23
        assert states(daemon) == {"usable": 0, "rate_limited": 2, "unauthorized": 0}
        assert ask(daemon.url, said(token, model="another")).reason == ""

    def test_one_alone_does_not_rest(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        Where there is no other key, the provider's answer goes to the client.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1"))
        for code in (429, 401):
            keyed.said[SECRETS["K1"]] = status(code, "Retry-After: 30")
            for _ in range(2):
                answer = ask(daemon.url, said(token))
                assert (answer.status, answer.reason, answer.headers["retry-after"]) == (code, "", "30")
        assert len(keyed.keys) == 4

    def test_a_body_that_streams_is_sent_once(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        On a passthrough route the body is not kept, so the provider's answer goes to the client; its next request
        takes another key.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = status(429, "Retry-After: 30")
        file = post("/claude/v1/files", token, b"x" * 500_000)
        assert [ask(daemon.url, file).status for _ in range(2)] == [429, 200]
        assert keyed.keys == ["K1", "K2"]

    def test_clients_keys_are_theirs(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        Who brings a key of his own is answered as his key is, and puts none of ours to rest.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said["sk-own"] = status(429, "Retry-After: 30")
        request = said("sk-own").replace(b"Content-Type", f"X-Coder-Token: {token}\r\nContent-Type".encode())
        answer = ask(daemon.url, request)
        assert (answer.status, answer.reason) == (429, "")
        assert keyed.keys == ["sk-own"]
        assert states(daemon)["usable"] == 2
        assert daemon.completion(answer.id)["key"] == "0"


class TestOrder:
    """
    Which of those that do not rest.
    """

    def test_first(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        By default always the first.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2", "K3"))
        assert [ask(daemon.url, said(token)).status for _ in range(4)] == [200] * 4
        assert keyed.keys == ["K1"] * 4

    def test_round_robin(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        By option each in turn; one that rests is passed over.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2", "K3", order="round-robin"))
        for _ in range(6):
            ask(daemon.url, said(token))
        assert keyed.keys == ["K1", "K2", "K3"] * 2
        keyed.said[SECRETS["K2"]] = status(429)
        del keyed.requests[:]
        for _ in range(5):
            assert ask(daemon.url, said(token)).status == 200
        assert keyed.keys == ["K1", "K2", "K3", "K1", "K3", "K1"]

    def test_a_rest_ends(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        When its time is over, a key is used again.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = status(429, "retry-after-ms: 100")
        assert ask(daemon.url, said(token)).status == 200
        assert states(daemon)["rate_limited"] in (0, 1)
        del keyed.said[SECRETS["K1"]]
        threading.Event().wait(0.1)
        assert ask(daemon.url, said(token)).status == 200
        assert keyed.keys == ["K1", "K2", "K1"]


class TestReload:
    """
    Keys that come and go.
    """

    def test_added_and_removed(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        A new one is used at once; one that is gone is not any more; what rests goes on resting.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2"))
        keyed.said[SECRETS["K1"]] = status(429, "Retry-After: 300")
        assert ask(daemon.url, said(token)).status == 200
        for names in (("K3", "K1", "K2"), ("K1", "K4"), ("K1", "K2")):
            deployment.configure(table(keyed, keys(*names)))
            daemon.reload()
            assert states(daemon)["rate_limited"] == 1
            assert ask(daemon.url, said(token)).status == 200
        assert keyed.keys == ["K1", "K2", "K3", "K4", "K2"]

    @pytest.mark.parametrize("ends", ["answered", "limited", "left"])
    def test_removed_while_it_is_used(self, deployment: Deployment, ends: str) -> None:
        """
        Who is being answered by it is answered, told or gone as if it were still there, and leaves nothing behind.
        """
        token = deployment.token("ada")
        holder = Holder()
        daemon = start(deployment, holder, keys("K1", "K2"))
        asking = Asking(daemon.url, said(token))
        turn = holder.next()
        deployment.configure(table(holder, keys("K2", "K3")))
        daemon.reload()
        if ends == "left":
            asking.leave()
            daemon.wait_for("completion .* cause=client_left ")
        elif ends == "answered":
            turn.answer()
            answer = asking.answer()
            assert answer.status == 200
            assert daemon.completion(answer.id)["key"] == "0"
        else:
            turn.answer(status(429, "Retry-After: 30"))
            second = holder.next()
            assert second.key == SECRETS["K2"]
            second.answer()
            assert asking.answer().status == 200
            assert states(daemon) == {"usable": 2, "rate_limited": 0, "unauthorized": 0}
        daemon.until("aibridge_permits_in_use", 0)
        daemon.until("aibridge_interceptions_inflight", 0)
        holder.close()
        assert "Traceback" not in daemon.output

    def test_twice_the_same(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        The same key under two names is an error of the configuration, which tells neither.
        """
        deployment.token("ada")
        deployment.configure(table(keyed, keys("K1", "K2")))
        same = {"K1": SECRETS["K1"], "K2": SECRETS["K1"]}
        done = deployment.command("check", "--config", str(deployment.config), check=False, environ=same)
        assert done.returncode == 2
        assert "provider[0].keys" in done.stderr
        assert SECRETS["K1"] not in done.stderr + done.stdout


class TestHeeding:
    """
    What the provider says of its limits.
    """

    @pytest.mark.parametrize("path", [CHAT, MESSAGES])
    def test_told_to_wait(self, deployment: Deployment, keyed: Keyed, path: str) -> None:
        """
        After a 429 nobody is sent for as long as it said; clients are told the rest of that time, and to come one after
        the other then.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", heed=True))
        keyed.said[SECRETS["K1"]] = status(429, "Retry-After: 20")
        first = ask(daemon.url, said(token, path=path))
        assert (first.status, first.reason, first.headers["retry-after"]) == (429, "", "20")
        before = 10.0
        for _ in range(5):
            refused = ask(daemon.url, said(token, path=path))
            assert (refused.status, refused.reason) == (429, "provider")
            assert before < refused.wait_s <= 25
            before = refused.wait_s
            assert refused.error["type"] == ("rate_limit_error" if path == MESSAGES else "requests")
        assert len(keyed.keys) == 1
        labels = 'class="default",kind="provider_wait",policy="",reason="provider"'
        assert daemon.metric(f"aibridge_refusals_total{{{labels}}}") == 5

    def test_then_one_and_two_and_four(self, deployment: Deployment) -> None:
        """
        When the time is over, of a crowd only one is sent; each that is answered doubles how many may have been, until
        everybody goes.
        """
        token = deployment.token("ada")
        holder = Holder()
        daemon = start(deployment, holder, keys("K1", heed=True))
        asking = Asking(daemon.url, said(token))
        left = ("x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 100ms")
        holder.next().answer(status(429, "retry-after-ms: 100", *left))
        assert asking.answer().status == 429
        threading.Event().wait(0.1)
        refused = 0
        for most in (1, 1, 2, 12, 20):
            crowd = [Asking(daemon.url, said(token)) for _ in range(20)]
            refused += 20 - most
            daemon.until("aibridge_refusals_total", refused)
            turns = [holder.next() for _ in range(most)]
            assert holder.has_none()
            for turn in turns:
                turn.answer()
            assert sorted(each.answer().status for each in crowd) == [200] * most + [429] * (20 - most)
        holder.close()

    def test_others_are_not_told_to_wait(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        For what one alone was told.
        """
        bob, alice = deployment.token("bob"), deployment.token("alice")
        daemon = start(deployment, keyed, keys("K1", heed=True))
        keyed.said[SECRETS["K1"]] = status(429, "Retry-After: 20")
        assert ask(daemon.url, said(bob)).reason == ""
        keyed.said.clear()
        assert ask(daemon.url, said(alice)).status == 200

    def test_other_models_and_routes(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        Are asked although one model is used up, as vendors limit each by itself.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", heed=True))
        left = ("anthropic-ratelimit-requests-remaining: 0", "anthropic-ratelimit-requests-reset: 2099-01-01T00:00:00Z")
        keyed.said[SECRETS["K1"]] = status(429, "Date: Thu, 31 Dec 2098 23:59:00 GMT", *left)
        assert ask(daemon.url, said(token, path=MESSAGES, model="opus")).reason == ""
        keyed.said.clear()
        refused = ask(daemon.url, said(token, path=MESSAGES, model="opus"))
        assert (refused.status, refused.reason) == (429, "provider")
        assert ask(daemon.url, said(token, path=MESSAGES, model="haiku")).status == 200
        count = post("/claude/v1/messages/count_tokens", token, {"model": "opus"})
        assert ask(daemon.url, count).status == 200

    def test_another_key_first(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        A key that was told to wait is passed over for one that was not.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1", "K2", heed=True))
        keyed.said[SECRETS["K1"]] = whole(
            extra="x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 10m\r\n"
        )
        assert [ask(daemon.url, said(token)).status for _ in range(4)] == [200] * 4
        assert keyed.keys == ["K1", "K2", "K2", "K2"]

    def test_switched_off(self, deployment: Deployment, keyed: Keyed) -> None:
        """
        Without `heed_limits` it is asked all the same.
        """
        token = deployment.token("ada")
        daemon = start(deployment, keyed, keys("K1"))
        keyed.said[SECRETS["K1"]] = status(429, "Retry-After: 20")
        assert [ask(daemon.url, said(token)).reason for _ in range(3)] == [""] * 3
        assert len(keyed.keys) == 3


def test_nobody_sees_a_key(deployment: Deployment, keyed: Keyed) -> None:
    """
    Through failover, refusal and rest: no key is in an answer, in the log, in metrics, or in what the limits say.
    """
    token = deployment.token("ada")
    daemon = start(deployment, keyed, keys("K1", "K2", "K3", heed=True))
    answers: list[str] = []
    steps: list[Callable[[], None]] = [
        lambda: keyed.said.update({SECRETS["K1"]: status(429, "Retry-After: 300")}),
        lambda: keyed.said.update({SECRETS["K2"]: status(401)}),
        lambda: keyed.said.update({SECRETS["K3"]: status(429, "Retry-After: 300")}),
    ]
    for step in (lambda: None, *steps):
        step()
        for path in (CHAT, MESSAGES):
            answer = ask(daemon.url, said(token, path=path))
            answers.append(f"{answer.headers} {answer.body!r}")
    seen = {key_of(request) for request in keyed.requests}
    assert seen == {SECRETS["K1"], SECRETS["K2"], SECRETS["K3"]}
    pages = [daemon.page("/metrics"), daemon.page("/limits?principal=ada")]
    shown = deployment.command("limits", "--admin", daemon.admin, "--principal", "ada").stdout
    daemon.stop()
    daemon.wait()
    for place in (*answers, *pages, shown, daemon.output):
        for secret in SECRETS.values():
            assert secret not in place and secret[-12:] not in place
        assert token not in place
