"""
Something that is needed and cannot be used: told once, and once more when it can be used again.
"""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.logger import Logger


class Outage:
    """
    Whether there is one.

    :param what: in words, as a log may have it: ``The proxy http://proxy.example.com:3128``.
    """

    _log = Logger()

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_there = False

    def noticed(self, why: str) -> None:
        """
        It could not be used.
        """
        if not self._is_there:
            self._is_there = True
            self._log.error("{what} cannot be used: {why}.", what=self._what, why=why)

    def is_over(self) -> None:
        """
        It could be used.
        """
        if self._is_there:
            self._is_there = False
            self._log.info("{what} can be used again.", what=self._what)


def in_words(error: BaseException) -> str:
    """
    What lies behind an error, for whoever has to mend it.
    """
    cause = error.__cause__ or error
    if isinstance(cause, VerificationError | CertificateError):
        return "its certificate is not one for its name"
    if isinstance(cause, SSL.Error) and cause.args and isinstance(cause.args[0], list):
        return ", ".join(reason for _, _, reason in cause.args[0])
    return type(cause).__name__
