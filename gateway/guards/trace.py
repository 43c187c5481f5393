"""The caller's trace, handed on to the worker (W3C Trace Context, ``traceparent``).

Where this process traces, the ``traceparent`` that a route sees is its own span's (``gateway.telemetry.traced``).
"""

from collections.abc import Mapping
from typing import Any, cast

from quart import request

from gateway.state.ids import TurnRef
from gateway.state.turns import Turns
from gateway.telemetry.traced import SPAN, link
from gateway.telemetry.tracing import valid


def traceparent() -> str:
    """Empty where the caller sent none, or none that can be read."""
    return valid(request.headers.get("traceparent", ""))


async def belongs_to(turns: Turns, ref: TurnRef) -> None:
    """The request's trace has to do with the turn's. Raises StateUnavailable; asks nothing where nobody traces."""
    if SPAN in request.scope:
        link(cast("Mapping[str, Any]", request.scope), await turns.trace(ref))
