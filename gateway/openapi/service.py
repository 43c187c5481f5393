"""Health, pages and this document: what holds nothing of anybody, so that any page may call or link to it."""

from http import HTTPStatus

from gateway import shapes
from gateway.openapi.headers import OF_A_PAGE
from gateway.openapi.operation import JSON, Answer, Content, Operation, Parameter, Schema
from gateway.problems import NotFound

_TEXT: Schema = {"type": "string"}
_HTML = "text/html; charset=utf-8"
_CSS = "text/css; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"
_UNCHANGED = "It is the one that `If-None-Match` names"
_NO_FILE = NotFound("There is no such file.")


def operations() -> list[Operation]:
    return [_alive(), _ready(), *_pages(), *_documents()]


def _alive() -> Operation:
    return Operation(
        method="GET",
        path="/",
        name="health",
        tag="service",
        summary="Is the process alive",
        description="Touches nothing else.",
        answers=(Answer("It is", (Content(shapes.Health, example=shapes.Health()),)),),
        guarded=False,
    )


def _ready() -> Operation:
    queue = shapes.QueueState(waiting=0, live=2, oldest_wait_seconds=0.0)
    ready = shapes.Readiness(status="ready", redis=True, workers=2, queue=queue)
    leaving = shapes.Readiness(status="draining", redis=True, workers=2, queue=queue)
    return Operation(
        method="GET",
        path="/readyz",
        name="readiness",
        tag="service",
        summary="Should this replica be sent requests",
        description="The status is about this replica alone: whether it is starting or draining. The rest is told.",
        answers=(
            Answer("It should", (Content(shapes.Readiness, example=ready),)),
            Answer(
                "It should not, now",
                (Content(shapes.Readiness, example=leaving),),
                ("Retry-After",),
                HTTPStatus.SERVICE_UNAVAILABLE,
            ),
        ),
        guarded=False,
    )


def _pages() -> list[Operation]:
    name = Parameter("name", "path", "The file's path", {"type": "string", "minLength": 1}, "style.css")
    files = tuple(Content(_TEXT, kind) for kind in (_CSS, _SCRIPT, "image/svg+xml", "text/plain; charset=utf-8"))
    return [
        _page("/ui", "chatPage", "The chat page", (Content(_TEXT, _HTML),), OF_A_PAGE),
        Operation(
            method="GET",
            path="/ui/",
            name="chatPageMoved",
            tag="pages",
            summary="The chat page's address",
            description="With a slash too many.",
            answers=(Answer("Without it", (Content(_TEXT, _HTML),), ("Location",), HTTPStatus.PERMANENT_REDIRECT),),
            guarded=False,
        ),
        Operation(
            method="GET",
            path="/ui/{name}",
            name="chatPageFile",
            tag="pages",
            summary="A file that the chat page loads",
            description="Style, scripts, pictures.",
            parameters=(name,),
            answers=(
                Answer("The file", files, ("ETag",)),
                Answer(_UNCHANGED, headers=("ETag",), status=HTTPStatus.NOT_MODIFIED),
            ),
            problems=(_NO_FILE,),
            guarded=False,
        ),
        _page("/client.js", "client", "The client module, for frontends of your own", (Content(_TEXT, _SCRIPT),)),
    ]


def _documents() -> list[Operation]:
    document: Schema = {"type": "object", "required": ["openapi", "info", "paths"]}
    return [
        _page("/openapi.json", "apiDocument", "This document", (Content(document, JSON),)),
        _page("/docs", "apiPage", "This document, for people", (Content(_TEXT, _HTML),), OF_A_PAGE[:1]),
        _page("/docs.css", "apiPageStyle", "How that page looks", (Content(_TEXT, _CSS),)),
    ]


def _page(
    path: str, name: str, summary: str, contents: tuple[Content, ...], headers: tuple[str, ...] = ()
) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag="pages",
        summary=summary,
        description="",
        answers=(
            Answer("The file", contents, ("ETag", *headers)),
            Answer(_UNCHANGED, headers=("ETag", *headers), status=HTTPStatus.NOT_MODIFIED),
        ),
        guarded=False,
    )
