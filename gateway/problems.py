"""The one place where what went wrong becomes an HTTP answer.

    Problem                       status, code, sentence
    ├── those below               what a caller did
    ├── Passing                   goes by itself: Retry-After; an EventSource is sent away with 200 and ``retry:``
    └── Upstream                  how Gemini or a worker failed a ``POST /generate_text``

Every error's body is ``{"success":false,"error":"<code>","message":"<sentence>"}``. The sentences are ours: nothing of
a traceback, of an upstream answer or of another user's data goes into one.
"""

import math
from http import HTTPStatus

import msgspec
from werkzeug.exceptions import HTTPException

from gateway import shapes
from gateway.state import errors


class Problem(Exception):
    """An error answer. ``message`` is a sentence for the person in front of the client."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def encoded(self) -> bytes:
        return msgspec.json.encode(shapes.Error(error=self.code, message=self.message))


class BadRequest(Problem):
    def __init__(self, message: str, code: str = "bad_request") -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, code, message)


class ForeignOrigin(Problem):
    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, "foreign_origin", message)


class NotFound(Problem):
    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, "not_found", message)


class TooSlow(Problem):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.REQUEST_TIMEOUT,
            "request_timeout",
            "The request's body took too long to arrive.",
        )


class Conflict(Problem):
    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(HTTPStatus.CONFLICT, code, message, headers=headers)


class TooLarge(Problem):
    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message)


class Unsupported(Problem):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, code, message)


class TooMany(Problem):
    """429: ``policy`` names the rate that refuses, ``wait`` is in seconds."""

    def __init__(self, policy: str, wait: float) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_many_requests",
            _RATE_SENTENCES.get(policy, "Too many requests; try again later."),
            retry_after=max(1, math.ceil(wait)),
        )
        self.policy = policy


_RATE_SENTENCES = {
    "sessions": "Too many new sessions from your address; try again later.",
    "turns_a_minute": "You are asking faster than this service answers; try again in a moment.",
    "turns_a_day": "You have asked as much as this service allows in a day; try again later.",
    "tokens": "Your conversation has used as many tokens as this service allows in a day; try again later.",
}


class Passing(Problem):
    """503: the same call can succeed soon."""

    def __init__(self, code: str, message: str, retry_after: int) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, code, message, retry_after=retry_after)


class Draining(Passing):
    def __init__(self) -> None:
        super().__init__("draining", "This replica is shutting down; try again.", 1)


BY_UPSTREAM_CODE = {
    "bad_request": (HTTPStatus.BAD_REQUEST, None),
    "blocked": (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    "rate_limited": (HTTPStatus.TOO_MANY_REQUESTS, 10),
    "timeout": (HTTPStatus.GATEWAY_TIMEOUT, None),
    "deadline_exceeded": (HTTPStatus.GATEWAY_TIMEOUT, None),
}


class Upstream(Problem):
    """A turn's ``failed`` entry as an answer; its message is already one for users."""

    def __init__(self, code: str, message: str) -> None:
        status, retry_after = BY_UPSTREAM_CODE.get(code, (HTTPStatus.BAD_GATEWAY, None))
        super().__init__(status, code, message, retry_after=retry_after)


def of_state(error: errors.StateError) -> Problem:
    """What the contract's errors mean to a caller whose route does not know better."""
    match error:
        case errors.QueueFull():
            return Passing("queue_full", "Too many requests are waiting; try again in a moment.", 5)
        case errors.NoWorker():
            return Passing("no_worker", "Nobody is there to answer; try again in a moment.", 5)
        case errors.NothingPending():
            return Conflict("nothing_pending", "There is no message or image to answer; send one first.")
        case errors.TurnRunning():
            return Conflict(
                "turn_running",
                "An answer is still being given; wait for its end or stop it.",
                headers={"X-Turn-Id": error.turn},
            )
        case errors.RateSpent():
            return TooMany(error.policy, error.wait)
        case errors.SessionGone():
            return Conflict("session_gone", "The session was deleted meanwhile; try again.")
        case errors.ImageQuotaExceeded():
            return TooLarge("The conversation holds too many images; delete it or send fewer and smaller ones.")
        case _:
            return Passing("unavailable", "The service cannot be reached right now; try again in a moment.", 2)


_SENTENCES = {
    400: ("bad_request", "The request is malformed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not answer that method."),
    408: ("request_timeout", "The request's body took too long to arrive."),
    413: ("too_large", "The request's body is too large."),
    415: ("unsupported_media_type", "The request's body is of a type that is not accepted here."),
    416: ("range_not_satisfiable", "The range asked for does not exist."),
}


def of_http(error: HTTPException) -> Problem:
    """Quart's and Werkzeug's own refusals in our shape, with the headers that belong to them (``Allow``)."""
    status = HTTPStatus(error.code or 500)
    code, message = _SENTENCES.get(status, ("internal_error", "Something went wrong here; it was logged."))
    if code == "internal_error" and status < 500:
        code, message = status.name.lower(), status.description or status.phrase
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Content-Range")}
    return Problem(status, code, message, headers=kept)
