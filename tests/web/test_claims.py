"""
Whose a stored object is, as exchanges heed it.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibridge.model import Principal, Stored
from fakes import TOKEN, Answer, Asked, Fixture, bridge

KEYS = ("sk-one-0123456789abcdef", "sk-two-0123456789abcdef", "sk-three-0123456789abcde")
JSON = [(b"Content-Type", b"application/json")]
STREAM = [(b"Content-Type", b"text/event-stream")]
OWN = [(b"X-Coder-Token", TOKEN), (b"Authorization", b"Bearer sk-own")]


def become(fixture: Fixture, name: str) -> None:
    """
    Whoever asks from now on.
    """
    fixture.identity.principal = Principal(id=name, name=name)


def ask(fixture: Fixture, method: str, path: str, body: object = None, **asked: Any) -> Asked:
    """
    Ask as whoever asks.
    """
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    provider = "anthropic" if path.startswith("/v1/") else "openai/v1"
    return Asked(method.encode(), f"/{provider}{path}".encode(), body=data, **asked).ask(fixture.bridge)


def answer(fixture: Fixture, body: object, status: int = 200) -> None:
    """
    The provider answers what it was asked last.
    """
    given = fixture.upstream.calls[-1].answer(Answer(status, JSON))
    given.body(json.dumps(body).encode())
    given.end()


def make(fixture: Fixture, name: str, path: str, id: str, body: object = None) -> None:
    """
    Somebody makes an object.
    """
    become(fixture, name)
    ask(fixture, "POST", path, {} if body is None else body)
    answer(fixture, {"id": id})


def key(fixture: Fixture) -> str:
    """
    The key that the provider was shown last.
    """
    fields = {name.lower(): value for name, value in fixture.upstream.calls[-1].headers}
    shown = fields.get(b"authorization", b"Bearer ")[7:] or fields[b"x-api-key"]
    return shown.decode()


class OwnershipTests(SynchronousTestCase):
    """
    Of everything that is stored.
    """

    def crosses(self, fixture: Fixture, method: str, path: str, body: object = None, **asked: Any) -> Asked:
        """
        Check that the provider is asked.
        """
        before = len(fixture.upstream.calls)
        request = ask(fixture, method, path, body, **asked)
        self.assertEqual(len(fixture.upstream.calls), before + 1, (method, path, request.received))
        return request

    def refused(self, fixture: Fixture, method: str, path: str, body: object = None, **asked: Any) -> Any:
        """
        Check that the provider is not asked, and that nothing is held.
        """
        before = len(fixture.upstream.calls)
        request = ask(fixture, method, path, body, **asked)
        self.assertEqual(len(fixture.upstream.calls), before, (method, path))
        self.assertNotEqual(request.status, 200)
        self.assertEqual(fixture.in_use, 0)
        return request.status, request.told(b"x-ai-bridge-reason"), json.loads(request.written)["error"]

    def test_each_kind_by_its_path(self) -> None:
        """
        Its maker may ask for it and delete it; for somebody else, and for a made-up one, there is none; and once it is
        deleted there is none for its maker either.
        """
        for made, path, id in (
            ("/responses", "/responses/{}", "resp_1"),
            ("/conversations", "/conversations/{}", "conv_1"),
            ("/files", "/files/{}", "file-1"),
            ("/containers", "/containers/{}", "cntr_1"),
            ("/vector_stores", "/vector_stores/{}", "vs_1"),
            ("/v1/files", "/v1/files/{}", "file_1"),
            ("/v1/messages/batches", "/v1/messages/batches/{}", "msgbatch_1"),
        ):
            fixture = bridge()
            make(fixture, "alice", made, id)
            become(fixture, "bob")
            for method in ("GET", "DELETE"):
                theirs = self.refused(fixture, method, path.format(id))
                self.assertEqual(theirs[:2], (404, b"object"))
                none = self.refused(fixture, method, path.format("none_1"))
                self.assertEqual(json.dumps(theirs[2]).replace(id, "none_1"), json.dumps(none[2]))
            become(fixture, "alice")
            self.crosses(fixture, "GET", path.format(id))
            answer(fixture, {"id": id})
            self.crosses(fixture, "DELETE", path.format(id))
            answer(fixture, {"error": {}}, 500)
            self.crosses(fixture, "DELETE", path.format(id))
            answer(fixture, {"id": id, "deleted": True})
            self.refused(fixture, "GET", path.format(id))

    def test_batches_and_what_comes_of_them(self) -> None:
        """
        A batch is made of one's own file, and its results belong to whoever made it.
        """
        fixture = bridge()
        make(fixture, "alice", "/files", "file-in")
        become(fixture, "bob")
        self.assertEqual(self.refused(fixture, "POST", "/batches", {"input_file_id": "file-in"})[0], 404)
        make(fixture, "alice", "/batches", "batch_1", {"input_file_id": "file-in"})
        become(fixture, "bob")
        self.assertEqual(
            self.refused(fixture, "POST", "/batches/batch_1/cancel")[2]["message"][:17], "No batch found wi"
        )
        become(fixture, "alice")
        self.refused(fixture, "GET", "/files/file-out/content")
        self.crosses(fixture, "GET", "/batches/batch_1")
        answer(fixture, {"id": "batch_1", "object": "batch", "output_file_id": "file-out"})
        self.crosses(fixture, "GET", "/files/file-out/content")

    def test_a_batch_of_what_names_others(self) -> None:
        """
        Lines of a file are not read one by one, so a file in which anything is named makes no batch; in another use it
        is a file like others. The same for one that was sent in parts.
        """
        line = b'{"url":"/v1/responses","body":{"previous_response_id":"resp_alices"}}\n'
        for parts in (False, True):
            fixture = bridge()
            become(fixture, "bob")
            if parts:
                make(fixture, "bob", "/uploads", "upload_1")
                self.crosses(fixture, "POST", "/uploads/upload_1/parts", line)
                answer(fixture, {"id": "part_1"})
                self.crosses(fixture, "POST", "/uploads/upload_1/complete", {"part_ids": ["part_1"]})
                answer(fixture, {"id": "upload_1", "object": "upload", "file": {"id": "file-1"}})
            else:
                self.crosses(fixture, "POST", "/files", line)
                answer(fixture, {"id": "file-1"})
            status, reason, _ = self.refused(fixture, "POST", "/batches", {"input_file_id": "file-1"})
            self.assertEqual((status, reason), (403, b"route"))
            self.crosses(fixture, "GET", "/files/file-1")

    def upload(self, fixture: Fixture, pieces: list[bytes], body: object = None) -> None:
        """
        Bob makes a file of parts.
        """
        make(fixture, "bob", "/uploads", "upload_1")
        for number, piece in enumerate(pieces):
            self.crosses(fixture, "POST", "/uploads/upload_1/parts", piece)
            answer(fixture, {"id": f"part_{number}"})
        completed = {"part_ids": [f"part_{number}" for number in range(len(pieces))]} if body is None else body
        self.crosses(fixture, "POST", "/uploads/upload_1/complete", completed)
        answer(fixture, {"id": "upload_1", "object": "upload", "file": {"id": "file-1"}})

    def test_a_file_of_several_parts(self) -> None:
        """
        A name may be cut between them, in whatever order they are, so it makes no batch; nor does what was put together
        in a way that cannot be read. Of a single part that names nothing it does.
        """
        line = b'{"url":"/v1/responses","body":{"previous_response_id":"resp_alices"}}\n'
        plain = [b'{"url":"/v1/responses","body":{"input":"Hi"}}\n']
        for pieces, body in (
            ([line[:45], line[45:]], None),
            ([line[45:], line[:45]], {"part_ids": ["part_1", "part_0"]}),
            (plain * 2, None),
            (plain, {"part_ids": ["part_0", "part_0"]}),
            (plain, {"part_ids": "part_0"}),
            (plain, {"part_ids": ["part_0,part_0"]}),
            (plain, b'{"part_ids":["part_0"],"part_ids":["part_0","part_0"]}'),
            (plain, b'{"part_ids":["part_0"],"part\\u005fids":["part_0","part_0"]}'),
            (plain, b'{"md5":"","part_ids":["part_0"],"md5":"","part_ids":["part_0","part_0"]}'),
            (plain, b'{"part_ids":["part_0"]}' + b" " * 5000),
            (plain, b""),
        ):
            fixture = bridge()
            self.upload(fixture, pieces, body)
            status, reason, _ = self.refused(fixture, "POST", "/batches", {"input_file_id": "file-1"})
            self.assertEqual((status, reason), (403, b"route"), body)
            self.crosses(fixture, "GET", "/files/file-1")
        for one in (
            None,
            {"part_ids": ["part_0"], "md5": "d41d8cd9"},
            {"md5": None, "part_ids": ["part_0"]},
            b'\n{ "part_ids" : [ "part_0" ] , "md5" : null }\n',
        ):
            fixture = bridge()
            self.upload(fixture, plain, one)
            self.crosses(fixture, "POST", "/batches", {"input_file_id": "file-1"})

    def test_a_part_that_comes_after_its_completion_began(self) -> None:
        """
        Counts all the same.
        """
        fixture = bridge()
        make(fixture, "bob", "/uploads", "upload_1")
        path = b"/openai/v1/uploads/upload_1/complete"
        body = b'{"part_ids":["part_0"]}'
        late = Asked(b"POST", path, body=body, body_comes_at_once=False).ask(fixture.bridge)
        self.crosses(fixture, "POST", "/uploads/upload_1/parts", b'{"body":{"previous_response_id":"resp_alices"}}\n')
        answer(fixture, {"id": "part_0"})
        late.send(body)
        answer(fixture, {"id": "upload_1", "object": "upload", "file": {"id": "file-1"}})
        self.assertEqual(self.refused(fixture, "POST", "/batches", {"input_file_id": "file-1"})[0], 403)

    def test_a_batch_with_anothers_item(self) -> None:
        """
        What has the id of one, whatever is beside it, makes no batch.
        """
        for id, makes in (("rs_1", False), ("rs_none", True)):
            fixture = bridge()
            self.items(fixture)
            line = {"url": "/v1/responses", "body": {"input": [{"id": id, "type": "reasoning", "summary": []}]}}
            self.crosses(fixture, "POST", "/files", json.dumps(line).encode())
            answer(fixture, {"id": "file-1"})
            check = self.crosses if makes else self.refused
            check(fixture, "POST", "/batches", {"input_file_id": "file-1"})

    def items(self, fixture: Fixture) -> None:
        """
        Alice gets a response with items; then bob asks.
        """
        become(fixture, "alice")
        self.crosses(fixture, "POST", "/responses", {"model": "m"})
        answer(fixture, {"id": "resp_1", "output": [{"id": "rs_1"}, {"id": "ig_1"}, {"id": "msg_1"}]})
        become(fixture, "bob")

    def test_anothers_item_with_more_than_its_id(self) -> None:
        """
        Is refused as one would be that is not there, whatever it has and wherever it is sent; its maker's crosses, and
        so does what nobody knows.
        """
        for path, field in (
            ("/responses", "input"),
            ("/responses/compact", "input"),
            ("/responses/input_tokens", "input"),
            ("/conversations", "items"),
            ("/conversations/conv_{}/items", "items"),
        ):
            fixture = bridge()
            self.items(fixture)
            for name in ("alice", "bob"):
                make(fixture, name, "/conversations", f"conv_{name}")
            for item in (
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "x"},
                {"type": "image_generation_call", "id": "ig_1", "status": "completed"},
                {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"text": "Hi"}]},
            ):
                text = json.dumps({"model": "m", field: [item]})
                escaped = text.replace('_1"', '\\u005f1"')
                spaced = text.replace('"id":', '"id" \n:\t')
                for body in (text, escaped, spaced):
                    become(fixture, "bob")
                    status, reason, error = self.refused(fixture, "POST", path.format("bob"), body.encode())
                    self.assertEqual((status, reason, error["param"]), (404, b"object", "input"), body[:100])
                    self.assertIn(str(item["id"]), error["message"])
                    become(fixture, "alice")
                    self.crosses(fixture, "POST", path.format("alice"), body.encode())
                    answer(fixture, {})
                    become(fixture, "bob")
                    self.crosses(fixture, "POST", path.format("bob"), text.replace('_1"', '_none"').encode())
                    answer(fixture, {})

    def test_an_id_that_is_no_items(self) -> None:
        """
        What a schema, a tool's arguments or notes have in them crosses.
        """
        fixture = bridge()
        self.items(fixture)
        self.crosses(fixture, "POST", "/responses", {"metadata": {"id": "rs_1"}, "input": '{"id":"rs_1"}'})

    def test_items_that_come_later(self) -> None:
        """
        Those of a response that is made in the background are known when it is asked for.
        """
        fixture = bridge()
        make(fixture, "alice", "/responses", "resp_1", {"background": True})
        self.crosses(fixture, "GET", "/responses/resp_1")
        answer(fixture, {"id": "resp_1", "output": [{"id": "rs_1", "type": "reasoning"}]})
        body = {"input": [{"id": "rs_1", "type": "reasoning", "summary": []}]}
        self.crosses(fixture, "POST", "/responses", {"input": [{"id": "rs_1"}]})
        answer(fixture, {})
        become(fixture, "bob")
        self.assertEqual(self.refused(fixture, "POST", "/responses", body)[0], 404)

    def test_what_a_body_names(self) -> None:
        """
        The same, wherever in a body it is.
        """
        fixture = bridge()
        make(fixture, "alice", "/responses", "resp_1")
        make(fixture, "alice", "/conversations", "conv_1")
        make(fixture, "alice", "/files", "file-1")
        make(fixture, "alice", "/vector_stores", "vs_1")
        for path, body in (
            ("/responses", {"previous_response_id": "resp_1"}),
            ("/responses", {"conversation": "conv_1"}),
            ("/responses", {"conversation": {"id": "conv_1"}}),
            ("/responses", {"input": [{"content": [{"type": "input_file", "file_id": "file-1"}]}]}),
            ("/responses", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
            ("/responses/input_tokens", {"previous_response_id": "resp_1"}),
            ("/responses/compact", {"previous_response_id": "resp_1"}),
            ("/chat/completions", {"messages": [{"content": [{"file": {"file_id": "file-1"}}]}]}),
            ("/vector_stores", {"file_ids": ["file-1"]}),
            ("/vector_stores", {"name": "x", "file_ids": ["file-1"]}),
            ("/containers", {"file_ids": ["file-1"]}),
        ):
            become(fixture, "alice")
            self.crosses(fixture, "POST", path, body)
            answer(fixture, {})
            become(fixture, "bob")
            status, reason, error = self.refused(fixture, "POST", path, body)
            self.assertEqual((status, reason), (404, b"object"), body)
            self.assertTrue(error["param"], body)

    def test_the_words_for_a_previous_response(self) -> None:
        """
        Are the vendor's, with the code by which clients know that it is gone.
        """
        _, _, error = self.refused(bridge(), "POST", "/responses", {"previous_response_id": "resp_none"})
        self.assertEqual(
            error,
            {
                "message": "Previous response with id 'resp_none' not found.",
                "type": "invalid_request_error",
                "param": "previous_response_id",
                "code": "previous_response_not_found",
            },
        )

    def test_items_of_a_response(self) -> None:
        """
        They can be referred to by whoever got them.
        """
        fixture = bridge()
        become(fixture, "alice")
        ask(fixture, "POST", "/responses", {"stream": True})
        stream = fixture.upstream.calls[-1].answer(Answer(200, STREAM))
        stream.body(b'data: {"type":"response.created","response":{"id":"resp_1"}}\n\n')
        # It may be asked for, and given up, while it is still made.
        self.crosses(fixture, "POST", "/responses/resp_1/cancel")
        stream.body(b'data: {"type":"response.output_item.added","item":{"id":"rs_1"}}\n\n')
        stream.end()
        body = {"input": [{"type": "item_reference", "id": "rs_1"}]}
        self.crosses(fixture, "POST", "/responses", body)
        fixture.upstream.calls[-1].answer(Answer()).end()
        fixture.upstream.calls[-2].answer(Answer()).end()
        become(fixture, "bob")
        self.refused(fixture, "POST", "/responses", body)
        self.refused(fixture, "POST", "/responses", {"input": [{"id": "rs_1"}]})

    def test_what_is_not_kept_is_not_remembered(self) -> None:
        """
        A completion that is not to be stored, a response that is not to be, an answer that is an error.
        """
        fixture = bridge()
        make(fixture, "alice", "/chat/completions", "chatcmpl-1", {"model": "m"})
        make(fixture, "alice", "/responses", "resp_1", {"store": False})
        ask(fixture, "POST", "/responses", {})
        answer(fixture, {"id": "resp_2"}, 400)
        self.assertEqual(len(fixture.bridge.ledger.objects), 0)
        make(fixture, "alice", "/chat/completions", "chatcmpl-2", {"model": "m", "store": True})
        self.crosses(fixture, "GET", "/chat/completions/chatcmpl-2/messages")
        fixture.upstream.calls[-1].answer(Answer()).end()
        become(fixture, "bob")
        self.refused(fixture, "GET", "/chat/completions/chatcmpl-2/messages")

    def test_what_cannot_be_read(self) -> None:
        """
        A form, and a body that may name something and is no JSON.
        """
        form = [(b"Authorization", b"Bearer " + TOKEN), (b"Content-Type", b"multipart/form-data; boundary=b")]
        fixture = bridge()
        status, reason, _ = self.refused(fixture, "POST", "/responses", b"--b", pairs=form)
        self.assertEqual((status, reason), (415, b"body"))
        status, reason, _ = self.refused(fixture, "POST", "/responses", b'{"previous_response_id":"x"')
        self.assertEqual((status, reason), (415, b"body"))

    def test_a_key_of_the_clients_own(self) -> None:
        """
        With it nothing is asked for whose it is, and nothing learned.
        """
        fixture = bridge()
        make(fixture, "alice", "/responses", "resp_1")
        become(fixture, "bob")
        self.crosses(fixture, "GET", "/responses/resp_1", pairs=OWN)
        fixture.upstream.calls[-1].answer(Answer()).end()
        self.crosses(fixture, "POST", "/responses", {"previous_response_id": "resp_1"}, pairs=OWN)
        answer(fixture, {"id": "resp_2"})
        self.assertIsNone(fixture.bridge.ledger.objects.find("openai", Stored.RESPONSE, "resp_2"))

    def test_other_providers_have_others(self) -> None:
        """
        What one provider has is no other's.
        """
        fixture = bridge()
        make(fixture, "alice", "/files", "file-1")
        self.refused(fixture, "GET", "/v1/files/file-1")

    def test_escapes_in_a_path(self) -> None:
        """
        An id is compared as a server would read it, and what is no id has no route.
        """
        fixture = bridge()
        make(fixture, "alice", "/files", "file:1")
        self.crosses(fixture, "GET", "/files/file%3A1")
        fixture.upstream.calls[-1].answer(Answer()).end()
        become(fixture, "bob")
        for path in ("/files/file%3A1", "/files/file:1", "/files/fil%65:1", "/files/file:1/", "/files//file:1"):
            request = ask(fixture, "GET", path)
            self.assertEqual(request.status, 404, path)
        self.assertEqual(len(fixture.upstream.calls), 2)


class AnyoneTests(SynchronousTestCase):
    """
    Where everybody may name everything.
    """

    def test_it_crosses(self) -> None:
        """
        Known or not, and still with the key that made it.
        """
        fixture = bridge(keys=KEYS, provider={"stored_objects": "anyone", "key_order": "round-robin"})
        make(fixture, "alice", "/responses", "resp_1")
        maker = key(fixture)
        become(fixture, "bob")
        for _ in range(4):
            ask(fixture, "GET", "/responses/resp_1")
            self.assertEqual(key(fixture), maker)
        ask(fixture, "GET", "/responses/resp_none")
        ask(fixture, "GET", "/files")
        self.assertEqual(len(fixture.upstream.calls), 7)

    def test_files_and_items(self) -> None:
        """
        A batch of whatever names others, and others' items.
        """
        fixture = bridge(provider={"stored_objects": "anyone"})
        make(fixture, "bob", "/files", "file-1", {"previous_response_id": "resp_1"})
        ask(fixture, "POST", "/batches", {"input_file_id": "file-1"})
        become(fixture, "alice")
        ask(fixture, "POST", "/responses", {})
        answer(fixture, {"id": "resp_1", "output": [{"id": "rs_1"}]})
        become(fixture, "bob")
        ask(fixture, "POST", "/responses", {"input": [{"id": "rs_1", "type": "reasoning", "summary": []}]})
        self.assertEqual(len(fixture.upstream.calls), 4)


class KeyTests(SynchronousTestCase):
    """
    What is stored is found by the key that made it alone.
    """

    def setUp(self) -> None:
        """
        Three keys, used in turn.
        """
        self.fixture = bridge(keys=KEYS, round_robin=True)

    def used(self, method: str, path: str, body: object = None) -> str:
        """
        The key that is shown for a request.
        """
        before = len(self.fixture.upstream.calls)
        request = ask(self.fixture, method, path, body)
        self.assertEqual(len(self.fixture.upstream.calls), before + 1, request.received)
        answer(self.fixture, {})
        return key(self.fixture)

    def test_it_goes_to_the_key_that_made_it(self) -> None:
        """
        By its path and by a body that names it.
        """
        makers = {}
        for number in range(3):
            make(self.fixture, "alice", "/responses", f"resp_{number}")
            makers[f"resp_{number}"] = key(self.fixture)
        self.assertEqual(len(set(makers.values())), 3)
        for _ in range(2):
            for id, maker in makers.items():
                self.assertEqual(self.used("GET", f"/responses/{id}"), maker)
                self.assertEqual(self.used("POST", "/responses", {"previous_response_id": id}), maker)
                self.assertEqual(self.used("POST", f"/responses/{id}/cancel"), maker)

    def test_what_is_apart_is_not_named_together(self) -> None:
        """
        No key reaches both.
        """
        make(self.fixture, "alice", "/files", "file-1")
        make(self.fixture, "alice", "/files", "file-2")
        request = ask(self.fixture, "POST", "/vector_stores", {"file_ids": ["file-1", "file-2"]})
        self.assertEqual((request.status, request.told(b"x-ai-bridge-reason")), (400, b"object"))

    def test_a_key_that_is_gone(self) -> None:
        """
        With it went what it had made; where a single key is left, its provider is asked.
        """
        make(self.fixture, "alice", "/responses", "resp_1")
        keys = self.fixture.bridge.terms.accounts["openai"].keys
        assert keys is not None
        keys.adopt([each.secret for each in keys.keys if each.secret.reveal() != key(self.fixture)])
        self.assertEqual(ask(self.fixture, "GET", "/responses/resp_1").status, 404)
        keys.adopt([keys.keys[0].secret])
        self.assertEqual(self.used("GET", "/responses/resp_1"), keys.keys[0].secret.reveal())
