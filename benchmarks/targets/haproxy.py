"""
HAProxy: one thread, connections reused always, a log to a file.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.targets.target import Mode, Server, Started, Target, first_line, free_port, lacking_program

_CONFIGURATION = """\
global
    nbthread 1
    maxconn 8000
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    http-reuse always
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend clients
    bind 127.0.0.1:{port} backlog 4096
{refusal}
    default_backend mock
backend mock
    http-request set-header Authorization "Bearer upstream-key"
    server mock 127.0.0.1:{upstream} pool-max-conn 1024
"""

_LIMIT = """\
    stick-table type string len 32 size 1k expire 600s store http_req_cnt
    http-request track-sc0 req.hdr(X-Bench-Key)
    http-request deny deny_status {status} if {{ sc0_http_req_cnt gt 1 }}
"""

_REFUSALS = {
    Mode.RELAY: "",
    Mode.UNAUTHORISED: '    http-request deny deny_status 401 if { req.hdr(Authorization) -m str "Bearer wrong" }\n',
    Mode.LIMITED: _LIMIT.format(status=429),
    Mode.OVERLOADED: _LIMIT.format(status=503),
}


class HAProxy(Target):
    """
    A second yardstick, and the first for large bodies.
    """

    name = "haproxy"
    modes = frozenset(Mode)

    def lacking(self) -> str | None:
        """
        The program, if anything.
        """
        return lacking_program("haproxy")

    def version(self) -> str:
        """
        HAProxy's.
        """
        return first_line("haproxy", "-v").split()[2]

    def serve(self, configuration: str, port: int, directory: Path, core: int) -> Server:
        """
        Its one process on this configuration.
        """
        path = directory / "haproxy.cfg"
        path.write_text(configuration)
        return Server(self.name, ["haproxy", "-db", "-f", path], port=port, directory=directory, cores={core})

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start its one process.
        """
        port = free_port()
        text = _CONFIGURATION.format(upstream=upstream, port=port, refusal=_REFUSALS[mode])
        server = self.serve(text, port, directory, core)
        return Started(server, headers=(("Authorization", f"Bearer {'wrong' if mode is Mode.UNAUTHORISED else 'k'}"),))
