"""
Reads request heads: everything that an edge has to refuse before it may believe a word of them.

llhttp, without a leniency flag, judges the fields; what it lets through although two readers could take it for two
different things is refused here (RFC 9112; the names of the attacks are in the tests). A refusal depends on the bytes
alone, never on how they were cut into segments: the flaw that comes first decides, also where a later one is already
there to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

Pair = tuple[bytes, bytes]

METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
"""Those that are served; a forward proxy adds ``CONNECT``, whose target is then read in its own form, as are absolute
targets."""

_MOST_DIGITS = 19

# RFC 3986 without the fragment; square brackets are not in its query, but `include[]=` is in the vendors' documents.
_IN_PATH = rb"[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*"
_PATH = re.compile(b"/" + _IN_PATH)
_LINE = re.compile(rb"([A-Z]+) (" + _PATH.pattern + rb") HTTP/1\.([01])\r\n")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BEHIND = re.compile(rb"(?<=[^ \t\r\n])[ \t]++(?=\r\n)")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAME_OR_ADDRESS = rb"(?:[0-9A-Za-z](?:[0-9A-Za-z._~-]*)|\[[0-9A-Fa-f:.]{2,45}\])"
_HOST = re.compile(_NAME_OR_ADDRESS + rb"(?::[0-9]{0,5})?")
_AUTHORITY = re.compile(_NAME_OR_ADDRESS + rb":[0-9]{1,5}")
_ABSOLUTE = re.compile(rb"(?i:https?)://" + _HOST.pattern + rb"(?:[/?]" + _IN_PATH + b")?")

_ONCE = frozenset((b"host", b"content-length", b"transfer-encoding"))
_KEEPING = frozenset((b"keep-alive", b"Keep-Alive"))
_IGNORABLE = frozenset((b"h2c", b"http/2.0", b"http/2"))


class Refusal(Exception):
    """
    A request that is not served, whoever sent it; nothing behind it on its connection can be believed either.

    :ivar status: 4xx, or 501 or 505.
    :ivar message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class Head:
    """
    A request head that may be believed.

    :ivar target: as sent, in origin form (``*`` for OPTIONS, an authority for CONNECT; a forward proxy's may be
        absolute).
    :ivar version: ``HTTP/1.1`` or ``HTTP/1.0``.
    :ivar pairs: the fields in their order, names as sent, values as sent but for white space before them.
    :ivar fields: name in lower case → its first value, likewise.
    :ivar repeats: a name occurs more than once.
    :ivar length: of the body in bytes; 0 where there is none, None where it is chunked.
    :ivar keeps_alive: the client would send another request on this connection.
    :ivar wants_upgrade: to a protocol other than clear-text HTTP/2, which is offered by some clients with every
        request and need not be answered (RFC 9110, 7.8).
    :ivar expects_continue: the client waits for ``100 Continue`` before it sends the body.
    :ivar size: bytes of the buffer that belong to the head.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "keeps_alive",
        "length",
        "method",
        "pairs",
        "repeats",
        "size",
        "target",
        "version",
        "wants_upgrade",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, pairs: list[Pair], size: int) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.pairs = pairs
        self.size = size
        self.fields: dict[bytes, bytes] = {name.lower(): value for name, value in pairs}
        self.repeats = len(self.fields) != len(pairs)
        if self.repeats:
            self.fields = {name.lower(): value for name, value in reversed(pairs)}
        self.length: int | None = 0
        self.keeps_alive = version == b"HTTP/1.1"
        self.wants_upgrade = False
        self.expects_continue = False

    def value(self, name: bytes) -> bytes | None:
        """
        The first value of a field, whose name is given in lower case; without the white space around it.
        """
        value: bytes | None = self.fields.get(name)
        return None if value is None else value.strip()

    def values(self, name: bytes) -> list[bytes]:
        """
        All values of a field, likewise.
        """
        if self.repeats:
            return [value.strip() for field, value in self.pairs if field.lower() == name]
        value = self.fields.get(name)
        return [] if value is None else [value.strip()]


class _Fields:
    """
    Takes what llhttp finds, by whatever is to be called for each field.
    """

    __slots__ = ("on_header",)

    def __init__(self, on_header: Callable[[bytes, bytes], None]) -> None:
        self.on_header = on_header


class HeadReader:
    """
    Reads heads under one set of limits.

    :param max_line: longest request line in bytes, its end not counted.
    :param max_head: largest head in bytes, the empty line included.
    :param max_fields: most fields.
    :param methods: those that are served.
    """

    __slots__ = ("_max_fields", "_max_head", "_max_line", "_methods", "_usual")

    def __init__(self, max_line: int, max_head: int, max_fields: int, methods: frozenset[bytes] = METHODS) -> None:
        # A line that is longer than a head may be is too long, whatever comes first.
        self._max_line = min(max_line, max_head)
        self._max_head = max_head
        self._max_fields = max_fields
        self._methods = methods
        self._usual = methods - {b"CONNECT"}

    def read(self, buffer: bytes, seen: int = 0) -> Head | None:
        """
        Read the head at the start of `buffer`; one empty line before it is passed over (RFC 9112, 2.2).

        :param seen: how much of `buffer` was there when it was last read in vain.
        :return: None while the head is not complete.
        :raises Refusal: it is not to be served; raised as early as that is certain.
        """
        start = 2 if buffer.startswith(b"\r\n") else 0
        end = buffer.find(b"\r\n\r\n", max(start, seen - 3)) + 4
        if end == 3 or end - start > self._max_head:
            self._judge_part(buffer, start, seen)
            return None
        line = _LINE.match(buffer, start)
        if line is not None and line[1] in self._usual and line.end() - start - 2 <= self._max_line:
            method, target, minor = line.groups()
        else:
            method, target, minor = self._unusual_line(buffer, start)
        if target.find(37) >= 0:  # a percent sign; `in` raises and catches an exception where it is given bytes
            _check_escapes(target)
        text = buffer[start:end]
        version = b"HTTP/1.1" if minor == b"1" else b"HTTP/1.0"
        try:
            return self._head(method, target, version, text, end)
        except Refusal:
            # White space behind a value is not part of it (RFC 9110, 5.5), but only here it would matter.
            trimmed = _BEHIND.sub(b"", text)
            if trimmed == text:
                raise
        return self._head(method, target, version, trimmed, end)

    def _head(self, method: bytes, target: bytes, version: bytes, text: bytes, size: int) -> Head:
        # A dictionary's own method takes the fields without a call of Python's; names that repeat show in the count.
        distinct: dict[bytes, bytes] = {}
        self._parse(text, distinct.__setitem__)
        pairs = list(distinct.items())
        lines = text.count(b"\r\n") - 2
        if lines != len(pairs):
            pairs = []
            self._parse(text, lambda name, value: pairs.append((name, value)))
        if len(pairs) > self._max_fields:
            raise Refusal(431, f"The request has more than {self._max_fields} header fields.")
        if lines != len(pairs):
            raise Refusal(400, "The request head is malformed.")
        head = Head(method, target, version, pairs, size)
        _check(head)
        return head

    @staticmethod
    def _parse(text: bytes, on_header: Callable[[bytes, bytes], None]) -> None:
        try:
            HttpRequestParser(_Fields(on_header)).feed_data(text)
        except HttpParserUpgrade:
            pass
        except HttpParserError as error:
            if _BARE_LF.search(text):
                _bare_lf()
            raise Refusal(400, f"The request head is malformed: {error}.") from None

    def _judge_part(self, buffer: bytes, start: int, seen: int) -> None:
        """
        Refuse a head that is not complete, if it is certain that no good one will come of it.
        """
        if buffer == b"\r":
            return
        limit = self._max_line
        line_end = buffer.find(b"\r\n", start, start + limit + 2)
        if line_end < 0:
            line = buffer[start : start + limit + 1]
            if line and not _TOKEN.match(line):
                _no_line()
            if b"\n" in line:
                _bare_lf()
            if len(line.removesuffix(b"\r")) > limit or len(buffer) - start > limit + 1:
                raise Refusal(414, f"The request line is longer than {limit} bytes.")
            return
        if line_end + 2 > seen:
            self._checked_line(buffer[start:line_end])
        most = start + self._max_head
        if _BARE_LF.search(buffer, max(line_end + 2, seen), most):
            _bare_lf()
        if len(buffer) >= most:
            raise Refusal(431, f"The request head is larger than {self._max_head} bytes.")

    def _unusual_line(self, buffer: bytes, start: int) -> tuple[bytes, bytes, bytes]:
        """
        Read the line of a complete head that is not in the usual form.
        """
        self._judge_part(buffer[: buffer.index(b"\r\n", start) + 2], start, 0)
        return self._checked_line(buffer[start : buffer.index(b"\r\n", start)])

    def _checked_line(self, line: bytes) -> tuple[bytes, bytes, bytes]:
        """
        Method, target and minor version, from a line that may be anything.
        """
        if not _TOKEN.match(line):
            _no_line()
        if b"\n" in line:
            _bare_lf()
        parts = line.split(b" ")
        if not _TOKEN.fullmatch(parts[0]):
            _no_line()
        if len(parts) == 2 and _PATH.fullmatch(parts[1]):
            raise Refusal(505, "HTTP/0.9 is not served; use HTTP/1.1.")
        if len(parts) != 3:
            _no_line()
        method, target, version = parts
        numbers = _VERSION.fullmatch(version)
        if numbers is None:
            _no_line()
        if numbers[1] != b"1" or numbers[2] not in b"01":
            raise Refusal(505, "This version of HTTP is not served; use HTTP/1.1.")
        if method not in self._methods:
            raise Refusal(501, "This method is not served.")
        if method == b"CONNECT":
            if not _AUTHORITY.fullmatch(target):
                raise Refusal(400, "The target of CONNECT is not a host and a port.")
        elif not (target == b"*" and method == b"OPTIONS") and not self._is_path(target):
            raise Refusal(400, "The target is not an absolute path.")
        _check_escapes(target)
        return method, target, numbers[2]

    def _is_path(self, target: bytes) -> bool:
        form = _ABSOLUTE if b"CONNECT" in self._methods and target[:1] != b"/" else _PATH
        return form.fullmatch(target) is not None


def _no_line() -> NoReturn:
    raise Refusal(400, "The request line is malformed.")


def _check_escapes(target: bytes) -> None:
    if _BAD_ESCAPE.search(target):
        raise Refusal(400, "The target has a percent sign that begins no escape.")


def _bare_lf() -> NoReturn:
    raise Refusal(400, "A line of the request head does not end in CR and LF.")


def _check(head: Head) -> None:
    """
    Decide what the fields say of the message itself.
    """
    fields = head.fields
    if head.repeats:
        names = [name.lower() for name, _ in head.pairs]
        for name in _ONCE:
            if names.count(name) > 1:
                raise Refusal(400, f"There is more than one {name.decode().title()} field.")
    host = fields.get(b"host")
    if host is None:
        if head.version == b"HTTP/1.1":
            raise Refusal(400, "There is no Host field.")
    elif not _is_host(host):
        raise Refusal(400, "The value of Host is not a host with or without a port.")
    if b"content_length" in fields or b"transfer_encoding" in fields:
        raise Refusal(400, "A framing field is spelled with an underscore.")
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if length is not None:
        if coding is not None:
            raise Refusal(400, "There are both Content-Length and Transfer-Encoding.")
        if len(length) > _MOST_DIGITS or not length.isdigit():
            raise Refusal(400, "The value of Content-Length is not a number of 1 to 19 digits.")
        head.length = int(length)
    elif coding is not None:
        if head.version != b"HTTP/1.1":
            raise Refusal(400, "There is no Transfer-Encoding in HTTP/1.0.")
        if coding.lower() != b"chunked":
            raise Refusal(400, "The only Transfer-Encoding that is read is chunked.")
        head.length = None
    connection = fields.get(b"connection")
    if connection is not None and (head.repeats or connection not in _KEEPING):
        _read_connection(head)
    if b"expect" in fields:
        if any(value.lower() != b"100-continue" for value in head.values(b"expect")):
            raise Refusal(417, "The only expectation that is met is 100-continue.")
        # In HTTP/1.0 it has no meaning (RFC 9110, 10.1.1), and without a body there is nothing to wait for.
        head.expects_continue = head.version == b"HTTP/1.1" and head.length != 0


def _read_connection(head: Head) -> None:
    options = _listed(head.values(b"connection"))
    if b"close" in options:
        head.keeps_alive = False
    if b"upgrade" in options and head.version == b"HTTP/1.1":
        head.wants_upgrade = bool(_listed(head.values(b"upgrade")) - _IGNORABLE)


def _listed(values: list[bytes]) -> set[bytes]:
    members = {member.strip(b" \t").lower() for value in values for member in value.split(b",")}
    members.discard(b"")
    return members


@lru_cache(1024)
def _is_host(value: bytes) -> bool:
    return len(value) <= 261 and _HOST.fullmatch(value) is not None
