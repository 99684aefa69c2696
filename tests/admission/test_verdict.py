"""
What an answer speaks of.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.admission.verdict import RULES, Subject, judge, lines, used_up_for
from aibridge.dialects.errorbody import NOTHING, Said
from aibridge.dialects.limits import UNKNOWN, Allowance, Limits

REQUEST, MODEL, KEY = Subject.REQUEST, Subject.MODEL, Subject.KEY
ACCOUNT, PROVIDER = Subject.ACCOUNT, Subject.PROVIDER
USED_UP = Limits(requests=Allowance(0, 30.0), tokens=Allowance(5, 60.0))


def said(message: str = "", *words: str) -> Said:
    """
    The body of an error.
    """
    return Said(frozenset(words), message)


@pytest.mark.parametrize(
    ("status", "body", "subject", "elsewhere"),
    [
        (429, NOTHING, MODEL, True),
        (
            429,
            said("rate limit reached for m: limit 10, used 9, requested 2", "tokens", "rate_limit_exceeded"),
            MODEL,
            True,
        ),
        (429, said("request too large for m: limit 30, requested 40", "tokens", "rate_limit_exceeded"), REQUEST, True),
        (429, said("extra usage is required for long context requests.", "rate_limit_error"), REQUEST, True),
        (429, said("this request would exceed your organization's limit", "rate_limit_error"), MODEL, True),
        (429, said("you exceeded your current quota", "insufficient_quota"), ACCOUNT, True),
        (429, said("", "resource_exhausted"), MODEL, True),
        (429, said("that model is currently overloaded with other requests"), PROVIDER, False),
        (429, said("", "modelnotreadyexception"), PROVIDER, False),
        (402, NOTHING, ACCOUNT, True),
        (402, said("", "billing_error"), ACCOUNT, True),
        (400, said("your credit balance is too low to access the api", "invalid_request_error"), ACCOUNT, True),
        (400, said("messages: at least one is required", "invalid_request_error"), REQUEST, False),
        (400, said("api key not valid. please pass a valid api key.", "invalid_argument"), KEY, True),
        (413, said("", "request_too_large"), REQUEST, False),
        (401, NOTHING, KEY, True),
        (401, said("incorrect api key provided", "invalid_request_error", "invalid_api_key"), KEY, True),
        (401, said("invalid x-api-key", "authentication_error"), KEY, True),
        (401, said("oauth authentication is currently not supported.", "authentication_error"), REQUEST, False),
        (401, said("", "mismatched_organization"), REQUEST, False),
        (401, said("openai-organization header should match organization for api key"), REQUEST, False),
        (401, said("no such organization: org-foo."), REQUEST, False),
        (401, said("missing scopes: model.request"), MODEL, True),
        (401, said("", "account_deactivated"), ACCOUNT, True),
        (403, NOTHING, REQUEST, False),
        (403, said("", "permission_error"), REQUEST, False),
        (403, said("this organization has been disabled.", "permission_error"), ACCOUNT, True),
        (404, said("", "model_not_found"), MODEL, True),
        (404, said("no such batch", "invalid_request_error"), REQUEST, False),
        (404, said("the model m does not exist or you do not have access to it."), MODEL, True),
        (403, said("project p does not have access to model m", "model_not_found"), MODEL, True),
        (403, said("api key disabled"), KEY, True),
        (403, said("invalid api key"), KEY, True),
        (400, said("incorrect api key provided: ab***."), KEY, True),
        (422, NOTHING, REQUEST, False),
        (500, NOTHING, PROVIDER, False),
        (503, NOTHING, PROVIDER, False),
        (529, said("overloaded", "overloaded_error"), PROVIDER, False),
    ],
)
def test_of_whom(status: int, body: Said, subject: Subject, elsewhere: bool) -> None:
    """
    By the status and by what the body says of it; with whether another key could be answered otherwise.
    """
    verdict = judge(status, UNKNOWN, body)
    assert (verdict.subject, verdict.elsewhere, verdict.is_sure) == (subject, elsewhere, False)


@pytest.mark.parametrize("status", [200, 204, 304])
def test_no_error(status: int) -> None:
    """
    Speaks of nothing, whatever is left.
    """
    assert judge(status, USED_UP, said("", "rate_limit_exceeded")).subject is Subject.NOTHING


def test_what_is_sure() -> None:
    """
    A limit of the answer's own that is used up, for as long as is said; a time to wait alone is not.
    """
    assert judge(429, USED_UP, NOTHING).is_sure
    assert judge(429, USED_UP, NOTHING).wait_s == 30.0
    assert not judge(429, Limits(retry_after_s=20.0), NOTHING).is_sure
    assert judge(429, Limits(retry_after_s=20.0), NOTHING).wait_s == 20.0
    assert not judge(429, Limits(tokens=Allowance(5, 60.0)), NOTHING).is_sure
    assert not judge(429, USED_UP, said("request too large")).is_sure
    for status in (400, 401, 403, 500, 503, 529):
        assert not judge(status, USED_UP, NOTHING).is_sure


def test_for_how_long() -> None:
    """
    The header's word before the body's, and both before the reset.
    """
    body = Said(frozenset(), "", 34.0)
    assert judge(429, UNKNOWN, body).wait_s == 34.0
    assert judge(429, Limits(retry_after_s=2.0), body).wait_s == 2.0
    assert judge(429, Limits(retry_after_s=2.0, requests=Allowance(0, 30.0)), NOTHING).wait_s == 2.0
    assert used_up_for(Limits(requests=Allowance(0, 3.0), output_tokens=Allowance(0, 5.0))) == 5.0
    assert used_up_for(Limits(requests=Allowance(0, 0.0))) is None


def test_every_line_has_a_source() -> None:
    """
    And words in lower case, as they are compared.
    """
    for rule in RULES:
        assert re.match(r"https://|RFC ", rule.source)
        assert all(word == word.lower() for word in rule.words)
        assert rule.pattern is None or rule.pattern.pattern == rule.pattern.pattern.lower()
    assert RULES[-1].fits(599, NOTHING)


@given(st.integers(400, 599), st.text(), st.sets(st.text(max_size=9)))
def test_whatever_it_says(status: int, message: str, words: set[str]) -> None:
    """
    There is a verdict; and without limit headers it is a hint.
    """
    verdict = judge(status, UNKNOWN, Said(frozenset(words), message))
    assert verdict.subject is not Subject.NOTHING
    assert not verdict.is_sure


def test_the_documentation_has_the_table() -> None:
    """
    As it is here.
    """
    text = (Path(__file__).parents[2] / "docs/limits.md").read_text()
    told = text.partition("<!-- verdicts -->\n")[2].partition("<!-- end of verdicts -->")[0]
    assert told.strip() == "\n".join(lines())
