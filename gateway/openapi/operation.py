"""One call of the API as the tables beside this file put it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from gateway.problems import Problem

Schema = Mapping[str, Any]
"""JSON Schema 2020-12, where no model says it."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one media type. ``more`` joins its OpenAPI Media Type Object."""

    of: type[msgspec.Struct] | Schema
    media_type: str = JSON
    example: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    """``path``, ``query`` or ``header``."""
    description: str
    schema: Schema
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    description: str
    contents: tuple[Content, ...] = ()
    headers: tuple[str, ...] = ()
    """Names from ``headers.HEADERS``, beyond those of every answer."""
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Operation:
    """``problems`` are the error answers beyond those that its guards give."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    problems: tuple[Problem, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Content | None = None
    body_required: bool = True
    guarded: bool = True
    """Strangers' pages and callers who ask too often are refused; the session's cookie counts."""
    opens_session: bool = False
    """Its answers may hand out the session's cookie, or take it back."""
