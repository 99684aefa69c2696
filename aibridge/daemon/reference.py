"""
The reference of the configuration, written from the settings classes: the file that is installed, and the page.

``python -m aibridge.daemon.reference [DIRECTORY]`` writes both below the source tree's root.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from aibridge.daemon import routespage
from aibridge.daemon.config import DEFAULT_PATH, PATH_VARIABLE
from aibridge.daemon.embedded import VENDORS
from aibridge.daemon.schema import BRIDGE, Schema
from aibridge.daemon.settings import Leaf, leaves
from aibridge.daemon.values import allowed

TOML_PATH = "etc/aibridge/aibridge.toml"
PAGE_PATH = "docs/configuration.md"

WIDTH = 110

_TOML_HEAD = f"""\
# Configuration of aibridge, installed as {DEFAULT_PATH}.
#
# Every option is here with its default. To change one, remove the "# " in front of it. The command line goes before
# the environment, the environment before this file. `aibridge check` tells everything that is wrong with it;
# `systemctl reload aibridge` brings it into force for new requests, except for options marked (restart).
#
# Secrets are never written here, only where they are: file:/PATH, env:NAME, or credential:NAME for what systemd hands
# out (LoadCredential=).
"""

_PAGE_HEAD = f"""\
# Configuration

This page and `{TOML_PATH}` are written from the settings classes by
`python -m aibridge.daemon.reference`, and a test compares them: change the classes, not the files.

## Where a value comes from

A later source goes before an earlier one:

1. the default, given below;
2. the file: the one that `--config` names, else `${PATH_VARIABLE}`, else `{DEFAULT_PATH}` if it exists;
3. the environment, for options that have a variable. A variable set to nothing counts as not set. Of two variables
   for one option the first one named below counts;
4. the command line of `twistd aibridge`, for options that have an option there.

In the environment and on the command line the items of a list are separated by white space, and `true`, `yes`, `on`
and `1` are true, `false`, `no`, `off` and `0` false; a time is a number of seconds, or has its units as Go writes them
(`90s`, `1m30s`, `500ms`). In the file nothing is converted: `"5"` is no number, and times are seconds. What a later
source overrides is checked all the same.

Everything that is wrong is reported at once, one line each, with its source, its key, what was found and what is
allowed. An unknown key is an error; a variable that begins with `AIBRIDGE_` and sets nothing is a warning.

## Without a provider, without a file

If no `[[provider]]` is configured, these are there:

- `demo`, which simulates a provider and asks for no key;
{{vendors}}

If there is no file either, and the environment sets neither `auth.backend` nor `auth.tokens_file`, the daemon makes a
token for itself at each start and prints it.

## Secrets

A secret never stands in the file, only a reference to it:

| Reference | Where the secret is |
| --- | --- |
| `file:/PATH` | in a file, by its absolute path |
| `env:NAME` | in an environment variable |
| `credential:NAME` | where systemd puts it: `$CREDENTIALS_DIRECTORY/NAME` (`LoadCredential=NAME:/PATH` in the unit) |

It is one line of visible ASCII characters; white space around it is dropped. A file that holds a secret, and the file
of tokens, may be opened by its owner alone (mode 0600). If root owns it, its group may read it too (0640), as in
`root:aibridge`. Anything more open is an error that names the `chmod` that mends it; in Kubernetes, set `defaultMode:
0400`. Credentials of systemd are systemd's to guard. Secrets are printed as `<secret>`, and what is reported about a
configuration never shows one, nor a value that looks like one.

References are resolved where the command runs: a unit that uses `credential:` is best checked by
`ExecStartPre=aibridge check`.

## Reload

`SIGHUP` (`systemctl reload aibridge`) reads everything again. A configuration with an error changes nothing and is
logged with all its errors. A good one holds for requests that begin from then on; options marked *restart* keep their
old value until the next restart, and the log names those that have changed.
"""

_PAGE_TAIL = """\
## Exit statuses

