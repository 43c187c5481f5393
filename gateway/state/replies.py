"""What scripts answer about a turn, as records."""

from typing import Any

import msgspec

from gateway.state import keys
from gateway.state.ids import ClaimToken, Position, TurnRef
from gateway.state.records import (
    Claim,
    HistoryTurn,
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
    state, attempt, last, owner, lease, overdue = reply
    return TurnStatus(
        state=State(state.decode()),
        attempt=int(attempt),
        last=Position.parse(last.decode()),
        owner=ClaimToken(owner.decode()) if owner else None,
        lease=int(lease),
        overdue=bool(overdue),
    )


def claim_of(ref: TurnRef, token: ClaimToken, attempt: int, flat: list[bytes], past: list[Any]) -> Claim:
    record = pairs(flat)
    text, request = record.get(b"text"), record.get(b"request")
    return Claim(
        ref=ref,
        token=token,
        attempt=attempt,
        input=TurnInput(
            text=text.decode() if text is not None else None,
            images=decode_refs(record[b"images"].decode()),
            created_at=from_ms(record[b"created"]),
            request=msgspec.json.decode(request, type=TextRequest) if request else None,
        ),
        deadline=from_ms(record[b"deadline"]),
        stop=b"stop" in record,
        trace=record.get(b"trace", b"").decode(),
        history=HistoryTurn.decode_all(pairs(fields) for _, fields in past),
    )
