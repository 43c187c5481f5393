"""The answers of one call: those of its table, and those that its guards give instead."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain
from typing import Any

import msgspec
from werkzeug.exceptions import InternalServerError

from gateway import shapes
from gateway.openapi.headers import OF_EVERY_ANSWER, OF_GUARDED_ANSWERS
from gateway.openapi.operation import JSON, Answer, Content, Operation
from gateway.problems import (
    BadRequest,
    ForeignOrigin,
    Passing,
    Problem,
    TooLarge,
    TooMany,
    TooSlow,
    Unsupported,
    of_http,
    of_state,
)
from gateway.state.errors import StateUnavailable

REF = "#/components/schemas/{name}"


def responses_of(operation: Operation) -> dict[str, Any]:
    """OpenAPI's Responses Object, in the order of the statuses."""
    found = {answer.status: _answer(answer, operation) for answer in operation.answers}
    by_status: dict[HTTPStatus, list[Problem]] = {}
    for problem in chain(operation.problems, _of_guards(operation)):
        by_status.setdefault(problem.status, []).append(problem)
    for status, problems in by_status.items():
        found[status] = _refusal(status, problems, operation)
    return {str(int(status)): found[status] for status in sorted(found)}


def media(content: Content) -> dict[str, Any]:
    """OpenAPI's Media Type Object."""
    schema = {"$ref": REF.format(name=content.of.__name__)} if isinstance(content.of, type) else content.of
    example = {} if content.example is None else {"example": msgspec.to_builtins(content.example)}
    return {"schema": schema, **example, **content.more}


def _of_guards(operation: Operation) -> Iterator[Problem]:
    if operation.guarded:
        yield ForeignOrigin("Pages of this origin may not call; the operator can name it in CORS_ORIGIN.")
        yield TooMany("session", 3)
        yield of_state(StateUnavailable())
    if operation.body is not None:
        yield BadRequest("The request is malformed.")
        yield TooSlow()
        yield TooLarge("The request's body is larger than 16384 bytes.")
        yield Unsupported("unsupported_media_type", "The request's body is of a type that is not accepted here.")
        yield Passing("busy", "Too many uploads at one time; try again in a moment.", 5)
    yield of_http(InternalServerError())


def _answer(answer: Answer, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": answer.description,
        "headers": _headers(operation, *answer.headers),
    }
    if answer.contents:
        described["content"] = {content.media_type: media(content) for content in answer.contents}
    return described


def _refusal(status: HTTPStatus, problems: list[Problem], operation: Operation) -> dict[str, Any]:
    examples: dict[str, Any] = {}
    for problem in problems:
        value = msgspec.json.decode(problem.encoded())
        if value in [example["value"] for example in examples.values()]:
            continue
        number = sum(name.partition(".")[0] == problem.code for name in examples)
        examples[f"{problem.code}.{number + 1}" if number else problem.code] = {"value": value}
    codes = dict.fromkeys(f"`{problem.code}`" for problem in problems)
    headers = dict.fromkeys(name for problem in problems for name in problem.headers)
    return {
        "description": f"{status.phrase}: {', '.join(codes)}",
        "headers": _headers(operation, *headers),
        "content": {JSON: {"schema": {"$ref": REF.format(name=shapes.Error.__name__)}, "examples": examples}},
    }


def _headers(operation: Operation, *own: str) -> dict[str, Any]:
    of_guards = OF_GUARDED_ANSWERS if operation.guarded else ()
    cookie = ("Set-Cookie",) if operation.opens_session else ()
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*OF_EVERY_ANSWER, *of_guards, *cookie, *own)}
