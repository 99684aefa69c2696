"""
Tests for `aibridge.cli.ca`.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from aibridge.cli.ca import FAILED, FINE, run
from aibridge.mitm.authority import as_pem, constrained_to, fingerprint, read_certificates
from aibridge.mitm.files import load_authority

NOW = datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
BUILTIN = ["api.openai.com", "api.anthropic.com"]


@attrs.define
class Deployment:
    """
    A directory with a configuration.
    """

    directory: Path
    now: datetime = NOW
    drawn: int = 0

    @property
    def cert(self) -> Path:
        """
        The certificate's file.
        """
        return self.directory / "ca.pem"

    @property
    def key(self) -> Path:
        """
        The key's file.
        """
        return self.directory / "ca.key"

    def configure(self, text: str = "") -> None:
        """
        Write the configuration.
        """
        ca = f'[ca]\ncert_file = "{self.cert}"\nkey_file = "{self.key}"\n'
        (self.directory / "aibridge-proxy.toml").write_text(ca + text)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """
        Run the command: its status, its output, and what it said.
        """

        def random(size: int) -> bytes:
            self.drawn += 1
            return self.drawn.to_bytes(size, "big")

        stdout, stderr = io.StringIO(), io.StringIO()
        status = run(
            list(arguments),
            stdout,
            stderr,
            {},
            now=lambda: self.now,
            random=random,
            default_config=str(self.directory / "aibridge-proxy.toml"),
            roots=[str(self.directory / "none"), str(self.directory / "roots.pem")],
        )
        assert "Traceback" not in stdout.getvalue() + stderr.getvalue()
        assert "PRIVATE" not in stdout.getvalue() + stderr.getvalue()
        return status, stdout.getvalue(), stderr.getvalue()

    def good(self, *arguments: str) -> str:
        """
        Run a command that does what it should, and return its output.
        """
        status, output, said = self.run(*arguments)
        assert status == FINE, said
        return output


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """
    One that has no authority yet.
    """
    made = Deployment(tmp_path)
    made.configure()
    return made


class TestInit:
    """
    The first authority.
    """

    def test_made(self, deployment: Deployment) -> None:
        """
        A key for its owner alone, and a certificate for the hosts that are intercepted, for five years.
        """
        status, output, said = deployment.run("init")
        assert (status, output) == (FINE, "")
        assert deployment.key.stat().st_mode & 0o777 == 0o600
        made = load_authority(str(deployment.cert), str(deployment.key)).certificate
        assert constrained_to(made)[:2] == BUILTIN  # type: ignore[index]  # it is constrained
        assert made.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=5 * 365 + 1)
        assert made.subject.rfc4514_string() == "CN=AI Bridge Proxy CA 2026-11-24 00000001"
        assert str(deployment.cert) in said and str(deployment.key) in said and fingerprint(made) in said

    def test_for_what_is_configured(self, deployment: Deployment) -> None:
        """
        Or for what is said instead.
        """
        deployment.configure('[[provider]]\nname = "a"\ntype = "openai"\nhosts = ["llm.test"]\n')
        deployment.good("init", "--days", "30")
        made = load_authority(str(deployment.cert), str(deployment.key))
        assert made.permits("llm.test") and made.permits("api.anthropic.com")
        assert made.certificate.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=30)
        deployment.cert.unlink()
        deployment.key.unlink()
        deployment.good("init", "--host", "One.test", "--host", "10.1.2.3")
        made = load_authority(str(deployment.cert), str(deployment.key))
        assert constrained_to(made.certificate) == ["one.test", "10.1.2.3/32"]

    def test_elsewhere(self, deployment: Deployment) -> None:
        """
        The files can be named.
        """
        directory = deployment.directory
        deployment.good("init", "--cert-file", f"{directory}/a", "--key-file", f"{directory}/b")
        assert load_authority(f"{directory}/a", f"{directory}/b")
        assert not deployment.cert.exists()

    def test_not_twice(self, deployment: Deployment) -> None:
        """
        What clients trust is not overwritten by mistake, nor is a key without its certificate.
        """
        deployment.good("init")
        before = deployment.cert.read_bytes()
        status, _, said = deployment.run("init")
        assert status == FAILED and "is there already" in said and "ca rotate" in said
        assert deployment.cert.read_bytes() == before
        deployment.cert.unlink()
        assert deployment.run("init")[0] == FAILED

    def test_no_directory(self, deployment: Deployment) -> None:
        """
        Is not made, since it would not be known whose it should be.
        """
        status, _, said = deployment.run("init", "--cert-file", "/nowhere/ca.pem", "--key-file", "/nowhere/ca.key")
        assert status == FAILED
        assert said.count("\n") == 1 and "/nowhere" in said and "No such file" in said


class TestShow:
    """
    What people compare.
    """

    def test_shown(self, deployment: Deployment) -> None:
        """
        Fingerprint, time and hosts.
        """
        deployment.good("init")
        output = deployment.good("show")
        made = load_authority(str(deployment.cert), str(deployment.key)).certificate
        assert fingerprint(made) in output
        assert "2026-11-23 to 2031-11-24" in output
        assert "may speak for      api.openai.com, api.anthropic.com" in output

    def test_without_the_key(self, deployment: Deployment) -> None:
        """
        Whoever may not read that still sees the certificate, and why the proxy could not use it.
        """
        deployment.good("init")
        deployment.key.chmod(0o644)
        output = deployment.good("show")
        assert "could not use it" in output and "chmod" in output
        assert re.search("SHA-256 +([0-9A-F]{2}:){31}[0-9A-F]{2}", output)

    def test_strangers(self, deployment: Deployment) -> None:
        """
        Hosts that it was not made for are named.
        """
        deployment.good("init")
        deployment.configure('[[provider]]\nname = "a"\ntype = "openai"\nhosts = ["llm.test"]\n')
        assert "may not speak for  llm.test" in deployment.good("show")

    def test_none(self, deployment: Deployment) -> None:
        """
        One line says how to make one.
        """
        for command in ("show", "export", "rotate"):
            status, output, said = deployment.run(command)
            assert (status, output) == (FAILED, "")
            assert said.count("\n") == 1 and said.count("`aibridge ca init` makes") == 1

    def test_broken(self, deployment: Deployment) -> None:
        """
        One line says what is wrong with the one that is there, and nothing that does not hold.
        """
        deployment.good("init")
        deployment.cert.write_text("nothing")
        for command in ("show", "export", "rotate"):
            status, output, said = deployment.run(command)
            assert (status, output) == (FAILED, "")
            assert said == f"aibridge ca: {deployment.cert}: there is no certificate in it\n"


class TestExport:
    """
    What clients are given.
    """

    def test_alone(self, deployment: Deployment) -> None:
        """
        The certificate, also from a file that has more.
        """
        deployment.good("init")
        made = load_authority(str(deployment.cert), str(deployment.key)).certificate
        assert deployment.good("export") == as_pem([made]).decode()
        deployment.cert.write_bytes(deployment.key.read_bytes() + deployment.cert.read_bytes())
        assert deployment.good("export") == as_pem([made]).decode()

    def test_bundle(self, deployment: Deployment) -> None:
        """
        The system's roots first, whatever their file ends with; they can be named.
        """
        deployment.good("init")
        made = as_pem([load_authority(str(deployment.cert), str(deployment.key)).certificate]).decode()
        roots = deployment.directory / "roots.pem"
        status, output, said = deployment.run("export", "--bundle")
        assert (status, output) == (FAILED, "") and "--roots" in said
        roots.write_text("# roots\n" + made.rstrip())
        assert deployment.good("export", "--bundle") == f"# roots\n{made}{made}"
        other = deployment.directory / "other.pem"
        other.write_text(made)
        assert deployment.good("export", "--bundle", "--roots", str(other)) == made + made
        assert deployment.run("export", "--bundle", "--roots", "/nowhere")[0] == FAILED


class TestRotate:
    """
    The next authority.
    """

    def test_both_are_exported(self, deployment: Deployment) -> None:
        """
        The new one first, the old one for as long as it lasts, and both are shown.
        """
        deployment.good("init", "--days", "10")
        (old,) = read_certificates(deployment.good("export").encode())
        deployment.good("rotate", "--days", "20")
        new, kept = read_certificates(deployment.good("export").encode())
        assert kept == old != new
        assert load_authority(str(deployment.cert), str(deployment.key)).certificate == new
        assert new.subject != old.subject
        output = deployment.good("show")
        assert output.index(fingerprint(new)) < output.index(fingerprint(old))
        deployment.now += timedelta(days=11)
        assert read_certificates(deployment.good("export").encode()) == [new]

    def test_again(self, deployment: Deployment) -> None:
        """
        However many there are that have not ended; those that have are forgotten.
        """
        deployment.good("init", "--days", "10")
        deployment.good("rotate", "--days", "20")
        deployment.good("rotate", "--days", "30")
        assert len(read_certificates(deployment.good("export").encode())) == 3
        deployment.now += timedelta(days=15)
        deployment.good("rotate")
        certificates = read_certificates(deployment.good("export").encode())
        assert len(certificates) == 3
        kept = read_certificates((deployment.directory / "ca-previous.pem").read_bytes())
        assert len(kept) == 2

    def test_after_its_end(self, deployment: Deployment) -> None:
        """
        Nobody needs to trust what has ended.
        """
        deployment.good("init", "--days", "10")
        deployment.now += timedelta(days=11)
        deployment.good("rotate")
        assert not (deployment.directory / "ca-previous.pem").exists()

    def test_for_what_is_configured_now(self, deployment: Deployment) -> None:
        """
        That is what it is for, if hosts have been added.
        """
        deployment.good("init")
        deployment.configure('[[provider]]\nname = "a"\ntype = "openai"\nhosts = ["llm.test"]\n')
        status, _, said = deployment.run("rotate")
        assert status == FINE and "until it is reloaded" in said
        assert load_authority(str(deployment.cert), str(deployment.key)).permits("llm.test")


class TestCommandLine:
    """
    What can be said.
    """

    @pytest.mark.parametrize(
        "arguments",
        [[], ["nonsense"], ["init", "--days", "0"], ["init", "--days", "x"], ["init", "--host", "a b"], ["show", "x"]],
    )
    def test_wrong(self, deployment: Deployment, arguments: list[str]) -> None:
        """
        One line says what is wrong.
        """
        status, output, said = deployment.run(*arguments)
        assert (status, output) == (FAILED, "")
        assert said.startswith("aibridge ca") and said.count("\n") == 1

    def test_help(self, deployment: Deployment) -> None:
        """
        Names every command.
        """
        output = deployment.good("--help")
        assert all(command in output for command in ("init", "show", "export", "rotate"))

    def test_a_bad_configuration(self, deployment: Deployment) -> None:
        """
        Is told of as the check tells it.
        """
        deployment.configure("x = 1\n")
        status, _, said = deployment.run("init")
        assert status == FAILED and "ca.x: found an unknown key" in said
        assert not deployment.cert.exists()
