"""
Tests for `aibridge.daemon.config`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from aibridge.daemon.config import MOST_BYTES, ConfigErrors, Loaded, load
from aibridge.daemon.problems import Kind, Origin
from aibridge.daemon.settings import REPEATED, SECTIONS, leaves
from aibridge.secret import Secret

CANARY = "sk-canary-4f9cKQ2mN8vX1bT7"

NOWHERE = "/nowhere/aibridge.toml"

NO_TOKENS = '[auth]\nbackend = "none"\n'
DEMO = '[[provider]]\nname = "demo"\ntype = "demo"\n'
LIMIT = '[[limit]]\nscope = "principal"\nunit = "tokens/min"\nlimit = 50000\n'


def read(
    text: str | bytes | None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Loaded:
    """
    Load a configuration file with this text, or none.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "aibridge.toml"
        if text is not None:
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(None, environ or {}, options or {}, default_path=str(path))


def errors(
    text: str | bytes | None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> list[str]:
    """
    The lines of everything that is wrong, without the file's directory.
    """
    with pytest.raises(ConfigErrors) as caught:
        read(text, environ, options)
    assert all(problem.severity.value == "error" for problem in caught.value.problems)
    lines = [str(problem) for problem in caught.value.problems]
    assert not any("\n" in line for line in lines)
    return [line[line.index("aibridge.toml") :] if line.startswith("/") else line for line in lines]


# Of each option that has a variable: a text for the file, for the command line, and for each variable.
SOURCES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "listen.endpoints": ('["tcp:1"]', "tcp:4", ("tcp:2 tcp:3",)),
    "listen.admin": ('["tcp:1"]', "tcp:3", ("tcp:2",)),
    "listen.proxy_protocol_from": ('["10.0.0.0/8"]', "", ("10.1.0.0/16  fd00::/8",)),
    "admission.max_concurrency": ("1", "5", ("2", "3", "4")),
    "admission.max_in_flight": ("1", "", ("2",)),
    "admission.queue_size": ("1", "", ("2",)),
    "admission.queue_timeout": ("1", "", ("1m30s",)),
    "admission.interactive_share": ("0.5", "", ("0.25",)),
    "admission.rate_limit": ("1", "4.5", ("2.5", "3", "3.5")),
    "admission.rate_burst": ("1.5", "", ("2",)),
    "breaker.enabled": ("true", "", ("no", "yes", "off")),
    "breaker.failure_threshold": ("1", "", ("2", "3", "4")),
    "breaker.interval": ("1", "", ("10ms", "2m", "3")),
    "breaker.timeout": ("1", "", ("1m30s", "2m", "3")),
    "breaker.max_requests": ("1", "", ("2", "4", "5")),
    "auth.backend": ('"none"', "", ("coder",)),
    "auth.tokens_file": ('"/1"', "", ("/2",)),
    "auth.coder_url": ('"https://1"', "", ("https://2",)),
    "log.level": ('"debug"', "error", ("warn",)),
    "log.format": ('"json"', "json", ("text",)),
    "log.completions": ('""', "", ("/dev/null",)),
    "metrics.by_principal": ("false", "", ("true",)),
    "daemon.state_dir": ('"/a"', "", ("/b", "/c")),
    "daemon.trust_env": ("true", "", ("false",)),
    "daemon.drain_timeout": ("1", "3m", ("2",)),
}


