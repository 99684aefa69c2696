"""
Tests for `aibridge.daemon.proxy.config`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from aibridge.daemon.config import ConfigErrors
from aibridge.daemon.problems import Kind, Severity
from aibridge.daemon.proxy.config import DEFAULT_PATH, PATH_VARIABLE, ProxyLoaded, load, load_for_ca
from aibridge.mitm.authority import create
from aibridge.mitm.files import write_authority
from aibridge.mitm.targets import read_authority
from authorities import HOST, NOW, authority

NO_TOKENS = '[auth]\nbackend = "coder"\ncoder_url = "https://coder.test"\n'


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    """
    A directory with an authority for the hosts that are intercepted by default.
    """
    write_authority(str(tmp_path / "ca.pem"), str(tmp_path / "ca.key"), authority(), [])
    return tmp_path


def read(directory: Path, text: str = "", environ: Mapping[str, str] | None = None, **options: str) -> ProxyLoaded:
    """
    Read a file that is good but for this text.
    """
    path = directory / "aibridge-proxy.toml"
    if "[ca]" not in text:
        text += f'\n[ca]\ncert_file = "{directory}/ca.pem"\nkey_file = "{directory}/ca.key"\n'
    path.write_text((NO_TOKENS if "[auth]" not in text else "") + text)
    return load(str(path), environ or {}, options)


def errors(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """
    What is wrong with it.
    """
    with pytest.raises(ConfigErrors) as caught:
        read(directory, text, environ)
    return [str(problem).partition(": ")[2] for problem in caught.value.problems]


def owner(loaded: ProxyLoaded, text: str) -> str | None:
    """
    Whose a host is.
    """
    place = loaded.hosts.find(read_authority(text))
    return None if place is None else place.name


class TestSources:
    """
    Where it comes from.
    """

    def test_everything_is_loaded(self, files: Path) -> None:
        """
        Settings, hosts, authority.
        """
        loaded = read(files)
        assert loaded.path == str(files / "aibridge-proxy.toml")
        assert loaded.authority.certificate == authority().certificate
        assert owner(loaded, f"{HOST}:443") == "openai"
        assert (loaded.upstream, loaded.warnings) == (None, ())
        assert loaded.origins["auth.backend"].kind is Kind.FILE

    def test_environment_and_options(self, files: Path) -> None:
        """
        Go before the file; so do the variables that Coder's users know.
        """
        loaded = read(
            files, '[proxy]\ntunnel = "off"\n', {"AIBRIDGE_PROXY_TUNNEL": "authenticated"}, bridge="http://[::1]"
        )
        assert (loaded.settings.proxy.tunnel, loaded.settings.bridge.url) == ("authenticated", "http://[::1]")
        environ = {
            "CODER_AIBRIDGE_PROXY_ALLOWED_PRIVATE_CIDRS": "10.0.0.0/8 fd00::/8",
            "CODER_AIBRIDGE_PROXY_CERT_FILE": f"{files}/ca.pem",
            "CODER_AIBRIDGE_PROXY_KEY_FILE": f"{files}/ca.key",
        }
        loaded = read(files, "[ca]\n", environ)
        assert loaded.settings.proxy.allowed_private_cidrs == ("10.0.0.0/8", "fd00::/8")

    def test_which_file(self, files: Path) -> None:
        """
        The one that is named, else the variable's, else the default one, else none.
        """
        read(files)
        path = str(files / "aibridge-proxy.toml")
        assert load(None, {PATH_VARIABLE: path}, {}).path == path
        assert load(None, {}, {}, default_path=path).path == path
        with pytest.raises(ConfigErrors):
            load(None, {}, {}, default_path=str(files / "none"))
        assert DEFAULT_PATH == "/etc/aibridge/aibridge-proxy.toml"

    def test_strange_variables(self, files: Path) -> None:
        """
        The bridge's are none, nor is one that a reference names; others are told of.
        """
        environ = {
            "AIBRIDGE_MAX_CONCURRENCY": "5",
            "AIBRIDGE_CONFIG": "/x",
            "AIBRIDGE_PROXY_TUNEL": "off",
            "AIBRIDGE_PROXY_CONFIG": "/x",
            "AIBRIDGE_MINE": "http://u:p@proxy:3128",
        }
        (warning,) = read(files, '[proxy]\nupstream = "env:AIBRIDGE_MINE"\n', environ).warnings
        assert "AIBRIDGE_PROXY_TUNEL" in str(warning) and "AIBRIDGE_PROXY_TUNNEL" in str(warning)

    def test_everything_wrong_is_told_at_once(self, files: Path) -> None:
        """
        With its key, and what is allowed.
        """
        text = '[proxy]\ntunnel = "maybe"\nports = ["80"]\nupstream = "ftp://x"\n[ca]\ncert_file = "/nowhere/ca.pem"\n'
        found = errors(files, f'{text}key_file = "{files}/ca.key"\nunknown = 1\n[admission]\nrate_limit = 1\n')
        keys = sorted(line.partition(":")[0] for line in found)
        assert keys == ["admission", "ca.cert_file", "ca.unknown", "proxy.ports", "proxy.tunnel", "proxy.upstream"]


class TestHosts:
    """
    What is intercepted.
    """

    def test_configured(self, files: Path) -> None:
        """
        Tables add to what everybody means, and go before it.
        """
        write_authority(
            str(files / "ca.pem"),
            str(files / "ca.key"),
            create("CA", [*authority_hosts(), "llm.test", "other.test"], NOW),
            [],
        )
        loaded = read(
            files,
            '[[provider]]\nname = "mine"\ntype = "openai-compatible"\nbase_url = "https://llm.test/api/v1"\n'
            '[[provider]]\nname = "demo"\ntype = "demo"\nhosts = ["api.anthropic.com", "other.test:444"]\n',
        )
        assert owner(loaded, "llm.test:443") == "mine"
        assert owner(loaded, "other.test:444") == owner(loaded, "api.anthropic.com:443") == "demo"
        assert owner(loaded, "api.openai.com:443") == "openai"

    def test_not_builtin(self, files: Path) -> None:
        """
        They can be left out.
        """
        loaded = read(files, '[proxy]\nbuiltin_hosts = false\n[[provider]]\nname = "o"\ntype = "openai"\n')
        assert loaded.hosts.names() == ["api.openai.com"]

    def test_the_bridges(self, files: Path) -> None:
        """
        Are taken from its own file, without its secrets; those that are at no host of their own are left out.
        """
        bridge = files / "aibridge.toml"
        bridge.write_text(
            '[[provider]]\nname = "gpt"\ntype = "openai"\nkey = "env:NOT_THERE"\n'
            '[[provider]]\nname = "demo"\ntype = "demo"\n[auth]\ntokens_file = "/nowhere"\n'
        )
        loaded = read(files, f'[bridge]\nconfig = "{bridge}"\n')
        assert owner(loaded, "api.openai.com:443") == "gpt"
        assert owner(loaded, "api.anthropic.com:443") == "anthropic"

    def test_the_bridges_file_is_bad(self, files: Path) -> None:
        """
        Or not there: one line says so.
        """
        (line,) = errors(files, '[bridge]\nconfig = "/nowhere/aibridge.toml"\n')
        assert line.startswith("bridge.config: found")
        for text in ("x = 1\n", '[[provider]]\nname = "a"\n', '[[provider]]\nname = "a"\ntype = "openai"\n' * 2):
            (files / "aibridge.toml").write_text(text)
            (line,) = errors(files, f'[bridge]\nconfig = "{files}/aibridge.toml"\n')
            assert "which has errors" in line and "aibridge check" in line

    @pytest.mark.parametrize(
        ("table", "key"),
        [
            ('name = "openai"\ntype = "demo"\n', "provider[0].hosts (provider openai)"),
            ('name = "o"\ntype = "openai"\nhosts = ["a b"]\n', "provider[0].hosts (provider o)"),
            ('name = "o"\ntype = "openai"\nhosts = ["1.2.3.4.5"]\n', "provider[0].hosts (provider o)"),
            ('name = "o"\ntype = "openai"\nbase_url = "https://h:99999/v1"\n', "provider[0].base_url (provider o)"),
            ('name = "O"\ntype = "openai"\n', "provider[0].name"),
            ('name = "o"\ntype = "other"\n', "provider[0].type (provider o)"),
            ('name = "o"\n', "provider[0].type (provider o)"),
        ],
    )
    def test_bad_tables(self, files: Path, table: str, key: str) -> None:
        """
        Each is told of once.
        """
        (line,) = errors(files, f"[[provider]]\n{table}")
        assert line.partition(": ")[0] == key

    def test_clashes(self, files: Path) -> None:
        """
        Two tables that claim a host, or have a name, are an error of the second.
        """
        text = '[[provider]]\nname = "a"\ntype = "openai"\n[[provider]]\nname = "b"\ntype = "openai"\n'
        (line,) = errors(files, text)
        assert line.startswith("provider[1].hosts (provider b)") and "which a has" in line
        (line,) = errors(files, '[[provider]]\nname = "a"\ntype = "openai"\n' * 2)
        assert line.startswith("provider[1].name (provider a)")


def authority_hosts() -> list[str]:
    """
    What is intercepted by default.
    """
    from aibridge.mitm.hosts import BUILTIN, Hosts

    return list(Hosts(BUILTIN).names())


class TestAuthority:
    """
    The certificate authority.
    """

    def test_none(self, files: Path) -> None:
        """
        The line says how to make one.
        """
        (files / "ca.pem").unlink()
        (line,) = errors(files, "")
        assert line.startswith("ca.cert_file: ") and "`aibridge ca init` makes one" in line

    def test_open_to_others(self, files: Path) -> None:
        """
        The line says how to mend it, and is about the key.
        """
        (files / "ca.key").chmod(0o644)
        (line,) = errors(files, "")
        assert line.startswith("ca.key_file: ") and re.search("chmod 6[04]0", line)
        assert line.count("ca.key: ") == 1

    def test_of_other_hosts(self, files: Path) -> None:
        """
        One that may not speak for what is intercepted is told of.
        """
        (line,) = errors(files, '[[provider]]\nname = "a"\ntype = "openai"\nhosts = ["llm.test"]\n')
        assert "may not speak for llm.test" in line and "ca rotate" in line


class TestUpstream:
    """
    The upstream proxy.
    """

    def test_with_and_without_a_password(self, files: Path) -> None:
        """
        As a URL, and as a reference to one.
        """
        loaded = read(files, '[proxy]\nupstream = "http://proxy.test:3128"\n')
        assert loaded.upstream is not None and loaded.upstream.authorization is None
        secret = files / "upstream"
        secret.write_text("https://user:hunter2@proxy.test:3129\n")
        secret.chmod(0o600)
        loaded = read(files, f'[proxy]\nupstream = "file:{secret}"\n')
        assert loaded.upstream is not None
        assert loaded.upstream.label == "https://proxy.test:3129"
        assert loaded.upstream.authorization is not None
        assert "hunter2" not in repr(loaded)

    def test_environment(self, files: Path) -> None:
        """
        A password has no place there either, but behind a reference.
        """
        environ = {"AIBRIDGE_PROXY_UPSTREAM": "env:MY_PROXY", "MY_PROXY": "http://u:p@h:1"}
        loaded = read(files, "", environ)
        assert loaded.upstream is not None and loaded.upstream.host == "h"
        with pytest.raises(ConfigErrors) as caught:
            read(files, "", {"AIBRIDGE_PROXY_UPSTREAM": "http://user:hunter2@h:1"})
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("value", ["socks5://h:1", "http://u:hunter2@h/path", "nonsense-hunter2"])
    def test_no_proxy(self, files: Path, value: str) -> None:
        """
        What the reference leads to is told of without being shown.
        """
        (line,) = errors(files, '[proxy]\nupstream = "env:MY_PROXY"\n', {"MY_PROXY": value})
        assert line.startswith("proxy.upstream: ") and "hunter2" not in line
        (line,) = errors(files, '[proxy]\nupstream = "env:MY_PROXY"\n')
        assert "MY_PROXY" in line


class TestForCA:
    """
    What those need to know who make the authority.
    """

    def test_before_there_is_one(self, files: Path) -> None:
        """
        Paths and hosts, whatever else is not there yet.
        """
        path = files / "aibridge-proxy.toml"
        path.write_text(
            '[ca]\ncert_file = "/new/ca.pem"\n[[provider]]\nname = "a"\ntype = "openai"\nhosts = ["llm.test"]\n'
        )
        settings, hosts = load_for_ca(str(path), {})
        assert settings.cert_file == "/new/ca.pem"
        assert hosts.names()[:2] == ["api.openai.com", "llm.test"]

    def test_without_a_file(self, files: Path) -> None:
        """
        The defaults.
        """
        settings, hosts = load_for_ca(None, {}, default_path=str(files / "none"))
        assert settings.cert_file == "/var/lib/aibridge-proxy/ca.pem"
        assert hosts.names() == authority_hosts()

    def test_errors(self, files: Path) -> None:
        """
        A file that is no configuration is none for this either.
        """
        path = files / "aibridge-proxy.toml"
        path.write_text("[ca]\nx = 1\n")
        with pytest.raises(ConfigErrors) as caught:
            load_for_ca(str(path), {})
        assert [problem.severity for problem in caught.value.problems] == [Severity.ERROR]
