"""
Secrets, shown to a real proxy in every place that a client can show one, and looked for wherever they could turn up.
"""

from __future__ import annotations

import base64
import signal
from pathlib import Path

from daemons import Daemon
from intercepting import (
    ANTHROPIC,
    OPENAI,
    ProxyDeployment,
    asked,
    asks,
    intercepted,
    providers,
    read_answer,
    request,
    shows,
    vendor,
)
from wires import Provider, connect, read_all

OWN = "sk-own-canary-0123456789abcdef"
WRONG = "aib_wr0ngt0k3nid_wrongcanary0123456789wrongcanary"
UPSTREAM = "upstream-canary-passw0rd"


def at_the_door(proxy: Daemon, shown: str) -> bytes:
    """
    What is answered to a token in every place where the proxy itself is asked.
    """
    told = b""
    fields = (
        shows(shown),
        f"Proxy-Authorization: Bearer {shown}",
        f"Proxy-Authorization: Basic {shown}",
        f"Proxy-Authorization: Basic {base64.b64encode(shown.encode()).decode()}",
        f"Authorization: Bearer {shown}",
        f"X-Coder-Token: {shown}",
    )
    for field in fields:
        for authority in (f"{OPENAI}:443", "93.184.216.34:443", "10.0.0.1:443", f"{shown}@x:443"):
            stream, head = asks(proxy.url, authority, None, field)
            with stream:
                told += head
    for line in (f"GET http://user:{shown}@example.com/ HTTP/1.1", f"GET /{shown} HTTP/1.1", f"{shown} / HTTP/1.1"):
        with connect(proxy.url) as stream:
            stream.sendall(f"{line}\r\nHost: x\r\nConnection: close\r\n{shows(shown)}\r\n\r\n".encode())
            told += read_all(stream)
    return told


def within(proxy: Daemon, ca: Path, token: str) -> bytes:
    """
    What is answered to keys and tokens within interceptions.
    """
    told = b""
    fields = (
        f"Authorization: Bearer {OWN}",
        f"X-Api-Key: {OWN}",
        f"Authorization: Bearer {token}",
        f"X-Api-Key: {token}",
        f"X-Coder-Token: {token}",
        shows(token),
    )
    for host, path in ((OPENAI, "/v1/chat/completions"), (ANTHROPIC, "/v1/messages"), (OPENAI, f"/v1/{token}")):
        for field in fields:
            with intercepted(proxy.url, ca, token, host) as client:
                client.sendall(request("POST", path, host, asked(), field))
                told += b"".join(read_answer(client))
    return told


def test_nothing_is_told(proxy_deployment: ProxyDeployment) -> None:
    """
    Neither tokens, good and bad, nor clients' keys, nor the upstream proxy's password, nor the authority's key are in
    an answer, a log or a metric; the token goes to no provider.
    """
    token = proxy_deployment.token("t")
    provider = Provider(vendor)
    log = proxy_deployment.directory / "completions.log"
    proxy_deployment.configure(providers(provider.url) + '[log]\nlevel = "debug"\n')
    bridge = proxy_deployment.start()
    options = f'log.level = "debug"\nlog.completions = "{log}"\nproxy.upstream = "env:UPSTREAM"\n'
    proxy_deployment.configure_proxy(bridge.url, options)
    proxy = proxy_deployment.start_proxy(environ={"UPSTREAM": f"http://user:{UPSTREAM}@127.0.0.1:1"})
    answers = at_the_door(proxy, token) + at_the_door(proxy, WRONG) + within(proxy, proxy_deployment.ca, token)
    proxy.signal(signal.SIGHUP)
    proxy.wait_for("was reloaded")
    pages = proxy.page("/metrics") + proxy.page("/ca-cert.pem") + bridge.page("/metrics")
    for daemon in (proxy, bridge):
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    provider.close()
    key = proxy_deployment.key.read_text().splitlines()[1]
    told = "\n".join([answers.decode("latin-1"), proxy.output, bridge.output, pages, log.read_text()])
    for secret in (token, WRONG, OWN, UPSTREAM, key):
        for spelt in (secret, base64.b64encode(f"somebody:{secret}".encode()).decode()):
            assert spelt not in told, spelt
    sent = b"".join(provider.requests)
    assert sent.count(OWN.encode()) == 4
    assert token.encode() not in sent
    assert "Traceback" not in told