class TestPrecedence:
    """
    Option before environment before file before default.
    """

    def test_table_is_whole(self) -> None:
        """
        Every option that the environment can set is in the table.
        """
        declared = {
            f"{section}.{leaf.name}" for section, cls in SECTIONS.items() for leaf in leaves(cls) if leaf.declared.env
        }
        assert set(SOURCES) == declared

    @pytest.mark.parametrize("name", SOURCES)
    def test_sources(self, name: str) -> None:
        """
        Each source goes before those below it, and the value's origin is remembered.
        """
        section, _, option = name.partition(".")
        (leaf,) = (leaf for leaf in leaves(SECTIONS[section]) if leaf.name == option)
        in_file, given, in_variables = SOURCES[name]
        tables = {section: {}, "auth": {"backend": '"none"', "coder_url": '"https://0"'}}
        tables["auth"].pop(option, None)
        environ: dict[str, str] = {}
        options: dict[str, object] = {}
        seen: list[object] = []

        def check(kind: Kind, source: str | None) -> None:
            text = "".join(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in tables[name].items()) for name in tables)
            loaded = read(text + DEMO, environ, options)
            origin = loaded.origins[name]
            assert origin.kind is kind
            assert source is None or origin.name == source
            seen.append(getattr(getattr(loaded.settings, section), option))

        if option != "backend":
            # Its default asks for a file of tokens.
            check(Kind.DEFAULT, None)
        tables[section][option] = in_file
        check(Kind.FILE, None)
        for variable, value in reversed(list(zip(leaf.declared.env, in_variables, strict=True))):
            environ[variable] = value
            check(Kind.ENVIRONMENT, variable)
        assert bool(leaf.declared.flag) == bool(given)
        if given:
            options[leaf.declared.flag] = given
            check(Kind.OPTION, f"--{leaf.declared.flag}")
        assert all(before != after for before, after in itertools.pairwise(seen))

    def test_empty_variable(self) -> None:
        """
        A variable set to nothing counts as not set.
        """
        loaded = read(None, {"AIBRIDGE_MAX_CONCURRENCY": "", "CODER_AIBRIDGE_MAX_CONCURRENCY": "3"})
        assert loaded.settings.admission.max_concurrency == 3

    def test_option_values(self) -> None:
        """
        The command line may have values in place of text; None is not given, and what is no option is left alone.
        """
        loaded = read(None, {}, {"listen": ["tcp:1", "tcp:2"], "rate-limit": 5, "log-level": None, "config": "x"})
        assert loaded.settings.listen.endpoints == ("tcp:1", "tcp:2")
        assert loaded.settings.admission.rate_limit == 5.0
        assert loaded.settings.log.level == "info"

    def test_origins(self) -> None:
        """
        The origin of every option is known, those of tables that occur often by number.
        """
        loaded = read(f'{NO_TOKENS}{DEMO}key = ""\n{LIMIT}class = "batch"\n')
        whole = {f"{section}.{leaf.name}" for section, cls in SECTIONS.items() for leaf in leaves(cls)}
        whole |= {f"{table}[0].{leaf.name}" for table, cls in REPEATED.items() for leaf in leaves(cls)}
        assert set(loaded.origins) == whole
        assert loaded.origins["provider[0].key"] == Origin(Kind.FILE, loaded.path)
        assert loaded.origins["provider[0].base_url"] == Origin(Kind.DEFAULT)
        assert loaded.origins["limit[0].class"] == Origin(Kind.FILE, loaded.path)
        assert loaded.origins["limit[0].burst"] == Origin(Kind.DEFAULT)


class TestFile:
    """
    Which file is read, and what can be wrong with it as a whole.
    """

    def test_which(self, tmp_path: Path) -> None:
        """
        The one that is asked for, else the one in the environment, else the default one, else none.
        """
        paths = [tmp_path / name for name in ("asked", "environment", "default")]
        for path in paths:
            path.write_text(NO_TOKENS + DEMO)
        asked, environment, default = map(str, paths)
        variable = {"AIBRIDGE_CONFIG": environment}
        assert load(asked, variable, {}, default_path=default).path == asked
        assert load(None, variable, {}, default_path=default).path == environment
        assert load(None, {}, {}, default_path=default).path == default
        assert load(None, {}, {}, default_path=NOWHERE).path == ""

    def test_unreadable(self, tmp_path: Path) -> None:
        """
        A file that is asked for and cannot be read is an error; so are the others at the same time.
        """
        for path in (NOWHERE, str(tmp_path), "/\0", f"{tmp_path}/\ud800"):
            with pytest.raises(ConfigErrors) as caught:
                load(path, {"AIBRIDGE_RATE_LIMIT": "fast"}, {})
            unreadable, fast = map(str, caught.value.problems)
            assert "no file that can be read" in unreadable
            assert "AIBRIDGE_RATE_LIMIT" in fast

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a = 1\nb = = 2\n", "line 2, column 5"),
            ("[x]\na = 1\na = 2\n", "line 3"),
            (b"a = 1\nb = '\xff'\n", "not UTF-8 (at line 2)"),
            ("a = " + "[" * 5000, "too deep"),
            ("a = " + "9" * 5000, "no TOML"),
            (b"#" * (MOST_BYTES + 1), f"more than {MOST_BYTES} bytes"),
            (b"\0", "no TOML"),
        ],
        ids=range(7),
    )
    def test_no_toml(self, text: str | bytes, words: str) -> None:
        """
        What is no TOML is one error, with its place where that is known.
        """
        (line,) = errors(text)
        assert line.startswith("aibridge.toml: found ")
        assert words in line

    def test_byte_order_mark(self) -> None:
        """
        A file that an editor has put a mark in front of is read as if it had not.
        """
        assert read(b"\xef\xbb\xbf" + (NO_TOKENS + DEMO).encode()).warnings == ()

    def test_huge_number(self) -> None:
        """
        A number too long to be written in decimal is refused like any other.
        """
        (line,) = errors(f"{NO_TOKENS}{DEMO}[admission]\nmax_concurrency = 0x{'f' * 9000}\n")
        assert "more than 64 bits" in line

    @running(max_examples=60, deadline=None)
    @given(st.binary(max_size=200) | st.text(alphabet="[]{}=.\"'\\\n#abc_019-: ", max_size=60).map(str.encode))
    def test_whatever_comes(self, data: bytes) -> None:
        """
        Any file is a configuration or is refused with reasons; nothing else is raised.
        """
        try:
            read(data)
        except ConfigErrors as refused:
            assert refused.problems


