"""
Tests for `aibridge.daemon.checks`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.auth.tokenfile import TokenFile
from aibridge.auth.tokens import Entry
from aibridge.daemon.checks import check
from aibridge.daemon.problems import Fault, Severity
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings


def faults(*providers: dict[str, Any], **sections: dict[str, Any]) -> list[Fault]:
    """
    What is wrong with the default settings once these are set; tokens are left out unless `auth` is given.
    """
    given = {f"{section}.{name}" for section, options in sections.items() for name in options}
    settings = attrs.evolve(
        Settings(),
        provider=tuple(ProviderSettings(**{"name": "a", "type": "openai", **given}) for given in providers),
        **{name: attrs.evolve(getattr(Settings(), name), **given) for name, given in sections.items()},
    )
    return list(check(settings, embedded="auth" not in sections, given=given))


def told(found: list[Fault]) -> list[tuple[str, str]]:
    """
    Severity and last name of each fault.
    """
    return [(fault.severity.value, str(fault.path[-1])) for fault in found]


class TestListen:
    """
    Where it listens.
    """

    @pytest.mark.parametrize(
        "text",
        [
            "tcp:4000",
            "tcp:port=4000:interface=127.0.0.1",
            "tcp6:port=4000:interface=\\:\\:1",
            "tcp:0",
            "unix:/run/aibridge/socket:mode=660",
            "systemd:domain=INET:name=aibridge",
            "tls:/etc/aibridge/tls:port=443",
        ],
    )
    def test_good(self, text: str) -> None:
        """
        Every kind of endpoint that Twisted knows is fine.
        """
        assert faults(listen={"endpoints": (text,), "admin": (text,)}) == []

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4000",
            "foo:4000",
            "tcp:",
            "tcp:http",
            "tcp:70000",
            "tcp:interface=127.0.0.1:port=65536",
            "tcp:" + "9" * 20,
            "tcp:4000:colour=red",
            "unix:/x:mode=rw",
            "ssl:443:privateKey=/nowhere/key.pem:certKey=/nowhere/cert.pem",
            "tcp:4000\\",
        ],
    )
    def test_bad(self, text: str) -> None:
        """
        An endpoint that could not be listened on is an error, for either listener.
        """
        for name in ("endpoints", "admin"):
            assert told(faults(listen={name: ("tcp:4000", text)})) == [("error", name)]

    @running(deadline=None)
    @given(st.text(max_size=30))
    def test_whatever_comes(self, text: str) -> None:
        """
        Whatever a parser makes of a text, nothing but a fault comes of it.
        """
        assert all(isinstance(fault, Fault) for fault in faults(listen={"endpoints": (text,)}))

    def test_networks(self) -> None:
        """
        Networks are networks: an address with bits beyond its prefix is none.
        """
        good = ("10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1")
        assert faults(listen={"proxy_protocol_from": good}) == []
        for bad in ("10.0.0.1/8", "10.0.0.0/33", "localhost", "", "fd00::/200"):
            assert told(faults(listen={"proxy_protocol_from": (*good, bad)})) == [("error", "proxy_protocol_from")]


class TestAuth:
    """
    Who may come in.
    """

    def test_tokens(self, tmp_path: Path) -> None:
        """
        A file of tokens that is missing, malformed or open to others is an error, and one without tokens a warning.
        """
        path = tmp_path / "tokens.toml"
        auth = {"tokens_file": str(path)}
        (missing,) = faults(auth=auth)
        assert missing.severity is Severity.ERROR
        assert "aibridge token create" in missing.found
        path.write_text("")
        path.chmod(0o600)
        assert told(faults(auth=auth)) == [("warning", "tokens_file")]
        path.write_text("[[token]]\nname = 5\n[[token]]\n")
        assert len(faults(auth=auth)) > 2
        path.chmod(0o644)
        (open_,) = faults(auth=auth)
        assert "chmod" in open_.found
        assert told(faults(auth={"tokens_file": "/\udcff\ud800"})) == [("error", "tokens_file")]

    def test_embedded(self) -> None:
        """
        Where the daemon makes its own token, no file is looked for.
        """
        assert list(check(Settings(), embedded=True)) == []

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://coder.example.com", []),
            ("http://127.0.0.1:3000", []),
            ("http://coder.example.com", [("warning", "coder_url")]),
            ("", [("error", "coder_url")]),
            ("https://:443", [("error", "coder_url")]),
            ("https://h:99999", [("error", "coder_url")]),
        ],
    )
    def test_coder(self, url: str, expected: list[tuple[str, str]]) -> None:
        """
        The backend coder needs to know where Coder is.
        """
        assert told(faults(auth={"backend": "coder", "coder_url": url})) == expected

    @pytest.mark.parametrize(("backend", "expected"), [("none", []), ("file", [("warning", "default_class")])])
    def test_default_class(self, tmp_path: Path, backend: str, expected: list[tuple[str, str]]) -> None:
        """
        Tokens of a file have classes of their own, so that nobody asks for a default.
        """
        path = tmp_path / "tokens.toml"
        entry = Entry(id="0" * 12, name="a", hash="sha256:" + "0" * 64, created=datetime(2026, 1, 1, tzinfo=UTC))
        path.write_text(TokenFile.from_text("").adding(entry).text())
        path.chmod(0o600)
        auth = {"backend": backend, "tokens_file": str(path), "default_class": "batch"}
        assert told(faults(auth=auth)) == expected

    def test_certificates(self, tmp_path: Path) -> None:
        """
        The file of certificates has some.
        """
        (tmp_path / "empty").write_text("")
        for path in (tmp_path / "empty", tmp_path / "none", tmp_path):
            found = faults(auth={"backend": "coder", "coder_url": "https://x", "coder_ca_file": str(path)})
            assert told(found) == [("error", "coder_ca_file")]

    def test_key_for_everyone(self) -> None:
        """
        A key that is given to whoever connects is a warning.
        """
        none = {"backend": "none"}
        assert told(faults({"key": "env:K"}, auth=none)) == [("warning", "key")]
        assert faults({}, {"name": "b", "type": "demo"}, auth=none) == []


class TestLog:
    """
    Where completions go.
    """

    def test_completions(self, tmp_path: Path) -> None:
        """
        A file needs a directory to be in.
        """
        for good in ("", "-", str(tmp_path / "log"), "/dev/null"):
            assert faults(log={"completions": good}) == []
        for bad in (str(tmp_path), str(tmp_path / "no" / "log"), "/dev/null/x", "/\ud800/x"):
            assert told(faults(log={"completions": bad})) == [("error", "completions")]


class TestProviders:
    """
    Each provider, and all of them.
    """

    @pytest.mark.parametrize(
        ("provider", "expected"),
        [
            ({}, []),
            ({"key": "env:K"}, []),
            ({"type": "anthropic", "key": "env:K", "credentials": "central"}, []),
            ({"type": "demo", "credentials": "central"}, []),
            ({"type": "demo", "base_url": "http://127.0.0.1:9"}, []),
            ({"type": "copilot"}, []),
            ({"credentials": "client"}, []),
            ({"credentials": "central"}, [("error", "key")]),
            ({"credentials": "client", "key": "env:K"}, [("warning", "key")]),
            ({"type": "demo", "key": "env:K"}, [("warning", "key")]),
            ({"keys": ("env:K", "env:L"), "credentials": "central", "key_order": "round-robin"}, []),
            ({"key": "env:K", "keys": ("env:L",), "key_order": "round-robin"}, []),
            ({"keys": ("env:K",), "credentials": "client"}, [("warning", "keys")]),
            ({"type": "demo", "keys": ("env:K",)}, [("warning", "keys")]),
            ({"key": "env:K", "key_order": "round-robin"}, [("warning", "key_order")]),
            ({"type": "openai-compatible"}, [("error", "base_url")]),
            ({"type": "openai-compatible", "base_url": "http://localhost:8000/v1"}, []),
            ({"type": "openai-compatible", "base_url": "http://[::1]:8000/v1"}, []),
            ({"base_url": "http://gpu.example.com/v1"}, [("warning", "base_url")]),
            ({"base_url": "https://[::1"}, [("error", "base_url")]),
            ({"base_url": "https://h:port/"}, [("error", "base_url")]),
            ({"base_url": "https://h:0/"}, [("error", "base_url")]),
            ({"ca_file": "/nowhere/ca.pem"}, [("error", "ca_file")]),
            ({"key": "env:K", "headers": ("OpenAI-Organization: org-1",)}, []),
            ({"key": "env:K", "headers": ("X-A: 1", "Host: h")}, [("error", "1")]),
            ({"headers": ("X-A: 1",)}, [("warning", "headers")]),
            ({"type": "", "name": ""}, []),
        ],
        ids=str,
    )
    def test_one(self, provider: dict[str, Any], expected: list[tuple[str, str]]) -> None:
        """
        Type, address, key and whose key is shown fit together.
        """
        assert told(faults(provider)) == expected

    def test_names(self) -> None:
        """
        The second provider of a name is told from the first by its number.
        """
        (fault,) = faults({}, {"name": "b"}, {})
        assert fault.path == ("provider", 2, "name")
        assert "provider[0]" in fault.found

    def test_certificates(self, tmp_path: Path) -> None:
        """
        A file of certificates is accepted.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / "ca.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        assert faults({"ca_file": str(path)}) == []