| Command | Status | Meaning |
| --- | --- | --- |
| `aibridge check` | 0 | nothing is wrong |
| | 1 | warnings only: the daemon would start |
| | 2 | errors: the daemon would not start |
| `aibridge limits` | 0 | they are in force |
| | 1 | no daemon answers; they are those that are configured |
| | 2 | neither is to be had |
| `aibridge explain` | 0 | done |
| | 1 | the log does not tell of that request |
| | 2 | there is no log to look in |
| `twistd aibridge` | 0 | it was told to stop, and did |
| | 1 | it cannot start, for example since an address is in use |
| | 2 | the configuration has errors |
"""


def toml() -> str:
    """
    The configuration file as it is installed: every option as a comment, with its default.
    """
    return _TOML_HEAD + toml_tables(BRIDGE)


def toml_tables(schema: Schema) -> str:
    """
    Every option of a schema as a comment, with its default.
    """
    parts = []
    for section, cls in schema.sections.items():
        parts.append(f"\n{_comment(_title(cls))}[{section}]\n")
        parts.extend(_toml_option(leaf) for leaf in leaves(cls))
    for table, cls in schema.repeated.items():
        parts.append(f"\n{_comment(_title(cls) + ' Its options need its heading.')}# [[{table}]]\n")
        parts.extend(_toml_option(leaf) for leaf in leaves(cls))
    return "".join(parts)


def page() -> str:
    """
    The reference page.
    """
    vendors = ";\n".join(
        f"- `{vendor.type}`, as soon as one of {_codes(vendor.keys)} (its key) or `{vendor.base_url}` is set"
        for vendor in VENDORS
    )
    rows = [(PATH_VARIABLE, "the file to read")]
    for vendor in VENDORS:
        rows.extend((name, f"key of `{vendor.type}`, if no provider is configured") for name in vendor.keys)
        rows.append((vendor.base_url, f"`base_url` of `{vendor.type}`, if no provider is configured"))
    rows.append(("HTTPS_PROXY", "the proxy to providers, if `daemon.trust_env` is true; `https_proxy` goes before it"))
    rows.append(("NO_PROXY", "hosts that are reached without it, likewise; `no_proxy` goes before it"))
    head = _PAGE_HEAD.replace("{vendors}", f"{vendors}.")
    return f"{head}{page_tables(BRIDGE)}\n{variables(BRIDGE, rows)}\n{_PAGE_TAIL}"


def page_tables(schema: Schema) -> str:
    """
    Every option of a schema in Markdown, a table for each of its tables.
    """
    headed = [(f"[{name}]", cls) for name, cls in schema.sections.items()]
    headed += [(f"[[{name}]]", cls) for name, cls in schema.repeated.items()]
    parts = [f"\n## `{heading}`\n\n{_sentence(_title(cls))}\n\n{_table(leaves(cls))}" for heading, cls in headed]
    return "".join(parts)


def variables(schema: Schema, further: Iterable[tuple[str, str]]) -> str:
    """
    The environment variables of a schema in Markdown, and what else is read from the environment.
    """
    rows = [
        (name, f"`{section}.{leaf.name}`")
        for section, cls in schema.sections.items()
        for leaf in leaves(cls)
        for name in leaf.declared.env
    ]
    lines = "".join(f"| `{name}` | {what} |\n" for name, what in (*rows, *further))
    return f"## Environment variables\n\n| Variable | Sets |\n| --- | --- |\n{lines}"


def literal(value: object) -> str:
    """
    A default as TOML writes it.
    """
    match value:
        case tuple():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case float():
            return repr(value)
        case _:
            # For texts, bools and whole numbers JSON is TOML.
            return json.dumps(value, ensure_ascii=False)


def main(arguments: Sequence[str]) -> None:
    """
    Write the files below the directory given, or the current one.
    """
    write({TOML_PATH: toml(), PAGE_PATH: page(), routespage.PAGE_PATH: routespage.page()}, arguments)


def write(texts: Mapping[str, str], arguments: Sequence[str]) -> None:
    """
    Write files below the directory given, or the current one.
    """
    root = Path(arguments[0] if arguments else ".")
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _title(cls: type[attrs.AttrsInstance]) -> str:
    """
    What a settings class is for: its docstring, in Markdown, without the name of the table.
    """
    words = " ".join((cls.__doc__ or "").split())
    return words.partition("``: ")[2].replace("``", "`")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _comment(words: str) -> str:
    return (
        textwrap.fill(
            _sentence(words),
            WIDTH,
            initial_indent="# ",
            subsequent_indent="# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        + "\n"
    )


def _toml_option(leaf: Leaf) -> str:
    declared = leaf.declared
    sources = [f"environment {' or '.join(declared.env)}"] if declared.env else []
    if declared.flag:
        sources.append(f"option --{declared.flag}")
    notes = f"Allowed: {allowed(leaf.type, declared)}." + (f" Also: {', '.join(sources)}." if sources else "")
    if leaf.default is attrs.NOTHING:
        notes += " Required."
    if declared.restart:
        notes += " (restart)"
    value = declared.example if leaf.default is attrs.NOTHING else leaf.default
    return f"\n{_comment(declared.why)}{_comment(notes)}# {leaf.name} = {literal(value)}\n"


def _table(options: Iterable[Leaf]) -> str:
    head = ("Option", "Default", "Allowed", "What it does")
    rows = [head, ["---"] * len(head), *(map(_cell, _cells(leaf)) for leaf in options)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _cells(leaf: Leaf) -> Iterator[str]:
    declared = leaf.declared
    yield f"`{leaf.name}`"
    yield "*required*" if leaf.default is attrs.NOTHING else f"`{literal(leaf.default)}`"
    yield allowed(leaf.type, declared)
    sources = _codes((*declared.env, *([f"--{declared.flag}"] if declared.flag else [])))
    yield " ".join(
        filter(None, (declared.why, f"Also {sources}." if sources else "", "*Restart.*" if declared.restart else ""))
    )


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    main(sys.argv[1:])
