"""
Real `twistd aibridge-proxy` processes for the integration tests, clients that go through them, and providers beyond.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import textwrap
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs

from aibridge.mitm.authority import create
from aibridge.mitm.files import write_authority
from aibridge.mitm.hosts import BUILTIN, Hosts
from answers import CHAT_BODY, CHAT_STREAM, MESSAGES_STREAM, RESPONSES_STREAM, message
from daemons import Daemon, Deployment
from wires import PATIENCE_S, Provider, address, read_until, whole

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

LISTEN = 'listen.endpoints = ["tcp:port=0:interface=127.0.0.1"]\n'
ADMIN = 'listen.admin = ["tcp:port=0:interface=127.0.0.1"]\n'


class ProxyDeployment(Deployment):
    """
    A directory with the configurations of a bridge and of a proxy before it.

    :ivar ca: the authority's certificate.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.proxy_config = directory / "aibridge-proxy.toml"
        self.ca = directory / "ca.pem"
        self.key = directory / "ca.key"

    def certify(self, *hosts: str) -> None:
        """
        Make an authority, for the hosts that are intercepted by default unless others are named.
        """
        names = hosts or Hosts(BUILTIN).names()
        made = create("AI Bridge Proxy CA integration", names, datetime.now(UTC))
        write_authority(str(self.ca), str(self.key), made, [])

    def configure_proxy(self, bridge: str, text: str = "", tables: str = "") -> None:
        """
        Write its configuration.

        :param bridge: the URL of the bridge.
        :param text: options with dots in their names; they go before what is filled in.
        :param tables: whatever comes behind those.
        """
        text = textwrap.dedent(text)
        lines = [LISTEN, ADMIN, f'bridge.url = "{bridge}"\n', f'auth.tokens_file = "{self.tokens}"\n']
        lines += [f'ca.cert_file = "{self.ca}"\n', f'ca.key_file = "{self.key}"\n']
        given = {line.partition(" =")[0] for line in text.splitlines()}
        filled = [line for line in lines if line.partition(" =")[0] not in given]
        self.proxy_config.write_text("".join([*filled, text, "\n", textwrap.dedent(tables)]))

    def start_proxy(self, *arguments: str, environ: Mapping[str, str] | None = None, descriptors: int = 0) -> Daemon:
        """
        Start a proxy on this configuration and wait until it listens.
        """
        if not self.ca.exists():
            self.certify()
        return self.launch_proxy(*arguments, environ=environ, descriptors=descriptors).listening()

    def launch_proxy(self, *arguments: str, environ: Mapping[str, str] | None = None, descriptors: int = 0) -> Daemon:
        """
        Start a proxy on this configuration, and wait for nothing.
        """
        arguments = ("--config", str(self.proxy_config), *arguments)
        return self.launch(*arguments, environ=environ, descriptors=descriptors, name="aibridge-proxy")


@attrs.frozen
class Pair:
    """
    A bridge and a proxy that run.
    """

    deployment: ProxyDeployment
    bridge: Daemon
    proxy: Daemon


# -- clients -----------------------------------------------------------------------------------------------------


def shows(token: str, name: str = "somebody") -> str:
    """
    The field that shows a token to the proxy.
    """
    return f"Proxy-Authorization: Basic {base64.b64encode(f'{name}:{token}'.encode()).decode()}"


def asks(proxy: str, authority: str, token: str | None, *fields: str) -> tuple[socket.socket, bytes]:
    """
    Ask for a connection.

    :return: the connection, and the head of the answer.
    """
    stream = socket.create_connection(address(proxy), PATIENCE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *fields]
    if token is not None:
        lines.append(shows(token))
    stream.sendall("\r\n".join([*lines, "", ""]).encode())
    return stream, read_until(stream, b"\r\n\r\n")


def status(head: bytes) -> int:
    """
    Of an answer.
    """
    return int(head.split(b" ")[1])


