"""
The simulated provider as a client reaches it, in memory.
"""

from __future__ import annotations

import json
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibridge.demo.resource import FORMS, demo_resource

NOW = 1793491200.75
BASE = "http://demo.invalid"
USER = {"role": "user", "content": "hi"}
BODY = {"model": "demo", "max_tokens": 1000, "messages": [USER], "input": "hi", "prompt": "hi"}


class DemoTests(SynchronousTestCase):
    """
    Paths, methods and dialects.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.resource = demo_resource(self.clock, lambda: NOW, interval=0.5)
        self.treq: Any = StubTreq(self.resource)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[Any, Any]:
        """
        A response, and its body read as JSON.
        """
        data = b"" if body is None else json.dumps(body).encode()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.successResultOf(self.treq.request(method, BASE + path, data=data, headers=fields))
        text = self.successResultOf(self.treq.content(response))
        return response, json.loads(text) if text else None

    def stream(self, path: str, **fields: object) -> bytes:
        """
        A whole stream.
        """
        body = json.dumps({**BODY, "stream": True, **fields}).encode()
        response = self.successResultOf(self.treq.post(BASE + path, data=body))
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/event-stream; charset=utf-8"])
        received: list[bytes] = []
        done = self.treq.collect(response, received.append)
        for _ in range(100):
            self.clock.advance(0.5)
            self.treq.flush()
        self.successResultOf(done)
        return b"".join(received)

    def test_every_form_is_answered(self) -> None:
        """
        Each of the paths that are asked by POST answers.
        """
        for path in FORMS:
            response, body = self.ask("POST", path.decode(), BODY)
            self.assertEqual((path, response.code), (path, 200))
            self.assertIsInstance(body, dict)

    def test_streams(self) -> None:
        """
        Each of the dialects streams to its own end.
        """
        for path, end in (
            ("/v1/chat/completions", b"data: [DONE]\n\n"),
            ("/v1/completions", b"data: [DONE]\n\n"),
            ("/v1/responses", b"event: response.completed\n"),
            ("/v1/messages", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
        ):
            self.assertIn(end, self.stream(path))

    def test_ids_and_times(self) -> None:
        """
        Each request has its own id, in header and body, and the time is the wall clock's.
        """
        first, body = self.ask("POST", "/v1/chat/completions", BODY)
        second, _ = self.ask("POST", "/v1/messages", BODY)
        self.assertEqual(first.headers.getRawHeaders("x-request-id"), ["req_demo000000000001"])
        self.assertEqual(second.headers.getRawHeaders("request-id"), ["req_demo000000000002"])
        self.assertEqual((body["id"], body["created"]), ("chatcmpl-demo000000000001", int(NOW)))

    def test_models(self) -> None:
        """
        The list of models, and each of them, is in the form of the vendor that is asked.
        """
        for path in ("/v1/models", "/v1/models/", "/v1/models?limit=5"):
            _, body = self.ask("GET", path)
            self.assertEqual((body["object"], body["data"][0]["id"]), ("list", "demo"))
        _, body = self.ask("GET", "/v1/models", anthropic_version="2023-06-01")
        self.assertIs(body["has_more"], False)
        _, body = self.ask("GET", "/v1/models/demo%2D429")
        self.assertEqual((body["object"], body["id"]), ("model", "demo-429"))
        _, body = self.ask("GET", "/v1/models/demo-429", anthropic_version="2023-06-01")
        self.assertEqual((body["type"], body["id"]), ("model", "demo-429"))

    def test_an_unknown_model(self) -> None:
        """
        A model that does not exist is not found, in either form.
        """
        response, body = self.ask("GET", "/v1/models/demo-nothing")
        self.assertEqual((response.code, body["error"]["code"]), (404, "model_not_found"))
        response, body = self.ask("GET", "/v1/models/demo-nothing", anthropic_version="2023-06-01")
        self.assertEqual((response.code, body["error"]["type"]), (404, "not_found_error"))

    def test_unknown_paths(self) -> None:
        """
        What is not there is not found, in the form of the vendor that is asked.
        """
        for path in ("/", "/v1", "/v1/modelsx", "/v1/chat", "/v1/chat/completions/", "/v2/messages"):
            response, body = self.ask("POST", path, BODY)
            self.assertEqual((path, response.code, body["error"]["code"]), (path, 404, "unknown_url"))
        response, body = self.ask("GET", "/v1/files", anthropic_version="2023-06-01")
        self.assertEqual((response.code, body["type"]), (404, "error"))

    def test_nothing_is_stored(self) -> None:
        """
        A response cannot be read again, deleted or cancelled.
        """
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            response, body = self.ask(method, "/v1/responses/resp_1" + path)
            self.assertEqual(response.code, 404)
            self.assertIn("'resp_1'", body["error"]["message"])

    def test_wrong_methods(self) -> None:
        """
        A method that a path does not have is refused with the ones that it has.
        """
        for method, path, allowed in (
            ("GET", "/v1/messages", "POST"),
            ("DELETE", "/v1/chat/completions", "POST"),
            ("GET", "/v1/responses", "POST"),
            ("POST", "/v1/models", "GET, HEAD"),
            ("DELETE", "/v1/models/demo", "GET, HEAD"),
        ):
            response, _ = self.ask(method, path)
            self.assertEqual((path, response.code), (path, 405))
            self.assertEqual(response.headers.getRawHeaders("allow"), [allowed])

    def test_a_head(self) -> None:
        """
        HEAD has the head of GET, and no body.
        """
        response, body = self.ask("HEAD", "/v1/models")
        self.assertEqual((response.code, body), (200, None))

    def test_event_logging(self) -> None:
        """
        Events of the vendor's own clients are taken, and forgotten.
        """
        for path in ("/api/event_logging", "/api/event_logging/", "/api/event_logging/batch"):
            response, body = self.ask("POST", path, {"events": []})
            self.assertEqual((response.code, body), (200, {}))
        response, body = self.ask("GET", "/api/other")
        self.assertEqual((response.code, body["type"]), (404, "error"))

    def test_bad_requests(self) -> None:
        """
        What is not JSON, or lacks what is needed, is refused in the dialect of the path.
        """
        response = self.successResultOf(self.treq.post(BASE + "/v1/messages", data=b"{]}"))
        body = json.loads(self.successResultOf(self.treq.content(response)))
        self.assertEqual((response.code, body["error"]["type"]), (400, "invalid_request_error"))
        response, body = self.ask("POST", "/v1/chat/completions", {"messages": [USER]})
        self.assertEqual((response.code, body["error"]["param"]), (400, "model"))

    def test_what_was_received_can_be_seen(self) -> None:
        """
        The header fields that arrived are told, each value of a credential masked, however often it came.
        """
        _, body = self.ask(
            "POST",
            "/v1/messages",
            {**BODY, "model": "demo-echo-headers"},
            x_api_key="sk-ant-0123456789",
            authorization="Bearer 0123456789abcdef",
            x_coder_token="a-secret-of-the-bridge",
        )
        text = body["content"][0]["text"].lower()
        self.assertIn("x-api-key: sk-a...6789", text)
        self.assertIn("authorization: bearer 0123...cdef", text)
        self.assertIn("x-coder-token", text)
        self.assertNotIn("a-secret-of-the-bridge", text)

    def test_a_tool_is_called_and_answered(self) -> None:
        """
        A conversation with a tool goes from the call to an answer that has its result.
        """
        tools = [{"name": "weather", "input_schema": {"properties": {"city": {"type": "string"}}}}]
        _, first = self.ask("POST", "/v1/messages", {**BODY, "tools": tools})
        [call] = first["content"]
        self.assertEqual((call["name"], call["input"]), ("weather", {"city": "Paris"}))
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "22 degrees"}
        messages = [USER, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        _, second = self.ask("POST", "/v1/messages", {**BODY, "tools": tools, "messages": messages})
        self.assertIn("22 degrees", second["content"][0]["text"])
