"""
What stock resources, made for `twisted.web`, find on a request.

To them it is a `twisted.web.server.Request` in everything but its wire, which is that of an `aibridge.web.request`
behind it. What costs time and is rarely looked at (`requestHeaders`, `args`, `path`, …) is made when somebody looks.
What differs: reason phrases are always the standard ones, bodies of forms are not parsed, and nothing raises because
the client is gone.
"""

from __future__ import annotations

import json
from functools import cached_property, partial
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import datetimeToString, parse_qs
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, _IEncodingResource

from aibridge.errors import BridgeError, ClientLeft
from aibridge.web.faults import REASON, REQUEST_ID, status_of
from aibridge.web.request import Request
from aibridge.web.status import PHRASES

_WIRES_OWN = frozenset((b"connection", b"content-length", b"date", b"transfer-encoding"))


class StockRequest(server.Request):
    """
    A request as stock resources know it.

    :param wire: the same request as the channel knows it.
    """

    _log = Logger()

    queued = False
    content: Any = None

    def __init__(self, wire: Request) -> None:
        # Not Twisted's: its attributes are made when they are looked at, or are its class's.
        self._wire = wire
        self.channel: Any = wire.channel
        self.site: Any = wire.site
        self.method = wire.method
        self.uri = wire.uri
        self.clientproto = wire.clientproto

    @property
    def startedWriting(self) -> bool:  # type: ignore[override]  # as above
        """
        The answer has begun.
        """
        return self._wire.started

    @property
    def finished(self) -> bool:  # type: ignore[override]  # as above
        """
        The answer is complete.
        """
        return self._wire.finished

    # -- what was asked ------------------------------------------------------------------------------------------

    @cached_property
    def path(self) -> bytes:  # type: ignore[override]  # Twisted sets it for every request
        """
        The target without its query.
        """
        return self.uri.partition(b"?")[0]

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]  # as above
        """
        The query's parameters. Bodies are not parsed, whatever their type.
        """
        parameters: dict[bytes, list[bytes]] = parse_qs(self.uri.partition(b"?")[2], True)
        return parameters

    @cached_property
    def prepath(self) -> list[bytes]:  # type: ignore[override]  # as above
        """
        Segments of the path that led to the resource.
        """
        return []

    @cached_property
    def postpath(self) -> list[bytes]:  # type: ignore[override]  # as above
        """
        Segments of the path that are left for it.
        """
        return [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]  # as above
        """
        The fields, for those who know Twisted's class.
        """
        headers = Headers()
        for name, value in self._wire.pairs:
            headers.addRawHeader(name, value)
        return headers

    @cached_property
    def responseHeaders(self) -> Headers:  # type: ignore[override]  # as above
        """
        Fields of the answer, where `respond` is not used.
        """
        return Headers()

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]  # as above
        """
        Cookies by their names.
        """
        values = self._wire.headers_named(b"cookie")
        pairs = [cookie.strip().partition(b"=") for value in values for cookie in value.split(b";")]
        return {name: value for name, equals, value in pairs if equals}

    @cached_property
    def cookies(self) -> list[bytes]:  # type: ignore[override]  # as above
        """
        Cookies to set.
        """
        return []

    @cached_property
    def client(self) -> IAddress:
        """
        The client's address.
        """
        peer: IAddress = self.channel.transport.getPeer()
        return peer

    @cached_property
    def host(self) -> IAddress:
        """
        The address at which it was reached.
        """
        own: IAddress = self.channel.transport.getHost()
        return own

    @cached_property
    def transport(self) -> Any:  # type: ignore[override]  # as above
        """
        The connection's.
        """
        return self.channel.transport

    @cached_property
    def _adapterCache(self) -> dict[str, object]:  # type: ignore[override]  # as above
        return {}

    # -- being rendered ------------------------------------------------------------------------------------------

    def process(self) -> None:
        """
        Find the resource and let it render once the body is there.
        """
        try:
            if self.uri == b"*":
                self._handleStar()
                return
            resource = self.site.getResourceFor(self)
            self._wire.read_body(self.site.max_body, partial(self._render_whole, resource), self._refuse_body)
        except Exception:
            self.processingFailed(Failure())

    def _render_whole(self, resource: IResource, body: bytes) -> None:
        self.content = BytesIO(body)
        try:
            if _IEncodingResource.providedBy(resource):
                self._encoder = resource.getEncoder(self)
            self.render(resource)
        except Exception:
            self.processingFailed(Failure())

    def _refuse_body(self, error: BridgeError) -> None:
        if not isinstance(error, ClientLeft):
            status = status_of(error)
            self._say(status, error.reason, error.detail or PHRASES[status].decode())

    def _say(self, status: int, reason: str, message: str) -> None:
        body = json.dumps({"message": message}).encode()
        pairs = [
            (b"Content-Type", b"application/json"),
            (REASON, reason.encode()),
            (REQUEST_ID, self.site.new_id().encode()),
        ]
        wire = self._wire
        wire.respond(status, pairs, len(body))
        wire.write(body)
        wire.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """
        A resource raised: the log has the traceback, the client a 500, or a broken connection if that is too late.
        """
        self._log.failure("A resource failed.", reason)
        if self._wire.started:
            self._wire.abort()
        else:
            self._say(500, "internal", "The request failed internally.")
        return reason

    # -- its answer ----------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """
        Send more of the body. It is no error if the client is gone.
        """
        wire = self._wire
        if wire.finished or wire.departed or self._inFakeHead:
            return
        if self._encoder is not None:
            data = self._encoder.encode(data)
        if not wire.started:
            self._respond(None)
        wire.write(data)

    def finish(self) -> None:
        """
        The answer is complete. It is no error if the client is gone, or to say so twice.
        """
        wire = self._wire
        if wire.finished or wire.departed:
            return
        if self._encoder is not None:
            rest, self._encoder = self._encoder.finish(), None
            self.write(rest)
        elif not wire.started:
            self._respond(0)
        wire.finish()

    def _respond(self, length: int | None) -> None:
        """
        Begin the answer from what Twisted's interface was told.
        """
        headers, status = self.responseHeaders, self.code
        declared = headers.getRawHeaders(b"content-length")
        if declared is not None:
            length = int(declared[-1])
        pairs = [
            (name, value)
            for name, values in headers.getAllRawHeaders()
            if name.lower() not in _WIRES_OWN
            for value in values
        ]
        if self.lastModified is not None and not headers.hasHeader(b"last-modified"):
            pairs.append((b"Last-Modified", datetimeToString(self.lastModified)))
        if self.etag is not None:
            pairs.append((b"ETag", self.etag))
        pairs.extend((b"Set-Cookie", cookie) for cookie in self.cookies)
        needs_type = status not in (204, 304) and length != 0 and not headers.hasHeader(b"content-type")
        if needs_type and self.defaultContentType is not None:
            pairs.append((b"Content-Type", self.defaultContentType))
        self._wire.respond(status, pairs, length)

    def notifyFinish(self) -> Deferred[None]:
        """
        Fires when the answer is complete, fails when it never will be; at once if either has happened already.
        """
        return self._wire.notifyFinish()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let `producer` write the body as fast as the client takes it.
        """
        self._wire.registerProducer(producer, bool(streaming))

    def unregisterProducer(self) -> None:
        """
        There is nothing more that could be paused.
        """
        self._wire.unregisterProducer()
