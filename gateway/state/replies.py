"""What scripts answer about a turn, as records."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.state import keys
from gateway.state.history import PastTurn
from gateway.state.ids import ClaimToken, Position, TurnRef
from gateway.state.records import (
    Claim,
    State,
    TextRequest,
    TurnInput,
    TurnStatus,
    decode_refs,
    from_ms,
)
from gateway.state.script import Call, pairs, script


def status_call(ref: TurnRef) -> Call:
    return Call(script("observe"), [keys.turn(*ref)], [])


def status_of(reply: Any) -> TurnStatus | None:
    """Of ``observe`` and ``page``; None when the turn is gone."""
    if not reply:
        return None
    told, attempt, last, owner, lease, overdue, left = reply
    state = State(told.decode())
    return TurnStatus(
        state=state,
        attempt=int(attempt),
        last=Position.parse(last.decode()),
        owner=ClaimToken(owner.decode()) if owner else None,
        lease=int(lease),
        overdue=bool(overdue),
        renewed=state is State.RUNNING and not lease.startswith(b"+"),
        left=left / 1000,
    )


def claim_of(ref: TurnRef, token: ClaimToken, past: Sequence[Any], attempt: int, *told: Any) -> Claim:
    """Of ``claim``. ``past``: the session's history, the newest entry first."""
    left, deadline, created, images, text, request, stop, trace = told
    return Claim(
        ref=ref,
        token=token,
        attempt=attempt,
        input=TurnInput(
            text=text.decode() if text is not None else None,
            images=decode_refs(images.decode()),
            created_at=from_ms(created),
            request=msgspec.json.decode(request, type=TextRequest) if request else None,
        ),
        deadline=from_ms(deadline),
        left=left / 1000,
        stop=stop is not None,
        trace=trace.decode() if trace else "",
        history=PastTurn.decode_all(pairs(fields) for _, fields in reversed(past)),
    )
