"""
The pages for those who run the daemon: is it alive, will it take requests, what has it counted.

They are on a listener of their own, outside the gate and the buckets.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource


class _Root(Resource):
    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """
        There is nothing else; Twisted's own answer to that is deprecated and says so each time.
        """
        return notFound()


class _Page(Resource):
    isLeaf = True

    def __init__(self, read: Callable[[], tuple[int, str, bytes]]) -> None:
        super().__init__()
        self._read = read

    def render_GET(self, request: IRequest) -> bytes:
        """
        Say how it is now.
        """
        status, content_type, body = self._read()
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", content_type.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        return body


PLAIN = "text/plain; charset=utf-8"


def admin_resource(
    registry: CollectorRegistry, unready: Callable[[], str], refresh: Callable[[], None] = lambda: None
) -> Resource:
    """
    ``/healthz``, ``/readyz`` and ``/metrics``.

    :param unready: why no new exchanges are taken, or an empty text if they are.
    :param refresh: called before the metrics are read, for those that are looked up rather than counted.
    """

    def health() -> tuple[int, str, bytes]:
        return 200, PLAIN, b"ok\n"

    def readiness() -> tuple[int, str, bytes]:
        why = unready()
        return (503, PLAIN, f"{why}\n".encode()) if why else (200, PLAIN, b"ready\n")

    def metrics() -> tuple[int, str, bytes]:
        refresh()
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

    root = _Root()
    root.putChild(b"healthz", _Page(health))
    root.putChild(b"readyz", _Page(readiness))
    root.putChild(b"metrics", _Page(metrics))
    return root
