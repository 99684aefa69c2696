"""
Tests for `aibridge.relay.outage`.
"""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import capturedLogs, formatEvent

from aibridge.errors import ConnectFailed
from aibridge.relay.outage import Outage, in_words


def test_told_once() -> None:
    """
    However often it is noticed; and again when it has been over.
    """
    outage = Outage("The thing")
    with capturedLogs() as logs:
        outage.is_over()
        outage.noticed("it is broken")
        outage.noticed("it is still broken")
        outage.is_over()
        outage.is_over()
        outage.noticed("it is broken again")
    assert [(event["log_level"].name, formatEvent(event)) for event in logs] == [
        ("error", "The thing cannot be used: it is broken."),
        ("info", "The thing can be used again."),
        ("error", "The thing cannot be used: it is broken again."),
    ]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (VerificationError(errors=[]), "its certificate is not one for its name"),
        (CertificateError("no names"), "its certificate is not one for its name"),
        (SSL.Error([("SSL routines", "", "certificate verify failed")]), "certificate verify failed"),
        (SSL.Error([("a", "", "wrong version number"), ("b", "", "more")]), "wrong version number, more"),
        (SSL.Error(), "Error"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "SysCallError"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
        (None, "ConnectFailed"),
    ],
)
def test_in_words(cause: BaseException | None, said: str) -> None:
    """
    What the libraries say is told, as far as it is for people.
    """
    error = ConnectFailed()
    error.__cause__ = cause
    assert in_words(error) == said
