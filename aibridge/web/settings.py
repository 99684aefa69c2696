"""
What can be configured about HTTP on the way in: sizes and deadlines, so that no client can hold more than its share.
"""

from __future__ import annotations

from typing import Final

import attrs

from aibridge.options import option

LEAST_BODIES: Final = 67108864
"""Bytes that all bodies together may take, however small each of them is."""


@attrs.frozen(kw_only=True)
class HttpSettings:
    """
    ``[http]``: the limits of one client connection.
    """

    header_timeout: float = option(
        30.0,
        why="Time for a whole request head from its first byte (on a new connection: from its start), however "
        "steadily its bytes drip in.",
        least=0.001,
        most=3600,
        unit="s",
        restart=True,
    )
    body_timeout: float = option(
        300.0,
        why="Time for a whole request body that is held; 32 MB over a slow line fit in it, a dripping client does not. "
        "One that is passed on while it comes may take longer, as long as it keeps coming.",
        least=0.001,
        most=86400,
        unit="s",
        restart=True,
    )
    min_body_rate: float = option(
        500.0,
        why="The least speed at which a request body has to come, taken over 20 s. What is slower is "
        "answered 408: a client that sends a byte now and then would keep its place for the whole of body_timeout, and "
        "while it uploads through the bridge, a permit.",
        least=1,
        most=1e9,
        unit="bytes/s",
        restart=True,
    )
    keep_alive_timeout: float = option(
        75.0,
        why="How long an idle connection is kept for a next request.",
        least=0.001,
        most=86400,
        unit="s",
        restart=True,
    )
    write_timeout: float = option(
        600.0,
        why="How long a client may take no byte of an answer that waits for it, before it counts as gone; over TCP, "
        "dead_peer_timeout if that is less.",
        least=0.001,
        most=86400,
        unit="s",
        restart=True,
    )
    dead_peer_timeout: float = option(
        120.0,
        why="How soon a TCP client that has vanished without a word (no power, no network, an address translator that "
        "forgot) counts as gone, and what it held is free. The system counts one as vanished, too, that has had no "
        "room for a byte of its answer for so long.",
        least=4,
        most=7200,
        unit="s",
        restart=True,
    )
    max_request_line: int = option(
        8192,
        why="Longest method, target and version.",
        least=64,
        most=65536,
        unit="bytes",
        restart=True,
    )
    max_head: int = option(
        65536,
        why="Largest request head; some CLIs send several KB of metadata in one.",
        least=256,
        most=1048576,
        unit="bytes",
        restart=True,
    )
    max_headers: int = option(128, why="Most header fields in a head.", least=8, most=4096, restart=True)
    max_pipelined: int = option(
        65536,
        why="Most bytes that a client may send ahead while its previous request is being answered; beyond it the "
        "connection is cut, since a connection that is not read cannot tell that its client left.",
        least=1024,
        most=16777216,
        unit="bytes",
        restart=True,
    )
    max_unread: int = option(
        268435456,
        why="Most bytes that are kept, of all clients, of what was sent before anybody could read it: heads in part, "
        "requests sent ahead, bodies nobody asked for yet. No address (IPv6: /64) may hold more than what is left: one "
        "alone gets half. Beyond it a request is answered 503, or what was sent ahead is cut.",
        least=1048576,
        most=1099511627776,
        unit="bytes",
        restart=True,
    )
    max_body: int = option(
        33554432,
        why="Largest request body that is held and read (32 MiB, the largest that a provider documents).",
        least=1024,
        most=1073741824,
        unit="bytes",
    )
    max_upload: int = option(
        536870912,
        why="Largest request body that crosses as it comes: files, pictures, sound (512 MiB, OpenAI's largest file); "
        "none of it is held.",
        least=1024,
        most=17179869184,
        unit="bytes",
    )
    max_connections: int = option(
        0,
        why="Most client connections at once; 0 means as many as file descriptors allow, less those kept for "
        "upstream calls. Beyond it one makes room that is idle, or has not asked yet, of the address (IPv6: /64) "
        "that has the most; or else one whose body is on its way, of the token with the most if those are a quarter.",
        least=0,
        most=1048576,
        restart=True,
    )


@attrs.frozen(kw_only=True)
class BridgeHttpSettings(HttpSettings):
    """
    ``[http]``: the limits of one client connection, and of the bodies of all.
    """

    max_bodies: int = option(
        0,
        why="Most bytes of request bodies that are held at once, of all requests that wait or may still be repeated; 0 "
        "means eight times max_body, and 64 MiB at least. Nobody may hold more than half of what nobody holds, so that "
        "one principal alone gets a third. Bodies for which there is no room are not read. A unit's MemoryMax has to "
        "leave room for it.",
        least=0,
        most=1099511627776,
        unit="bytes",
    )
    max_bodies_wait: float = option(
        30.0,
        why="How long a request waits for room for its body, before it is answered 503.",
        least=0.001,
        most=3600,
        unit="s",
    )

    @property
    def bodies(self) -> int:
        """
        Bytes of `max_bodies`, or what stands in for it.
        """
        return self.max_bodies or max(LEAST_BODIES, 8 * self.max_body)
