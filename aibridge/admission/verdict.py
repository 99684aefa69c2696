"""
What a provider's answer speaks of, and how sure that is.

One request may be refused for what it asks itself, for its key, for the model under that key, for the account behind
it, or because the provider has too much to do; the status alone does not tell which. `RULES` is the one table of what
vendors' words mean; the first that fits holds.

Note [Hints]: most of what a provider says is a hint only, for whoever asked may have brought it about by what he asked.
It is sure if the answer's own limit headers say that a limit is used up, and until when. A hint becomes sure when
another key serves the very request; until then nobody but who met it is kept waiting for it. That several principals
met the same makes nothing sure: what one asks wrongly, his colleagues ask wrongly too. `aibridge.admission.cooldown`
sees to that.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Final

from aibridge.dialects.errorbody import Said
from aibridge.dialects.limits import Allowance, Limits


class Subject(enum.Enum):
    """
    What an answer speaks of.
    """

    NOTHING = "nothing"
    """It is no error."""
    REQUEST = "request"
    """What was asked; it says nothing to anybody else."""
    MODEL = "model"
    """The model, or the route, under this key: its limits."""
    KEY = "key"
    """The key: it is not accepted."""
    ACCOUNT = "account"
    """The account of the key: it is not paid for, or closed."""
    PROVIDER = "provider"
    """The provider, or its model: too much to do, or a defect."""


class Rule:
    """
    A line of the table.

    :ivar vendor: whose words they are.
    :ivar statuses: that they come with; empty is any of 400 and more.
    :ivar words: types or codes in the body, in lower case, of which there is one; empty is any.
    :ivar pattern: what the message says, in lower case, or None.
    :ivar elsewhere: another key may be answered otherwise.
    :ivar source: where the vendor says so.
    """

    __slots__ = ("elsewhere", "pattern", "source", "statuses", "subject", "vendor", "words")

    def __init__(
        self,
        vendor: str,
        statuses: tuple[int, ...],
        words: tuple[str, ...],
        message: str,
        subject: Subject,
        source: str,
        *,
        elsewhere: bool | None = None,
    ) -> None:
        self.vendor = vendor
        self.statuses = statuses
        self.words = frozenset(words)
        self.pattern = re.compile(message) if message else None
        self.subject = subject
        self.source = source
        self.elsewhere = subject in _OF_A_KEY if elsewhere is None else elsewhere

    def fits(self, status: int, said: Said) -> bool:
        """
        Whether it speaks of such an answer.
        """
        if self.statuses and status not in self.statuses:
            return False
        if self.words and not (self.words & said.words):
            return False
        return self.pattern is None or self.pattern.search(said.message) is not None


_OF_A_KEY: Final = frozenset((Subject.MODEL, Subject.KEY, Subject.ACCOUNT))

_OPENAI: Final = "https://platform.openai.com/docs/guides/error-codes"
_OPENAI_LIMITS: Final = "https://platform.openai.com/docs/guides/rate-limits"
_ANTHROPIC: Final = "https://docs.anthropic.com/en/api/errors"
_ANTHROPIC_LIMITS: Final = "https://docs.anthropic.com/en/api/rate-limits"
_AZURE: Final = "https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota"
_GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/troubleshooting"
_XAI: Final = "https://docs.x.ai/docs/key-information/debugging"
_HTTP: Final = "RFC 9110, 15.5"
_HTTP_429: Final = "RFC 6585, 4"

RULES: Final[tuple[Rule, ...]] = (
    # Larger than the whole limit: it would never pass, and others' do.
    Rule("OpenAI", (413, 429), (), r"request too large", Subject.REQUEST, _OPENAI_LIMITS, elsewhere=True),
    Rule("Anthropic", (429,), (), r"long context|extra usage", Subject.REQUEST, _ANTHROPIC_LIMITS, elsewhere=True),
    Rule("Anthropic", (), ("request_too_large",), "", Subject.REQUEST, _ANTHROPIC),
    # Not paid for, whatever the status.
    Rule(
        "OpenAI",
        (),
        ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"),
        "",
        Subject.ACCOUNT,
        _OPENAI,
    ),
    Rule("Anthropic", (), ("billing_error",), "", Subject.ACCOUNT, _ANTHROPIC),
    Rule(
        "Anthropic",
        (400, 403),
        (),
        r"credit balance is too low|reached your specified api usage limits|organization has been disabled",
        Subject.ACCOUNT,
        _ANTHROPIC,
    ),
    Rule("any", (402,), (), "", Subject.ACCOUNT, _HTTP),
    # 401 that a field of the request brought about.
    Rule(
        "OpenAI",
        (401, 403),
        ("mismatched_organization", "mismatched_project", "invalid_organization", "invalid_project"),
        "",
        Subject.REQUEST,
        _OPENAI,
    ),
    Rule(
        "OpenAI",
        (401, 403),
        (),
        r"organization header|project header|no such (organization|project)|openai-(organization|project)",
        Subject.REQUEST,
        _OPENAI,
    ),
    Rule("Anthropic", (401,), (), r"oauth|anthropic-beta|workspace", Subject.REQUEST, _ANTHROPIC),
    # A key that may do some things and not others.
    Rule("OpenAI", (401,), (), r"missing scopes|insufficient permissions", Subject.MODEL, _OPENAI),
    Rule("any", (401,), (), "", Subject.KEY, _HTTP),
    Rule("any", (400, 403), (), r"(invalid|incorrect|disabled|expired|revoked) api[ -]?key", Subject.KEY, _XAI),
    Rule("any", (400, 403), (), r"api[ -]?key (is |was |has )?(been )?(invalid|disabled|revoked)", Subject.KEY, _XAI),
    # A model that a key may not use, which others may: or nobody, as there is none of that name.
    Rule("OpenAI", (403, 404), ("model_not_found",), "", Subject.MODEL, _OPENAI),
    Rule("OpenAI", (403, 404), (), r"(not|n't) have access to (it|model|the model)", Subject.MODEL, _OPENAI),
    Rule("Google", (400, 403), ("api_key_invalid",), "", Subject.KEY, _GOOGLE),
    Rule("Google", (400,), (), r"api key (not valid|expired)", Subject.KEY, _GOOGLE),
    # Too much to do, in a status that elsewhere speaks of a limit.
    Rule(
        "any",
        (),
        ("overloaded_error", "server_overloaded", "engine_overloaded", "slow_down", "modelnotreadyexception"),
        "",
        Subject.PROVIDER,
        _ANTHROPIC,
    ),
    Rule("OpenAI", (429, 503), (), r"currently overloaded|overloaded with", Subject.PROVIDER, _OPENAI),
    # The limits of a model: OpenAI's, Azure's of each deployment, Anthropic's of each class of models.
    Rule("OpenAI", (429,), ("rate_limit_exceeded",), "", Subject.MODEL, _OPENAI_LIMITS),
    Rule("Anthropic", (429,), ("rate_limit_error",), "", Subject.MODEL, _ANTHROPIC_LIMITS),
    Rule("Azure", (429,), ("429",), "", Subject.MODEL, _AZURE),
    Rule("Google", (429,), ("resource_exhausted",), "", Subject.MODEL, _GOOGLE),
    Rule("any", (429,), (), "", Subject.MODEL, _HTTP_429),
    Rule("any", (500, 502, 503, 504, 520, 521, 522, 523, 524, 529), (), "", Subject.PROVIDER, _HTTP),
    Rule("any", (), (), "", Subject.REQUEST, _HTTP),
)


class Verdict:
    """
    What one answer says.

    :ivar subject: what it speaks of.
    :ivar is_sure: see Note [Hints].
    :ivar wait_s: for how long, where it says so.
    :ivar elsewhere: another key may be answered otherwise.
    """

    __slots__ = ("elsewhere", "is_sure", "subject", "wait_s")

    def __init__(
        self, subject: Subject, *, is_sure: bool = False, wait_s: float | None = None, elsewhere: bool = False
    ) -> None:
        self.subject = subject
        self.is_sure = is_sure
        self.wait_s = wait_s
        self.elsewhere = elsewhere

    def __repr__(self) -> str:
        return f"Verdict({self.subject}, is_sure={self.is_sure}, wait_s={self.wait_s}, elsewhere={self.elsewhere})"


NOTHING: Final = Subject.NOTHING
GOOD: Final = Verdict(NOTHING)


def judge(status: int, limits: Limits, said: Said) -> Verdict:
    """
    What an answer says.

    :param limits: of its headers.
    :param said: of its body.
    """
    if status < 400:
        return GOOD
    rule = RULES[-1]
    for rule in RULES:
        if rule.fits(status, said):
            break
    wait = said.retry_after_s if limits.retry_after_s is None else limits.retry_after_s
    reset = used_up_for(limits)
    is_sure = rule.subject is Subject.MODEL and status == 429 and reset is not None
    return Verdict(
        rule.subject, is_sure=is_sure, wait_s=reset if is_sure and wait is None else wait, elsewhere=rule.elsewhere
    )


def used_up_for(limits: Limits) -> float | None:
    """
    For how many seconds the answer's own headers say that a limit is used up; None if none is.
    """
    longest = None
    for allowance in (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens):
        if is_used_up(allowance) and allowance is not None and (longest is None or allowance.reset_s > longest):
            longest = allowance.reset_s
    return longest


def is_used_up(allowance: Allowance | None) -> bool:
    """
    Whether nothing is left of a limit, for some time.
    """
    return allowance is not None and allowance.remaining <= 0 and allowance.reset_s > 0


def lines() -> Iterator[str]:
    """
    The table as it stands in the documentation, in Markdown.
    """
    yield "| vendor | status | type or code | message | speaks of | source |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for rule in RULES:
        words = ", ".join(f"`{word}`" for word in sorted(rule.words))
        message = "" if rule.pattern is None else f"`{rule.pattern.pattern}`".replace("|", "\\|")
        status = ", ".join(map(str, rule.statuses)) or ("any other" if rule is RULES[-1] else "any")
        subject = rule.subject.value
        if rule.elsewhere and rule.subject is Subject.REQUEST:
            subject = "request; another key may have more room"
        yield f"| {rule.vendor} | {status} | {words} | {message} | {subject} | {rule.source} |"
