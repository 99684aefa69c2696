"""
From a file, the environment and the command line to one configuration, or to everything that is wrong with it.

A later source goes before an earlier one: default, file, environment, command line. What a later one overrides is
checked all the same, since it would be in force again on the day the later one is taken away.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from aibridge.daemon import embedded
from aibridge.daemon.checks import check
from aibridge.daemon.decode import REFUSED, Document, decode
from aibridge.daemon.egress import resolve_proxies
from aibridge.daemon.problems import (
    NOT_SHOWN,
    ConfigErrors,
    Fault,
    KeyPath,
    Kind,
    Origin,
    Problem,
    Severity,
    Unacceptable,
    dotted,
    is_like_a_key,
)
from aibridge.daemon.schema import BRIDGE, Schema
from aibridge.daemon.secrets import resolve, why
from aibridge.daemon.settings import PROVIDER, Leaf, Settings, leaves
from aibridge.daemon.values import REFERENCE, accept, parse
from aibridge.providers.settings import ProviderSettings
from aibridge.relay.proxyurl import ProxyURL
from aibridge.secret import Secret

__all__ = ["DEFAULT_PATH", "PATH_VARIABLE", "ConfigErrors", "Loaded", "Problem", "load"]

DEFAULT_PATH: Final = "/etc/aibridge/aibridge.toml"
PATH_VARIABLE: Final = "AIBRIDGE_CONFIG"
MOST_BYTES: Final = 4194304

_DEFAULT = Origin(Kind.DEFAULT)
_EMBEDDED = Origin(Kind.EMBEDDED)


@attrs.frozen(kw_only=True)
class Loaded:
    """
    One configuration, checked whole.

    :ivar secrets: the keys of each provider that has any, by the provider's name, in the order of their use.
    :ivar proxies: the proxy of each provider that is reached through one, likewise.
    :ivar origins: where each value comes from, by its dotted name.
    :ivar path: the file, or empty if there is none.
    :ivar embedded: neither a file nor the environment says who may come in, so the daemon makes a token for itself.
    """

    settings: Settings
    secrets: Mapping[str, tuple[Secret, ...]]
    origins: Mapping[str, Origin]
    proxies: Mapping[str, ProxyURL] = attrs.field(factory=dict)
    warnings: tuple[Problem, ...] = ()
    path: str = ""
    embedded: bool = False


def load(
    path: str | None,
    environ: Mapping[str, str],
    options: Mapping[str, object],
    *,
    default_path: str = DEFAULT_PATH,
) -> Loaded:
    """
    Read the configuration and fetch its secrets.

    :param path: the file, or None for the one that $AIBRIDGE_CONFIG names, else the default one, else none.
    :param options: the command line by option name without dashes; None is not given, text is parsed.
    :raises ConfigErrors: it cannot be used. All that is wrong with it is in there.
    """
    path = path or environ.get(PATH_VARIABLE) or (default_path if _is_there(default_path) else "")
    loaded: Loaded = Reading(path, environ, options).load()
    return loaded


class Reading:
    """
    One reading of a configuration: what has been found out so far. Of the bridge's, unless a subclass says otherwise.
    """

    schema: ClassVar[Schema] = BRIDGE
    others_variables: ClassVar[tuple[str, ...]] = ("AIBRIDGE_PROXY_",)
    """Beginnings of variables that are there for other daemons of the same environment."""

    def __init__(self, path: str, environ: Mapping[str, str], options: Mapping[str, object]) -> None:
        self._path = path
        self._environ = environ
        self._options = options
        self._settings: Any = self.schema.settings()
        self._origins: dict[str, Origin] = {}
        self._problems: dict[Severity, list[Problem]] = {severity: [] for severity in Severity}
        self._refused: set[KeyPath] = set()

    def load(self) -> Any:
        """
        Read it, and everything that it refers to.

        :raises ConfigErrors: it cannot be used. All that is wrong with it is in there.
        """
        document = self._file() if self._path else {}
        if document is not None:
            self._settings, faults = decode(document, self.schema)
            self._remember(document)
            for fault in faults:
                self._refused.add(fault.path)
                self._report(fault)
        self._overlay()
        fetched = None
        if document is not None:
            fetched = self._fit_together(document)
            self._strangers()
        warnings = self._problems[Severity.WARNING]
        if errors := self._problems[Severity.ERROR]:
            raise ConfigErrors(errors, warnings)
        return self._loaded(fetched, tuple(warnings))

    def _loaded(self, fetched: Any, warnings: tuple[Problem, ...]) -> Any:
        """
        What has been read.

        :param fetched: what `_fit_together` has returned.
        """
        secrets, proxies = fetched
        return Loaded(
            settings=self._settings,
            secrets=secrets,
            proxies=proxies,
            origins=self._origins,
            warnings=warnings,
            path=self._path,
            embedded=self._is_embedded(),
        )

    def _is_embedded(self) -> bool:
        tokens = (self._origins[f"auth.{name}"] for name in ("backend", "tokens_file"))
        return not self._path and all(origin == _DEFAULT for origin in tokens)

    # -- the sources ---------------------------------------------------------------------------------------------

    def _file(self) -> Document | None:
        try:
            return read_toml(self._path)
        except Unacceptable as refusal:
            self._report(refusal.at(()))
            return None

    def _remember(self, document: Document) -> None:
        file = Origin(Kind.FILE, self._path)
        for section, cls in self.schema.sections.items():
            self._remember_table((section,), cls, document.get(section), file)
        for name, cls in self.schema.repeated.items():
            tables = document.get(name)
            for index, table in enumerate(tables if isinstance(tables, list) else ()):
                self._remember_table((name, index), cls, table, file)

    def _remember_table(self, path: KeyPath, cls: type[attrs.AttrsInstance], table: object, file: Origin) -> None:
        given = table if isinstance(table, dict) else {}
        for leaf in leaves(cls):
            is_given = given.get(leaf.name, REFUSED) is not REFUSED
            self._origins[dotted((*path, leaf.name))] = file if is_given else _DEFAULT

    def _overlay(self) -> None:
        for section, cls in self.schema.sections.items():
            changes: dict[str, Any] = {}
            for leaf in leaves(cls):
                path = (section, leaf.name)
                for origin, given in self._given(leaf):
                    read: Callable[..., Any] = parse if isinstance(given, str) else accept
                    try:
                        changes[leaf.attribute] = read(given, leaf.type, leaf.declared)
                    except Unacceptable as refusal:
                        self._refuse(path, refusal, origin)
                    else:
                        self._origins[dotted(path)] = origin
            if changes:
                table = attrs.evolve(getattr(self._settings, section), **changes)
                self._settings = attrs.evolve(self._settings, **{section: table})

    def _given(self, leaf: Leaf) -> Iterator[tuple[Origin, object]]:
        """
        What the environment and the command line have for an option; the last one counts.
        """
        for name in reversed(leaf.declared.env):
            # Many launchers set a variable that they have no value for to nothing.
            if text := self._environ.get(name):
                yield Origin(Kind.ENVIRONMENT, name), text
        flag = leaf.declared.flag
        if flag and (given := self._options.get(flag)) is not None:
            yield Origin(Kind.OPTION, f"--{flag}"), given

    # -- all of it together --------------------------------------------------------------------------------------

    def _fit_together(self, document: Document) -> Any:
        """
        Check what no option can know alone, and fetch what the settings refer to.
        """
        if not document.get(PROVIDER):
            self._embedded_providers()
        faults = list(check(self._settings, embedded=self._is_embedded(), given=self._chosen()))
        secrets, unresolved = resolve(self._settings, self._environ)
        proxies, unusable = resolve_proxies(self._settings, self._environ)
        self._report_all((*faults, *unresolved, *unusable))
        return secrets, proxies

    def _chosen(self) -> set[str]:
        """
        The options, dotted, that have another source than a default.
        """
        return {name for name, origin in self._origins.items() if origin not in (_DEFAULT, _EMBEDDED)}

    def _report_all(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            # What was refused has its default now, and what follows from that is nobody's fault.
            if not any(fault.path[:depth] in self._refused for depth in range(1, len(fault.path) + 1)):
                self._report(fault)

    def _embedded_providers(self) -> None:
        (base_url,) = (leaf for leaf in leaves(ProviderSettings) if leaf.name == "base_url")
        found = embedded.providers(self._environ)
        self._settings = attrs.evolve(self._settings, provider=tuple(provider for provider, _ in found))
        for index, (provider, variable) in enumerate(found):
            path = (PROVIDER, index)
            for leaf in leaves(ProviderSettings):
                self._origins[dotted((*path, leaf.name))] = _EMBEDDED
            if variable:
                where, origin = (*path, "base_url"), Origin(Kind.ENVIRONMENT, variable)
                self._origins[dotted(where)] = origin
                try:
                    accept(provider.base_url, base_url.type, base_url.declared)
                except Unacceptable as refusal:
                    self._refuse(where, refusal, origin)
        if self._path:
            names = ", ".join(provider.name for provider, _ in found)
            self._report(
                Fault(
                    path=(PROVIDER,),
                    found=f"nothing, so these are there: {names}",
                    allowed=f"at least one [[{PROVIDER}]]",
                    severity=Severity.WARNING,
                )
            )

    def _strangers(self) -> None:
        """
        Variables that look as if they were meant for an option, and are for none.
        """
        known = self._known_variables()
        for name in sorted(self._environ):
            if name.startswith("AIBRIDGE_") and name not in known and not name.startswith(self.others_variables):
                near = difflib.get_close_matches(name, sorted(known), n=1)
                fault = Fault(
                    path=(),
                    found="a variable that sets nothing",
                    allowed="",
                    hint=f"did you mean {near[0]}?" if near else "",
                    severity=Severity.WARNING,
                )
                self._report(fault, Origin(Kind.ENVIRONMENT, name))

    def _known_variables(self) -> set[str]:
        known = {PATH_VARIABLE}
        for cls in self.schema.sections.values():
            known.update(name for leaf in leaves(cls) for name in leaf.declared.env)
        references = [text for provider in self._settings.provider for text in (*provider.references, provider.proxy)]
        parts = [reference for text in references if (reference := REFERENCE.fullmatch(text))]
        known.update(reference["variable"] for reference in parts if reference["env"])
        return known

    # -- what is wrong -------------------------------------------------------------------------------------------

    def _refuse(self, path: KeyPath, refusal: Unacceptable, origin: Origin) -> None:
        self._refused.add(path)
        self._report(refusal.at(path), origin)

    def _report(self, fault: Fault, origin: Origin | None = None) -> None:
        key = dotted(fault.path)
        if origin is None:
            origin = self._origins.get(key, _DEFAULT)
            if origin == _DEFAULT and self._path:
                origin = Origin(Kind.FILE, self._path)
        self._problems[fault.severity].append(
            Problem(
                origin=origin,
                key=key,
                whose=self._table_at(fault.path),
                found=fault.found,
                allowed=fault.allowed,
                hint=fault.hint,
                severity=fault.severity,
            )
        )

    def _table_at(self, path: KeyPath) -> str:
        match path:
            case (str(table), int(index), *_):
                tables = getattr(self._settings, table)
                name = tables[index].name if index < len(tables) else ""
                return f"{table} {name}" if name else ""
            case _:
                return ""


def read_toml(path: str) -> Document:
    """
    The tables of a TOML file.

    :raises Unacceptable: it cannot be read, or is no TOML; with line and column.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unacceptable(f"no file that can be read ({why(error)})", "a TOML file") from None
    if len(data) > MOST_BYTES:
        raise Unacceptable(f"a file of more than {MOST_BYTES} bytes", "a smaller one")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unacceptable(f"a byte that is not UTF-8 (at line {line})", "UTF-8") from None
    except RecursionError:
        raise Unacceptable("lists or tables too deep in each other", "TOML 1.0") from None
    except ValueError as error:
        # The parser's words may quote the text.
        said = NOT_SHOWN if is_like_a_key(str(error)) else str(error)
        raise Unacceptable(f"what is no TOML: {said}", "TOML 1.0") from None


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        # It is there, or may be; reading it will say what is the matter.
        return True
