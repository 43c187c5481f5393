"""The caller's trace, handed on to the worker (W3C Trace Context, ``traceparent``)."""

import re

from quart import request

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent() -> str:
    """Empty where the caller sent none, or none that can be read."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""
