"""
Tests for `aibridge.mitm.files`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aibridge.mitm.authority import Unusable, as_pem, create, key_as_pem
from aibridge.mitm.files import MOST_BYTES, load_authority, previous_file, read_certificate_file, write_authority
from authorities import HOST, NOW, authority


def paths(directory: Path) -> tuple[str, str]:
    """
    Of certificate and key.
    """
    return str(directory / "ca.pem"), str(directory / "ca.key")


def mode(path: str) -> int:
    """
    Who may do what with a file.
    """
    return Path(path).stat().st_mode & 0o777


def test_kept_and_loaded(tmp_path: Path) -> None:
    """
    The key is its owner's alone, the certificate everybody's.
    """
    cert, key = paths(tmp_path)
    old = os.umask(0)
    try:
        write_authority(cert, key, authority(), [])
    finally:
        os.umask(old)
    assert (mode(cert), mode(key)) == (0o644, 0o600)
    assert load_authority(cert, key).certificate == authority().certificate
    assert Path(cert).read_bytes() == as_pem([authority().certificate])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_those_before_it_are_kept_beside_it(tmp_path: Path) -> None:
    """
    Without their keys.
    """
    cert, key = paths(tmp_path)
    one, two = create("One", [HOST], NOW), create("Two", [HOST], NOW)
    write_authority(cert, key, one, [])
    write_authority(cert, key, two, [one.certificate])
    assert load_authority(cert, key).certificate == two.certificate
    assert previous_file(cert) == str(tmp_path / "ca-previous.pem")
    assert read_certificate_file(previous_file(cert)) == [one.certificate]
    assert b"PRIVATE" not in Path(previous_file(cert)).read_bytes()
    assert key_as_pem(one.key) not in Path(key).read_bytes()


@pytest.mark.parametrize("loose", [0o644, 0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_can_read(tmp_path: Path, loose: int) -> None:
    """
    Is no secret; the message has the command that makes it one again.
    """
    cert, key = paths(tmp_path)
    write_authority(cert, key, authority(), [])
    Path(key).chmod(loose)
    if os.geteuid() == 0 and loose == 0o640:
        assert load_authority(cert, key)
        return
    with pytest.raises(Unusable, match=f"^{key}: it is open .*mode 0{loose:o}.*chmod 6[04]0 {key}"):
        load_authority(cert, key)


def test_unusable(tmp_path: Path) -> None:
    """
    With the file, and what can be done.
    """
    cert, key = paths(tmp_path)

    def refused(words: str) -> None:
        with pytest.raises(Unusable) as caught:
            load_authority(cert, key)
        assert words in str(caught.value)

    refused(f"{cert}: there is no such file; `aibridge ca init` makes one")
    Path(cert).mkdir()
    refused(f"{cert}: it is not an ordinary file")
    Path(cert).rmdir()
    Path(cert).write_bytes(b"x" * (MOST_BYTES + 1))
    refused("larger than")
    Path(cert).write_bytes(as_pem([authority().certificate]))
    refused(f"{key}: there is no such file")
    Path(key).touch(0o600)
    refused("no private key")


def test_certificates_alone(tmp_path: Path) -> None:
    """
    What is wrong with the file is said with its name.
    """
    cert, _ = paths(tmp_path)
    with pytest.raises(Unusable, match=cert):
        read_certificate_file(cert)
    Path(cert).write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(Unusable, match=f"{cert}: a certificate in it cannot be read"):
        read_certificate_file(cert)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_made_by_root_for_a_service(tmp_path: Path) -> None:
    """
    In a directory of somebody else's the files are theirs; in one of root's own its group may read the key.
    """
    for uid, gid, owner, expected in ((1234, 1234, (1234, 1234), 0o600), (0, 1234, (0, 1234), 0o640)):
        directory = tmp_path / f"{uid}-{gid}"
        directory.mkdir()
        os.chown(directory, uid, gid)
        cert, key = paths(directory)
        write_authority(cert, key, authority(), [])
        for path in (cert, key):
            status = Path(path).stat()
            assert (status.st_uid, status.st_gid) == owner
        assert (mode(cert), mode(key)) == (0o644, expected)
        assert load_authority(cert, key)
