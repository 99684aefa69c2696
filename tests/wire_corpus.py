"""
Requests that two readers could understand in two ways, or that nobody should accept: data, to be sent to anything that
serves HTTP/1.1.

Written from RFC 9110 and RFC 9112, and from what was published of request smuggling: the CVEs named below, and the
families known as CL.TE, TE.CL, TE.TE, CL.0, chunk extensions, and the tunnelling of one request in another.

Every case carries a token, and most a second request, which must never be taken for one. `PATH` and `TOKEN` stand for
a route that answers and for a token that is good there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

PATH: Final = b"/corpus"
TOKEN: Final = b"corpus-token-0123456789"
SECOND: Final = b"GET /smuggled HTTP/1.1\r\nHost: bridge.test\r\n\r\n"


@attrs.frozen
class Case:
    """
    One connection's bytes, and what has to become of them.

    :ivar status: the refusal, after which the connection ends; 0 where the bytes are one well-formed request, odd as
        it may look, and are to be served as such.
    :ivar body: of that request, as a server has to understand it.
    """

    name: str
    raw: bytes
    status: int
    body: bytes = b""

    def to(self, path: bytes, token: bytes) -> bytes:
        """
        The bytes for another route and another token.
        """
        return self.raw.replace(PATH, path).replace(TOKEN, token)


def _head(*fields: bytes, line: bytes = b"POST /corpus HTTP/1.1", host: bytes = b"Host: bridge.test\r\n") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return line + b"\r\n" + host + b"Authorization: Bearer " + TOKEN + b"\r\n" + lines + b"\r\n"


def _lines() -> Iterator[Case]:
    """
    Request lines (RFC 9112, section 3).
    """
    target = PATH
    for name, line, status in (
        ("HTTP/0.9", b"GET " + target, 505),
        ("HTTP/0.9 with a space", b"GET " + target + b" ", 400),
        ("HTTP/2.0", b"GET " + target + b" HTTP/2.0", 505),
        ("HTTP/3.0", b"GET " + target + b" HTTP/3.0", 505),
        ("HTTP/1.2", b"GET " + target + b" HTTP/1.2", 505),
        ("HTTP/0.9 in full", b"GET " + target + b" HTTP/0.9", 505),
        ("HTTP/1.10", b"GET " + target + b" HTTP/1.10", 400),
        ("HTTP/11", b"GET " + target + b" HTTP/11", 400),
        ("HTTP/01.1", b"GET " + target + b" HTTP/01.1", 400),
        ("HTTP/1.", b"GET " + target + b" HTTP/1.", 400),
        ("HTTP/1", b"GET " + target + b" HTTP/1", 400),
        ("HTTP/ 1.1", b"GET " + target + b" HTTP/ 1.1", 400),
        ("HTTP/1.1 twice", b"GET " + target + b" HTTP/1.1 HTTP/1.1", 400),
        ("HTTP /1.1", b"GET " + target + b" HTTP /1.1", 400),
        ("HTTP/1,1", b"GET " + target + b" HTTP/1,1", 400),
        ("HTTP/-1.1", b"GET " + target + b" HTTP/-1.1", 400),
        ("HTTP/1.1 in lower case", b"GET " + target + b" http/1.1", 400),
        ("HTTPS/1.1", b"GET " + target + b" HTTPS/1.1", 400),
        ("RTSP/1.0", b"GET " + target + b" RTSP/1.0", 400),
        ("RTSP/1.1", b"OPTIONS " + target + b" RTSP/1.1", 400),
        ("ICE/1.0", b"GET " + target + b" ICE/1.0", 400),
        ("two spaces before the target", b"GET  " + target + b" HTTP/1.1", 400),
        ("two spaces before the version", b"GET " + target + b"  HTTP/1.1", 400),
        ("a tab before the target", b"GET\t" + target + b" HTTP/1.1", 400),
        ("a tab before the version", b"GET " + target + b"\tHTTP/1.1", 400),
        ("a vertical tab before the target", b"GET\x0b" + target + b" HTTP/1.1", 400),
        ("a form feed before the target", b"GET\x0c" + target + b" HTTP/1.1", 400),
        ("a space at the start", b" GET " + target + b" HTTP/1.1", 400),
        ("a tab at the start", b"\tGET " + target + b" HTTP/1.1", 400),
        ("a space at the end", b"GET " + target + b" HTTP/1.1 ", 400),
        ("a tab at the end", b"GET " + target + b" HTTP/1.1\t", 400),
        ("a CR at the end", b"GET " + target + b" HTTP/1.1\r", 400),
        ("a NUL at the end", b"GET " + target + b" HTTP/1.1\0", 400),
        ("a NUL at the start", b"\0GET " + target + b" HTTP/1.1", 400),
        ("a byte order mark at the start", b"\xef\xbb\xbfGET " + target + b" HTTP/1.1", 400),
        ("no method", target + b" HTTP/1.1", 400),
        ("no target", b"GET HTTP/1.1", 400),
        ("an empty target", b"GET  HTTP/1.1", 400),
        ("nothing but the method", b"GET", 400),
        ("a field as the first line", b"Host: bridge.test", 400),
        ("a status line", b"HTTP/1.1 200 OK", 400),
        ("a method in lower case", b"get " + target + b" HTTP/1.1", 501),
        ("a method in mixed case", b"Get " + target + b" HTTP/1.1", 501),
        ("a method that begins like one", b"GETX " + target + b" HTTP/1.1", 501),
        ("CONNECT with an authority", b"CONNECT bridge.test:443 HTTP/1.1", 501),
        ("CONNECT with a path", b"CONNECT " + target + b" HTTP/1.1", 501),
        ("TRACE", b"TRACE " + target + b" HTTP/1.1", 501),
        ("TRACK", b"TRACK " + target + b" HTTP/1.1", 501),
        ("PROPFIND", b"PROPFIND " + target + b" HTTP/1.1", 501),
        ("M-SEARCH", b"M-SEARCH * HTTP/1.1", 501),
        ("SOURCE", b"SOURCE " + target + b" HTTP/1.1", 501),
        ("PURGE", b"PURGE " + target + b" HTTP/1.1", 501),
        ("LINK", b"LINK " + target + b" HTTP/1.1", 501),
        ("a method of 300 letters", b"A" * 300 + b" " + target + b" HTTP/1.1", 501),
        ("a method with parentheses", b"G(E)T " + target + b" HTTP/1.1", 400),
        ("a method with a NUL", b"GE\0T " + target + b" HTTP/1.1", 400),
        ("a method with a high byte", b"G\xc3\x89T " + target + b" HTTP/1.1", 400),
        ("a quoted method", b'"GET" ' + target + b" HTTP/1.1", 400),
        ("a method with a colon", b"GET: " + target + b" HTTP/1.1", 400),
    ):
        yield Case(f"line: {name}", _head(line=line) + SECOND, status)


def _targets() -> Iterator[Case]:
    """
    Targets (RFC 9112, 3.2).
    """
    for name, target in (
        ("absolute form", b"http://bridge.test/corpus"),
        ("absolute form, https", b"https://bridge.test/corpus"),
        ("absolute form of another host", b"http://internal.test/corpus"),
        ("absolute form with a user", b"http://user:password@bridge.test/corpus"),
        ("absolute form, other scheme", b"ftp://bridge.test/corpus"),
        ("file URL", b"file:///etc/passwd"),
        ("scheme without authority", b"http:/corpus"),
        ("authority form", b"bridge.test:80"),
        ("authority form without port", b"bridge.test"),
        ("asterisk", b"*"),
        ("asterisk and path", b"*/corpus"),
        ("relative path", b"corpus"),
        ("query alone", b"?a=b"),
        ("fragment", b"/corpus#fragment"),
        ("empty fragment", b"/corpus#"),
        ("fragment in the query", b"/corpus?a=b#c"),
        ("backslash", b"/\\corpus"),
        ("backslash first", b"\\corpus"),
        ("double quote", b'/corpus?a="b"'),
        ("less than", b"/corpus?<script>"),
        ("caret", b"/corpus^"),
        ("back quote", b"/corpus`"),
        ("braces", b"/corpus/{id}"),
        ("bar", b"/corpus|x"),
        ("space", b"/corpus x"),
        ("tab", b"/corpus\tx"),
        ("NUL", b"/corpus\0"),
        ("CR", b"/corpus\rx"),
        ("LF", b"/corpus\nx"),
        ("escape", b"/corpus\x1bx"),
        ("DEL", b"/corpus\x7f"),
        ("byte 0x80", b"/corpus\x80"),
        ("byte 0xff", b"/corpus\xff"),
        ("UTF-8", "/córpus".encode()),
        ("percent at the end", b"/corpus%"),
        ("percent and one digit", b"/corpus%4"),
        ("percent and no digits", b"/corpus%zz"),
        ("percent and u", b"/corpus%u0041"),
        ("percent in the query", b"/corpus?a=100%"),
    ):
        yield Case(f"target: {name}", _head(line=b"GET " + target + b" HTTP/1.1") + SECOND, 400)
    yield Case("target: longer than a line may be", _head(line=b"GET /" + b"a" * 70000 + b" HTTP/1.1"), 414)
    yield Case("target: without end", b"GET /" + b"a" * 70000, 414)


def _endings() -> Iterator[Case]:
    """
    Line ends and empty lines (RFC 9112, 2.2); CVE-2022-24766 and its kin.
    """
    auth = b"Authorization: Bearer " + TOKEN
    line = b"GET /corpus HTTP/1.1"
    host = b"Host: bridge.test"
    for name, raw in (
        ("LF after the request line", line + b"\n" + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("LF after a field", line + b"\r\n" + host + b"\n" + auth + b"\r\n\r\n"),
        ("LF everywhere", line + b"\n" + host + b"\n" + auth + b"\n\n"),
        ("LF instead of the empty line", line + b"\r\n" + host + b"\r\n" + auth + b"\r\n\n"),
        ("CR after the request line", line + b"\r" + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("CR after a field", line + b"\r\n" + host + b"\r" + auth + b"\r\n\r\n"),
        ("CR CR LF after a field", line + b"\r\n" + host + b"\r\r\n" + auth + b"\r\n\r\n"),
        ("LF CR after a field", line + b"\r\n" + host + b"\n\r" + auth + b"\r\n\r\n"),
        ("LF at the start", b"\n" + line + b"\r\n" + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("CR at the start", b"\r" + line + b"\r\n" + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("two empty lines at the start", b"\r\n\r\n" + line + b"\r\n" + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("a folded field", line + b"\r\n" + host + b"\r\nX-Fold: a\r\n b\r\n" + auth + b"\r\n\r\n"),
        ("a field folded with a tab", line + b"\r\n" + host + b"\r\nX-Fold: a\r\n\tb\r\n" + auth + b"\r\n\r\n"),
        ("a folded first field", line + b"\r\n " + host + b"\r\n" + auth + b"\r\n\r\n"),
        ("an empty folded line", line + b"\r\n" + host + b"\r\n \r\n" + auth + b"\r\n\r\n"),
        ("a folded length", line + b"\r\n" + host + b"\r\n" + auth + b"\r\nContent-Length:\r\n 5\r\n\r\nabcde"),
        (
            "a folded coding",
            line + b"\r\n" + host + b"\r\n" + auth + b"\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        ),
        ("a space before a name", line + b"\r\n" + host + b"\r\n X-A: b\r\n" + auth + b"\r\n\r\n"),
    ):
        yield Case(f"ending: {name}", raw + SECOND, 400)
    yield Case("ending: one empty line at the start", b"\r\n" + line + b"\r\n" + host + b"\r\n" + auth + b"\r\n\r\n", 0)


def _fields() -> Iterator[Case]:
    """
    Field names and values (RFC 9110, 5.1 and 5.5; RFC 9112, 5).
    """
    for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F):
        yield Case(f"value: byte 0x{code:02x}", _head(b"X-A: a%bb" % bytes([code])) + SECOND, 400)
    for code in b'\x00\x01\t\x0b\x1f "(),/;<=>?@[\\]{}\x7f\x80\xff':
        yield Case(f"name: byte 0x{code:02x}", _head(b"X%bA: b" % bytes([code])) + SECOND, 400)
    for name, field in (
        ("no name", b": value"),
        ("no colon", b"X-A"),
        ("no colon but a value", b"X-A value"),
        ("space before the colon", b"X-A : value"),
        ("tab before the colon", b"X-A\t: value"),
        ("space before the colon of the length", b"Content-Length : 5"),
        ("space before the colon of the coding", b"Transfer-Encoding : chunked"),
        ("a CR in the name", b"X-A\rContent-Length: 5"),
        ("another request in a value", b"X-A: a\r\n\r\rGET /smuggled HTTP/1.1"),
    ):
        yield Case(f"field: {name}", _head(field) + b"abcde" + SECOND, 400)
    yield Case("field: 5,000 of them", _head(*(b"X-A%d: b" % number for number in range(5000))), 431)
    yield Case("field: a value of 70,000 bytes", _head(b"X-A: " + b"a" * 70000), 431)
    yield Case("field: a name of 70,000 bytes", _head(b"X" * 70000 + b": a"), 431)
    yield Case("field: without end", _head(b"X-A: " + b"a" * 70000)[:-4], 431)
    yield Case("field: high bytes in a value", _head(b"X-A: \xe4\xf6\xfc"), 0)
    yield Case("field: an empty value", _head(b"X-A:"), 0)
    yield Case("field: padding around a value", _head(b"X-A: \t a \t "), 0)
    yield Case("field: a colon in a value", _head(b"X-A: b: c"), 0)


def _hosts() -> Iterator[Case]:
    """
    Host (RFC 9112, 3.2).
    """
    for name, host in (
        ("missing", b""),
        ("empty", b"Host:\r\n"),
        ("blank", b"Host:  \r\n"),
        ("twice the same", b"Host: bridge.test\r\nHost: bridge.test\r\n"),
        ("twice", b"Host: bridge.test\r\nHost: internal.test\r\n"),
        ("twice in two spellings", b"Host: bridge.test\r\nhost: internal.test\r\n"),
        ("two in one", b"Host: bridge.test, internal.test\r\n"),
        ("two in one, without space", b"Host: bridge.test,internal.test\r\n"),
        ("two with a space", b"Host: bridge.test internal.test\r\n"),
        ("with a user", b"Host: user@bridge.test\r\n"),
        ("with a path", b"Host: bridge.test/corpus\r\n"),
        ("with a query", b"Host: bridge.test?a\r\n"),
        ("with a fragment", b"Host: bridge.test#a\r\n"),
        ("with a scheme", b"Host: http://bridge.test\r\n"),
        ("with a port of letters", b"Host: bridge.test:http\r\n"),
        ("with a signed port", b"Host: bridge.test:+80\r\n"),
        ("with a port of six digits", b"Host: bridge.test:123456\r\n"),
        ("with two ports", b"Host: bridge.test:80:80\r\n"),
        ("with a high byte", b"Host: bridge.t\xebst\r\n"),
        ("with a backslash", b"Host: bridge.test\\internal\r\n"),
        ("with a quote", b'Host: "bridge.test"\r\n'),
        ("with an open bracket", b"Host: [::1\r\n"),
        ("with letters in brackets", b"Host: [bridge.test]\r\n"),
        ("an address without brackets", b"Host: 2001:db8::1\r\n"),
        ("a port alone", b"Host: :80\r\n"),
        ("of 300 letters", b"Host: " + b"a" * 300 + b"\r\n"),
        ("folded", b"Host:\r\n bridge.test\r\n"),
        ("with a space before the colon", b"Host : bridge.test\r\n"),
        ("under another name", b"X-Host: bridge.test\r\n"),
    ):
        yield Case(f"host: {name}", _head(line=b"GET /corpus HTTP/1.1", host=host) + SECOND, 400)
    for name, host in (
        ("with a port", b"Host: bridge.test:8080\r\n"),
        ("an IPv4 address", b"Host: 192.0.2.1:80\r\n"),
        ("an IPv6 address", b"Host: [2001:db8::1]:443\r\n"),
        ("in capitals", b"HOST: BRIDGE.TEST\r\n"),
        ("with an underscore", b"Host: my_bridge\r\n"),
        ("padded at the end", b"Host: bridge.test \t\r\n"),
    ):
        yield Case(f"host: {name}", _head(line=b"GET /corpus HTTP/1.1", host=host), 0)


def _lengths() -> Iterator[Case]:
    """
    Content-Length (RFC 9112, 6.2 and 6.3); CVE-2020-10108, CVE-2020-10109, CVE-2022-24801, CVE-2019-20444.
    """
    for name, value in (
        ("signed", b"+5"),
        ("negative", b"-5"),
        ("negative zero", b"-0"),
        ("hexadecimal", b"0x5"),
        ("octal", b"0o5"),
        ("with an exponent", b"5e0"),
        ("with a fraction", b"5.0"),
        ("with an underscore among its digits", b"1_0"),
        ("with a comma", b"5,"),
        ("listed twice", b"5, 5"),
        ("listed twice without space", b"5,5"),
        ("listed, different", b"5, 6"),
        ("with a blank inside", b"1 0"),
        ("with a semicolon", b"5;"),
        ("quoted", b'"5"'),
        ("padded inside and at the end", b"5 5 "),
        ("padded with a vertical tab", b"\x0b5"),
        ("padded with a form feed", b"5\x0c"),
        ("padded with a no-break space", b"\xa05"),
        ("empty", b""),
        ("blank", b"  "),
        ("of letters", b"five"),
        ("none", b"None"),
        ("of Arabic digits", "٥".encode()),
        ("of full-width digits", "５".encode()),
        ("superscript", "⁵".encode()),
        ("superscript in Latin-1", b"\xb2"),
        ("20 digits", b"10000000000000000000"),
        ("2 to the 64th", b"18446744073709551616"),
        ("2 to the 64th and 5", b"18446744073709551621"),
        ("20 digits, padded with zeros", b"00000000000000000005"),
        ("50 digits", b"9" * 50),
        ("4,301 digits", b"1" * 4301),
        ("4,301 zeros", b"0" * 4301),
    ):
        yield Case(f"length: {name}", _head(b"Content-Length: " + value) + b"abcde" + SECOND, 400)
    for name, fields in (
        ("twice the same", (b"Content-Length: 5", b"Content-Length: 5")),
        ("twice", (b"Content-Length: 5", b"Content-Length: 0")),
        ("twice, zero first", (b"Content-Length: 0", b"Content-Length: 5")),
        ("twice in two spellings", (b"Content-Length: 5", b"content-length: 46")),
        ("with an underscore", (b"Content_Length: 5",)),
        ("with an underscore beside a length", (b"Content-Length: 5", b"Content_Length: 0")),
        ("with an underscore in lower case", (b"content_length: 5",)),
        ("with a NUL in the name", (b"Content-Length\0: 5",)),
        ("with a vertical tab in the name", (b"Content-Length\x0b: 5",)),
        ("with a space in the name", (b"Content Length: 5",)),
    ):
        yield Case(f"length: {name}", _head(*fields) + b"abcde" + SECOND, 400)
    yield Case("length: padded with zeros", _head(b"Content-Length: 0000000005") + b"abcde", 0, b"abcde")
    yield Case("length: without a space", _head(b"Content-Length:5") + b"abcde", 0, b"abcde")
    yield Case("length: after blanks", _head(b"Content-Length: \t 5") + b"abcde", 0, b"abcde")
    yield Case("length: before blanks", _head(b"Content-Length: 5 \t") + b"abcde", 0, b"abcde")
    yield Case("length: in capitals", _head(b"CONTENT-LENGTH: 5") + b"abcde", 0, b"abcde")
    yield Case("length: 0 on a POST", _head(b"Content-Length: 0"), 0)
    yield Case("length: none on a POST", _head(), 0)
    yield Case(
        "length: a body that looks like a request", _head(b"Content-Length: %d" % len(SECOND)) + SECOND, 0, SECOND
    )
    yield Case(
        "length: a GET with a body",
        _head(b"Content-Length: 5", line=b"GET /corpus HTTP/1.1") + b"abcde",
        0,
        b"abcde",
    )


def _codings() -> Iterator[Case]:
    """
    Transfer-Encoding (RFC 9112, 6.1); CL.TE, TE.CL, TE.TE; CVE-2019-16276, CVE-2020-8287, CVE-2021-22960,
    CVE-2022-32213, CVE-2022-32214, CVE-2022-32215, CVE-2023-30589.
    """
    for name, value in (
        ("gzip, chunked", b"gzip, chunked"),
        ("chunked, gzip", b"chunked, gzip"),
        ("gzip", b"gzip"),
        ("identity", b"identity"),
        ("identity, chunked", b"identity, chunked"),
        ("chunked, identity", b"chunked, identity"),
        ("chunked twice", b"chunked, chunked"),
        ("chunked twice without space", b"chunked,chunked"),
        ("chunked and a comma", b"chunked,"),
        ("a comma and chunked", b",chunked"),
        ("a comma, a space and chunked", b", chunked"),
        ("xchunked", b"xchunked"),
        ("chunkedx", b"chunkedx"),
        ("chunked with a parameter", b"chunked;q=1"),
        ("chunked with a semicolon", b"chunked;"),
        ("quoted", b'"chunked"'),
        ("in single quotes", b"'chunked'"),
        ("empty", b""),
        ("blank", b" "),
        ("chunk", b"chunk"),
        ("chunked with a comma padded at the end", b"chunked, "),
        ("chunked after a vertical tab", b"\x0bchunked"),
        ("chunked before a form feed", b"chunked\x0c"),
        ("chunked after a NUL", b"\0chunked"),
        ("chunked before a CR", b"chunked\r"),
        ("chunked after a no-break space", b"\xa0chunked"),
        ("chunked with a Kelvin sign", "chun\u212aed".encode()),
        ("chunked with a blank inside", b"chun ked"),
        ("trailers", b"trailers"),
        ("cow", b"cow"),
    ):
        yield Case(f"coding: {name}", _head(b"Transfer-Encoding: " + value) + b"0\r\n\r\n" + SECOND, 400)
    te, cl = b"Transfer-Encoding: chunked", b"Content-Length: 5"
    for name, fields in (
        ("with a length (CL.TE)", (cl, te)),
        ("with a length (TE.CL)", (te, cl)),
        ("with a length of 0", (b"Content-Length: 0", te)),
        ("with a wrong length", (te, b"Content-Length: +5")),
        ("twice", (te, te)),
        ("chunked and identity (TE.TE)", (te, b"Transfer-Encoding: identity")),
        ("identity and chunked (TE.TE)", (b"Transfer-Encoding: identity", te)),
        ("chunked and cow (TE.TE)", (te, b"Transfer-encoding: cow")),
        ("in two spellings", (te, b"transfer-encoding: chunked")),
        ("with an underscore", (b"Transfer_Encoding: chunked",)),
        ("with an underscore beside a length", (cl, b"Transfer_Encoding: chunked")),
        ("with a space before the colon", (cl, b"Transfer-Encoding : chunked")),
        ("with a tab before the colon", (cl, b"Transfer-Encoding\t: chunked")),
        ("with a space before the name", (cl, b" Transfer-Encoding: chunked")),
        ("with a NUL in the name", (cl, b"Transfer-Encoding\0: chunked")),
        ("with a vertical tab before the colon", (cl, b"Transfer-Encoding\x0b: chunked")),
        ("with a folded length", (te, b"X-A: b\r\n Content-Length: 5")),
        ("behind an LF", (cl, b"X-A: b\nTransfer-Encoding: chunked")),
        ("behind a CR", (cl, b"X-A: b\rTransfer-Encoding: chunked")),
    ):
        yield Case(f"coding: {name}", _head(*fields) + b"0\r\n\r\n" + SECOND, 400)
    old = b"POST /corpus HTTP/1.0"
    yield Case("coding: in HTTP/1.0", _head(te, line=old) + b"0\r\n\r\n" + SECOND, 400)
    yield Case("coding: in HTTP/1.0 with a length", _head(te, cl, line=old) + b"0\r\n\r\n" + SECOND, 400)
    yield Case("coding: in HTTP/1.0 and kept alive", _head(te, b"Connection: keep-alive", line=old) + b"0\r\n\r\n", 400)
    for name, blanks in (("a space", b" "), ("a tab", b"\t")):
        chunks = _head(te + blanks) + b"3\r\nabc\r\n0\r\n\r\n"
        yield Case(f"coding: chunked before {name}", chunks, 0, b"abc")
    yield Case(
        "coding: chunked in capitals", _head(b"Transfer-Encoding: CHUNKED") + b"3\r\nabc\r\n0\r\n\r\n", 0, b"abc"
    )
    yield Case("coding: without a space", _head(b"Transfer-Encoding:chunked") + b"3\r\nabc\r\n0\r\n\r\n", 0, b"abc")


def _chunks() -> Iterator[Case]:
    """
    Chunked bodies (RFC 9112, 7.1); CVE-2022-24801, CVE-2023-39326, CVE-2024-22259 and the chunk-extension family.
    """
    for name, body in (
        ("size with 0x", b"0x5\r\nabcde\r\n0\r\n\r\n"),
        ("size with a sign", b"+5\r\nabcde\r\n0\r\n\r\n"),
        ("negative size", b"-5\r\nabcde\r\n0\r\n\r\n"),
        ("size with a space behind", b"5 \r\nabcde\r\n0\r\n\r\n"),
        ("size with a tab behind", b"5\t\r\nabcde\r\n0\r\n\r\n"),
        ("size with a space before", b" 5\r\nabcde\r\n0\r\n\r\n"),
        ("size with an underscore", b"0_5\r\nabcde\r\n0\r\n\r\n"),
        ("size with a point", b"5.\r\nabcde\r\n0\r\n\r\n"),
        ("size with a comma", b"5,\r\nabcde\r\n0\r\n\r\n"),
        ("size of no digit", b"g\r\nabcde\r\n0\r\n\r\n"),
        ("size of nothing", b"\r\nabcde\r\n0\r\n\r\n"),
        ("size of nothing but an extension", b";a\r\nabcde\r\n0\r\n\r\n"),
        ("size of full-width digits", "５".encode() + b"\r\nabcde\r\n0\r\n\r\n"),
        ("size of 17 digits", b"10000000000000005\r\nabcde\r\n0\r\n\r\n"),
        ("size of 20 digits", b"F" * 20 + b"\r\nabcde\r\n0\r\n\r\n"),
        ("size of 5,000 zeros", b"0" * 5000 + b"5\r\nabcde\r\n0\r\n\r\n"),
        ("size without end", b"5" * 1 + b"0" * 20000),
        ("size with a NUL", b"5\0\r\nabcde\r\n0\r\n\r\n"),
        ("size line ended by LF", b"5\nabcde\r\n0\r\n\r\n"),
        ("size line ended by CR", b"5\rabcde\r\n0\r\n\r\n"),
        ("size line ended by CR CR LF", b"5\r\r\nabcde\r\n0\r\n\r\n"),
        ("size line ended by LF CR", b"5\n\rabcde\r\n0\r\n\r\n"),
        ("chunk too short", b"6\r\nabcde\r\n0\r\n\r\n"),
        ("chunk too long", b"4\r\nabcde\r\n0\r\n\r\n"),
        ("chunk not ended", b"5\r\nabcde0\r\n\r\n"),
        ("chunk ended by LF", b"5\r\nabcde\n0\r\n\r\n"),
        ("chunk ended by CR", b"5\r\nabcde\r0\r\n\r\n"),
        ("chunk ended by two bytes", b"5\r\nabcdeXX0\r\n\r\n"),
        ("last chunk ended by LF", b"5\r\nabcde\r\n0\n\r\n"),
        ("last line ended by LF", b"5\r\nabcde\r\n0\r\n\n"),
        ("last line ended by CR", b"5\r\nabcde\r\n0\r\n\rX"),
        ("extension with a space before", b"5 ;a=b\r\nabcde\r\n0\r\n\r\n"),
        ("extension with a space behind the semicolon", b"5; a=b\r\nabcde\r\n0\r\n\r\n"),
        ("extension with an LF", b"5;a=b\nX: y\r\nabcde\r\n0\r\n\r\n"),
        ("extension with a CR", b"5;a=b\rX\r\nabcde\r\n0\r\n\r\n"),
        ("extension with an LF in quotes", b'5;a="\n"\r\nabcde\r\n0\r\n\r\n'),
        ("extension with a NUL", b"5;a=\0\r\nabcde\r\n0\r\n\r\n"),
        ("extension with an open quote", b'5;a="b\r\nabcde\r\n0\r\n\r\n'),
        ("extension with a DEL", b"5;a=\x7f\r\nabcde\r\n0\r\n\r\n"),
        ("extension without a name", b"5;\r\nabcde\r\n0\r\n\r\n"),
        ("extension of 5,000 bytes", b"5;" + b"a" * 5000 + b"\r\nabcde\r\n0\r\n\r\n"),
        ("extension without end", b"5;" + b"a" * 20000),
        ("extensions of 5,000 bytes in sum", b"".join(b"1;%b\r\nx\r\n" % (b"a" * 100) for _ in range(60))),
        ("an empty line between chunks", b"5\r\nabcde\r\n\r\n0\r\n\r\n"),
        ("a request instead of a chunk", SECOND),
    ):
        yield Case(f"chunk: {name}", _head(b"Transfer-Encoding: chunked") + body + SECOND, 400)
    for name, body, understood in (
        ("none but the last", b"0\r\n\r\n", b""),
        ("one", b"5\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        ("many", b"1\r\na\r\n2\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        ("small letters in a size", b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        ("a size with zeros before", b"005\r\nabcde\r\n000\r\n\r\n", b"abcde"),
        ("an extension", b"5;a\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        ("an extension with a value", b"5;a=b\r\nabcde\r\n0;c\r\n\r\n", b"abcde"),
        ("an extension in quotes", b'5;a="b c"\r\nabcde\r\n0\r\n\r\n', b"abcde"),
        ("a chunk that looks like an end", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        ("a chunk that looks like a request", b"%x\r\n" % len(SECOND) + SECOND + b"\r\n0\r\n\r\n", SECOND),
    ):
        yield Case(f"chunk: {name}", _head(b"Transfer-Encoding: chunked") + body, 0, understood)


def _trailers() -> Iterator[Case]:
    """
    Trailers (RFC 9110, 6.5.1).
    """
    for field in (
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content_Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer_Encoding: chunked",
        b"Host: internal.test",
        b"Authorization: Bearer other",
        b"authorization: Bearer other",
        b"Proxy-Authorization: Basic other",
        b"X-Api-Key: other",
        b"x_api_key: other",
        b"X-Coder-Token: other",
        b"X-Coder-AI-Governance-Token: other",
        b"Cookie: a=b",
        b"Connection: close",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Trailer: Host",
        b"TE: trailers",
        b"Content-Type: text/plain",
        b"Content-Encoding: gzip",
        b"Forwarded: for=127.0.0.1",
        b"X-Forwarded-For: 127.0.0.1",
        b"X-AI-Bridge-Request-Id: 1",
        b"X-A : b",
        b" X-A: b",
        b"X-A: b\r\n c",
        b"X-A",
        b": b",
        b"X-A: \0",
        b"X-A: b\nHost: a",
        b"X-A: " + b"b" * 5000,
        b"\r\n".join(b"X-%d: b" % number for number in range(1000)),
    ):
        name = (
            field[:40].decode("ascii", "backslashreplace").replace("\r\n", " ").replace("\n", " ").replace("\0", "NUL")
        )
        body = b"5\r\nabcde\r\n0\r\n" + field + b"\r\n\r\n"
        yield Case(f"trailer: {name!r}", _head(b"Transfer-Encoding: chunked") + body + SECOND, 400)
    body = b"5\r\nabcde\r\n0\r\nX-Checksum: 1\r\n\r\n"
    yield Case("trailer: harmless", _head(b"Transfer-Encoding: chunked") + body, 0, b"abcde")


def _expectations() -> Iterator[Case]:
    """
    Expect (RFC 9110, 10.1.1).
    """
    for value in (b"200-ok", b"100-continue, 200-ok", b"", b"100", b"100-continue;a=b", b"100-continued"):
        yield Case(
            f"expect: {value.decode()!r}", _head(b"Expect: " + value, b"Content-Length: 5") + b"abcde" + SECOND, 417
        )
    yield Case(
        "expect: twice, one unknown",
        _head(b"Expect: 100-continue", b"Expect: 200-ok", b"Content-Length: 5") + b"abcde",
        417,
    )
    yield Case(
        "expect: 100-continue with the body already there",
        _head(b"Expect: 100-continue", b"Content-Length: 5") + b"abcde",
        0,
        b"abcde",
    )
    yield Case("expect: 100-continue without a body", _head(b"Expect: 100-continue"), 0)


def _others() -> Iterator[Case]:
    """
    Other protocols, and what is left.
    """
    hello = bytes.fromhex("16030100c5010000c10303") + bytes(range(186))
    for name, raw, status in (
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 505),
        ("TLS hello", hello, 400),
        ("SSLv2 hello", b"\x80\x2e\x01\x03\x01" + bytes(40), 400),
        ("PROXY protocol, version 1", b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\n" + _head(), 400),
        ("PROXY protocol, version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + _head(), 400),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        ("SMTP", b"EHLO bridge.test\r\n", 400),
        ("SOCKS5", b"\x05\x01\x00", 400),
        ("Redis", b"*1\r\n$4\r\nPING\r\n", 400),
        ("NULs", bytes(100), 400),
        ("high bytes", b"\xff" * 100, 400),
        ("empty lines", b"\r\n" * 1000, 400),
        ("line feeds", b"\n" * 1000, 400),
        ("JSON", b'{"model": "demo"}\r\n\r\n', 400),
    ):
        yield Case(f"other: {name}", raw, status)
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
    yield Case("other: an offer of clear-text HTTP/2", _head(*upgrade, line=b"GET /corpus HTTP/1.1"), 0)
    yield Case(
        "other: an offer of clear-text HTTP/2 with a body",
        _head(*upgrade, b"Content-Length: 5") + b"abcde",
        0,
        b"abcde",
    )
    yield Case("other: HTTP/1.0", _head(line=b"GET /corpus HTTP/1.0", host=b""), 0)
    yield Case("other: HTTP/1.0 with a wrong host", _head(line=b"GET /corpus HTTP/1.0", host=b"Host: a b\r\n"), 400)
    yield Case("other: HTTP/1.0 and two hosts", _head(b"Host: a", line=b"GET /corpus HTTP/1.0"), 400)
    yield Case(
        "other: a length named in Connection",
        _head(b"Connection: Content-Length", b"Content-Length: 5") + b"abcde",
        0,
        b"abcde",
    )


CASES: Final = (
    *_lines(),
    *_targets(),
    *_endings(),
    *_fields(),
    *_hosts(),
    *_lengths(),
    *_codings(),
    *_chunks(),
    *_trailers(),
    *_expectations(),
    *_others(),
)
"""All of them; names are unique."""
