"""JSON bodies, well formed and otherwise."""

import pytest

from gateway.models import ChatRequest, StopRequest, TextPrompt, parse
from gateway.problems import BadRequest


def test_fields_that_are_not_known_are_ignored() -> None:
    assert parse(b'{"message":"hi","mood":{"deep":[1,2]}}', ChatRequest) == ChatRequest("hi")


def test_what_may_be_left_out_may_be_null() -> None:
    body = b'{"prompt":"p","response_mime_type":null,"response_schema":null}'
    assert parse(body, TextPrompt) == TextPrompt("p")
    assert parse(b'{"turn":null}', StopRequest) == StopRequest()


def test_a_message_is_taken_as_it_is() -> None:
    assert parse(rb'{"message":"\ud83d\ude00\u0000\r\n "}', ChatRequest).message == "\U0001f600\0\r\n "


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"message":"a"} trailing',
        b"{}",
        b'{"message":""}',
        b'{"message":7}',
        b'{"message":null}',
        b'{"message":["a"]}',
        rb'{"message":"\ud800"}',
        b'{"message":"\xed\xa0\x80"}',
        b'{"message":"\xff"}',
        b'\xff\xfe{\0"\0',
        b'{"message":"a","x":NaN}',
        b'{"message":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_anything_else_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body, ChatRequest)
    assert caught.value.message.endswith(".")


def test_a_wrong_field_is_named() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(b'{"message":7}', ChatRequest)
    assert "$.message" in caught.value.message


def test_a_schema_is_an_object() -> None:
    with pytest.raises(BadRequest):
        parse(b'{"prompt":"p","response_schema":"string"}', TextPrompt)
