"""
The page of routes: the tables of `aibridge.providers`, for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aibridge.providers.access import Form, Rule, Treatment
from aibridge.providers.provider import TYPES
from aibridge.providers.types import ProviderType

PAGE_PATH: Final = "docs/routes.md"

_HEAD: Final = """\
<!-- Written by `make docs` from the tables in aibridge/providers. -->

# Routes

What reaches a provider, by type: what is in none of these tables is answered 404 and goes nowhere, whatever key it
would be asked with. `HEAD` is asked where `GET` may be. Paths are below `/<provider name>`, with the provider type's
prefix in front, and may be written in one way only: without escapes, doubled slashes or one at the end.

- **bridged**: one of the three dialects. Understood, counted, limited, recorded.
- **counted**: it spends. Its request and its tokens are counted, limited and recorded like those of what is bridged.
- **free**: it counts as a request only with `admission.count_passthrough`, and its tokens never.
- **refused**: it administers or deletes, or acts in the name of whose key it is. With a configured key it is answered
  403, unless the provider's `allow` names it; with a key of the client's own it crosses like what is free, since then
  it is the client's own account.

```toml
[[provider]]
name = "openai"
type = "openai"
key = "file:/etc/aibridge/keys/openai"
allow = ["DELETE /models/*", "GET /organization/usage/*"]
```

In `allow`, `*` is one segment of a path, and at its end whatever is below. What it lets through that is in no table is
free.

## Bodies

A body is **held** where it is JSON: up to `http.max_body`, read for the model and for what it names, and sent again
where another key or another try is due. As a **stream** it crosses as it comes, up to `http.max_upload`, with a few
dozen kilobytes of it in memory at a time, and is not sent twice.

## What is counted

Where an answer tells a usage, that is what the request is charged in the end: of completions, embeddings, compacted
responses, pictures, speech and transcriptions alike. Until then, and where none is told (some models tell seconds, or
nothing), it is charged the estimate: a token for every four bytes of a JSON body, and `admission.token_default_output`.
Of a body that crosses as a stream only the latter, since bytes of sound and pictures say nothing about tokens; its
model is logged where a form names it before its file, as the vendors' SDKs do.

A response that is made in the background (`"background": true`) is not over when its request is answered, and what a
later `GET` tells of it is free to ask for. So its request is charged at once for what it allows (`max_output_tokens`),
or is expected to use; see [limits](limits.md#tokens).

A batch counts as one request, and is charged what its body is taken for; what its requests use later, at a time that
the provider chooses, is charged to nobody. Who must not spend that way has to be without batches: leave them to those
with a key of their own, or give the account a budget at the provider.

## Stored objects

Responses, conversations, files and the like are kept by the provider for whoever made them, and all who share a
configured key are one to it. So the bridge keeps in mind who made what: {made}. Each can be named
by its maker alone, in a path or in a body (`previous_response_id`, `conversation`, `file_id`, `file_ids`,
`input_file_id`, `vector_store_ids`, `container`, item references, `audio.id`). Whoever else names it is told 404 in the
provider's words for an object that it does not have; so is everybody for what the bridge does not know, which is what
was made before it kept this in mind, or with that key elsewhere. Lists of what everybody has stored are refused.

- `stored_objects = "anyone"` at a provider lets everybody name everything, and list it.
- With a key of the client's own none of this applies.
- What is named goes to the key that made it, where a provider has several; another would not find it. If that key is
  gone, the answer is 404, or with a single key whatever the provider says. What was made with different keys cannot be
  named together (400).
- An object belongs to the principal, so all tokens of one principal share it. Without tokens of the bridge's own
  (`auth.backend = "none"`) that is whoever shows the same key, or comes from the same address.
- A body that could name objects and cannot be read (encoded in a way that is not known, a form in place of JSON) is
  refused with 415.
- The file of a batch may name objects in its lines. One that does cannot be made a batch with a configured key, nor can
  one that was put together of several parts of an upload, or sent in an encoding, as a name may be hidden there.
- An item of an input that has the id of another's item is refused, whatever else it has. One's own, and one whose id
  nobody is known to have, cross with what they say, as clients that let nothing be stored send them. The items of a
  response of more than 1 MiB that was no stream are not known. Where a provider stores nothing, and gives the same ids
  to several, set `stored_objects = "anyone"`.
- `daemon.max_stored_objects` are kept in mind, each principal's longest unused given up first when there are more. With
  `daemon.state_dir`, which systemd sets, they outlive a restart; without it, they do not.
"""

_FORMS: Final = {Form.HELD: "held", Form.STREAM: "stream", Form.EITHER: "held if JSON, else stream"}


def page() -> str:
    """
    All of it.
    """
    made = sorted(
        {rule.makes.value.replace("_", " ") for type_ in TYPES.values() for rule in type_.rules if rule.makes}
    )
    head = _HEAD.replace("{made}", ", ".join(made))
    return head + "".join(_section(type_) for type_ in TYPES.values() if type_.name != "demo") + _DEMO


_DEMO: Final = """
## `demo`

Those of `openai`, and those of `anthropic` that are not among them. The simulated provider answers some of them.
"""


def _section(type_: ProviderType) -> str:
    if type_.name == "openai-compatible":
        return "\n## `openai-compatible`\n\nAs `openai`.\n"
    prefix = f"Prefix `{type_.prefix}`." if type_.prefix else "No prefix; the version is part of each path."
    rows = [("Method", "Path", "Treatment", "Body", "Notes"), ("---",) * 5, *map(_cells, type_.rules)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"\n## `{type_.name}`\n\n{prefix}\n\n{table}"


def _cells(rule: Rule) -> tuple[str, ...]:
    methods = "any" if len(rule.methods) > 3 else ", ".join(f"`{method}`" for method in rule.methods)
    has_body = "POST" in rule.methods and rule.treatment is not Treatment.REFUSED
    return (
        methods,
        f"`{rule.path}`",
        rule.treatment.value,
        _FORMS[rule.form] if has_body else "",
        "; ".join(_notes(rule)),
    )


def _notes(rule: Rule) -> Iterable[str]:
    if rule.why:
        yield rule.why
    if rule.lists:
        yield 'everybody\'s: refused with a configured key, unless `stored_objects = "anyone"`'
    if rule.makes:
        yield f"makes: {rule.makes.value.replace('_', ' ')}"
    if rule.deletes:
        yield "deletes"
