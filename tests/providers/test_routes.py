"""
From a target to a provider and a URL: every route there is, and no way out of the place it names.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aibridge.errors import BadRequest, RouteUnknown
from aibridge.model import Dialect, Stored
from aibridge.providers.routes import ROOTS, Route, Routes, leaves, refusal_of
from making import provider

CHAT, RESPONSES, MESSAGES, PLAIN = Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES, Dialect.PLAIN
ANY = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")

ROUTES = Routes(
    [
        provider("openai"),
        provider("openai", "openai-eu", "https://eu.example:8443/some/path/"),
        provider("openai", "chatgpt", "https://chatgpt.com/backend-api/codex"),
        provider("openai-compatible", "vllm", "http://10.0.0.7:8000/v1"),
        provider("anthropic"),
        provider("anthropic", "proxied", "https://h/some/path"),
        provider("copilot"),
        provider("demo", demo_url="http://127.0.0.1:39999"),
    ]
)

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
COPILOT = "https://api.individual.githubcopilot.com"
DEMO = "http://127.0.0.1:39999"

BRIDGED = [
    ("/openai/v1/chat/completions", f"{OPENAI}/chat/completions", CHAT),
    ("/openai/v1/responses", f"{OPENAI}/responses", RESPONSES),
    ("/openai-eu/v1/responses", "https://eu.example:8443/some/path/responses", RESPONSES),
    ("/chatgpt/v1/responses", "https://chatgpt.com/backend-api/codex/responses", RESPONSES),
    ("/vllm/v1/chat/completions", "http://10.0.0.7:8000/v1/chat/completions", CHAT),
    ("/anthropic/v1/messages", f"{ANTHROPIC}/v1/messages", MESSAGES),
    ("/proxied/v1/messages", "https://h/some/path/v1/messages", MESSAGES),
    ("/copilot/chat/completions", f"{COPILOT}/chat/completions", CHAT),
    ("/copilot/responses", f"{COPILOT}/responses", RESPONSES),
    ("/copilot/v1/messages", f"{COPILOT}/v1/messages", MESSAGES),
    ("/demo/v1/chat/completions", f"{DEMO}/v1/chat/completions", CHAT),
    ("/demo/v1/responses", f"{DEMO}/v1/responses", RESPONSES),
    ("/demo/v1/messages", f"{DEMO}/v1/messages", MESSAGES),
]
"""Path, URL, dialect. POST only."""

PASSTHROUGH = [
    ("GET", "/openai/v1/models", f"{OPENAI}/models", "/v1/models", CHAT),
    ("GET", "/openai/v1/models/", f"{OPENAI}/models/", "/v1/models/*", CHAT),
    ("GET", "/openai/v1/models/gpt-5.4", f"{OPENAI}/models/gpt-5.4", "/v1/models/*", CHAT),
    ("GET", "/openai/v1/models/org%2Fmodel", f"{OPENAI}/models/org%2Fmodel", "/v1/models/*", CHAT),
    ("POST", "/openai/v1/conversations", f"{OPENAI}/conversations", "/v1/conversations", RESPONSES),
    ("GET", "/openai/v1/conversations/c_1", f"{OPENAI}/conversations/c_1", "/v1/conversations/*", CHAT),
    (
        "GET",
        "/openai/v1/conversations/c_1/items",
        f"{OPENAI}/conversations/c_1/items",
        "/v1/conversations/*/items",
        RESPONSES,
    ),
    ("GET", "/openai/v1/responses/r_1", f"{OPENAI}/responses/r_1", "/v1/responses/*", RESPONSES),
    (
        "POST",
        "/openai/v1/responses/r_1/cancel",
        f"{OPENAI}/responses/r_1/cancel",
        "/v1/responses/*/cancel",
        RESPONSES,
    ),
    ("GET", "/openai-eu/v1/models", "https://eu.example:8443/some/path/models", "/v1/models", CHAT),
    ("GET", "/anthropic/v1/models", f"{ANTHROPIC}/v1/models", "/v1/models", MESSAGES),
    ("GET", "/anthropic/v1/models/claude-opus-5", f"{ANTHROPIC}/v1/models/claude-opus-5", "/v1/models/*", MESSAGES),
    ("POST", "/anthropic/v1/messages/count_tokens", f"{ANTHROPIC}/v1/messages/count_tokens", "", MESSAGES),
    (
        "POST",
        "/anthropic/api/event_logging/batch",
        f"{ANTHROPIC}/api/event_logging/batch",
        "/api/event_logging/*",
        MESSAGES,
    ),
    ("GET", "/proxied/v1/models", "https://h/some/path/v1/models", "/v1/models", MESSAGES),
    ("GET", "/copilot/models", f"{COPILOT}/models", "/models", CHAT),
    ("POST", "/copilot/models/session", f"{COPILOT}/models/session", "/models/session", CHAT),
    ("POST", "/copilot/agents/sessions", f"{COPILOT}/agents/sessions", "/agents/*", CHAT),
    ("POST", "/copilot/mcp/readonly", f"{COPILOT}/mcp/readonly", "/mcp/*", CHAT),
    ("GET", "/copilot/.well-known/x", f"{COPILOT}/.well-known/x", "/.well-known/*", CHAT),
    ("GET", "/copilot/_ping", f"{COPILOT}/_ping", "/_ping", CHAT),
    ("POST", "/copilot/auto", f"{COPILOT}/auto", "/auto", CHAT),
    ("GET", "/demo/v1/models", f"{DEMO}/v1/models", "/v1/models", CHAT),
    ("POST", "/demo/v1/messages/count_tokens", f"{DEMO}/v1/messages/count_tokens", "", MESSAGES),
    ("GET", "/demo/v1/messages/batches/b_1", f"{DEMO}/v1/messages/batches/b_1", "/v1/messages/batches/*", MESSAGES),
]
"""Method, path, URL, label (where it is not the path without the provider), dialect."""

COUNTED = [
    ("/openai/v1/completions", f"{OPENAI}/completions", CHAT),
    ("/openai/v1/embeddings", f"{OPENAI}/embeddings", CHAT),
    ("/openai/v1/responses/compact", f"{OPENAI}/responses/compact", RESPONSES),
    ("/openai/v1/images/generations", f"{OPENAI}/images/generations", CHAT),
    ("/openai/v1/audio/speech", f"{OPENAI}/audio/speech", CHAT),
    ("/vllm/v1/embeddings", "http://10.0.0.7:8000/v1/embeddings", CHAT),
    ("/anthropic/v1/messages/batches", f"{ANTHROPIC}/v1/messages/batches", MESSAGES),
    ("/copilot/embeddings", f"{COPILOT}/embeddings", CHAT),
    ("/demo/v1/embeddings", f"{DEMO}/v1/embeddings", CHAT),
    ("/demo/v1/messages/batches", f"{DEMO}/v1/messages/batches", MESSAGES),
]
"""Path, URL, dialect. POST only."""

UNKNOWN = [
    ("GET", "/"),
    ("GET", ""),
    ("GET", "*"),
    ("GET", "/openai"),
    ("GET", "/openai/"),
    ("GET", "/openai/v1"),
    ("GET", "/openai/v1/"),
    ("GET", "/openai/v2/models"),
    ("GET", "/openai/models"),
    ("GET", "/openai/v1models"),
    ("GET", "/openai/v1//models"),
    ("GET", "//openai/v1/models"),
    ("GET", "/OpenAI/v1/models"),
    ("GET", "/openai/V1/models"),
    ("GET", "/openai/v1/Models"),
    ("GET", "/openai%2Fv1/models"),
    ("GET", "/openai/v1/modelsx"),
    ("PUT", "/openai/v1/files"),
    ("GET", "/openai/v1/images/generations"),
    ("GET", "/openai/v1/organization"),
    ("GET", "/openai/v1/dashboard/billing/usage"),
    ("POST", "/openai/v1/models"),
    ("PUT", "/openai/v1/models/gpt-5.4"),
    ("OPTIONS", "/openai/v1/models"),
    ("GET", "/openai/v1/responses"),
    ("GET", "/openai/v1/responses/"),
    ("POST", "/openai/v1/responses/r_1"),
    ("POST", "/openai/v1/responses/r_1/input_items"),
    ("GET", "/openai/v1/responses/r%5F1"),
    ("GET", "/openai/v1/responses/r_1/"),
    ("GET", "/openai/v1/responses//r_1"),
    ("DELETE", "/openai/v1/responses/r_1/x"),
    ("DELETE", "/openai/v1/files"),
    ("DELETE", "/openai/v1/conversations"),
    ("DELETE", "/openai/v1/responses"),
    ("post", "/openai/v1/responses"),
    ("POST", "/openai/v1/chat/completions/"),
    ("POST", "/openai/v1/chat%2Fcompletions"),
    ("POST", "/openai/v1/messages"),
    ("GET", "/anthropic/v1/messages"),
    ("POST", "/anthropic/v1/chat/completions"),
    ("POST", "/anthropic/v1/complete"),
    ("GET", "/anthropic/v1/organizations"),
    ("DELETE", "/anthropic/v1/models/claude"),
    ("POST", "/anthropic/v1/messages/batches/b_1"),
    ("POST", "/anthropic/messages"),
    ("GET", "/copilot/v1/models"),
    ("GET", "/nobody/v1/models"),
    ("GET", "openai/v1/models"),
    ("GET", "x/openai/v1/models"),
    ("GET", "http://h/openai/v1/models"),
    ("GET", "openai:443"),
    ("GET", "/api/v2/openai/v1/models"),
    ("GET", "/api/v2/aibridgex/openai/v1/models"),
    ("GET", "/api/v2/aibridge"),
    ("GET", "/api/v2/aibridge/"),
    ("GET", "/api/v2/aibridge/api/v2/aibridge/openai/v1/models"),
    ("GET", "/api/v2/aibridge/interceptions"),
    ("GET", "/?/openai/v1/models"),
    ("GET", "/openai/v1/models#x"),
]


def resolve(method: str, target: str) -> tuple[Route, str]:
    """
    The route and the URL, as text.
    """
    route, url = ROUTES.resolve(method.encode(), target.encode())
    return route, url.decode()


@pytest.mark.parametrize("root", ["", *(root.decode() for root in ROOTS)])
@pytest.mark.parametrize(("path", "url", "dialect"), BRIDGED)
def test_bridged(root: str, path: str, url: str, dialect: Dialect) -> None:
    """
    What is understood, at the root and below each of Coder's; a query crosses.
    """
    route, found = resolve("POST", root + path)
    assert (found, route.dialect, route.bridged) == (url, dialect, True)
    assert f"/{route.provider.name}{route.label}" == path
    for query in ("?", "?beta=true", "?a=/../b&c=%2e%2e;d\\", "??"):
        again, found = resolve("POST", root + path + query)
        assert (again, found) == (route, url + query)


@pytest.mark.parametrize("root", ["", *(root.decode() for root in ROOTS)])
@pytest.mark.parametrize(("path", "url", "dialect"), COUNTED)
def test_counted(root: str, path: str, url: str, dialect: Dialect) -> None:
    """
    What spends without being one of the dialects is counted like them.
    """
    route, found = resolve("POST", root + path + "?x=1")
    assert (found, route.dialect, route.bridged, route.counted) == (f"{url}?x=1", dialect, False, True)
    assert f"/{route.provider.name}{route.label}" == path


@pytest.mark.parametrize("root", ["", *(root.decode() for root in ROOTS)])
@pytest.mark.parametrize(("method", "path", "url", "label", "dialect"), PASSTHROUGH)
def test_passthrough(root: str, method: str, path: str, url: str, label: str, dialect: Dialect) -> None:
    """
    What is allowed; its label is the route's pattern, never what the client wrote. Whoever may get it may ask what he
    would get.
    """
    for asked in (method, "HEAD") if method == "GET" else (method,):
        route, found = resolve(asked, f"{root}{path}?x=1")
        assert (found, route.dialect, route.counted) == (f"{url}?x=1", dialect, False)
        assert route.label == label or f"/{route.provider.name}{route.label}" == path


@pytest.mark.parametrize(("method", "target"), UNKNOWN)
def test_unknown(method: str, target: str) -> None:
    """
    Everything else: other vendors' paths, other methods, other spellings, what an admin's key could do.
    """
    with pytest.raises(RouteUnknown):
        resolve(method, target)


def test_unknown_says_nothing_of_the_path() -> None:
    """
    The method is named, the path is not: it is the client's text.
    """
    with pytest.raises(RouteUnknown) as caught:
        resolve("DELETE", "/openai/v1/<script>")
    assert caught.value.detail == "There is no route for DELETE on this path."


@pytest.mark.parametrize("end", ["/", "//", "/%2f", "%2F", "/;x=1", "/;", "/%5c", "\\", "/%2f;x"])
def test_a_slash_does_not_make_it_pass_through(end: str) -> None:
    """
    Where a server takes ``/responses/`` for ``/responses``, this would be a model's answer that nobody counts.
    """
    for name in ("openai", "demo"):
        with pytest.raises(RouteUnknown):
            resolve("POST", f"/{name}/v1/responses{end}")


DOTTED = [
    "..",
    ".",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%2e.",
    "%2e",
    "%252e%252e",
    "%252E%252e",
    "%25252e%25252e",
    "%%32%65%%32%65",
    "..;",
    "..;x=1",
    ".;",
    "%2e%2e;a/b",
    "%2e%2e%3bx",
    "..%3bx",
    "..%2f",
    "..%2F..",
    "%2f..",
    "x%2f..",
    "x%2f..%2fy",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..%252f",
    "x%252f..",
    "..\\",
    "\\..",
    "x\\..\\y",
    "..%5c",
    "%5c..",
    "%5c%2e%2e%5c",
    "%255c..%255cx",
    "%2525252525252e%2525252525252e",
]


@pytest.mark.parametrize("segment", DOTTED)
def test_dotted_segments(segment: str) -> None:
    """
    Plain, escaped, escaped again, behind other separators, with parameters: wherever in the path, whatever the root.
    """
    for path in (
        f"/openai/v1/models/{segment}",
        f"/openai/v1/models/{segment}/x",
        f"/openai/v1/models/x/{segment}/{segment}/files",
        f"/openai/v1/{segment}/files",
        f"/openai/{segment}/v1/models",
        f"/{segment}/openai/v1/models",
        f"/nobody/{segment}",
        f"/api/v2/aibridge/{segment}/openai/v1/models",
        f"/copilot/.well-known/{segment}/models",
    ):
        for method in ("GET", "POST"):
            with pytest.raises(BadRequest):
                resolve(method, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/gpt-5.4",
        "/v1/models/...",
        "/v1/models/.hidden",
        "/v1/models/..x",
        "/v1/models/x..",
        "/v1/models/a%2Eb",
        "/v1/models/a%20b",
        "/v1/models/100%",
        "/v1/models/%zz",
        "/v1/models/a;b=..",
        "/v1/models/a%2Fb%5Cc",
        "/v1/models/%C3%BC",
        "/v1/models//",
        "/v1/models/a?path=../../x",
    ],
)
def test_dots_within_names(path: str) -> None:
    """
    They are part of names, which cross as they are.
    """
    assert resolve("GET", f"/openai{path}")[1] == OPENAI.removesuffix("/v1") + path


def test_deep_escapes_cost_no_time() -> None:
    """
    A path that would have to be undone thousands of times is refused, honest or not.
    """
    for path in (b"/a%" + b"25" * 30000 + b"41", b"/%" + b"25" * 30000 + b"2e"):
        assert leaves(path)
    assert not leaves(b"/" + b"%25" * 20000)


def nested(text: bytes, depth: int, lower: bool) -> bytes:
    """
    A text in escapes, so many times over.
    """
    for _ in range(depth):
        text = b"".join((b"%%%02x" if lower else b"%%%02X") % byte for byte in text)
    return text


atoms = st.one_of(
    st.sampled_from(
        [b"/", b"//", b"..", b".", b"\\", b";", b"%", b"%25", b"a", b"models", b"?", b"#", b"%00", b"%0d%0a"]
    ),
    st.builds(
        nested,
        st.sampled_from([b".", b"..", b"/", b"\\", b"../", b";", b"/..", b"%"]),
        st.integers(0, 4),
        st.booleans(),
    ),
    st.binary(max_size=3),
)
begins = st.sampled_from(
    [
        b"",
        b"/",
        b"/openai/v1/models/",
        b"/openai/v1/responses/",
        b"/openai/v1/",
        b"/openai-eu/v1/models/",
        b"/proxied/v1/models/",
        b"/copilot/.well-known/",
        b"/copilot/agents/",
        b"/api/v2/aibridge/anthropic/v1/models/",
        b"/demo",
    ]
)
targets = st.builds(lambda begin, rest: begin + b"".join(rest), begins, st.lists(atoms, max_size=8))


def read_leniently(path: bytes) -> list[bytes]:
    """
    The segments of a path as the most obliging server would read them: every escape undone, backslashes for slashes,
    parameters dropped.
    """
    while (undone := unquote_to_bytes(path)) != path:
        path = undone
    return [segment.partition(b";")[0] for segment in re.split(rb"[/\\]", path)]


@given(st.sampled_from(ANY), targets)
@example(b"GET", b"/openai/v1/models/%252e%252e/%252e%252e/x")
def test_no_target_leads_out(method: bytes, target: bytes) -> None:
    """
    Whatever is asked: an error of the client's, or a URL that begins with the base URL of the provider that was named,
    ends with what was sent, and has no dotted segment for anybody.
    """
    try:
        route, url = ROUTES.resolve(method, target)
    except (BadRequest, RouteUnknown):
        return
    base = route.provider.base_url
    assert url.startswith(base + b"/")
    below = url[len(base) :]
    assert target.endswith(below)
    path = below.partition(b"?")[0]
    segments = read_leniently(path)
    assert b"." not in segments
    assert b".." not in segments
    whole = base.partition(b"://")[2]
    assert posixpath.normpath(whole + b"/".join([b"", *segments])).startswith(whole)
    assert f"/{route.provider.name}/".encode() in target


@given(st.text(max_size=3).map(str.encode), st.integers(0, 6), st.booleans())
def test_leaving_is_seen_at_any_depth(around: bytes, depth: int, lower: bool) -> None:
    """
    However deep it is escaped, also in part.
    """
    dotted = nested(b"..", depth, lower)
    for path in (b"/a/" + dotted, b"/a/" + dotted + b"/b", b"/a" + nested(b"/../", depth, lower) + around):
        assert leaves(path)


@given(targets)
def test_every_target_has_a_dialect(target: bytes) -> None:
    """
    An error can be told for any of them.
    """
    assert isinstance(ROUTES.dialect_of(target), Dialect)


@pytest.mark.parametrize(
    ("target", "dialect"),
    [
        ("/", PLAIN),
        ("/nobody/v1/models", PLAIN),
        ("/favicon.ico", PLAIN),
        ("/openai/v1/nothing", CHAT),
        ("/openai", CHAT),
        ("/api/v2/aibridge/openai/v1/nothing", CHAT),
        ("/api/v2/aibridge/anthropic/v1/complete", MESSAGES),
        ("/anthropic/v1/complete?x=1", MESSAGES),
        ("/copilot/v1/messages", MESSAGES),
        ("/copilot/v1/other", CHAT),
        ("/demo/v1/messages/batches", MESSAGES),
        ("/demo/v1/other?x=/messages", CHAT),
        ("http://h/openai/v1/models", PLAIN),
    ],
)
def test_dialect_of_what_has_no_route(target: str, dialect: Dialect) -> None:
    """
    The provider's, or that of the path where the provider has several; none where no provider is named.
    """
    assert ROUTES.dialect_of(target.encode()) is dialect


@pytest.mark.parametrize(
    ("method", "target", "is_probe"),
    [
        ("HEAD", "/anthropic/api/hello", True),
        ("HEAD", "/api/v2/aibridge/anthropic/api/hello", True),
        ("HEAD", "/nobody/api/hello", True),
        ("GET", "/anthropic/api/hello", False),
        ("HEAD", "/anthropic/api/hello/x", False),
        ("HEAD", "/anthropic/v1/models", False),
        ("HEAD", "/", False),
    ],
)
def test_probe(method: str, target: str, is_probe: bool) -> None:
    """
    What Claude Code asks first, below whatever it takes for the bridge; and it has no route.
    """
    assert ROUTES.is_probe(method.encode(), target.encode()) is is_probe
    if is_probe:
        with pytest.raises(RouteUnknown):
            resolve(method, target)


def test_providers_by_name() -> None:
    """
    All of them, several of one type included.
    """
    assert set(ROUTES.providers) == {
        "openai",
        "openai-eu",
        "chatgpt",
        "vllm",
        "anthropic",
        "proxied",
        "copilot",
        "demo",
    }
    assert ROUTES.providers["openai-eu"].base_url == b"https://eu.example:8443/some/path"


def test_routes_are_made_once() -> None:
    """
    The same place is the same route, whichever way it was asked for.
    """
    assert resolve("POST", "/openai/v1/responses")[0] is resolve("POST", "/api/v2/ai-gateway/openai/v1/responses?x")[0]
    assert resolve("GET", "/openai/v1/models/a")[0] is resolve("HEAD", "/openai/v1/models/b")[0]


ALLOWING = Routes(
    [
        provider(
            "openai", allow=("DELETE /models/*", "GET /organization/usage/*", "POST /v1/fine_tuning/jobs/*/cancel")
        ),
        provider("anthropic", allow=("GET /v1/organizations/*", "GET /v1/files", "POST /v1/complete")),
    ]
)


@pytest.mark.parametrize(
    ("method", "target", "label"),
    [
        ("DELETE", "/openai/v1/models/ft:gpt-4.1:org::id", "/v1/models/*"),
        ("DELETE", "/openai/v1/models/ft%3Agpt-4.1%3aorg::id", "/v1/models/*"),
        ("GET", "/openai/v1/organization/usage/completions", "/v1/organization/usage/*"),
        ("HEAD", "/openai/v1/organization/usage/a/b", "/v1/organization/usage/*"),
        ("POST", "/openai/v1/fine_tuning/jobs/j_1/cancel", "/v1/fine_tuning/jobs/*/cancel"),
        ("GET", "/anthropic/v1/organizations/users", "/v1/organizations/*"),
        ("GET", "/anthropic/v1/files?limit=2", "/v1/files"),
        ("POST", "/anthropic/v1/complete", "/v1/complete"),
    ],
)
def test_what_is_allowed_by_configuration(method: str, target: str, label: str) -> None:
    """
    An entry lets its method and path through, whether a table refuses them or does not know them.
    """
    route, _ = ALLOWING.resolve(method.encode(), target.encode())
    assert (route.label, route.refused, route.counted) == (label, "", False)
    try:
        refused = resolve(method, target)[0].refused
    except RouteUnknown:
        refused = "unknown"
    assert refused


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/openai/v1/models/a%2Fb"),
        ("DELETE", "/openai/v1/models/"),
        ("DELETE", "/openai/v1/models/a//b"),
        ("PATCH", "/openai/v1/models/a"),
        ("GET", "/openai/v1/organization/admin_api_keys"),
        ("POST", "/openai/v1/organization/usage/completions"),
        ("GET", "/openai/v1/organization/usage/%2e%2e%2fadmin_api_keys"),
        ("POST", "/openai/v1/fine_tuning/jobs/j_1/x"),
        ("POST", "/openai/v1/fine_tuning/jobs/j/k/cancel"),
        ("GET", "/anthropic/v1/messages/batches"),
    ],
)
def test_what_is_allowed_is_nothing_more(method: str, target: str) -> None:
    """
    Neither another method nor another path, however it is written.
    """
    try:
        route, _ = ALLOWING.resolve(method.encode(), target.encode())
    except (RouteUnknown, BadRequest):
        return
    assert route.refused


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/openai/v1/models/ft:gpt-4.1:org::id"),
        ("POST", "/vllm/v1/fine_tuning/jobs"),
        ("GET", "/openai/v1/organization/admin_api_keys"),
        ("DELETE", "/openai/v1/assistants/a_1"),
        ("POST", "/openai/v1/realtime/sessions"),
        ("GET", "/openai/v1/files"),
        ("GET", "/openai/v1/batches"),
        ("GET", "/openai/v1/vector_stores"),
        ("GET", "/openai/v1/containers?limit=100"),
        ("GET", "/openai/v1/chat/completions"),
        ("HEAD", "/openai/v1/files"),
        ("GET", "/anthropic/v1/messages/batches"),
        ("GET", "/anthropic/v1/files"),
        ("GET", "/anthropic/v1/organizations/users"),
        ("POST", "/copilot/agents/sessions"),
        ("GET", "/demo/v1/files"),
    ],
)
def test_what_is_refused_says_why(method: str, target: str) -> None:
    """
    Administration, deletion, and lists of what everybody has stored are known, and not for a configured key.
    """
    route, _ = resolve(method, target)
    assert route.refused
    refusal = refusal_of(route, method.encode())
    assert f"{method} {route.label}" in refusal.detail
    assert route.refused in refusal.detail


def test_lists_are_for_those_who_share_everything() -> None:
    """
    Where anyone may name any stored object, everybody's may be listed; administration stays refused.
    """
    routes = Routes([provider("openai", stored_objects="anyone")])
    assert not routes.resolve(b"GET", b"/openai/v1/files")[0].refused
    assert routes.resolve(b"GET", b"/openai/v1/organization/users")[0].refused


@pytest.mark.parametrize(
    ("method", "target", "ids"),
    [
        ("GET", "/openai/v1/responses/resp_1?stream=true", [(Stored.RESPONSE, "resp_1")]),
        ("DELETE", "/api/v2/aibridge/openai/v1/responses/resp_1", [(Stored.RESPONSE, "resp_1")]),
        ("POST", "/openai-eu/v1/conversations/conv_1/items?a=/b", [(Stored.CONVERSATION, "conv_1")]),
        (
            "POST",
            "/openai/v1/vector_stores/vs_1/files/file-2",
            [(Stored.VECTOR_STORE, "vs_1"), (Stored.FILE, "file-2")],
        ),
        ("GET", "/openai/v1/containers/c_1/files/cfile_2/content", [(Stored.CONTAINER, "c_1")]),
        ("GET", "/anthropic/v1/messages/batches/msgbatch_1/results", [(Stored.MESSAGE_BATCH, "msgbatch_1")]),
        ("GET", "/demo/v1/responses/resp%3A1", [(Stored.RESPONSE, "resp:1")]),
        ("GET", "/openai/v1/models/gpt-5.4", []),
    ],
)
def test_ids_in_a_path(method: str, target: str, ids: list[tuple[Stored, str]]) -> None:
    """
    Each with its kind, in their order; a query is no part of them.
    """
    route, url = ROUTES.resolve(method.encode(), target.encode())
    assert route.ids(url) == ids


@pytest.mark.parametrize(
    ("target", "content_type", "holds"),
    [
        ("/openai/v1/responses", None, True),
        ("/openai/v1/responses", b"text/plain", True),
        ("/openai/v1/files", b"multipart/form-data; boundary=x", False),
        ("/openai/v1/images/edits", b"multipart/form-data; boundary=x", False),
        ("/openai/v1/images/edits", b"Application/JSON; charset=utf-8", True),
        ("/openai/v1/images/edits", None, False),
    ],
)
def test_which_bodies_are_held(target: str, content_type: bytes | None, holds: bool) -> None:
    """
    Those that are JSON; files cross as they come.
    """
    assert resolve("POST", target)[0].holds(content_type) is holds


def listed(route: Route, method: bytes, path: bytes) -> bool:
    """
    Whether a path is one of a rule of the route's provider, read from the tables without the code that looks it up.
    """
    for rule in route.provider.type.rules:
        methods = {*rule.methods, *(["HEAD"] if "GET" in rule.methods else [])}
        pattern = re.escape(rule.path).replace(r"\*", ".*")
        pattern = re.sub(r"\\\{[a-z_]+\\\}", "[A-Za-z0-9_:.@~+=,%-]+", pattern)
        if method.decode() in methods and re.fullmatch(pattern, path.decode("latin-1"), re.DOTALL):
            return True
    return False


@given(
    st.sampled_from(ANY),
    st.sampled_from([b"/openai", b"/vllm", b"/anthropic", b"/copilot", b"/demo"]),
    st.lists(
        st.sampled_from(
            (
                b"/v1 /files /models /responses /compact /messages /batches /organization /chat /completions /items "
                b"/conversations /id_1 / %2f %2Ffiles ;x %00 /%66iles /..%2f \\ /vector_stores /cancel "
                b"/complet%69ons # ?a=/files"
            ).split()
        ),
        max_size=7,
    ),
)
def test_nothing_that_is_not_listed_has_a_route(method: bytes, provider: bytes, parts: list[bytes]) -> None:
    """
    Whatever is put together of what there is, and of what some server might take for it.
    """
    target = provider + b"".join(parts)
    try:
        route, url = ROUTES.resolve(method, target)
    except (BadRequest, RouteUnknown):
        return
    path = url[len(route.provider.base_url) :].partition(b"?")[0]
    assert listed(route, method, path)


def test_no_providers() -> None:
    """
    Nothing has a route, and that is no error of the bridge's.
    """
    with pytest.raises(RouteUnknown):
        Routes([]).resolve(b"POST", b"/openai/v1/responses")
