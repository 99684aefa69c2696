"""
Secrets, shown in every place that a client can show one, and looked for in every place that they could turn up.
"""

from __future__ import annotations

import socket

import pytest

from daemons import Deployment
from held import ask, said, table
from wires import Provider, connect, post, read_all, whole

KEY = "sk-central-canary-0123456789abcdef"
OTHER = "sk-other-canary-0123456789abcdef"
OWN = "sk-own-canary-0123456789abcdef"
BODY = {"model": "m", "messages": []}


def ok(provider: Provider, stream: socket.socket) -> None:
    """
    Answers everything, and sets a cookie.
    """
    while provider.take(stream):
        stream.sendall(whole(extra="Set-Cookie: a=upstream-cookie-canary\r\nX-Request-Id: up-1\r\n"))


def request(path: str, fields: list[tuple[str, str]], method: str = "POST") -> bytes:
    """
    A request with just these fields.
    """
    head, _, body = post(path, "", BODY, fields).partition(b"Authorization: Bearer \r\n")
    return (head + body).replace(b"POST", method.encode(), 1)


@pytest.mark.parametrize("root", ["", "/api/v2/aibridge"])
@pytest.mark.parametrize(
    "path", ["/up/v1/chat/completions", "/up/v1/moderations", "/up/v1/elsewhere", "/claude/v1/messages"]
)
class TestCanaries:
    """
    The bridge token goes nowhere; the configured key goes to the provider and nowhere else.
    """

    def test_token(self, deployment: Deployment, root: str, path: str) -> None:
        """
        Whatever headers show the token, in twos and threes, no provider sees it, and neither log nor metrics have it.
        """
        token = deployment.token("canary")
        log = deployment.directory / "completions.log"
        provider = Provider(ok)
        tables = "".join(
            f'[[provider]]\nname = "{name}"\ntype = "{type_}"\nbase_url = "{provider.url}"\nkey = "env:KEY"\n'
            for name, type_ in (("up", "openai"), ("claude", "anthropic"))
        )
        deployment.configure(tables + f'[log]\nlevel = "debug"\ncompletions = "{log}"\n')
        daemon = deployment.start(environ={"KEY": KEY})
        bearer, api_key = ("Authorization", f"Bearer {token}"), ("X-Api-Key", token)
        coder, governance = ("X-Coder-Token", token), ("X-Coder-AI-Governance-Token", token)
        others = [
            ("Cookie", f"session={token}"),
            ("Proxy-Authorization", f"Basic {token}"),
            ("Coder-Session-Token", token),
            ("X-Anything", f"a {token} b"),
            ("Forwarded", f"for={token}"),
        ]
        answers = b""
        for shown in (
            [bearer],
            [api_key],
            [coder],
            [governance],
            [bearer, api_key],
            [coder, bearer],
            [coder, api_key],
            [coder, bearer, api_key],
            [coder, governance, bearer, api_key, *others],
            [bearer, *others],
        ):
            with connect(daemon.url) as stream:
                stream.sendall(request(root + path, [*shown, ("Connection", "close")]))
                answers += read_all(stream)
        with connect(daemon.url) as stream:
            stream.sendall(request(f"{root}{path}?key={token}", [bearer, ("Connection", "close")]))
            answers += read_all(stream)
        with connect(daemon.url) as stream:
            stream.sendall(request(root + path, [("X-Api-Key", "wrong-canary-token"), ("Connection", "close")]))
            assert b" 401 " in read_all(stream) or "elsewhere" in path
        seen = b"".join(provider.requests)
        metrics = daemon.page("/metrics")
        daemon.stop()
        daemon.wait()
        places = [seen.decode("latin-1"), metrics, daemon.output, log.read_text(), answers.decode("latin-1")]
        for place in places:
            assert token not in place
            assert token[-20:] not in place
            assert "wrong-canary-token" not in place
        for place in places[1:]:
            assert KEY not in place
        assert "upstream-cookie-canary" not in answers.decode("latin-1")
        if "elsewhere" in path:
            assert provider.requests == []
            assert answers.count(b" 404 ") == 11
        else:
            assert len(provider.requests) == 10
            assert seen.count(KEY.encode()) == 10
            assert answers.count(b"X-Request-Id: up-1") == 10
        provider.close()

    def test_bring_your_own_key(self, deployment: Deployment, root: str, path: str) -> None:
        """
        With the Coder header, the client's own headers cross untouched and the configured key does not.
        """
        token = deployment.token("canary")
        provider = Provider(ok)
        tables = "".join(
            f'[[provider]]\nname = "{name}"\ntype = "{type_}"\nbase_url = "{provider.url}"\nkey = "env:KEY"\n'
            for name, type_ in (("up", "openai"), ("claude", "anthropic"))
        )
        deployment.configure(tables)
        daemon = deployment.start(environ={"KEY": KEY})
        own = [("Authorization", f"Bearer {OWN}"), ("X-Api-Key", OWN)]
        with connect(daemon.url) as stream:
            stream.sendall(request(root + path, [("X-Coder-Token", token), *own, ("Connection", "close")]))
            answer = read_all(stream)
        daemon.wait_for("completion")
        seen = b"".join(provider.requests)
        if "elsewhere" in path:
            assert seen == b""
        else:
            assert b" 200 OK" in answer
            assert f"Authorization: Bearer {OWN}".encode() in seen
            assert f"X-Api-Key: {OWN}".encode() in seen
            assert KEY.encode() not in seen and token.encode() not in seen
            assert OWN not in daemon.output
            assert "credential=client hint=sk-o...cdef" in daemon.output
        provider.close()


