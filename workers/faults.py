"""Gemini's error answers (https://ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.Status) as our own."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from workers.model import Fault, GenerationError

_FAULTS = {
    401: Fault.UNAUTHORIZED,
    403: Fault.UNAUTHORIZED,
    404: Fault.NOT_FOUND,
    408: Fault.TIMEOUT,
    429: Fault.RATE_LIMITED,
    499: Fault.UNAVAILABLE,
    504: Fault.TIMEOUT,
}
_DETAIL_LIMIT = 300
_API_KEY = re.compile(r"AIza[\w-]{10,}|(?<=api_key:)[\w.-]+")
"""Google's own error messages quote the key (``Consumer 'api_key:...' has been suspended``)."""


def from_answer(code: int, body: Any, retry_after: str | None, *, now: float, key: str) -> GenerationError:
    """The error for status ``code`` with a JSON ``body`` (``{"error": {...}}``, or anything where there is none).

    ``retry_after`` is that header's value: seconds or an HTTP date, which is compared with ``now`` (Unix time).
    """
    error = _mapping(_mapping(body).get("error", body))
    waits = [*_asked_by_header(retry_after, now), *_asked_by_details(error)]
    status, message = error.get("status"), error.get("message")
    detail = one_line(f"{code} {status or ''} {message or ''}", key)
    return GenerationError(_fault(code, error), retry_after=max(waits, default=None), detail=detail)


def one_line(text: str, key: str) -> str:
    """``text`` as it may stand in a log: one line of bounded length, without the key or any other."""
    if key:
        text = text.replace(key, "[key]")
    return " ".join(_API_KEY.sub("[key]", text).split())[:_DETAIL_LIMIT]


def _fault(code: int, error: Mapping[str, Any]) -> Fault:
    # A wrong key is a 400 INVALID_ARGUMENT, told apart by its reason; FAILED_PRECONDITION is billing or the region.
    if code == 400 and ("API_KEY_INVALID" in _reasons(error) or error.get("status") == "FAILED_PRECONDITION"):
        return Fault.UNAUTHORIZED
    if code in _FAULTS:
        return _FAULTS[code]
    if 400 <= code < 500:
        return Fault.BAD_REQUEST
    return Fault.UNAVAILABLE if 500 <= code < 600 else Fault.GARBLED


def _reasons(error: Mapping[str, Any]) -> set[str]:
    return {str(detail.get("reason")) for detail in _details(error)}


def _asked_by_details(error: Mapping[str, Any]) -> Iterator[float]:
    """RetryInfo's ``retryDelay``: a protobuf Duration in JSON, such as ``"37.5s"``."""
    for detail in _details(error):
        delay = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)s", str(detail.get("retryDelay")))
        if delay:
            yield float(delay[1])


def _asked_by_header(value: str | None, now: float) -> Iterator[float]:
    """RFC 9110, section 10.2.3."""
    if value is None:
        return
    if re.fullmatch(r"\s*\d{1,9}\s*", value):
        yield float(value)
        return
    try:
        yield max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return (_mapping(detail) for detail in details) if isinstance(details, list) else iter(())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
