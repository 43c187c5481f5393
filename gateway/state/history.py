"""A conversation's ended turns, as Redis keeps them: one codec, whole or as far as a prompt goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import msgspec

from gateway.state.ids import TurnId
from gateway.state.records import ImageRef, Result, TurnInput, decode_refs, from_ms


def _known(fields: Mapping[bytes, bytes]) -> bool:
    """Not what a version to come wrote in history (its entries say so): to show less is better than to fail."""
    return fields.get(b"v", b"1") == b"1"


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """One ended turn of the conversation: never split, never half trimmed."""

    turn: TurnId
    input: TurnInput
    answer: str
    result: Result
    ended_at: datetime

    @classmethod
    def decode_all(cls, rows: Iterable[Mapping[bytes, bytes]]) -> list[Self]:
        return [cls._decode(fields) for fields in rows if _known(fields)]

    @classmethod
    def _decode(cls, fields: Mapping[bytes, bytes]) -> Self:
        text = fields.get(b"text")
        return cls(
            turn=TurnId(fields[b"turn"].decode()),
            input=TurnInput(
                text=text.decode() if text is not None else None,
                images=decode_refs(fields[b"images"].decode()),
                created_at=from_ms(fields[b"created"]),
            ),
            answer=fields[b"answer"].decode(),
            result=msgspec.json.decode(fields[b"result"], type=Result),
            ended_at=from_ms(fields[b"ended"]),
        )


class PastTurn(msgspec.Struct, frozen=True, gc=False):
    """What a prompt needs of an ended turn. A claim brings dozens of them, so nothing else is read for it."""

    text: str | None
    images: tuple[ImageRef, ...]
    answer: str

    @classmethod
    def decode_all(cls, rows: Iterable[Mapping[bytes, bytes]]) -> list[Self]:
        return [
            cls(
                text=fields[b"text"].decode() if b"text" in fields else None,
                images=decode_refs(fields[b"images"].decode()),
                answer=fields[b"answer"].decode(),
            )
            for fields in rows
            if _known(fields)
        ]