class TestAllAtOnce:
    """
    Problems from all sources, in one go.
    """

    def test_everything_is_told(self) -> None:
        """
        Unknown keys, types, ranges, forms, combinations and missing secrets, of the file, the environment and the
        command line, are all in one exception; what was refused causes no second error.
        """
        lines = errors(
            """
            stray = 1
            [listen]
            endpoints = ["tcp:x"]
            [http]
            max_body = "big"
            [admission]
            max_concurrency = -1
            rate_limt = 1
            [auth]
            backend = "coder"
            coder_url = 5
            [[provider]]
            name = "corp"
            type = "openai-compatible"
            base_url = "ftp://x"
            key = "file:/nowhere/key"
            [[provider]]
            name = "corp"
            type = "openai"
            key = "env:NONE"
            [[provider]]
            name = "third"
            type = "anthropic"
            credentials = "central"
            key = 5
            """,
            {"AIBRIDGE_RATE_LIMIT": "fast", "AIBRIDGE_RATE_BURST": "0.5"},
            {"max-concurrency": "many", "log-level": "loud"},
        )
        starts = [
            "aibridge.toml: stray: found an unknown key",
            'aibridge.toml: listen.endpoints: found "tcp:x"',
            'aibridge.toml: http.max_body: found the text "big"; allowed: a whole number from 1024 to 1073741824 bytes',
            "aibridge.toml: admission.max_concurrency: found the number -1; allowed: a whole number from 0",
            "aibridge.toml: admission.rate_limt: found an unknown key; did you mean admission.rate_limit?",
            "aibridge.toml: auth.coder_url: found the number 5; allowed: a URL",
            'aibridge.toml: provider[0].base_url (provider corp): found the text "ftp://x"; allowed: a URL',
            'aibridge.toml: provider[0].key (provider corp): found "/nowhere/key"',
            'aibridge.toml: provider[1].name (provider corp): found "corp", which provider[0] has too',
            'aibridge.toml: provider[1].key (provider corp): found no environment variable "NONE"',
            "aibridge.toml: provider[2].key (provider third): found a text that is not shown",
            'environment AIBRIDGE_RATE_LIMIT: admission.rate_limit: found the text "fast"; allowed: a number from 0',
            "environment AIBRIDGE_RATE_BURST: admission.rate_burst: found the number 0.5",
            'option --max-concurrency: admission.max_concurrency: found the text "many"',
            'option --log-level: log.level: found the text "loud"; allowed: one of "debug", "info", "warn", "error"',
        ]
        for start in starts:
            assert len([line for line in lines if line.startswith(start)]) == 1, start
        assert len(lines) == len(starts)

    def test_overridden_values_are_checked(self) -> None:
        """
        An error in the file is one whatever overrides it, and so is one in the environment.
        """
        lines = errors(
            f"{NO_TOKENS}{DEMO}[admission]\nmax_concurrency = -1\n",
            {"CODER_AIBRIDGE_MAX_CONCURRENCY": "-2", "AIBRIDGE_MAX_CONCURRENCY": "-3"},
            {"max-concurrency": "4"},
        )
        assert [line.partition(";")[0].rpartition(" ")[2] for line in lines] == ["-1", "-2", "-3"]

    def test_warnings_beside_errors(self) -> None:
        """
        Warnings are kept apart from errors, and told with them.
        """
        with pytest.raises(ConfigErrors) as caught:
            read("stray = 1\n" + NO_TOKENS, {"AIBRIDGE_RATELIMIT": "5"})
        assert len(caught.value.problems) == 1
        unset, unknown = map(str, caught.value.warnings)
        assert "at least one [[provider]]" in unset
        assert unknown == (
            "environment AIBRIDGE_RATELIMIT: found a variable that sets nothing; did you mean AIBRIDGE_RATE_LIMIT?"
        )

    def test_variables_of_another_daemon(self) -> None:
        """
        They may be in the same environment, and are none of this one's.
        """
        assert read(NO_TOKENS + DEMO, {"AIBRIDGE_PROXY_LISTEN": "tcp:8888"}).warnings == ()


