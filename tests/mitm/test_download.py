"""
Tests for `aibridge.mitm.download`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibridge.mitm.authority import as_pem
from aibridge.mitm.download import Download
from authorities import authority
from channels import Talk, get


class DownloadTests(SynchronousTestCase):
    """
    The certificate, for those who have to trust it.
    """

    def test_as_a_file(self) -> None:
        """
        It is a PEM file to be kept, and not to be remembered by anybody on the way.
        """
        pem = as_pem([authority().certificate])
        talk = Talk(Download(lambda: pem))
        talk.send(get(b"/ca-cert.pem"))
        (answer,) = talk.answers()
        self.assertEqual((answer.status, answer.body), (200, pem))
        self.assertEqual(answer.named(b"content-type"), [b"application/x-pem-file"])
        self.assertEqual(answer.named(b"content-disposition"), [b"attachment; filename=ca-cert.pem"])
        self.assertEqual(answer.named(b"cache-control"), [b"no-store"])

    def test_what_is_in_force_now(self) -> None:
        """
        It is looked at for each request, as it changes with a reload.
        """
        pems = [b"one", b"two"]
        talk = Talk(Download(lambda: pems.pop(0)))
        talk.send(get(b"/ca-cert.pem"), get(b"/ca-cert.pem"))
        self.assertEqual([answer.body for answer in talk.answers()], [b"one", b"two"])

    def test_head(self) -> None:
        """
        Says how long it is.
        """
        talk = Talk(Download(lambda: b"12345"))
        talk.send(get(b"/ca-cert.pem", method=b"HEAD"))
        (answer,) = talk.answers(b"HEAD")
        self.assertEqual((answer.status, answer.named(b"content-length")), (200, [b"5"]))
