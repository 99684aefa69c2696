"""
What can be configured about who a client is: where tokens are looked up, and how often one may guess.
"""

from __future__ import annotations

import attrs

from aibridge.model import Class
from aibridge.options import ABSOLUTE_PATH, OPTIONAL_PATH, OPTIONAL_URL, option

BACKENDS = ("file", "coder", "none")


@attrs.frozen(kw_only=True)
class AuthSettings:
    """
    ``[auth]``: who may come in.
    """

    backend: str = option(
        "file",
        why="Where tokens are looked up: in tokens_file, at a Coder deployment, or nowhere, so that everyone passes "
        "with a provider key of their own.",
        choices=BACKENDS,
        env=("AIBRIDGE_AUTH_BACKEND",),
    )
    tokens_file: str = option(
        "/etc/aibridge/tokens.toml",
        why="Tokens and what they may, hashed; written by `aibridge token`, and followed without a reload.",
        **ABSOLUTE_PATH,
        env=("AIBRIDGE_TOKENS_FILE",),
    )
    coder_url: str = option(
        "",
        why="The Coder deployment that is asked who a token belongs to, where backend is coder.",
        **OPTIONAL_URL,
        env=("AIBRIDGE_CODER_URL",),
    )
    coder_ca_file: str = option(
        "",
        why="PEM file of further certificate authorities to trust for it; the system's own stay trusted.",
        **OPTIONAL_PATH,
    )
    coder_cache: float = option(
        60.0,
        why="How long an answer of Coder's is taken for true; a token revoked there is good here for so long. One "
        "that is in use is asked about again before.",
        least=0,
        most=86400,
        unit="s",
    )
    coder_grace: float = option(
        0.0,
        why="How much longer it is while Coder cannot be asked, so that a restart there is no outage here.",
        least=0,
        most=86400,
        unit="s",
    )
    coder_timeout: float = option(
        5.0,
        why="How long Coder may take to answer before the client is told 503; a look-up waits as long for its turn at "
        "most.",
        least=0.001,
        most=600,
        unit="s",
    )
    default_class: str = option(
        Class.DEFAULT.value,
        why="Class of everybody where backend is coder or none, which know of no classes; tokens of a file have their "
        "own.",
        choices=tuple(class_.value for class_ in Class),
    )
    failure_rate: float = option(
        1.0,
        why="Bad tokens that one address (IPv6: one /64, and of a /48 four times as many) may show per second on "
        "average, so that guessing stays hopeless; 0 means no limit.",
        least=0,
        most=1000000,
        unit="failures/s",
    )
    failure_burst: float = option(
        20.0,
        why="Bad tokens that it may show at once; a team behind one address can start up with an old token.",
        least=1,
        most=1000000,
        unit="failures",
    )
    failure_addresses: int = option(
        65536,
        why="Addresses whose failures are counted apart; beyond it, while all of them have failures to count, "
        "newcomers are counted together.",
        least=1,
        most=10000000,
    )
