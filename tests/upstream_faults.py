"""
What can be wrong with a provider, as data: what it does once it has read a request, and how the call is to end.

The same table is played in memory and against real sockets. A step is bytes to send as one segment, or one of the
marks below; the settings are short, so that waiting is short as well.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from aibridge import errors

CLOSE: Final = "close"
RESET: Final = "reset"
HANG: Final = "hang"
"""Say nothing for longer than anything is waited for."""
PAUSE: Final = "pause"
"""Say nothing for half as long as silence is allowed."""

SETTINGS: Final[dict[str, Any]] = {
    "max_response_head": 4096,
    "first_byte_timeout": 1.0,
    "silence_timeout": 1.0,
    "total_timeout": 4.0,
    "max_connections": 1,
    "pool_timeout": 5.0,
}
PAUSE_S: Final = 0.5
HANG_S: Final = 1.5

Step = bytes | str

HEAD: Final = b"HTTP/1.1 200 OK\r\n"
PLAIN: Final = HEAD + b"Content-Length: 5\r\n\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
OPEN: Final = HEAD + b"Content-Type: text/plain\r\n\r\n"


@attrs.frozen(kw_only=True)
class Fault:
    """
    One way in which a provider misbehaves.

    :ivar name: what it does.
    :ivar steps: the same, as steps.
    :ivar error: how the call ends; None if it ends as if nothing had been wrong.
    :ivar status: of the response that the caller sees, or 0 if it sees none.
    :ivar body: what it sees of the body.
    :ivar method: of the request.
    :ivar keeps: the connection may serve the next call.
    :ivar late: what is wrong comes when the answer is whole, and another call may be on its way; nobody can tell it
        from an answer to that.
    """

    name: str
    steps: tuple[Step, ...]
    error: type[errors.UpstreamError] | None
    status: int = 0
    body: bytes = b""
    method: bytes = b"POST"
    keeps: bool = False
    late: bool = False


def _reset(name: str, *steps: Step) -> Fault:
    return Fault(name=name, steps=steps, error=errors.UpstreamReset)


def _violation(name: str, *steps: Step) -> Fault:
    return Fault(name=name, steps=steps, error=errors.UpstreamViolation)


def _broken(name: str, error: type[errors.UpstreamError], body: bytes, *steps: Step) -> Fault:
    return Fault(name=name, steps=steps, error=error, status=200, body=body)


def _whole(name: str, body: bytes, *steps: Step, status: int = 200, **more: Any) -> Fault:
    return Fault(name=name, steps=steps, error=None, status=status, body=body, **more)


def _fields(*lines: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


FAULTS: Final[tuple[Fault, ...]] = (
    # -- it goes before there is a head
    _reset("closes without a word", CLOSE),
    _reset("resets without a word", RESET),
    _reset("closes within the status line", b"HTTP/1.1 2", CLOSE),
    _reset("resets within the status line", b"HTTP/1.1 200 O", RESET),
    _reset("closes within a field", HEAD + b"Content-Le", CLOSE),
    _reset("resets within a field", HEAD + b"Content-Length: 1", RESET),
    _reset("closes before the empty line", HEAD + b"Content-Length: 5\r\n", CLOSE),
    _reset("closes within the empty line", HEAD + b"Content-Length: 5\r\n\r", CLOSE),
    _reset("closes after an interim response", b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE),
    # -- it speaks something else
    _violation("speaks SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", HANG),
    _violation("speaks TLS", b"\x15\x03\x01\x00\x02\x02\x46", HANG),
    _violation("speaks HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", HANG),
    _violation("sends zeros", b"\0" * 512, HANG),
    _violation("speaks HTTP/0.9", b"<html></html>\r\n", CLOSE),
    _violation("claims HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("claims HTTP/0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("claims HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("claims RTSP", b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("claims ICY", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("claims http in small letters", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    # -- its status line
    _violation("status of two digits", b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n"),
    _violation("status of four digits", b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n"),
    _violation("status with a leading zero", b"HTTP/1.1 0200 X\r\nContent-Length: 0\r\n\r\n"),
    _violation("status 600", b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n"),
    _violation("status 000", b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n"),
    _violation("two spaces before the status", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    _violation("an empty line before the status line", b"\r\n" + PLAIN + b"hello"),
    _violation("NUL in the reason", b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
    _violation("a control byte in the reason", b"HTTP/1.1 200 O\x1bK\r\nContent-Length: 0\r\n\r\n"),
    # -- its fields
    _violation("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    _violation("a bare carriage return in a value", _fields(b"A: b\rC: d", b"Content-Length: 0")),
    _violation("a folded line", _fields(b"A: b", b" c", b"Content-Length: 0")),
    _violation("a space before the colon", _fields(b"A : b", b"Content-Length: 0")),
    _violation("a line without a colon", _fields(b"nonsense", b"Content-Length: 0")),
    _violation("a field without a name", _fields(b": b", b"Content-Length: 0")),
    _violation("NUL in a value", _fields(b"A: b\0c", b"Content-Length: 0")),
    _violation("a control byte in a value", _fields(b"A: b\x01c", b"Content-Length: 0")),
    _violation("DEL in a value", _fields(b"A: b\x7fc", b"Content-Length: 0")),
    # -- its framing
    _violation("a signed length", _fields(b"Content-Length: +5") + b"hello"),
    _violation("a negative length", _fields(b"Content-Length: -5") + b"hello"),
    _violation("a hexadecimal length", _fields(b"Content-Length: 0x5") + b"hello"),
    _violation("a list of lengths", _fields(b"Content-Length: 5, 5") + b"hello"),
    _violation("an empty length", _fields(b"Content-Length:") + b"hello"),
    _violation("a length of 20 digits", _fields(b"Content-Length: 18446744073709551615") + b"hello"),
    _violation("the same length twice", _fields(b"Content-Length: 5", b"Content-Length: 5") + b"hello"),
    _violation("two different lengths", _fields(b"Content-Length: 5", b"Content-Length: 6") + b"hello"),
    _violation("a length and chunks", _fields(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    _violation("chunks and a length", _fields(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n"),
    _violation("an identity coding", _fields(b"Transfer-Encoding: identity") + b"hello"),
    _violation("a coding before chunks", _fields(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"),
    _violation("a coding after chunks", _fields(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n"),
    _violation("chunks twice", _fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    _violation("chunks, then identity", _fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity")),
    _violation("something like chunks", _fields(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n"),
    _violation("chunks on HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # -- too much
    _violation("switches protocols", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxxx"),
    _violation("switches protocols without a word of it", b"HTTP/1.1 101 Switching\r\n\r\n", HANG),
    _violation("seventeen interim responses", b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + PLAIN + b"hello"),
    _violation("large interim responses", *(b"HTTP/1.1 103 Hints\r\nLink: %b\r\n\r\n" % (b"x" * 1500),) * 3, HANG),
    _violation("a field without end", HEAD + b"A: ", *(b"x" * 1024,) * 5, HANG),
    _violation("fields without end", HEAD, *(b"A: bcdefgh\r\n" * 100,) * 5, HANG),
    _violation("a reason without end", b"HTTP/1.1 200 ", *(b"x" * 1024,) * 5, HANG),
    # -- it is silent, or slow
    Fault(name="says nothing", steps=(HANG,), error=errors.FirstByteTimeout),
    Fault(name="stops within its head", steps=(HEAD, HANG), error=errors.FirstByteTimeout),
    Fault(
        name="stops after an interim response",
        steps=(b"HTTP/1.1 100 Continue\r\n\r\n", HANG),
        error=errors.FirstByteTimeout,
    ),
    Fault(
        name="trickles its head",
        steps=(HEAD, PAUSE, b"A: b\r\n", PAUSE, b"C: d\r\n", PAUSE, b"E: f\r\n", HANG),
        error=errors.FirstByteTimeout,
    ),
    _broken("stops after its head", errors.SilenceTimeout, b"", PLAIN, HANG),
    _broken("stops within a counted body", errors.SilenceTimeout, b"he", PLAIN + b"he", HANG),
    _broken("stops between chunks", errors.SilenceTimeout, b"hello", CHUNKED + b"5\r\nhello\r\n", HANG),
    _broken("stops within a chunk size", errors.SilenceTimeout, b"hello", CHUNKED + b"5\r\nhello\r\n1", HANG),
    _broken("stops before the last line end", errors.SilenceTimeout, b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n", HANG),
    _broken("stops in a body that ends with the connection", errors.SilenceTimeout, b"he", OPEN + b"he", HANG),
    _broken(
        "trickles for ever",
        errors.TotalTimeout,
        b"x" * 8,
        CHUNKED + b"1\r\nx\r\n",
        *(PAUSE, b"1\r\nx\r\n") * 7,
        HANG,
    ),
    # -- it ends too early
    _broken("closes after its head", errors.UpstreamTruncated, b"", PLAIN, CLOSE),
    _broken("closes within a counted body", errors.UpstreamTruncated, b"hell", PLAIN + b"hell", CLOSE),
    _broken("resets within a counted body", errors.UpstreamTruncated, b"hell", PLAIN, b"hell", RESET),
    _broken("closes before the first chunk", errors.UpstreamTruncated, b"", CHUNKED, CLOSE),
    _broken("closes within a chunk", errors.UpstreamTruncated, b"hel", CHUNKED + b"5\r\nhel", CLOSE),
    _broken("closes between chunks", errors.UpstreamTruncated, b"hello", CHUNKED + b"5\r\nhello\r\n", CLOSE),
    _broken("resets between chunks", errors.UpstreamTruncated, b"hello", CHUNKED + b"5\r\nhello\r\n", RESET),
    _broken("closes before the last line end", errors.UpstreamTruncated, b"", CHUNKED + b"0\r\n", CLOSE),
    _broken("closes within trailers", errors.UpstreamTruncated, b"", CHUNKED + b"0\r\nA: b\r\n", CLOSE),
    _broken("resets a body that ends with the connection", errors.UpstreamTruncated, b"hello", OPEN + b"hello", RESET),
    # -- its chunks
    _broken("a chunk size that is none", errors.UpstreamViolation, b"", CHUNKED + b"g\r\nhello\r\n", HANG),
    _broken("an empty chunk size", errors.UpstreamViolation, b"", CHUNKED + b"\r\nhello\r\n", HANG),
    _broken("a signed chunk size", errors.UpstreamViolation, b"", CHUNKED + b"+5\r\nhello\r\n", HANG),
    _broken("a chunk size with 0x", errors.UpstreamViolation, b"", CHUNKED + b"0x5\r\nhello\r\n", HANG),
    _broken("a chunk size with a space", errors.UpstreamViolation, b"", CHUNKED + b"5 \r\nhello\r\n", HANG),
    _broken("a chunk size beyond all", errors.UpstreamViolation, b"", CHUNKED + b"f" * 17 + b"\r\nhello", HANG),
    _broken("a chunk size ended by a line feed", errors.UpstreamViolation, b"", CHUNKED + b"5\nhello\r\n", HANG),
    _broken("a chunk that is too long", errors.UpstreamViolation, b"hello", CHUNKED + b"5\r\nhellooo\r\n", HANG),
    _broken("a chunk without its line end", errors.UpstreamViolation, b"hello", CHUNKED + b"5\r\nhello0\r\n\r\n", HANG),
    _broken("a second chunk that is broken", errors.UpstreamViolation, b"hello", CHUNKED + b"5\r\nhello\r\nz\r\n"),
    _broken("a control byte in an extension", errors.UpstreamViolation, b"", CHUNKED + b"5;\x01\r\nhello\r\n", HANG),
    _broken("a line feed in an extension", errors.UpstreamViolation, b"", CHUNKED + b"5;a\nb\r\nhello\r\n", HANG),
    _broken("a length among the trailers", errors.UpstreamViolation, b"", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    _broken("a control byte among the trailers", errors.UpstreamViolation, b"", CHUNKED + b"0\r\nA: \x01\r\n\r\n"),
    _broken(
        "trailers without end",
        errors.UpstreamViolation,
        b"hello",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        *(b"A: bcdefgh\r\n" * 100,) * 5,
        HANG,
    ),
    _broken(
        "an extension without end",
        errors.UpstreamViolation,
        b"",
        CHUNKED + b"5;",
        *(b"x" * 1024,) * 5,
        HANG,
    ),
    # -- it says more than it should: the caller is served, the connection is not trusted again
    _whole("bytes behind a counted body", b"hello", PLAIN + b"hello, world"),
    _whole("a second response", b"hello", PLAIN + b"hello" + PLAIN + b"other"),
    _whole("bytes behind the last chunk", b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\nmore"),
    _whole("a line end behind the last chunk", b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\r\n"),
    _whole("a line feed behind the last chunk", b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\n"),
    _whole("bytes a little later", b"hello", PLAIN + b"hello", b"more", late=True),
    _whole("a body after 204", b"", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status=204),
    _whole("a body after HEAD", b"", PLAIN + b"hello", method=b"HEAD"),
    # -- it goes in peace, but it goes
    _whole("closes after its answer", b"hello", PLAIN + b"hello", CLOSE, late=True),
    _whole("resets after its answer", b"hello", PLAIN + b"hello", RESET, late=True),
    _whole("announces that it closes", b"hello", _fields(b"Connection: close", b"Content-Length: 5") + b"hello"),
    _whole("closes to end its body", b"hello", OPEN + b"hel", b"lo", CLOSE),
    _whole("speaks HTTP/1.0", b"hello", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    _whole("speaks HTTP/1.0 and closes to end its body", b"hi", b"HTTP/1.0 200 OK\r\n\r\nhi", CLOSE),
    # -- odd, but right
    _whole("no reason", b"hello", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", keeps=True),
    _whole("white space around a length", b"hello", _fields(b"Content-Length: \t 5 \t ") + b"hello", keeps=True),
    _whole("an unknown interim response", b"hello", b"HTTP/1.1 199 X\r\n\r\n" + PLAIN + b"hello", keeps=True),
    _whole("sixteen interim responses", b"hello", b"HTTP/1.1 100 Go\r\n\r\n" * 16 + PLAIN + b"hello", keeps=True),
    _whole(
        "chunks in capital letters", b"hi", _fields(b"TRANSFER-ENCODING: CHUNKED") + b"2\r\nhi\r\n0\r\n\r\n", keeps=True
    ),
    _whole("extensions and trailers", b"hi", CHUNKED + b"2;a=b\r\nhi\r\n0;c\r\nX-Sum: 1\r\n\r\n", keeps=True),
    _whole("a length after HEAD", b"", _fields(b"Content-Length: 5"), method=b"HEAD", keeps=True),
    _whole("a length after 304", b"", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", status=304, keeps=True),
    _whole("a zero length", b"", _fields(b"Content-Length: 0"), keeps=True),
    _whole("status 599", b"", b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", status=599, keeps=True),
    _whole(
        "HTTP/1.0 that keeps its connection",
        b"hello",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        keeps=True,
    ),
    _whole("a pause within its answer", b"hello", PLAIN + b"he", PAUSE, b"l", PAUSE, b"lo", keeps=True),
)
