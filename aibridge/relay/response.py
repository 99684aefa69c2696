"""
A provider's response as its consumer sees it: a head that is there, and a body that comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import classImplements

Pair = tuple[bytes, bytes]

# Nobody adds to a failure that says only this, and making one costs more than all else at the end of a body.
WHOLE: Final = Failure(ResponseDone())
PERHAPS_WHOLE: Final = Failure(PotentialDataLoss())


class Source(Protocol):
    """
    The connection from which a body comes, as far as its consumer may steer it.
    """

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def abort_body(self) -> None: ...


def headers_of(pairs: Iterable[Pair]) -> Headers:
    """
    Pairs as `Headers`, which forget the order of different names.
    """
    headers = Headers()
    for name, value in pairs:
        headers.addRawHeader(name, value)
    return headers


class Response:
    """
    A response, and the transport of its body: a consumer's `transport` is the response itself.

    Body bytes that come before there is a consumer are held, and the connection is paused at once, so that at most
    what one read of the socket gave is held.

    :ivar pairs: the fields in their order, as they came.
    :ivar paused: the consumer does not want more at the moment.
    """

    __slots__ = (
        "_consumer",
        "_delivered",
        "_end",
        "_headers",
        "_held",
        "_source",
        "code",
        "length",
        "pairs",
        "paused",
        "phrase",
        "previousResponse",
        "request",
        "version",
    )

    def __init__(
        self,
        source: Source,
        request: IClientRequest,
        version: tuple[bytes, int, int],
        code: int,
        phrase: bytes,
        pairs: list[Pair],
        length: int | None,
    ) -> None:
        self.request = request
        self.version = version
        self.code = code
        self.phrase = phrase
        self.pairs = pairs
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.previousResponse: object = None
        self.paused = False
        self._source: Source | None = source
        self._consumer: Any = None
        self._delivered = False
        self._headers: Headers | None = None
        self._held: list[bytes] | None = None
        self._end: Failure | None = None

    @property
    def headers(self) -> Headers:
        """
        The fields as Twisted has them; built when first asked for.
        """
        if self._headers is None:
            self._headers = headers_of(self.pairs)
        return self._headers

    @property
    def is_held(self) -> bool:
        """
        Whether there are body bytes that nobody has taken yet.
        """
        return self._held is not None

    def setPreviousResponse(self, response: object) -> None:
        """
        Remember the response that redirected here. Nothing in the relay follows redirects.
        """
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """
        Connect `protocol`, and give it what was held and what comes.

        Its `connectionLost` is called once: with `ResponseDone` if the body was whole, with `PotentialDataLoss` if
        its end was that of the connection, else with an `aibridge.errors.UpstreamError`.

        :raises RuntimeError: the body has a consumer already.
        """
        if self._delivered:
            raise RuntimeError("The body of a response can be delivered once.")
        self._delivered = True
        self._consumer = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a body's transport cannot be written to
        held, self._held = self._held, None
        if held is not None:
            if self._consumer is not None:
                protocol.dataReceived(b"".join(held))
            if self._source is not None and not self.paused:
                self._source.resume_body()
        end, self._end = self._end, None
        if end is not None:
            self._consumer = None
            protocol.connectionLost(end)

    # -- called by the connection --------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """
        Pass on a piece of the body.
        """
        consumer = self._consumer
        if consumer is not None:
            consumer.dataReceived(data)
        elif self._held is None:
            self._held = [data]
            if self._source is not None:
                self._source.pause_body()
        else:
            self._held.append(data)

    def ended(self, reason: Failure) -> None:
        """
        There will be no more. The connection is not the response's to steer from now on.
        """
        self._source = None
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            if self._end is None and not self._delivered:
                self._end = reason
        else:
            consumer.connectionLost(reason)

    # -- called by the consumer ----------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """
        Stop reading from the provider. While it lasts, its silence is not counted against it.
        """
        self.paused = True
        if self._source is not None:
            self._source.pause_body()

    def resumeProducing(self) -> None:
        """
        Go on reading from the provider.
        """
        self.paused = False
        if self._source is not None and self._held is None:
            self._source.resume_body()

    def stopProducing(self) -> None:
        """
        End the upstream call now: nobody wants the rest.

        The consumer's `connectionLost` is called when the connection has gone, not from within this call.
        """
        if self._source is not None:
            self._source.abort_body()

    def loseConnection(self) -> None:
        """
        The same, as protocols of bodies call it.
        """
        self.stopProducing()

    def abortConnection(self) -> None:
        """
        The same.
        """
        self.stopProducing()


classImplements(Response, IResponse, IPushProducer)
