"""
The pages for those who run the daemon: is it alive, will it take requests, what has it counted, what does it limit.

They are on a listener of their own, outside the gate and the buckets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.internet.task import Cooperator
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource

from aibridge.exposition import pieces
from aibridge.web.scrape import Scrapes

ADMIN_MAX_BODY: Final = 65536
"""Bytes; nothing that is asked of the admin listener has a body."""


class _Root(Resource):
    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """
        There is nothing else; Twisted's own answer to that is deprecated and says so each time.
        """
        return notFound()


class _Page(Resource):
    isLeaf = True

    def __init__(self, read: Callable[[Any], tuple[int, str, bytes]]) -> None:
        super().__init__()
        self._read = read

    def render_GET(self, request: IRequest) -> bytes:
        """
        Say how it is now.
        """
        status, content_type, body = self._read(request)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", content_type.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        return body


class _Metrics(Resource):
    """
    The page that may be long.
    """

    isLeaf = True

    def __init__(self, scrapes: Scrapes, refresh: Callable[[], None]) -> None:
        super().__init__()
        self._scrapes = scrapes
        self._refresh = refresh

    def render_GET(self, request: IRequest) -> Any:
        """
        Say what was counted.
        """
        self._head(request)
        self._refresh()
        return self._scrapes.render(request)

    def render_HEAD(self, request: IRequest) -> bytes:
        """
        Say that it can be said; it is not made for nothing.
        """
        self._head(request)
        return b""

    def _head(self, request: IRequest) -> None:
        request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
        request.setHeader(b"Cache-Control", b"no-store")


PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"

Report = Callable[[str | None], dict[str, Any]]
"""The limits and their levels, with those of the principal of a name; raises `LookupError` if there is none."""


def admin_resource(
    registry: CollectorRegistry,
    unready: Callable[[], str],
    refresh: Callable[[], None] = lambda: None,
    report: Report | None = None,
    cooperator: Cooperator | None = None,
) -> Resource:
    """
    ``/healthz``, ``/readyz``, ``/metrics``, and ``/limits``, which takes ``?principal=NAME``.

    :param unready: why no new exchanges are taken, or an empty text if they are.
    :param refresh: called before the metrics are read, for those that are looked up rather than counted.
    :param report: what the limits are; without it there is no such page.
    :param cooperator: who divides the time among long pages; by default one that runs on the reactor.
    """

    def health(_: Any) -> tuple[int, str, bytes]:
        return 200, PLAIN, b"ok\n"

    def readiness(_: Any) -> tuple[int, str, bytes]:
        why = unready()
        return (503, PLAIN, f"{why}\n".encode()) if why else (200, PLAIN, b"ready\n")

    root = _Root()
    root.putChild(b"healthz", _Page(health))
    root.putChild(b"readyz", _Page(readiness))
    root.putChild(b"metrics", _Metrics(Scrapes(partial(pieces, registry), cooperator), refresh))
    if report is not None:
        root.putChild(b"limits", _Page(partial(_limits, report)))
    return root


def _limits(report: Report, request: Any) -> tuple[int, str, bytes]:
    name = b"".join(request.args.get(b"principal", ())[:1]).decode("utf-8", "replace")
    try:
        status, told = 200, report(name or None)
    except LookupError:
        status, told = 404, {"message": "No principal of this name is known."}
    return status, JSON, json.dumps(told, ensure_ascii=True, allow_nan=False).encode() + b"\n"
