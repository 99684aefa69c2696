"""
Tunnels through a real proxy, to sockets on this machine.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import attrs
import pytest

from daemons import Daemon
from disguises import DISGUISES
from intercepting import ESTABLISHED, ProxyDeployment, asks, eventually, read_answer, refusal, shows, status, tunnel
from wires import PATIENCE_S, connect, read_all, reset

LARGE = bytes(range(256)) * 65536


@attrs.frozen
class Rig:
    """
    A proxy that may tunnel to one port of this machine.

    :ivar listener: on that port; a test accepts what comes.
    """

    proxy: Daemon
    token: str
    listener: socket.socket

    @property
    def port(self) -> int:
        """
        Which one.
        """
        port: int = self.listener.getsockname()[1]
        return port

    def open(self) -> tuple[socket.socket, socket.socket]:
        """
        A tunnel: its two ends.
        """
        client = tunnel(self.proxy.url, f"127.0.0.1:{self.port}", self.token)
        server, _ = self.listener.accept()
        server.settimeout(PATIENCE_S)
        return client, server

    def refused(self) -> float:
        """
        How often it refused a destination.
        """
        return self.proxy.metric('aibridge_proxy_refusals_total{kind="address",reason="tunnel"}')


Rigs = Callable[..., Rig]


@pytest.fixture
def rigs(proxy_deployment: ProxyDeployment) -> Iterator[Rigs]:
    """
    Makes a rig, with further options.
    """
    with contextlib.ExitStack() as stack:

        def make(text: str = "", private: str = '["127.0.0.0/8"]') -> Rig:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
            listener.settimeout(PATIENCE_S)
            token = proxy_deployment.token("t")
            port = listener.getsockname()[1]
            ports = f"proxy.ports = [80, 443, {port}]\nproxy.allowed_private_cidrs = {private}\n"
            proxy_deployment.configure_proxy("http://127.0.0.1:1", ports + text)
            return Rig(proxy_deployment.start_proxy(), token, listener)

        yield make


class TestSplice:
    """
    Bytes, both ways.
    """

    def test_both_ways(self, rigs: Rigs) -> None:
        """
        Sixteen MiB in each direction at once, whole and in order; counted, and told in a line.
        """
        rig = rigs()
        client, server = rig.open()
        with client, server:

            def send(stream: socket.socket) -> None:
                stream.sendall(LARGE)
                stream.shutdown(socket.SHUT_WR)

            threads = [threading.Thread(target=send, args=(stream,)) for stream in (client, server)]
            received: dict[str, bytes] = {}
            readers = {"client": client, "server": server}
            threads += [
                threading.Thread(target=lambda name: received.update({name: read_all(readers[name])}), args=(name,))
                for name in readers
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert received == {"client": LARGE, "server": LARGE}
        line = rig.proxy.wait_for(rf"session .*port={rig.port} kind=tunneled status=200 cause=completed")[0]
        assert line
        assert f"bytes_in={len(LARGE)} bytes_out={len(LARGE)}" in rig.proxy.lines[-1]
        assert rig.proxy.metric('aibridge_proxy_tunnel_bytes_total{direction="to_host"}') == len(LARGE)
        assert rig.proxy.metric('aibridge_proxy_connect_sessions_total{type="tunneled"}') == 1

    def test_halves(self, rigs: Rigs) -> None:
        """
        One direction ends, the other goes on.
        """
        client, server = rigs().open()
        with client, server:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert read_all(server) == b"question"
            server.sendall(b"answer")
            server.close()
            assert read_all(client) == b"answer"

    def test_broken(self, rigs: Rigs) -> None:
        """
        A side that breaks is broken to the other.
        """
        client, server = rigs().open()
        with client:
            server.sendall(b"half an answ")
            assert client.recv(12, socket.MSG_WAITALL) == b"half an answ"
            reset(server)
            with pytest.raises(ConnectionResetError):
                client.recv(1)

    def test_slow_reader(self, rigs: Rigs) -> None:
        """
        Who does not read holds up the one who writes, and costs the proxy no memory.
        """
        rig = rigs()
        client, server = rig.open()
        with client, server:
            before = rig.proxy.memory()
            server.settimeout(2.0)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 256 * 1024 * 1024:
                    sent += server.send(LARGE[:1048576])
            assert sent < 64 * 1024 * 1024
            assert rig.proxy.memory() - before < 8 * 1024 * 1024
            server.settimeout(PATIENCE_S)
            server.shutdown(socket.SHUT_WR)
            received = 0
            while data := client.recv(1048576):
                received += len(data)
            assert received == sent

    def test_at_once(self, rigs: Rigs) -> None:
        """
        What a client sends behind its CONNECT without waiting goes into the tunnel.
        """
        rig = rigs()
        with connect(rig.proxy.url) as stream:
            authority = f"127.0.0.1:{rig.port}"
            lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", shows(rig.token)]
            stream.sendall("\r\n".join([*lines, "", "early"]).encode())
            server, _ = rig.listener.accept()
            with server:
                assert server.recv(5, socket.MSG_WAITALL) == b"early"


class TestDeadlines:
    """
    No wait is for ever.
    """

    def test_idle(self, rigs: Rigs) -> None:
        """
        A tunnel that is silent for too long ends.
        """
        rig = rigs("proxy.idle_timeout = 0.5\n")
        client, server = rig.open()
        with client, server:
            assert read_all(client) == b""
            assert read_all(server) == b""
        rig.proxy.wait_for("session .*cause=idle")

    def test_most_tunnels(self, rigs: Rigs) -> None:
        """
        There are no more than there may be; a place that is left can be taken.
        """
        rig = rigs("proxy.max_tunnels = 2\n")
        first, second = rig.open(), rig.open()
        stream, head = asks(rig.proxy.url, f"127.0.0.1:{rig.port}", rig.token)
        with stream:
            assert status(head) == 503
        for end in first:
            end.close()
        eventually(lambda: rig.proxy.metric('aibridge_proxy_client_connections{type="tunneled"}') == 1)
        third = rig.open()
        for end in (*second, *third):
            end.close()


class TestWhereTo:
    """
    What may be tunnelled to.
    """

    def test_ports(self, rigs: Rigs) -> None:
        """
        Others than those allowed are refused, whatever is there.
        """
        rig = rigs()
        for port in (22, 25, 3306, 8080, rig.port + 1):
            assert refusal(rig.proxy.url, f"127.0.0.1:{port}", rig.token) == 403

    def test_off(self, rigs: Rigs) -> None:
        """
        No tunnels at all.
        """
        rig = rigs('proxy.tunnel = "off"\n')
        assert refusal(rig.proxy.url, f"127.0.0.1:{rig.port}", rig.token) == 403

    def test_authenticated(self, rigs: Rigs) -> None:
        """
        A tunnel takes a token too.
        """
        rig = rigs()
        assert refusal(rig.proxy.url, f"127.0.0.1:{rig.port}", None) == 407

    def test_open(self, rigs: Rigs) -> None:
        """
        Unless somebody has decided otherwise; even then no private destination can be reached.
        """
        rig = rigs('proxy.tunnel = "open"\n', private="[]")
        assert refusal(rig.proxy.url, f"127.0.0.1:{rig.port}", None) == 403
        assert rig.refused() == 1

    def test_disguises(self, rigs: Rigs) -> None:
        """
        No spelling of a private destination is connected to. Most are seen for what they are.
        """
        rig = rigs(private="[]")
        assert len(DISGUISES) >= 40
        opened = [
            authority for authority in DISGUISES if refusal(rig.proxy.url, authority, rig.token) not in (400, 403)
        ]
        assert opened == []
        assert rig.refused() >= 60
        for disguised in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "localhost"):
            assert refusal(rig.proxy.url, f"{disguised}:{rig.port}", rig.token) == 403
        rig.listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            rig.listener.accept()

    def test_exempt(self, rigs: Rigs) -> None:
        """
        A network that is allowed is allowed in any spelling, and nothing beside it.
        """
        rig = rigs(private='["127.0.0.0/30"]')
        for spelt in ("127.0.0.1", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"):
            stream, head = asks(rig.proxy.url, f"{spelt}:{rig.port}", rig.token)
            with stream:
                assert head == ESTABLISHED, spelt
        assert refusal(rig.proxy.url, f"127.0.0.9:{rig.port}", rig.token) == 403

    def test_nobody_there(self, rigs: Rigs) -> None:
        """
        A host that cannot be reached is 502, and the answer tells nothing of the network.
        """
        rig = rigs()
        port = rig.port
        rig.listener.close()
        stream, _ = asks(rig.proxy.url, f"127.0.0.1:{port}", rig.token)
        with stream:
            stream.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n{shows(rig.token)}\r\n\r\n".encode())
            head, body = read_answer(stream)
        assert status(head) == 502
        assert json.loads(body) == {"message": "The host could not be connected to."}
