"""
The vendors' own SDKs, for Python and for Node, told of the proxy by their environment; and what else trusts it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from daemons import PATIENCE_S, Daemon
from intercepting import Pair, ProxyDeployment, providers, vendor
from wires import Provider

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
OWN = "sk-own-canary-0123456789abcdef"
ARRIVED = {
    "openai": {"blocking": "Hi", "streamed": 'Hi "usage" [DONE', "last": "response.completed"},
    "anthropic": {"blocking": "Hi", "streamed": 'Hi "message_delta": "error"', "last": "message_stop"},
}
PATHS = {
    "openai": ["/v1/chat/completions", "/v1/chat/completions", "/v1/responses"],
    "anthropic": ["/v1/messages", "/v1/messages"],
}

NODE = shutil.which("node")
HAS_NODE = NODE is not None and (CLIENTS / "node_modules" / "undici").exists()
needs_node = pytest.mark.skipif(
    not HAS_NODE,
    reason="node, or the SDKs for it, which `make test` installs where npm is, are not on this machine",
)


@attrs.frozen
class Rig:
    """
    A recording provider behind a bridge behind a proxy.

    :ivar bundle: the system's roots, and the proxy's authority.
    """

    deployment: ProxyDeployment
    provider: Provider
    bridge: Daemon
    proxy: Daemon
    bundle: Path

    @property
    def url(self) -> str:
        """
        The proxy's, as clients are told.
        """
        return self.proxy.url.replace("http://", f"http://somebody:{self.proxy.token}@")


def bundle(deployment: ProxyDeployment) -> Path:
    """
    What is exported for programs that trust one file alone.
    """
    export = ("ca", "export", "--config", str(deployment.proxy_config))
    done = deployment.command(*export, "--bundle", check=False)
    if done.returncode:
        # A machine without roots.
        done = deployment.command(*export)
    path = deployment.directory / "bundle.pem"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """
    Shared by all of them; nobody changes it.
    """
    made = ProxyDeployment(tmp_path_factory.mktemp("sdks"))
    provider = Provider(vendor)
    token = made.token("tests")
    made.configure(providers(provider.url) + '[log]\nlevel = "debug"\n')
    bridge = made.start()
    made.configure_proxy(bridge.url, 'log.level = "debug"\n')
    proxy = made.start_proxy()
    proxy.token = token
    yield Rig(made, provider, bridge, proxy, bundle(made))
    made.close()
    provider.close()


def arrived(command: list[str], environ: Mapping[str, str], directory: Path | None = None) -> Any:
    """
    What a program prints whose environment is this, and nothing else.
    """
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def asked_for(rig: Rig, name: str) -> None:
    """
    Check what the provider was sent since it was last looked at, and where the token has come.
    """
    taken, rig.provider.requests[:] = list(rig.provider.requests), []
    assert [each.split(b" ")[1].decode() for each in taken] == PATHS[name]
    secret = rig.proxy.token.rpartition("_")[2].encode()
    for each in taken:
        # The SDKs differ in where they put a key; it arrives there, and in no other place.
        assert each.count(OWN.encode()) == 1
        assert f"\r\nAuthorization: Bearer {OWN}\r\n".encode() in each or f"\r\nX-Api-Key: {OWN}\r\n".encode() in each
        assert secret not in each and b"x-coder" not in each.lower() and b"proxy" not in each.lower()
    for daemon, requests in ((rig.proxy, "request "), (rig.bridge, "completion ")):
        for _ in taken:
            daemon.wait_for(f"{requests}.* status=200 cause=completed")
        told = daemon.output + daemon.page("/metrics")
        assert secret.decode() not in told and OWN not in told


class TestSDKs:
    """
    Blocking and streaming, with a key of one's own.
    """

    @pytest.mark.parametrize("name", ["openai", "anthropic"])
    def test_python(self, rig: Rig, name: str) -> None:
        """
        By two variables.
        """
        environ = {"HTTPS_PROXY": rig.url, "SSL_CERT_FILE": str(rig.bundle)}
        assert arrived([sys.executable, str(CLIENTS / "sdks.py"), name], environ) == ARRIVED[name]
        asked_for(rig, name)

    @needs_node
    @pytest.mark.parametrize("dispatcher", ["ProxyAgent", "EnvHttpProxyAgent"])
    @pytest.mark.parametrize("name", ["openai", "anthropic"])
    def test_node(self, rig: Rig, name: str, dispatcher: str) -> None:
        """
        By two variables, and a dispatcher that heeds the first.
        """
        environ = {"HTTPS_PROXY": rig.url, "NODE_EXTRA_CA_CERTS": str(rig.deployment.ca)}
        assert arrived([str(NODE), str(CLIENTS / "sdks.mjs"), name, dispatcher], environ) == ARRIVED[name]
        asked_for(rig, name)


REQUESTS = """
import json, requests
print(json.dumps(requests.get("https://api.openai.com/v1/models").json()))
"""

FETCH = """
import { EnvHttpProxyAgent } from "undici";
await fetch("https://api.openai.com/v1/models", { dispatcher: new EnvHttpProxyAgent() });
"""

SYSTEM_STORE = """
set -eu
mount --make-rprivate /
mkdir -p "$1/local" "$1/certs"
cp -a /etc/ssl/certs/. "$1/certs"
mount --bind "$1/certs" /etc/ssl/certs
mount --bind "$1/local" /usr/local/share/ca-certificates
cp "$2" /usr/local/share/ca-certificates/aibridge-proxy.crt
update-ca-certificates >&2
"$3" -c 'import openai; openai.OpenAI(api_key="own", max_retries=0).models.list()'
if [ -n "$4" ]; then "$4" --use-openssl-ca --input-type=module -e "$5" >&2; fi
curl -sS https://api.openai.com/v1/models
rm /usr/local/share/ca-certificates/aibridge-proxy.crt
update-ca-certificates >&2
if curl -sS https://api.openai.com/v1/models >&2; then exit 1; fi
"""
"""Trusted, used and undone as the page says, on a copy of the system's store that nobody else sees."""


