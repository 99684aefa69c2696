"""
nginx: one worker, kept upstream connections, no buffering, an access log.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.targets.target import Mode, Server, Started, Target, first_line, free_port, lacking_program

_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {directory}/pid;
error_log {directory}/error.log crit;
events {{ worker_connections {descriptors}; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/temporary;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/temporary;
    uwsgi_temp_path {directory}/temporary;
    scgi_temp_path {directory}/temporary;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    limit_req_zone $http_x_bench_key zone=keys:10m rate=1r/m;
    limit_req_status {status};
    map $http_authorization $is_known {{ default 1; "Bearer wrong" 0; }}
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {refusal}
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer upstream-key";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""

_REFUSALS = {
    Mode.RELAY: "",
    Mode.UNAUTHORISED: "if ($is_known = 0) { return 401; }",
    Mode.LIMITED: "limit_req zone=keys;",
    Mode.OVERLOADED: "limit_req zone=keys;",
}


class Nginx(Target):
    """
    The yardstick.
    """

    name = "nginx"
    modes = frozenset(Mode)

    def lacking(self) -> str | None:
        """
        The program, if anything.
        """
        return lacking_program("nginx")

    def version(self) -> str:
        """
        nginx's.
        """
        return first_line("nginx", "-v").removeprefix("nginx version: nginx/")

    def start(self, mode: Mode, upstream: int, directory: Path, core: int) -> Started:
        """
        Start master and worker.
        """
        port = free_port()
        path = directory / "nginx.conf"
        path.write_text(
            _CONFIGURATION.format(
                directory=directory,
                descriptors=16384,
                upstream=upstream,
                port=port,
                refusal=_REFUSALS[mode],
                status=503 if mode is Mode.OVERLOADED else 429,
            )
        )
        command: list[str | Path] = ["nginx", "-p", directory, "-c", path, "-e", directory / "error.log"]
        server = Server(self.name, command, port=port, directory=directory, cores={core})
        return Started(server, headers=(("Authorization", f"Bearer {'wrong' if mode is Mode.UNAUTHORISED else 'k'}"),))
