"""
The whole configuration as one frozen value: a section for each table of the file.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from aibridge.admission.settings import AdmissionSettings, BreakerSettings, LimitSettings
from aibridge.auth.settings import AuthSettings
from aibridge.options import OPTIONAL_PATH, Declaration, declaration, option
from aibridge.providers.settings import ProviderSettings
from aibridge.web.settings import BridgeHttpSettings


def endpoints_at(port: int, why: str, *, env: str) -> Any:
    """
    The option of where a daemon's clients find it: this machine alone, unless it is told otherwise.
    """
    return option(
        (f"tcp:port={port}:interface=127.0.0.1",),
        why=why,
        form="Twisted server endpoints",
        least=1,
        most=64,
        env=(env,),
        flag="listen",
        restart=True,
    )


def admin_at(port: int, why: str, *, env: str) -> Any:
    """
    The option of where its admin pages are; likewise, or nowhere.
    """
    return option(
        (f"tcp:port={port}:interface=127.0.0.1",),
        why=why,
        form="Twisted server endpoints",
        most=64,
        env=(env,),
        flag="admin",
        restart=True,
    )


def balancers(*env: str) -> Any:
    """
    The option of who may say for whom a connection is.
    """
    return option(
        (),
        why="Networks (such as 10.0.0.0/8) of load balancers whose connections to endpoints begin with a PROXY "
        "protocol header that names the real client; nobody else is believed.",
        form="networks",
        most=1024,
        env=env,
        restart=True,
    )


@attrs.frozen(kw_only=True)
class ListenSettings:
    """
    ``[listen]``: where the bridge is found. Addresses are Twisted server endpoints: ``tcp:``, ``tcp6:``, ``ssl:``,
    ``tls:``, ``unix:``, ``systemd:``.
    """

    endpoints: tuple[str, ...] = endpoints_at(
        4000,
        "Where clients are served; this machine alone, until somebody decides otherwise.",
        env="AIBRIDGE_LISTEN",
    )
    admin: tuple[str, ...] = admin_at(
        4001,
        "Where health, readiness and metrics are served, without tokens, hence on this machine alone; empty means "
        "nowhere.",
        env="AIBRIDGE_ADMIN",
    )
    proxy_protocol_from: tuple[str, ...] = balancers("AIBRIDGE_PROXY_PROTOCOL_FROM")


@attrs.frozen(kw_only=True)
class LogSettings:
    """
    ``[log]``: what is told, and how.
    """

    level: str = option(
        "info",
        why="Least severe event that is logged; completions are written whatever it is.",
        choices=("debug", "info", "warn", "error"),
        env=("AIBRIDGE_LOG_LEVEL",),
        flag="log-level",
    )
    format: str = option(
        "text",
        why="Lines for people or JSON lines for machines.",
        choices=("text", "json"),
        env=("AIBRIDGE_LOG_FORMAT",),
        flag="log-format",
    )
    completions: str = option(
        "-",
        why="Where the one line about each finished exchange goes: - to where the log goes, a path to that file "
        "(appended to, reopened by a reload), empty nowhere.",
        matches=rf"-|{OPTIONAL_PATH['matches']}",
        form="-, an absolute path, or empty",
        env=("AIBRIDGE_LOG_COMPLETIONS",),
    )


@attrs.frozen(kw_only=True)
class MetricsSettings:
    """
    ``[metrics]``: what the page of metrics tells apart.
    """

    by_principal: bool = option(
        True,
        why="Whether exchanges and tokens are counted for each principal (initiator_id); without, a page of metrics is "
        "short however many there are.",
        env=("AIBRIDGE_METRICS_BY_PRINCIPAL",),
    )
    max_series: int = option(
        20000,
        why="Most series of each metric that tells principals apart: some 500 bytes of memory each, and 200 of each "
        "page. Who comes later is counted under other.",
        least=100,
        most=1000000,
    )


@attrs.frozen(kw_only=True)
class DaemonSettings:
    """
    ``[daemon]``: how the process lives.
    """

    drain_timeout: float = option(
        600.0,
        why="How long running exchanges may go on once the daemon was told to stop; answers are long.",
        least=0,
        most=86400,
        unit="s",
        env=("AIBRIDGE_DRAIN_TIMEOUT",),
        flag="drain-timeout",
    )


@attrs.frozen(kw_only=True)
class BridgeDaemonSettings(DaemonSettings):
    """
    ``[daemon]``: how the process lives, and what it takes from its surroundings.
    """

    state_dir: str = option(
        "",
        why="Directory of this daemon alone for what outlives a restart: who made which stored object. Empty means "
        "that it is forgotten; under systemd it is the unit's StateDirectory.",
        env=("AIBRIDGE_STATE_DIR", "STATE_DIRECTORY"),
        restart=True,
        **OPTIONAL_PATH,
    )
    max_stored_objects: int = option(
        65536,
        why="Most stored objects (responses, files, batches and the like) of which it is kept in mind who made them, "
        "about 400 bytes each; beyond that each principal's longest unused are given up.",
        least=16,
        most=16777216,
        restart=True,
    )
    trust_env: bool = option(
        False,
        why="Whether providers without a proxy of their own are reached through the one that HTTPS_PROXY names, except "
        "those in NO_PROXY; the daemon's environment is not taken for its configuration unless somebody says so.",
        env=("AIBRIDGE_TRUST_ENV",),
    )


@attrs.frozen(kw_only=True)
class Settings:
    """
    Everything that can be configured.

    :ivar provider: the ``[[provider]]`` tables, in the order of the file.
    :ivar limit: the ``[[limit]]`` tables, likewise.
    """

    listen: ListenSettings = attrs.field(factory=ListenSettings)
    http: BridgeHttpSettings = attrs.field(factory=BridgeHttpSettings)
    admission: AdmissionSettings = attrs.field(factory=AdmissionSettings)
    breaker: BreakerSettings = attrs.field(factory=BreakerSettings)
    auth: AuthSettings = attrs.field(factory=AuthSettings)
    log: LogSettings = attrs.field(factory=LogSettings)
    metrics: MetricsSettings = attrs.field(factory=MetricsSettings)
    daemon: BridgeDaemonSettings = attrs.field(factory=BridgeDaemonSettings)
    provider: tuple[ProviderSettings, ...] = ()
    limit: tuple[LimitSettings, ...] = ()

    def restart_needed(self, new: Settings) -> list[str]:
        """
        The options, dotted, that differ in `new` and keep their old value until a restart.
        """
        return restart_needed(SECTIONS, self, new)


SECTIONS: dict[str, type[attrs.AttrsInstance]] = {
    name: type_ for name, type_ in typing.get_type_hints(Settings).items() if attrs.has(type_)
}
"""The tables that occur once, in the order of the file."""

REPEATED: dict[str, type[attrs.AttrsInstance]] = {
    name: typing.get_args(type_)[0]
    for name, type_ in typing.get_type_hints(Settings).items()
    if typing.get_origin(type_) is tuple
}
"""The tables that may occur often, such as ``[[provider]]``, in the order of the file; their settings are tuples."""

PROVIDER = "provider"
LIMIT = "limit"


@attrs.frozen(kw_only=True)
class Leaf:
    """
    One option of a settings class.

    :ivar name: as the file has it.
    :ivar attribute: as the class has it: the same, but for names that Python keeps for itself.
    :ivar default: as the class has it, or `attrs.NOTHING` for a required option.
    """

    name: str
    attribute: str
    type: Any
    default: Any
    declared: Declaration


def leaves(cls: type[attrs.AttrsInstance]) -> Iterator[Leaf]:
    """
    The options of a settings class, its own before those it inherits.
    """
    types = typing.get_type_hints(cls)
    fields = sorted(attrs.fields(cls), key=lambda field: field.inherited)
    for field in fields:
        yield Leaf(
            name=in_file(field.name),
            attribute=field.name,
            type=types[field.name],
            default=field.default,
            declared=declaration(field),
        )


def in_file(attribute: str) -> str:
    """
    The name of an option in the file: ``class`` of `class_`.
    """
    return attribute.removesuffix("_")


def restart_needed(sections: Mapping[str, type[attrs.AttrsInstance]], old: Any, new: Any) -> list[str]:
    """
    The options of some tables, dotted, that differ in two settings and keep their old value until a restart.
    """
    return [
        f"{section}.{leaf.name}"
        for section, cls in sections.items()
        for leaf in leaves(cls)
        if leaf.declared.restart
        and getattr(getattr(old, section), leaf.attribute) != getattr(getattr(new, section), leaf.attribute)
    ]
