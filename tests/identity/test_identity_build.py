"""
Which identity the settings make.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibridge.auth.settings import BACKENDS, AuthSettings
from aibridge.auth.tokenfile import TokenFile, TokensUnusable
from aibridge.auth.tokens import RANDOM_BYTES, Entry, Token
from aibridge.errors import IdentityUnavailable, TooManyFailures, Unauthenticated
from aibridge.identity.anyone import Anyone
from aibridge.identity.build import build_identity
from aibridge.identity.coder import CoderIdentity
from aibridge.identity.file import FileIdentity
from aibridge.interfaces import IIdentity
from aibridge.model import Class, Principal

HOST = "192.0.2.1"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class BuildTests(SynchronousTestCase):
    """
    From settings to an identity.
    """

    def build(self, **settings: Any) -> IIdentity:
        """
        What `settings` describe.
        """
        self.reactor = MemoryReactorClock()
        return build_identity(AuthSettings(**settings), self.reactor, NOW.timestamp)

    def test_every_backend(self) -> None:
        """
        Each backend that can be configured is one, and does nothing before it is started.
        """
        classes = {"file": FileIdentity, "coder": CoderIdentity, "none": Anyone}
        self.assertEqual(set(classes), set(BACKENDS))
        for backend in BACKENDS:
            identity = self.build(backend=backend, coder_url="https://coder.example.com")
            self.assertIsInstance(identity, classes[backend])
            self.assertTrue(verifyObject(IIdentity, identity))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_file(self) -> None:
        """
        It reads the file that is configured, and goes by the wall clock.
        """
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = Path(directory.name) / "tokens.toml"
        token = Token.from_random(os.urandom(RANDOM_BYTES))
        entry = Entry(id=token.id, name="laptop", hash=token.hashed(), created=NOW, expires=NOW)
        path.write_text(TokenFile.from_text("").adding(entry).text())
        path.chmod(0o600)
        identity = self.build(tokens_file=str(path))
        identity.start()
        error = self.assertRaises(Unauthenticated, identity.identify, token.reveal().encode(), HOST, 0.0)
        self.assertIn("expired", error.detail)
        identity.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_file_that_is_not_there(self) -> None:
        """
        It is told at the start, in words that say what to do.
        """
        identity = self.build(tokens_file="/nonexistent/tokens.toml")
        error = self.assertRaises(TokensUnusable, identity.start)
        self.assertIn("aibridge token create", str(error))

    def test_coder(self) -> None:
        """
        The deployment is connected to when somebody asks, and its deadline is the configured one.
        """
        identity = self.build(backend="coder", coder_url="http://127.0.0.1:3000", coder_timeout=3.0)
        answer = identity.identify(b"token", HOST, 0.0)
        assert isinstance(answer, Deferred)
        self.assertEqual([connection[:2] for connection in self.reactor.tcpClients], [("127.0.0.1", 3000)])
        self.reactor.advance(3.1)
        self.failureResultOf(answer, IdentityUnavailable)
        identity.stop()

    def test_class(self) -> None:
        """
        Who comes without one is of the configured class.
        """
        found = self.build(backend="none", default_class="batch").identify(None, HOST, 0.0)
        assert isinstance(found, Principal)
        self.assertIs(found.class_, Class.BATCH)

    def test_coder_without_a_url(self) -> None:
        """
        There is nobody to ask.
        """
        self.assertRaises(ValueError, self.build, backend="coder")

    def test_limits_of_failures(self) -> None:
        """
        They are the configured ones.
        """
        identity = self.build(
            backend="coder", coder_url="https://coder.example.com", failure_rate=1.0, failure_burst=1.0
        )
        self.assertRaises(Unauthenticated, identity.identify, None, HOST, 0.0)
        self.assertRaises(TooManyFailures, identity.identify, None, HOST, 0.0)