@pytest.mark.parametrize("form", ["text", pytest.param("json", marks=pytest.mark.slow)])
def test_whatever_limits_it(deployment: Deployment, form: str) -> None:
    """
    Refused by each limit there is, relayed, failed and tried out: no token, no key and nothing of what was said is in
    the answers of the bridge, in the log, the completions and the metrics, or in what `limits`, `explain` and the page
    tell of it.
    """
    tokens = [deployment.token(name) for name in ("canary", "nightly")]
    words, answer = "prompt-canary", b'{"answer-canary":1}'
    script = {"limited": b"HTTP/1.1 429 X\r\nRetry-After: 300\r\n", "fails": b"HTTP/1.1 503 X\r\n"}

    def serve(provider: Provider, stream: socket.socket) -> None:
        while request := provider.take(stream):
            head = next(
                (head for path, head in script.items() if f"/{path}/".encode() in request), b"HTTP/1.1 200 X\r\n"
            )
            stream.sendall(head + b"Content-Length: %d\r\n\r\n" % len(answer) + answer)

    provider = Provider(serve)
    log = deployment.directory / "completions.log"
    limit = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 1\nburst = 5000\n'
    tables = "".join(
        table(provider, more, name).replace(provider.url, f"{provider.url}/{name}")
        for name, more in (
            ("up", 'credentials = "client-or-central"\nkey = "env:KEY"\n'),
            ("limited", 'keys = ["env:KEY", "env:K2"]\n'),
            ("fails", "retries = 1\n"),
            ("tight", "max_concurrency = 1\n"),
        )
    )
    deployment.configure(
        f'{tables}{limit}provider = "tight"\n{limit}provider = "up"\nshadow = true\n'
        "[admission]\nmax_in_flight = 2\ngate_shadow = true\nrate_limit = 0.001\nrate_burst = 12\n"
        "token_default_output = 5000\n"
        "[breaker]\nenabled = true\nfailure_threshold = 1\ntimeout = 600\n"
        f'[log]\nlevel = "debug"\nformat = "{form}"\ncompletions = "{log}"\n'
    )
    daemon = deployment.launch("--config", str(deployment.config), environ={"KEY": KEY, "K2": OTHER})
    daemon.url = daemon.wait_for(r"Listening on (http://[^\s\"]+?)\.(?:\"|$)")[1]
    daemon.admin = daemon.wait_for(r"Admin pages on (http://[^\s\"]+?)\.(?:\"|$)")[1]
    own = said(OWN).replace(b"Content-Type", f"X-Coder-Token: {tokens[0]}\r\nContent-Type".encode())
    told = [ask(daemon.url, own)]
    for token in (*tokens, "wrong-canary-token"):
        for name in (
            "up",
            "up",
            "limited",
            "limited",
            "fails",
            "fails",
            "tight",
            "tight",
            "up",
            "up",
            "up",
            "up",
            "up",
        ):
            path = f"/{name}/v1/chat/completions"
            told.append(ask(daemon.url, said(token, path=path, max_tokens=9000, user=words, metadata=[words])))
    reasons = {each.reason.partition(";")[0] for each in told}
    assert reasons == {"", "keys", "breaker", "rate", "auth"}
    seen = "".join(request.decode() for request in provider.requests)
    assert all(secret in seen for secret in (KEY, OTHER, OWN, words))
    pages = [daemon.page(path) for path in ("/metrics", "/limits", "/limits?principal=canary")]
    admin = ("--admin", daemon.admin)
    shown = [
        deployment.command("limits", *admin),
        deployment.command("limits", *admin, "--principal", "canary"),
        deployment.command("limits", *admin, "--principal", "nightly", "--json"),
        deployment.command("limits", *admin, "--principal", tokens[0], check=False),
        deployment.command("limits", *admin, "--principal", f"{OWN}{words}", check=False),
    ]
    daemon.stop_gently()
    # One of each kind, and the one with a key of its own.
    by_kind = {each.reason: each.id for each in told} | {"own": told[0].id}
    shown += [deployment.command("explain", id, "--log", str(log)) for id in by_kind.values()]
    texts = [*pages, *(done.stdout + done.stderr for done in shown), daemon.output, log.read_text()]
    texts += [f"{each.headers} {each.body!r}" for each in told if each.reason]
    for text in texts:
        for secret in (*tokens, *(token[-20:] for token in tokens), KEY, OTHER, OWN, "wrong-canary", words, "answer-c"):
            assert secret not in text, text
    provider.close()
