"""
What a proxy has to bear that anybody can connect to.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from pathlib import Path

import pytest

from daemons import Daemon
from disguises import MALFORMED
from intercepting import (
    ESTABLISHED,
    OPENAI,
    Pair,
    ProxyDeployment,
    asks,
    eventually,
    intercepted,
    read_answer,
    request,
    shows,
    status,
    trusting,
    tunnel,
)
from wires import connect, read_all, read_until, reset

NAMES = """
import socket

resolve = socket.getaddrinfo


def getaddrinfo(host, *arguments, **named):
    # Names of this machine, and of a network that is not to be reached.
    if isinstance(host, str) and host.endswith((".here.test", ".private.test")):
        host = "127.0.0.1" if host.endswith(".here.test") else "10.0.0.1"
    return resolve(host, *arguments, **named)


socket.getaddrinfo = getaddrinfo
"""
"""For the process that is tested: names, without a name server."""

HOSTS = 20_000
CLIENTS = 8


def waiting(proxy: Daemon) -> float:
    """
    Connections that have not asked for anything.
    """
    return proxy.metric('aibridge_proxy_client_connections{type="waiting"}')


def test_malformed(pair: Pair) -> None:
    """
    No line that is no CONNECT opens anything; each is told what is wrong, and the proxy serves on.
    """
    assert len(MALFORMED) >= 30
    opened = pair.proxy.metric('aibridge_proxy_connect_sessions_total{type="mitm"}')
    for line in MALFORMED:
        with connect(pair.proxy.url) as stream:
            stream.sendall(b"%b\r\nHost: x\r\n%b\r\n\r\n" % (line, shows(pair.proxy.token).encode()))
            assert status(read_until(stream, b"\r\n\r\n")) in (400, 414, 501, 505), line
    assert pair.proxy.metric('aibridge_proxy_connect_sessions_total{type="mitm"}') == opened
    with intercepted(pair.proxy.url, pair.deployment.ca, pair.proxy.token) as client:
        client.sendall(request("GET", "/v1/models"))
        assert status(read_answer(client)[0]) == 200


def test_half_sent(proxy_deployment: ProxyDeployment) -> None:
    """
    Who sends half a CONNECT, or half a hello, is not waited for, and leaves nothing behind.
    """
    token = proxy_deployment.token("t")
    proxy_deployment.configure_proxy("http://127.0.0.1:1", "http.header_timeout = 0.5\n")
    proxy = proxy_deployment.start_proxy()
    whole = f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}\r\n{shows(token)}\r\n\r\n".encode()
    for end in range(0, len(whole), 7):
        for leaves in (socket.socket.close, reset):
            stream = connect(proxy.url)
            stream.sendall(whole[:end])
            leaves(stream)
    streams = [connect(proxy.url) for _ in range(50)]
    for end, stream in enumerate(streams, 1):
        stream.sendall(whole[:end])
    for stream in streams:
        with stream:
            answer = read_all(stream)
            assert answer == b"" or status(answer) == 408
    eventually(lambda: waiting(proxy) == 0)
    stream, head = asks(proxy.url, f"{OPENAI}:443", token)
    with stream:
        assert head == ESTABLISHED
        stream.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert read_all(stream) == b""
    eventually(lambda: proxy.metric('aibridge_proxy_client_connections{type="mitm"}') == 0)


def refused(proxy: Daemon, token: str, port: int, numbers: range) -> None:
    """
    Ask for hosts of a network that is not to be reached, on one connection.
    """
    with connect(proxy.url) as stream:
        for number in numbers:
            asked = f"CONNECT host-{number}.private.test:{port} HTTP/1.1\r\nHost: x\r\n{shows(token)}\r\n\r\n"
            stream.sendall(asked.encode())
            head, _ = read_answer(stream)
            assert status(head) == 403


def tunnelled(proxy: Daemon, token: str, port: int, numbers: range) -> None:
    """
    Ask for hosts of this machine, and leave.
    """
    for number in numbers:
        stream, head = asks(proxy.url, f"host-{number}.here.test:{port}", token)
        stream.close()
        assert head == ESTABLISHED


def crowd(proxy: Daemon, token: str, port: int, first: int, last: int) -> int:
    """
    Several clients at once ask for hosts with these numbers.

    :return: the proxy's memory when they are gone.
    """
    threads = []
    for number in range(CLIENTS):
        numbers = range(first + number, last, CLIENTS)
        way = refused if number % 4 else tunnelled
        threads.append(threading.Thread(target=way, args=(proxy, token, port, numbers)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: proxy.metric('aibridge_proxy_client_connections{type="tunneled"}') == 0)
    return proxy.memory()


@pytest.mark.slow
def test_distinct_hosts(proxy_deployment: ProxyDeployment, tmp_path: Path) -> None:
    """
    Of twenty thousand host names, tunnelled to, refused and looked up, nothing stays in memory.
    """
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "sitecustomize.py").write_text(NAMES)
    path = [str(tmp_path / "names"), *filter(None, [os.environ.get("PYTHONPATH")])]
    token = proxy_deployment.token("t")
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]
        options = f'proxy.ports = [{port}]\nproxy.allowed_private_cidrs = ["127.0.0.0/8"]\nlog.completions = ""\n'
        proxy_deployment.configure_proxy("http://127.0.0.1:1", options)
        proxy = proxy_deployment.start_proxy(environ={"PYTHONPATH": os.pathsep.join(path)})
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        before = crowd(proxy, token, port, 0, HOSTS // 5)
        assert crowd(proxy, token, port, HOSTS // 5, HOSTS) - before < 4 * 1024 * 1024
    assert proxy.metric('aibridge_proxy_refusals_total{kind="address",reason="tunnel"}') == HOSTS * 3 / 4
    assert proxy.metric('aibridge_proxy_connect_sessions_total{type="tunneled"}') == HOSTS / 4
    assert proxy.metric("aibridge_proxy_leaf_cache_entries") == 0
    assert len(proxy.page("/metrics")) < 32768


def handshakes(pair: Pair, count: int) -> int:
    """
    Connections that are intercepted and used, that are not trusted, and that name another host.

    :return: the proxy's memory when they are gone.
    """
    trusts, doubts = trusting(pair.deployment.ca), ssl.create_default_context()
    for number in range(count):
        with tunnel(pair.proxy.url, f"{OPENAI}:443", pair.proxy.token) as stream:
            if number % 4:
                context, name = (doubts, OPENAI) if number % 2 else (trusts, f"host-{number}.test")
                with pytest.raises(ssl.SSLError):
                    context.wrap_socket(stream, server_hostname=name)
                continue
            with trusts.wrap_socket(stream, server_hostname=OPENAI) as client:
                client.sendall(request("GET", "/v1/models"))
                assert status(read_answer(client)[0]) == 200
    eventually(lambda: pair.proxy.metric('aibridge_proxy_client_connections{type="mitm"}') == 0)
    return pair.proxy.memory()


def test_handshakes(pair: Pair) -> None:
    """
    Of connections that were intercepted, whatever became of them, nothing stays in memory.
    """
    before = handshakes(pair, 100)
    assert handshakes(pair, 400) - before < 2 * 1024 * 1024


def accept(listener: socket.socket) -> None:
    """
    Let everybody in, and go with them.
    """
    while True:
        try:
            stream, _ = listener.accept()
        except OSError:
            return
        stream.close()


def test_tls_to_a_plain_listener(pair: Pair) -> None:
    """
    Who takes it for an https:// proxy is told something, and ended.
    """
    with connect(pair.proxy.url) as stream:
        stream.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n")
        assert status(read_until(stream, b"\r\n\r\n")) == 400
