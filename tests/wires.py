"""
Raw HTTP/1.1 over sockets for the integration tests: requests byte by byte, and providers that do what they are told.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

PATIENCE_S = 60.0


def address(url: str) -> tuple[str, int]:
    """
    Host and port of a URL.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    return parts.hostname, parts.port


def connect(url: str, source: str = "") -> socket.socket:
    """
    A connection to `url`.

    :param source: the address that it comes from, such as any of 127.0.0.0/8.
    """
    made = socket.create_connection(address(url), PATIENCE_S, (source, 0) if source else None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def post(path: str, token: str, body: object, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """
    A whole POST request.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [
        ("Host", "bridge"),
        ("Authorization", f"Bearer {token}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(data))),
        *extra,
    ]
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return head.encode() + data


def chat(token: str, model: str = "demo", *, stream: bool = False, name: str = "demo") -> bytes:
    """
    A chat completion request.
    """
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    return post(f"/{name}/v1/chat/completions", token, body)


def read_until(stream: socket.socket, mark: bytes) -> bytes:
    """
    Everything up to and including `mark`, and what came with it; up to the end of the stream if it does not come.
    """
    seen = b""
    while mark not in seen:
        data = stream.recv(65536)
        if not data:
            break
        seen += data
    return seen


def read_all(stream: socket.socket) -> bytes:
    """
    Everything until the other side ends, cleanly or not.
    """
    seen = b""
    with contextlib.suppress(ConnectionResetError):
        while data := stream.recv(65536):
            seen += data
    return seen


def reset(stream: socket.socket) -> None:
    """
    Close with an RST.
    """
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


class Reader:
    """
    Reads requests from one connection, one after the other, and undoes their chunks.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._seen = b""

    def _more(self) -> bool:
        data = self._stream.recv(65536)
        self._seen += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._seen:
            if not self._more():
                raise EOFError
        taken, _, self._seen = self._seen.partition(mark)
        return taken

    def _exactly(self, length: int) -> bytes:
        while len(self._seen) < length:
            if not self._more():
                raise EOFError
        taken, self._seen = self._seen[:length], self._seen[length:]
        return taken

    def request(self) -> bytes:
        """
        Head and body of the next one; empty if there is none.
        """
        try:
            head = self._until(b"\r\n\r\n")
            body = b""
            for line in head.lower().split(b"\r\n")[1:]:
                if line.startswith(b"content-length:"):
                    body = self._exactly(int(line[15:]))
                elif line == b"transfer-encoding: chunked":
                    while size := int(self._until(b"\r\n"), 16):
                        body += self._exactly(size)
                        assert self._exactly(2) == b"\r\n"
                    assert self._until(b"\r\n") == b""
        except EOFError:
            return b""
        return head + b"\r\n\r\n" + body


class Provider:
    """
    A provider on a loopback socket: each connection is handed to `serve` in a thread of its own.

    :ivar requests: every request that was taken.
    """

    def __init__(self, serve: Callable[[Provider, socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Semaphore(0)
        self._serve = serve
        self._readers: dict[socket.socket, Reader] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """
        Its base URL.
        """
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def take(self, stream: socket.socket) -> bytes:
        """
        Read one request, and remember it.
        """
        reader = self._readers.setdefault(stream, Reader(stream))
        request = reader.request()
        if request:
            self.requests.append(request)
        return request

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                stream, _ = self._listener.accept()
                stream.settimeout(PATIENCE_S)
                self.connections += 1
                threading.Thread(target=self._run, args=(stream,), daemon=True).start()

    def _run(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            self._serve(self, stream)
        self.ended.release()

    def close(self) -> None:
        """
        Accept no more.
        """
        self._wake.close()
        self._thread.join(PATIENCE_S)
        self._listener.close()
        self._woken.close()


def answers(payload: bytes) -> Callable[[Provider, socket.socket], None]:
    """
    A provider that answers every request of a connection with the same bytes.
    """

    def serve(provider: Provider, stream: socket.socket) -> None:
        while provider.take(stream):
            stream.sendall(payload)

    return serve


def whole(body: bytes = b'{"ok":true}', content_type: str = "application/json", extra: str = "") -> bytes:
    """
    A whole answer with a length.
    """
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
