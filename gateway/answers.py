"""Answers that are not streams."""

from http import HTTPStatus

import msgspec
from quart import Response

from gateway.problems import Problem
from gateway.shapes import Success


def json_answer(body: msgspec.Struct, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), HTTPStatus.OK, headers, content_type="application/json")


def success(headers: dict[str, str] | None = None) -> Response:
    """``{"success":true}``"""
    return json_answer(Success(), headers)


def refusal(problem: Problem) -> Response:
    return Response(problem.encoded(), problem.status, problem.headers, content_type="application/json")