class TestProviders:
    """
    Providers and their keys.
    """

    def test_keys(self) -> None:
        """
        Keys are there by the provider's name, as secrets; a variable that a reference names is no stranger.
        """
        text = NO_TOKENS.replace("none", "file") + '[[provider]]\nname = "a"\ntype = "openai"\nkey = "env:AIBRIDGE_A"\n'
        text = text.replace('backend = "file"', 'backend = "coder"\ncoder_url = "https://coder.example.com"')
        loaded = read(text, {"AIBRIDGE_A": CANARY})
        assert loaded.secrets == {"a": (Secret(CANARY),)}
        assert loaded.warnings == ()
        assert CANARY not in repr(loaded)

    def test_proxies(self) -> None:
        """
        The way out to each; a variable that one is in is no stranger.
        """
        providers = '[[provider]]\nname = "one"\ntype = "openai"\nproxy = "env:AIBRIDGE_WAY_OUT"\n'
        environ = {"AIBRIDGE_WAY_OUT": "http://one.corp", "HTTPS_PROXY": "http://all.corp", "AIBRIDGE_TRUST_ENV": "1"}
        loaded = read(NO_TOKENS + providers + '[[provider]]\nname = "two"\ntype = "anthropic"\n', environ)
        assert {name: proxy.host for name, proxy in loaded.proxies.items()} == {"one": "one.corp", "two": "all.corp"}
        assert loaded.warnings == ()
        (line,) = errors(NO_TOKENS + providers)
        assert line.startswith("aibridge.toml: provider[0].proxy (provider one): found no environment variable ")

    @pytest.mark.parametrize("text", [NO_TOKENS, f"{NO_TOKENS}[listen]\n", f"provider = []\n{NO_TOKENS}"])
    def test_none_in_file(self, text: str) -> None:
        """
        A file without providers gets the embedded ones, with a warning that names them.
        """
        loaded = read(text, {"ANTHROPIC_API_KEY": "k"})
        assert [provider.name for provider in loaded.settings.provider] == ["demo", "anthropic"]
        assert any("demo, anthropic" in str(warning) for warning in loaded.warnings)

    def test_configured_alone(self) -> None:
        """
        Where providers are configured, the environment adds none.
        """
        loaded = read(NO_TOKENS + DEMO, {"OPENAI_API_KEY": "k", "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": "bad"})
        assert [provider.name for provider in loaded.settings.provider] == ["demo"]

    def test_bad_address_in_environment(self) -> None:
        """
        An address that the environment has for a vendor is checked like one of the file's.
        """
        (line,) = errors(None, {"CODER_AIBRIDGE_OPENAI_BASE_URL": "ftp://x"})
        assert line.startswith("environment CODER_AIBRIDGE_OPENAI_BASE_URL: provider[1].base_url (provider openai): ")


