"""
Tests for `aibridge.wire.request`. The corpus is tried on whole connections, in the tests of `aibridge.web.channel`.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.wire.request import METHODS, Head, HeadReader, Refusal
from wire_corpus import CASES

READER = HeadReader(8192, 65536, 128)


def read(raw: bytes, reader: HeadReader = READER) -> Head:
    head = reader.read(raw)
    assert head is not None
    return head


def refusal(raw: bytes, reader: HeadReader = READER) -> int:
    with pytest.raises(Refusal) as caught:
        reader.read(raw)
    assert caught.value.message
    return caught.value.status


def lines(*fields: bytes, line: bytes = b"POST /a/b?c=d HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: bridge.test", *fields]) + b"\r\n\r\n"


def test_a_head_says_what_was_sent() -> None:
    """
    Names and values as sent, in their order; white space before a value is not part of it, nor, where a value is
    looked up, that behind it.
    """
    raw = lines(b"X-One:  1 ", b"x-TWO:", b"X-Three: a: b\t", b"Content-Length: 7")
    head = read(raw + b"rest")
    assert (head.method, head.target, head.version) == (b"POST", b"/a/b?c=d", b"HTTP/1.1")
    assert head.pairs == [
        (b"Host", b"bridge.test"),
        (b"X-One", b"1 "),
        (b"x-TWO", b""),
        (b"X-Three", b"a: b\t"),
        (b"Content-Length", b"7"),
    ]
    assert head.value(b"x-one") == b"1"
    assert head.value(b"x-two") == b""
    assert head.value(b"x-three") == b"a: b"
    assert head.value(b"x-four") is None
    assert head.values(b"x-three") == [b"a: b"]
    assert head.length == 7
    assert head.size == len(raw)


def test_bytes_above_ascii_are_taken_in_values() -> None:
    """
    They are obsolete, and in use.
    """
    assert read(lines(b"X-A: \xe4\xff")).fields[b"x-a"] == b"\xe4\xff"


def test_a_repeated_field_has_all_its_values() -> None:
    """
    The first one is what is found by name; a field that is not there has none.
    """
    head = read(lines(b"X-A: 1", b"X-B: 2", b"x-a: 3"))
    assert head.fields[b"x-a"] == b"1"
    assert head.values(b"x-a") == [b"1", b"3"]
    assert head.values(b"x-b") == [b"2"]
    assert head.values(b"x-c") == []
    single = read(lines(b"X-A: 1"))
    assert (single.values(b"x-a"), single.values(b"x-b")) == ([b"1"], [])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_of_the_list_is_served(method: bytes) -> None:
    """
    No other is, unless the reader was told so.
    """
    assert read(lines(line=method + b" / HTTP/1.1")).method == method


def test_connect_is_read_where_it_is_served() -> None:
    """
    Its target is an authority, and nothing else.
    """
    proxy = HeadReader(8192, 65536, 128, METHODS | {b"CONNECT"})
    head = read(lines(line=b"CONNECT api.test:443 HTTP/1.1"), proxy)
    assert (head.method, head.target) == (b"CONNECT", b"api.test:443")
    assert read(lines(line=b"CONNECT [2001:db8::1]:443 HTTP/1.1"), proxy).target == b"[2001:db8::1]:443"
    for target in (b"/", b"api.test", b"api.test:", b"http://api.test:443", b"*", b"a b:1", b"user@api.test:443"):
        assert refusal(lines(line=b"CONNECT " + target + b" HTTP/1.1"), proxy) == 400
    assert refusal(lines(line=b"GET api.test:443 HTTP/1.1"), proxy) == 400


ABSOLUTE = (
    b"http://api.test",
    b"http://api.test/",
    b"HTTP://api.test:80/v1/models?a=b",
    b"https://api.test:8443/v1",
    b"http://[2001:db8::1]:80/a",
    b"http://api.test?a=b",
    b"http://api.test:/a",
)


@pytest.mark.parametrize("target", ABSOLUTE)
def test_a_forward_proxy_reads_absolute_targets(target: bytes) -> None:
    """
    No other server does.
    """
    proxy = HeadReader(8192, 65536, 128, METHODS | {b"CONNECT"})
    assert read(lines(line=b"GET " + target + b" HTTP/1.1"), proxy).target == target
    assert refusal(lines(line=b"GET " + target + b" HTTP/1.1")) == 400


@pytest.mark.parametrize(
    "target",
    [
        b"ftp://api.test/",
        b"http:/api.test",
        b"http:///a",
        b"http://user@api.test/",
        b"http://api.test:80:80/",
        b"http://api.test/a#b",
        b"http://api.test/%zz",
        b"http://[::1/",
        b"http://\xc3\xa4.test/",
        b"api.test/a",
    ],
)
def test_absolute_targets_that_are_none(target: bytes) -> None:
    """
    Not for a forward proxy either.
    """
    proxy = HeadReader(8192, 65536, 128, METHODS | {b"CONNECT"})
    assert refusal(lines(line=b"GET " + target + b" HTTP/1.1"), proxy) == 400


def test_options_may_ask_for_everything() -> None:
    """
    No other method may.
    """
    assert read(lines(line=b"OPTIONS * HTTP/1.1")).target == b"*"
    assert refusal(lines(line=b"GET * HTTP/1.1")) == 400


@pytest.mark.parametrize(
    ("fields", "version", "keeps"),
    [
        ((), b"1.1", True),
        ((b"Connection: keep-alive",), b"1.1", True),
        ((b"Connection: close",), b"1.1", False),
        ((b"Connection: Close",), b"1.1", False),
        ((b"Connection: keep-alive, close",), b"1.1", False),
        ((b"Connection: keep-alive", b"connection: close"), b"1.1", False),
        ((b"Connection: close", b"connection: keep-alive"), b"1.1", False),
        ((b"Connection: closed",), b"1.1", True),
        ((b"Connection: x-a,\tclose ,",), b"1.1", False),
        ((), b"1.0", False),
        ((b"Connection: keep-alive",), b"1.0", False),
    ],
)
def test_whether_the_connection_is_kept(fields: tuple[bytes, ...], version: bytes, keeps: bool) -> None:
    """
    HTTP/1.0 never keeps it, HTTP/1.1 does unless it says otherwise.
    """
    assert read(lines(*fields, line=b"GET / HTTP/" + version)).keeps_alive is keeps


@pytest.mark.parametrize(
    ("fields", "wants"),
    [
        ((b"Connection: Upgrade", b"Upgrade: websocket"), True),
        ((b"Connection: keep-alive, upgrade", b"Upgrade: WebSocket"), True),
        ((b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b"Upgrade: websocket"), True),
        ((b"Connection: Upgrade", b"Upgrade: TLS/1.2"), True),
        ((b"Upgrade: websocket",), False),
        ((b"Connection: upgrade",), False),
        ((b"Connection: upgrade", b"Upgrade:"), False),
        ((b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), False),
        ((b"Connection: Upgrade", b"Upgrade: h2c, HTTP/2.0"), False),
    ],
)
def test_an_upgrade_is_wanted_if_both_fields_say_so(fields: tuple[bytes, ...], wants: bool) -> None:
    """
    Clear-text HTTP/2 is an offer, which some clients make with every request, and does not count.
    """
    head = read(lines(*fields))
    assert head.wants_upgrade is wants
    assert head.keeps_alive


def test_http_1_0_cannot_be_upgraded_and_expects_nothing() -> None:
    """
    RFC 9110, 7.8 and 10.1.1.
    """
    fields = b"Connection: upgrade", b"Upgrade: websocket", b"Expect: 100-continue", b"Content-Length: 1"
    head = read(lines(*fields, line=b"GET / HTTP/1.0"))
    assert not head.wants_upgrade
    assert not head.expects_continue


def test_a_continue_is_expected_only_before_a_body() -> None:
    """
    Whatever the spelling.
    """
    assert read(lines(b"Expect: 100-Continue", b"Content-Length: 1")).expects_continue
    assert read(lines(b"Expect: 100-continue", b"Transfer-Encoding: chunked")).expects_continue
    assert not read(lines(b"Expect: 100-continue", b"Content-Length: 0")).expects_continue
    assert not read(lines(b"Expect: 100-continue")).expects_continue


@pytest.mark.parametrize("behind", [b" ", b"\t", b" \t  "])
def test_white_space_behind_a_value_means_nothing(behind: bytes) -> None:
    """
    In any field (RFC 9110, 5.5); a line of nothing else is none that goes on, and a request line may not end in it.
    """
    fields = (b"Connection: close", b"Expect: 100-continue", b"Content-Length: 3", b"X: a b")
    raw, spaced = lines(*fields), lines(*(field + behind for field in fields))
    usual, told = read(raw), read(spaced)
    assert (told.pairs, told.length, told.keeps_alive, told.expects_continue) == (usual.pairs, 3, False, True)
    assert told.size == len(spaced)
    assert refusal(lines(b"X: a", behind, b"Y: b")) == 400
    assert refusal(lines(b"X: a", line=b"GET / HTTP/1.1" + behind)) == 400
    assert refusal(lines(b"Content-Length: 5" + behind + b"5")) == 400


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ((), 0),
        ((b"Content-Length: 0",), 0),
        ((b"Content-Length: 12",), 12),
        ((b"Content-Length: 9999999999999999999",), 9999999999999999999),
        ((b"Transfer-Encoding: chunked",), None),
        ((b"Content-Length: 5 ",), 5),
        ((b"Content-Length:\t5 \t ",), 5),
        ((b"Transfer-Encoding: chunked ",), None),
        ((b"Transfer-Encoding: chunked\t",), None),
    ],
)
def test_how_long_the_body_is(fields: tuple[bytes, ...], length: int | None) -> None:
    """
    None where only its chunks will tell.
    """
    assert read(lines(*fields)).length == length


def test_limits_hold_to_the_byte() -> None:
    """
    What is exactly as large as allowed is read, one byte more is refused, each limit with its own status.
    """
    raw = lines(b"X-A: b")
    line = raw.index(b"\r\n")
    assert read(raw, HeadReader(line, len(raw), 2))
    assert refusal(raw, HeadReader(line - 1, len(raw), 2)) == 414
    assert refusal(raw, HeadReader(line, len(raw) - 1, 2)) == 431
    assert refusal(raw, HeadReader(line, len(raw), 1)) == 431


def test_limits_hold_for_what_never_ends() -> None:
    """
    A head is refused as soon as it is certain that it is too large.
    """
    reader = HeadReader(100, 200, 8)
    assert reader.read(b"G" * 100) is None
    assert refusal(b"G" * 101, reader) == 414
    begun = b"GET / HTTP/1.1\r\nX: "
    assert reader.read(begun + b"a" * (199 - len(begun))) is None
    assert refusal(begun + b"a" * (200 - len(begun)), reader) == 431


def test_a_line_may_not_be_longer_than_a_head() -> None:
    """
    Where the limits contradict each other, the smaller one holds, with the same status however the bytes come.
    """
    reader = HeadReader(1000, 100, 8)
    raw = lines(line=b"GET /" + b"a" * 200 + b" HTTP/1.1")
    assert refusal(raw, reader) == 414
    assert refusal(raw[:120], reader) == 414


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"\x16", 400),
        (b" ", 400),
        (b"\r\n\r", 400),
        (b"GET /\n", 400),
        (b"GET /\r\n", 505),
        (b"PRI * HTTP/2.0\r\n", 505),
        (b"BREW / HTTP/1.1\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(begun: bytes, status: int) -> None:
    """
    Nobody has to wait for the deadline to learn of it.
    """
    assert refusal(begun) == status


@pytest.mark.parametrize("begun", [b"", b"\r", b"\r\n", b"G", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r", lines()[:-1]])
def test_what_may_become_a_request_is_waited_for(begun: bytes) -> None:
    """
    Up to its last byte.
    """
    assert READER.read(begun) is None


def outcome(raw: bytes, cuts: list[int]) -> object:
    """
    What becomes of a head that comes in pieces, read as a channel reads it.
    """
    seen = 0
    for end in [*sorted({cut % (len(raw) + 1) for cut in cuts} - {0}), len(raw)]:
        if end == seen:
            continue
        try:
            head = READER.read(raw[:end], seen)
        except Refusal as refused:
            return refused.status
        if head is not None:
            return head.method, head.target, head.pairs, head.length, head.size, head.keeps_alive
        seen = end
    return None


@given(
    raw=st.sampled_from([case.raw for case in CASES if len(case.raw) < 2000]),
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=2),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
)
def test_segments_make_no_difference(raw: bytes, flips: list[tuple[int, int]], cuts: list[int]) -> None:
    """
    The same bytes, cut anywhere, are the same head or the same refusal; also where a few of them are wrong.
    """
    changed = bytearray(raw)
    for at, value in flips:
        changed[at % len(changed)] = value
    assert outcome(bytes(changed), cuts) == outcome(bytes(changed), [])


@given(size=st.integers(1, 40), extra=st.integers(0, 40))
def test_a_long_head_is_refused_alike_in_any_segments(size: int, extra: int) -> None:
    """
    Around every limit.
    """
    reader = HeadReader(30, 60, 2)
    raw = b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: a\r\nX: " + b"b" * extra + b"\r\n\r\n"

    def tried(step: int) -> object:
        ends = [*range(0, len(raw), step), len(raw)]
        for seen, end in pairwise(ends):
            try:
                head = reader.read(raw[:end], seen)
            except Refusal as refused:
                return refused.status
            if head is not None:
                return head.size
        return None

    assert len({tried(step) for step in (1, 2, 7, len(raw))}) == 1
