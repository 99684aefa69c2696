"""
Tests for `aibridge.web.stock`: resources that were made for `twisted.web`.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import warnings
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.components import Componentized
from twisted.python.filepath import FilePath
from twisted.trial import util
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory
from twisted.web.util import Redirect
from zope.interface.verify import verifyObject

from channels import CLIENT, SERVER, Talk, answers, chunked, get, post

with warnings.catch_warnings():
    # Twisted's own, when the module is first imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.static import Data, File


class Page(Resource):
    """
    Says what it is told to.
    """

    isLeaf = True

    def __init__(self, get: Any) -> None:
        super().__init__()
        self.render_GET = get
        self.render_POST = get


def page(get: Any, **settings: Any) -> Talk:
    """
    A connection to a page.
    """
    return Talk(Page(get), **settings)


OLD_PAGES = util.suppress(category=DeprecationWarning, message="twisted.web.resource")
"""Twisted makes its own error pages in a way that it has deprecated."""


def leaf(data: bytes) -> Data:
    """
    Data at the root.
    """
    made = Data(data, "text/plain")
    made.isLeaf = True
    return made


class RenderTests(SynchronousTestCase):
    """
    Whether stock resources do what they do elsewhere.
    """

    suppress = [OLD_PAGES]

    def test_a_tree_is_walked(self) -> None:
        """
        To its leaves, its missing children and its redirections.
        """
        root = Resource()
        root.putChild(b"", Data(b"root", "text/plain"))
        root.putChild(b"data", Data(b"data", "text/plain"))
        root.putChild(b"gone", notFound())
        root.putChild(b"away", Redirect(b"/data"))
        talk = Talk(root)
        for path in (b"/", b"/data", b"/gone", b"/away", b"/nowhere", b"/data/below"):
            talk.send(get(path))
        told = talk.answers()
        self.assertEqual([answer.status for answer in told], [200, 200, 404, 302, 404, 404])
        self.assertEqual([told[0].body, told[1].body], [b"root", b"data"])
        self.assertEqual(told[1].named(b"content-type"), [b"text/plain"])
        self.assertEqual(told[3].named(b"location"), [b"/data"])

    def test_a_request_is_what_twisted_expects(self) -> None:
        """
        By interface, and in what it says.
        """
        seen: list[Any] = []

        def keep(request: Any) -> bytes:
            verifyObject(IRequest, request)
            seen.append(request)
            return b"ok"

        talk = page(keep)
        talk.send(post(b"a=b&c=d", b"Cookie: one=1; two=2", b"X-A: 1", b"x-a: 2", path=b"/x/y%2Fz?q=1&q=2&r="))
        (request,) = seen
        self.assertEqual(request.args, {b"q": [b"1", b"2"], b"r": [b""]})
        self.assertEqual(request.prepath, [])
        self.assertEqual(request.postpath, [b"x", b"y/z"])
        self.assertEqual(request.content.read(), b"a=b&c=d")
        self.assertEqual(request.getHeader(b"x-a"), b"2")
        self.assertEqual(request.getHeader("host"), "bridge.test")
        self.assertEqual(request.requestHeaders.getRawHeaders(b"X-A"), [b"1", b"2"])
        self.assertEqual(request.getAllHeaders()[b"host"], b"bridge.test")
        self.assertEqual(request.getCookie(b"two"), b"2")
        self.assertIsNone(request.getCookie(b"three"))
        self.assertEqual(request.getRequestHostname(), b"bridge.test")
        self.assertEqual(request.getClientAddress(), CLIENT)
        self.assertEqual(request.getHost(), SERVER)
        self.assertFalse(request.isSecure())
        self.assertEqual(request.prePathURL(), b"http://bridge.test:8080/")
        self.assertIsInstance(request, Componentized)
        self.assertIs(request.getComponent(IRequest), request)
        self.assertIs(request.transport, talk.transport)

    def test_fields_and_cookies_are_sent(self) -> None:
        """
        But framing is the wire's, and nothing that would contradict it.
        """

        def answer(request: Any) -> bytes:
            request.setResponseCode(201, b"ignored")
            request.setHeader(b"X-A", b"b")
            request.setHeader(b"Transfer-Encoding", b"chunked")
            request.setHeader(b"Connection", b"keep-alive")
            request.setHeader(b"Date", b"never")
            request.addCookie(b"c", b"d")
            request.setETag(b'"e"')
            request.setLastModified(0)
            return b"body"

        talk = page(answer)
        talk.send(get())
        (told,) = talk.answers()
        self.assertEqual((told.status, told.body), (201, b"body"))
        for name, values in (
            (b"x-a", [b"b"]),
            (b"content-length", [b"4"]),
            (b"transfer-encoding", []),
            (b"connection", []),
            (b"set-cookie", [b"c=d"]),
            (b"etag", [b'"e"']),
            (b"last-modified", [b"Thu, 01 Jan 1970 00:00:00 GMT"]),
            (b"content-type", [b"text/html"]),
        ):
            self.assertEqual(told.named(name), values)
        self.assertEqual(len(told.named(b"date")), 1)

    def test_an_answer_may_come_later(self) -> None:
        """
        Piece by piece; without a length it is chunked.
        """
        waiting: list[Any] = []

        def later(request: Any) -> int:
            waiting.append(request)
            return NOT_DONE_YET

        talk = page(later)
        talk.send(get())
        self.assertEqual(talk.received, b"")
        waiting[0].write(b"one")
        waiting[0].write(b"two")
        waiting[0].finish()
        (told,) = talk.answers()
        self.assertEqual(told.body, b"onetwo")
        self.assertEqual(told.named(b"transfer-encoding"), [b"chunked"])

    def test_an_answer_may_be_empty(self) -> None:
        """
        Its length is said.
        """
        talk = page(lambda request: b"")
        talk.send(get())
        (told,) = talk.answers()
        self.assertEqual((told.body, told.named(b"content-length")), (b"", [b"0"]))

    def test_nothing_may_be_said_at_all(self) -> None:
        """
        An answer that is only finished is empty.
        """

        def finish(request: Any) -> int:
            request.finish()
            return NOT_DONE_YET

        talk = page(finish)
        talk.send(get())
        (told,) = talk.answers()
        self.assertEqual((told.status, told.body), (200, b""))

    def test_head_is_answered_without_a_body(self) -> None:
        """
        By resources that know it, and by those that do not.
        """
        talk = Talk(leaf(b"data"))
        talk.send(get(method=b"HEAD"))
        (told,) = talk.answers(b"HEAD")
        self.assertEqual((told.status, told.body, told.named(b"content-length")), (200, b"", [b"4"]))

        class OnlyGet(Resource):
            isLeaf = True
            allowedMethods = (b"GET",)
            render_HEAD = None  # type: ignore[assignment]  # as those have it that do not know it

            def render_GET(self, request: Any) -> bytes:
                return b"data"

        talk = Talk(OnlyGet())
        talk.send(get(method=b"HEAD"))
        (told,) = talk.answers(b"HEAD")
        self.assertEqual((told.status, told.body, told.named(b"content-length")), (200, b"", [b"4"]))

    def test_methods_that_are_not_there_are_refused(self) -> None:
        """
        405, with those that are.
        """
        talk = Talk(leaf(b"data"))
        talk.send(post(b"abc"))
        (told,) = talk.answers()
        self.assertEqual(told.status, 405)
        self.assertIn(b"GET", told.named(b"allow")[0])

    def test_options_for_everything_is_answered(self) -> None:
        """
        No resource is asked.
        """
        talk = page(lambda request: self.fail())
        talk.send(get(b"*", method=b"OPTIONS"))
        (told,) = talk.answers()
        self.assertEqual((told.status, told.body), (200, b""))

    def test_files_are_sent_as_fast_as_the_client_takes_them(self) -> None:
        """
        Whole, and in ranges.
        """
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = FilePath(directory.name).child("file")
        content = bytes(range(256)) * 1000
        path.setContent(content)
        talk = Talk(File(path.path))
        talk.resource.isLeaf = True
        talk.transport.takes = False
        talk.send(get())
        self.assertLess(len(talk.transport.dataBuffer), 150000)
        for _ in range(10):
            talk.transport.take()
        self.assertEqual(talk.answers()[0].body, content)
        talk.send(get(b"/", b"Range: bytes=100-199"))
        for _ in range(10):
            talk.transport.take()
        self.assertEqual(talk.answers()[1].body, content[100:200])
        self.assertEqual(talk.answers()[1].status, 206)

    def test_encoders_are_used(self) -> None:
        """
        The length is then not known before.
        """
        talk = Talk(EncodingResourceWrapper(leaf(b"data" * 100), [GzipEncoderFactory()]))
        talk.send(get(b"/", b"Accept-Encoding: gzip"))
        (told,) = talk.answers()
        self.assertEqual(told.named(b"content-encoding"), [b"gzip"])
        self.assertEqual(gzip.decompress(told.body), b"data" * 100)
        talk.send(get())
        self.assertEqual(talk.answers()[1].body, b"data" * 100)

    def test_a_client_may_leave_meanwhile(self) -> None:
        """
        Whoever waits for the end is told, and nothing that is said later raises.
        """
        waiting: list[Any] = []

        def later(request: Any) -> int:
            waiting.append(request)
            return NOT_DONE_YET

        talk = page(later)
        talk.send(get())
        gone = waiting[0].notifyFinish()
        talk.transport.leave()
        self.failureResultOf(gone, ConnectionLost)
        waiting[0].setHeader(b"X-A", b"b")
        waiting[0].write(b"data")
        waiting[0].finish()
        self.assertEqual(waiting[0].getClientAddress(), CLIENT)


class BodyTests(SynchronousTestCase):
    """
    Bodies are read before stock resources are asked.
    """

    def test_a_resource_is_asked_when_the_body_is_there(self) -> None:
        """
        However it is framed; the client is told to go on.
        """
        bodies: list[bytes] = []

        def read(request: Any) -> bytes:
            bodies.append(request.content.read())
            return b"ok"

        talk = page(read)
        talk.send(get(b"/", b"Content-Length: 6", b"Expect: 100-continue", method=b"POST"))
        self.assertEqual(talk.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.send(b"abc")
        self.assertEqual(bodies, [])
        talk.send(b"def")
        talk.send(chunked(b"gh", b"i"))
        talk.send(get())
        self.assertEqual(bodies, [b"abcdef", b"ghi", b""])
        self.assertEqual(len(answers(talk.received)), 3)

    def test_t5_a_body_is_bounded(self) -> None:
        """
        By what is declared, and by what comes.
        """
        for raw in (
            get(b"/", b"Content-Length: 1025", b"Expect: 100-continue", method=b"POST"),
            chunked(b"x" * 1025),
        ):
            talk = page(lambda request: self.fail(), max_body=1024)
            talk.send(raw)
            (told,) = talk.answers()
            self.assertEqual(told.status, 413)
            self.assertEqual(told.named(b"x-ai-bridge-reason"), [b"body"])
            self.assertIn("message", json.loads(told.body))
            self.assertTrue(told.closes)

    def test_a_slow_or_malformed_body_is_refused(self) -> None:
        """
        408 and 400.
        """
        talk = page(lambda request: self.fail(), body_timeout=300.0)
        talk.send(get(b"/", b"Content-Length: 6", method=b"POST"))
        talk.wait(300)
        self.assertEqual([answer.status for answer in talk.answers()], [408])
        talk = page(lambda request: self.fail())
        talk.send(chunked(b"abc", end=b"nonsense\r\n"))
        self.assertEqual([answer.status for answer in talk.answers()], [400])

    def test_a_client_that_leaves_before_its_body_is_whole_has_asked_nothing(self) -> None:
        """
        Nobody is told, and nothing is said.
        """
        talk = page(lambda request: self.fail())
        talk.send(get(b"/", b"Content-Length: 6", method=b"POST"), b"abc")
        talk.transport.leave()
        self.assertEqual(talk.received, b"")


class FailureTests(SynchronousTestCase):
    """
    Resources that raise.
    """

    suppress = [OLD_PAGES]

    def test_the_log_has_the_traceback_and_the_client_a_500(self) -> None:
        """
        Which says nothing of it; the connection goes on.
        """

        def fails(request: Any) -> bytes:
            raise ZeroDivisionError("secret")

        talk = page(fails)
        talk.send(post(b"abc"), get())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        told = talk.answers()
        self.assertEqual([answer.status for answer in told], [500, 500])
        self.assertEqual(told[0].named(b"x-ai-bridge-reason"), [b"internal"])
        self.assertNotIn(b"secret", talk.received)

    def test_a_failure_in_the_tree_is_one_too(self) -> None:
        """
        Wherever it happens.
        """

        class Broken(Resource):
            def getChild(self, path: bytes, request: Any) -> Any:
                raise ZeroDivisionError

        talk = Talk(Broken())
        talk.send(get(b"/a"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([answer.status for answer in talk.answers()], [500])

    def test_a_failure_within_an_answer_breaks_it(self) -> None:
        """
        There is no second status.
        """

        def fails(request: Any) -> bytes:
            request.write(b"abc")
            raise ZeroDivisionError

        talk = page(fails)
        talk.send(get())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(talk.transport.ended, "closed")
        self.assertTrue(talk.received.endswith(b"3\r\nabc\r\n"))

    def test_a_resource_that_returns_nonsense_has_failed(self) -> None:
        """
        Twisted says so itself.
        """
        talk = page(lambda request: "text")
        talk.send(get())
        self.assertEqual([answer.status for answer in talk.answers()], [500])