class TestEmbedded:
    """
    The embedded default.
    """

    def test_nothing_configured(self) -> None:
        """
        Without a file, a variable or an option it is good: simulated provider, no warnings.
        """
        loaded = read(None)
        assert loaded.embedded
        assert loaded.path == ""
        assert loaded.warnings == ()
        assert [provider.name for provider in loaded.settings.provider] == ["demo"]
        assert loaded.origins["provider[0].name"] == Origin(Kind.EMBEDDED)

    def test_vendor_keys(self) -> None:
        """
        The vendors' own variables make their providers be there.
        """
        loaded = read(None, {"OPENAI_API_KEY": CANARY})
        assert [provider.name for provider in loaded.settings.provider] == ["demo", "openai"]
        assert loaded.secrets == {"openai": (Secret(CANARY),)}

    @pytest.mark.parametrize(
        ("text", "environ", "embedded"),
        [
            (None, {"AIBRIDGE_MAX_CONCURRENCY": "5"}, True),
            (None, {"AIBRIDGE_AUTH_BACKEND": "none"}, False),
            (NO_TOKENS, {}, False),
        ],
    )
    def test_who_makes_tokens(self, text: str | None, environ: dict[str, str], embedded: bool) -> None:
        """
        The daemon makes a token for itself only where nothing says who may come in.
        """
        assert read(text, environ).embedded is embedded

    def test_tokens_in_environment(self) -> None:
        """
        A file of tokens that the environment names has to be there.
        """
        (line,) = errors(None, {"AIBRIDGE_TOKENS_FILE": "/nowhere/tokens.toml"})
        assert line.startswith("environment AIBRIDGE_TOKENS_FILE: auth.tokens_file: ")


def places() -> list[tuple[str, dict[str, str], dict[str, object]]]:
    """
    Configurations with a key in a place where none belongs.
    """
    found: list[tuple[str, dict[str, str], dict[str, object]]] = [
        (f"{CANARY} = 1", {}, {}),
        (f"'{CANARY}' = 1", {}, {}),
        (f"[{CANARY}]", {}, {}),
        (f"key = {CANARY}", {}, {}),
        (f"[log]\n{CANARY} = 1\n{CANARY} = 1", {}, {}),
        (f"[[provider]]\nname = '{CANARY}'\ntype = '{CANARY}'\napi_key = '{CANARY}'", {}, {}),
        (f"[[provider]]\nname = 'a'\ntype = 'openai'\nbase_url = 'https://user:{CANARY}@host'", {}, {}),
        (f"[[provider]]\nname = 'a'\ntype = 'openai'\nbase_url = 'https://host/?key={CANARY}'", {}, {}),
        (f"[listen]\nendpoints = ['{CANARY}:1']\nproxy_protocol_from = ['{CANARY}']", {}, {}),
        ("", {"AIBRIDGE_TOKEN": CANARY, "AIBRIDGE_LISTEN": CANARY}, {"listen": CANARY}),
    ]
    found.extend(
        (f"[[provider]]\nname = 'a'\ntype = 'openai'\nkey = '{reference}'", {}, {})
        for reference in (CANARY, f"file:{CANARY}", f"env:{CANARY}", f"credential:{CANARY}")
    )
    for section, cls in SECTIONS.items():
        for leaf in leaves(cls):
            found.append((f"[{section}]\n{leaf.name} = '{CANARY}'", {}, {}))
            found.extend(("", {variable: CANARY}, {}) for variable in leaf.declared.env)
            if leaf.declared.flag:
                found.append(("", {}, {leaf.declared.flag: CANARY}))
    for table, cls in REPEATED.items():
        for leaf in leaves(cls):
            found.append((f"[[{table}]]\n{leaf.name} = '{CANARY}'", {}, {}))
            found.append((f"[[{table}]]\n{leaf.name} = ['env:A', '{CANARY}']", {}, {}))
    return found


class TestSecrecy:
    """
    What is reported never has a secret in it.
    """

    @pytest.mark.parametrize("place", places(), ids=range(len(places())))
    def test_misplaced_keys(self, place: Any) -> None:
        """
        A key that somebody wrote where none belongs, as a value, a key, a table or a reference, is not repeated.
        """
        text, environ, options = place
        try:
            told = repr(read(text, environ, options))
        except ConfigErrors as refused:
            told = f"{refused} {refused!r} {refused.problems} {refused.warnings}"
        assert CANARY not in told

    def test_resolved_keys(self) -> None:
        """
        Nor is one that is where it belongs, when something else is wrong.
        """
        with pytest.raises(ConfigErrors) as caught:
            read(None, {"OPENAI_API_KEY": CANARY, "ANTHROPIC_API_KEY": f"{CANARY} x"})
        assert CANARY not in f"{caught.value!r} {caught.value.problems}"
