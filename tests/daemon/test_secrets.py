"""
Tests for `aibridge.daemon.secrets`.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.daemon.problems import Unacceptable
from aibridge.daemon.secrets import MOST_BYTES, fetch, resolve
from aibridge.daemon.settings import Settings
from aibridge.providers.settings import ProviderSettings
from aibridge.secret import Secret

CANARY = "sk-canary-4f9cKQ2mN8vX1bT7"


def private(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """
    Write a file with these permissions.
    """
    path.write_bytes(data)
    path.chmod(mode)
    return path


def refusal(reference: str, **environ: str) -> Unacceptable:
    """
    How a reference is refused.
    """
    with pytest.raises(Unacceptable) as caught:
        fetch(reference, environ)
    assert CANARY not in str(caught.value)
    return caught.value


class TestFiles:
    """
    ``file:`` references.
    """

    @pytest.mark.parametrize("data", [CANARY, CANARY + "\n", f" \t{CANARY}\r\n\n"])
    def test_content(self, tmp_path: Path, data: str) -> None:
        """
        The secret is the file's only line, without the white space around it.
        """
        path = private(tmp_path / "key", data.encode())
        assert fetch(f"file:{path}", {}) == Secret(CANARY)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "nothing in"),
            (b" \n\t\n", "nothing in"),
            (f"{CANARY}\n{CANARY}\n".encode(), "more than one line"),
            (f"{CANARY}\n\n{CANARY}".encode(), "more than one line"),
            (f"{CANARY} {CANARY}".encode(), "white space or other characters"),
            (f"{CANARY}é".encode(), "white space or other characters"),
            (f"{CANARY}\0".encode(), "white space or other characters"),
            (b"\xff\xfe" + CANARY.encode(), "white space or other characters"),
            (CANARY.encode() * (MOST_BYTES // 20), "more than 65536 bytes"),
        ],
        ids=range(9),
    )
    def test_no_secret(self, tmp_path: Path, data: bytes, words: str) -> None:
        """
        Nothing, several lines, and what no header can carry are refused without being shown.
        """
        path = private(tmp_path / "key", data)
        assert words in refusal(f"file:{path}").found

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o622, 0o601, 0o666, 0o777])
    def test_open_to_others(self, tmp_path: Path, mode: int) -> None:
        """
        A file that others may open is refused, with the command that mends it.
        """
        path = private(tmp_path / "my key", CANARY.encode(), mode)
        refused = refusal(f"file:{path}")
        assert f"{mode:04o}" in refused.found
        assert refused.hint.startswith("chmod 6")
        assert refused.hint.endswith(f" '{path}'")
        os.system(refused.hint)
        assert fetch(f"file:{path}", {}) == Secret(CANARY)

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_owner_alone(self, tmp_path: Path, mode: int) -> None:
        """
        A file that only its owner may open is accepted.
        """
        path = private(tmp_path / "key", CANARY.encode(), mode)
        assert fetch(f"file:{path}", {}) == Secret(CANARY)

    def test_no_file(self, tmp_path: Path) -> None:
        """
        What is not there, no file, or below something that is no directory, is refused with the system's words.
        """
        key = private(tmp_path / "key", CANARY.encode())
        os.mkfifo(tmp_path / "pipe")
        for path, words in (
            (tmp_path / "none", "No such file"),
            (tmp_path, "no ordinary file"),
            (tmp_path / "pipe", "no ordinary file"),
            (Path("/dev/zero"), "no ordinary file"),
            (key / "below", "Not a directory"),
        ):
            assert words in refusal(f"file:{path}").found

    def test_link(self, tmp_path: Path) -> None:
        """
        A link counts as what it leads to, as in the volumes of Kubernetes.
        """
        private(tmp_path / "key", CANARY.encode())
        (tmp_path / "link").symlink_to("key")
        assert fetch(f"file:{tmp_path}/link", {}) == Secret(CANARY)
        (tmp_path / "key").chmod(0o644)
        refusal(f"file:{tmp_path}/link")


class TestEnvironment:
    """
    ``env:`` references.
    """

    def test_content(self) -> None:
        """
        The secret is the variable's text, without the white space around it.
        """
        assert fetch("env:KEY", {"KEY": f" {CANARY}\n"}) == Secret(CANARY)

    def test_no_secret(self) -> None:
        """
        A variable that is not set, is empty, or holds what is no key, is refused by its name.
        """
        assert '"KEY"' in refusal("env:KEY").found
        for text in ("", " ", f"{CANARY}\nx", f"{CANARY} x", f"{CANARY}\udcff"):
            assert '"KEY"' in refusal("env:KEY", KEY=text).found


class TestCredentials:
    """
    ``credential:`` references.
    """

    def test_content(self, tmp_path: Path) -> None:
        """
        The secret is in the directory that systemd names, whatever the permissions there.
        """
        private(tmp_path / "key", CANARY.encode(), 0o444)
        assert fetch("credential:key", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == Secret(CANARY)

    def test_no_secret(self, tmp_path: Path) -> None:
        """
        Without the directory or the credential in it the refusal says where it was looked for.
        """
        assert "CREDENTIALS_DIRECTORY" in refusal("credential:key").found
        assert "LoadCredential=" in refusal("credential:key").allowed
        assert f"{tmp_path}/key" in refusal("credential:key", CREDENTIALS_DIRECTORY=str(tmp_path)).found


class TestReferences:
    """
    What is a reference at all.
    """

    @pytest.mark.parametrize(
        "text", ["", CANARY, f"file:{CANARY}", f"env:{CANARY}", f"credential:../{CANARY}", "FILE:/x"]
    )
    def test_no_reference(self, text: str) -> None:
        """
        What is no reference is not shown.
        """
        assert "not shown" in refusal(text).found

    @running(deadline=None)
    @given(st.text())
    def test_whatever_comes(self, text: str) -> None:
        """
        Any text is a reference that leads nowhere, or none.
        """
        with pytest.raises(Unacceptable):
            fetch(text, {})

    @running(deadline=None)
    @given(st.text(min_size=1).map("file:/nowhere/".__add__))
    def test_whatever_path(self, text: str) -> None:
        """
        Any path that leads nowhere is refused.
        """
        with pytest.raises(Unacceptable):
            fetch(text, {})


class TestResolve:
    """
    All secrets of a configuration.
    """

    def test_all_at_once(self, tmp_path: Path) -> None:
        """
        Every secret that can be had is there by its provider's name, and every other is a fault with its place.
        """
        path = private(tmp_path / "key", CANARY.encode())
        references = {"a": f"file:{path}", "b": "env:NONE", "c": "", "d": "env:KEY", "e": "file:/nowhere/x"}
        providers = [ProviderSettings(name=name, type="openai", key=key) for name, key in references.items()]
        keys, faults = resolve(attrs.evolve(Settings(), provider=tuple(providers)), {"KEY": CANARY})
        assert keys == {"a": (Secret(CANARY),), "d": (Secret(CANARY),)}
        assert [fault.path for fault in faults] == [("provider", 1, "key"), ("provider", 4, "key")]
        assert CANARY not in repr(keys) + repr(faults)

    def test_several_keys(self) -> None:
        """
        The one key comes before the further ones, which keep their order; each that cannot be had is told by its
        number.
        """
        environ = {name: f"{CANARY}-{name}" for name in "ABC"}
        provider = ProviderSettings(name="a", type="openai", key="env:B", keys=("env:C", "env:NONE", "env:A"))
        keys, (fault,) = resolve(attrs.evolve(Settings(), provider=(provider,)), environ)
        assert keys == {"a": tuple(Secret(environ[name]) for name in "BCA")}
        assert fault.path == ("provider", 0, "keys", 1)
        alone = attrs.evolve(provider, key="", keys=("env:C", "env:A"))
        keys, faults = resolve(attrs.evolve(Settings(), provider=(alone,)), environ)
        assert (keys, faults) == ({"a": (Secret(environ["C"]), Secret(environ["A"]))}, [])

    def test_one_key_twice(self, tmp_path: Path) -> None:
        """
        A key that is there twice, by one reference or by two, would be used again while it rests: it is a fault, which
        says where it was before and does not show it. Two providers may share one.
        """
        path = private(tmp_path / "key", CANARY.encode())
        provider = ProviderSettings(
            name="a", type="openai", key="env:KEY", keys=("env:OTHER", "env:KEY", f"file:{path}")
        )
        other = ProviderSettings(name="b", type="openai", key="env:KEY")
        settings = attrs.evolve(Settings(), provider=(provider, other))
        keys, faults = resolve(settings, {"KEY": CANARY, "OTHER": "another-one"})
        assert [fault.path[-1] for fault in faults] == [1, 2]
        assert all("provider[0].key" in fault.found for fault in faults)
        assert keys == {"a": (Secret(CANARY), Secret("another-one")), "b": (Secret(CANARY),)}
        assert CANARY not in repr(faults)
