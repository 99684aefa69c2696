"""
What one writes first with Twisted: a stock `Site` in front, a plain treq client with a persistent pool behind.

usage: proxy.py PORT UPSTREAM-URL [STATUS]

It is the steadier reference of the benchmarks: the same interpreter and reactor, none of the daemon's own wire. A gate
and a bucket stand in it, as a count and a level; no tokens, no log, no deadlines, no back-pressure. With a status, it
refuses everything with it.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import treq.client
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

MOST_AT_ONCE = 100_000
CAPACITY = 1e9
LEAK_PER_S = 1e6

NOT_FORWARDED = {b"host", b"connection", b"content-length", b"transfer-encoding", b"keep-alive", b"authorization"}


class Proxy(Resource):
    """
    Relays everything to one place.
    """

    isLeaf = True

    def __init__(self, upstream: str, status: int | None) -> None:
        super().__init__()
        self._upstream = upstream
        self._status = status
        pool = HTTPConnectionPool(reactor)
        pool.maxPersistentPerHost = 1024
        self._client = treq.client.HTTPClient(Agent(reactor, pool=pool))
        self._running = 0
        self._level = 0.0
        self._as_of = time.monotonic()

    def render(self, request: Any) -> Any:
        """
        Let it in, or refuse it.
        """
        now = time.monotonic()
        level = max(0.0, self._level - (now - self._as_of) * LEAK_PER_S)
        if self._status or self._running >= MOST_AT_ONCE or level >= CAPACITY:
            request.setResponseCode(self._status or 503)
            request.setHeader(b"content-type", b"application/json")
            return b'{"error": {"message": "not now", "type": "refused"}}'
        self._level, self._as_of = level + 1, now
        self._running += 1
        Deferred.fromCoroutine(self._relay(request))
        return NOT_DONE_YET

    async def _relay(self, request: Any) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            headers = {
                name: values
                for name, values in request.requestHeaders.getAllRawHeaders()
                if name.lower() not in NOT_FORWARDED
            }
            headers[b"Authorization"] = [b"Bearer upstream-key"]
            response = await self._client.request(
                request.method.decode(),
                self._upstream + request.uri.decode(),
                headers=headers,
                data=request.content.read(),
                unbuffered=True,
            )
            request.setResponseCode(response.code)
            for name, values in response.headers.getAllRawHeaders():
                if name.lower() not in NOT_FORWARDED and any(values):
                    request.responseHeaders.setRawHeaders(name, values)
            if response.length is not None and isinstance(response.length, int):
                request.setHeader(b"content-length", b"%d" % response.length)
            await treq.collect(response, lambda data: None if gone else request.write(data))
            if not gone:
                request.finish()
        except Exception:
            if not gone:
                request.transport.abortConnection()
        finally:
            self._running -= 1


def main() -> None:
    """
    Serve until told to stop.
    """
    status = int(sys.argv[3]) if len(sys.argv) > 3 else None
    loop: Any = reactor
    loop.listenTCP(int(sys.argv[1]), Site(Proxy(sys.argv[2], status)), backlog=4096, interface="127.0.0.1")
    loop.run()


main()
