"""
The authority's certificate, for those who have to trust it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource


class Download(Resource):
    """
    ``/ca-cert.pem``: the certificate in force, and never anything else, whatever the file has that it came from.

    :param pem: it.
    """

    isLeaf = True

    def __init__(self, pem: Callable[[], bytes]) -> None:
        super().__init__()
        self._pem = pem

    def render_GET(self, request: IRequest) -> bytes:
        """
        As a file to be kept.
        """
        request.setHeader(b"Content-Type", b"application/x-pem-file")
        request.setHeader(b"Content-Disposition", b"attachment; filename=ca-cert.pem")
        request.setHeader(b"Cache-Control", b"no-store")
        return self._pem()