def may_mount() -> bool:
    """
    Whether this account may make file systems of its own.
    """
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("update-ca-certificates") is None:
        return False
    return subprocess.run([unshare, "-m", "true"], check=False, capture_output=True).returncode == 0


class TestTrust:
    """
    Each way to trust the authority that the page names.
    """

    def models(self, command: list[str], environ: Mapping[str, str], directory: Path | None = None) -> None:
        """
        The simulated provider's models arrive.
        """
        assert "demo" in [model["id"] for model in arrived(command, environ, directory)["data"]]

    def proxied(self, pair: Pair) -> dict[str, str]:
        """
        The variable that says where the proxy is.
        """
        return {"HTTPS_PROXY": pair.proxy.url.replace("http://", f"http://somebody:{pair.proxy.token}@")}

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE"])
    def test_curl(self, pair: Pair, variable: str) -> None:
        """
        By a variable, though curl offers HTTP/2.
        """
        url = "https://api.openai.com/v1/models"
        self.models(["curl", "-sS", url], {**self.proxied(pair), variable: str(bundle(pair.deployment))})

    def test_requests(self, pair: Pair) -> None:
        """
        By the variable of its name.
        """
        pytest.importorskip("requests")
        environ = {**self.proxied(pair), "REQUESTS_CA_BUNDLE": str(bundle(pair.deployment))}
        self.models([sys.executable, "-c", REQUESTS], environ)

    @pytest.mark.skipif(not may_mount(), reason="root alone may try it, on a system with update-ca-certificates")
    def test_system_store(self, pair: Pair, tmp_path: Path) -> None:
        """
        By the system's store, from which it can be taken again: by curl, the SDK for Python, and Node if it is told.
        """
        node = str(NODE) if HAS_NODE else ""
        files = (str(tmp_path), str(pair.deployment.ca), sys.executable, node, FETCH)
        self.models(["unshare", "-m", "sh", "-c", SYSTEM_STORE, "sh", *files], self.proxied(pair), CLIENTS)