def refusal(proxy: str, authority: str, token: str | None, *fields: str) -> int:
    """
    The status with which a connection is refused.
    """
    stream, head = asks(proxy, authority, token, *fields)
    with stream:
        return status(head)


def tunnel(proxy: str, authority: str, token: str | None) -> socket.socket:
    """
    A connection through the proxy.
    """
    stream, head = asks(proxy, authority, token)
    assert head == ESTABLISHED, head
    return stream


def trusting(ca: Path, offers: Iterable[str] = ()) -> ssl.SSLContext:
    """
    How a client verifies that trusts this authority, and takes every rule at its word, as Python does from 3.13 on.

    :param offers: by ALPN.
    """
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if offers:
        context.set_alpn_protocols(list(offers))
    return context


def intercepted(
    proxy: str, ca: Path, token: str | None, host: str = OPENAI, context: ssl.SSLContext | None = None, port: int = 443
) -> ssl.SSLSocket:
    """
    A connection to a host that is intercepted.
    """
    stream = tunnel(proxy, f"{host}:{port}", token)
    return (context or trusting(ca)).wrap_socket(stream, server_hostname=host)


def request(method: str, path: str, host: str = OPENAI, body: bytes = b"", *fields: str) -> bytes:
    """
    A request as it is made within an interception.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def asked(model: str = "demo", *, stream: bool = False) -> bytes:
    """
    The body of a chat completion, or of a message.
    """
    content = {"model": model, "stream": stream, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
    return json.dumps(content).encode()


def read_answer(stream: socket.socket) -> tuple[bytes, bytes]:
    """
    The head and the body of one answer that has a length, or is chunked.
    """
    head, _, body = read_until(stream, b"\r\n\r\n").partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(stream)
        return head, body
    length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(stream)
    return head, body


def _more(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    assert data, "the answer is not whole"
    return data


# -- providers ---------------------------------------------------------------------------------------------------

EVENTS = "text/event-stream"

ROUTES: dict[bytes, tuple[bytes, bytes]] = {
    b"/chat/completions": (json.dumps(CHAT_BODY).encode(), CHAT_STREAM),
    b"/messages": (
        json.dumps(message(content=[{"type": "text", "text": "Hi"}], stop_reason="end_turn")).encode(),
        MESSAGES_STREAM,
    ),
    b"/responses": (b"{}", RESPONSES_STREAM),
}
"""End of a path → what is answered, as a whole and as a stream."""


def vendor(provider: Provider, stream: socket.socket) -> None:
    """
    Answers as vendors do.
    """
    while taken := provider.take(stream):
        line, _, rest = taken.partition(b"\r\n")
        path = line.split(b" ")[1].partition(b"?")[0]
        blocking, events = next(
            (answer for end, answer in ROUTES.items() if path.endswith(end)), (b'{"object":"list","data":[]}', b"")
        )
        streams = json.loads(rest.partition(b"\r\n\r\n")[2] or b"{}").get("stream")
        stream.sendall(whole(events, EVENTS) if streams else whole(blocking))


def providers(url: str, *names: tuple[str, str]) -> str:
    """
    Tables for the bridge.

    :param url: where all of them are.
    :param names: of each, its name and its type; OpenAI and Anthropic unless others are given.
    """
    tables = [
        f'[[provider]]\nname = "{name}"\ntype = "{type_}"\nbase_url = "{url}{"/v1" if type_ == "openai" else ""}"\n'
        for name, type_ in names or (("openai", "openai"), ("anthropic", "anthropic"))
    ]
    return "".join(tables)


def simulated(*names: str) -> str:
    """
    Tables for the bridge, of simulated providers.
    """
    return "".join(f'[[provider]]\nname = "{name}"\ntype = "demo"\n' for name in names or ("openai", "anthropic"))


def eventually(true: Callable[[], bool]) -> None:
    """
    Wait until something is so.
    """
    for _ in range(5000):
        if true():
            return
    raise AssertionError("it has not come to that")
