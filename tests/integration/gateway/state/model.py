"""What the contract promises, as plain Python: one conversation, its turns, and what each operation must answer.

Time and death are not in it: a lease is lost when the test says so, and a record is gone when it was deleted.
"""

from dataclasses import dataclass, field

import msgspec

from gateway.state.ids import START, ClaimToken, Position, TurnRef
from gateway.state.records import Entry, Kind, State, Usage
from gateway.state.turnlog import Verdict, Write
from gateway.state.turns import StopAnswer

HISTORY_TURNS = 3
CLAIMS_ALLOWED = 2


@dataclass
class Turn:
    ref: TurnRef
    text: str | None
    images: frozenset[str]
    state: State = State.QUEUED
    attempt: int = 0
    owner: ClaimToken | None = None
    lease: int = 0
    tries: int = 0
    stop: bool = False
    usage: Usage | None = None
    log: list[tuple[Position, Kind]] = field(default_factory=list)
    written: dict[Position, Entry] = field(default_factory=dict)
    """The entries that came from a worker."""
    forced: Entry | None = None
    """The end that a stop made: to the letter as a worker's that stopped at the same place would be."""

    @property
    def last(self) -> Position:
        return self.log[-1][0] if self.log else START

    @property
    def answer(self) -> str:
        """The text of the last attempt."""
        text = [e.data for at, e in self.written.items() if at.attempt == self.attempt and e.kind is Kind.TEXT]
        return b"".join(text).decode()

    def owned_by(self, token: ClaimToken) -> bool:
        return self.state is State.RUNNING and self.owner == token


@dataclass(frozen=True)
class Remembered:
    text: str | None
    images: frozenset[str]
    answer: str
    stopped: bool


@dataclass
class Conversation:
    open: bool = True
    text: str | None = None
    key: str | None = None
    """The idempotency key of the pending text."""
    images: frozenset[str] = frozenset()
    running: Turn | None = None
    usage: Usage = field(default_factory=Usage)
    history: list[Remembered] = field(default_factory=list)
    keys: dict[str, TurnRef] = field(default_factory=dict)
    turns: dict[TurnRef, Turn] = field(default_factory=dict)
    """Those that have a record."""

    @property
    def images_kept(self) -> frozenset[str]:
        held = [self.images, *(turn.images for turn in self.history)]
        return frozenset().union(*held, self.running.images if self.running else ())

    def begin(self, ref: TurnRef, text: str | None, key: str | None) -> None:
        """The caller has seen that something is there to begin."""
        if text is None:
            text, key = self.text, self.key
        turn = self.turns[ref] = self.running = Turn(ref, text, self.images)
        self.text, self.key, self.images = None, None, frozenset()
        if key:
            self.keys[key] = turn.ref

    def claim(self, ref: TurnRef, token: ClaimToken) -> int | None:
        """The attempt, or None."""
        turn = self.turns.get(ref)
        if turn is None or turn.state.ended:
            return None
        if turn.state is State.RUNNING:
            return turn.attempt if turn.owner == token else None
        if turn.tries >= CLAIMS_ALLOWED:
            self.force(turn, Kind.FAILED)
            return None
        turn.state, turn.owner = State.RUNNING, token
        turn.tries += 1
        turn.lease += 1
        self._next_attempt(turn)
        return turn.attempt

    def reattempt(self, ref: TurnRef, token: ClaimToken, broken: int) -> int | None:
        turn = self.turns.get(ref)
        if turn is None or not turn.owned_by(token) or turn.attempt not in (broken, broken + 1):
            return None
        if turn.attempt == broken:
            self._next_attempt(turn)
        return turn.attempt

    def _next_attempt(self, turn: Turn) -> None:
        self._book(turn)
        turn.attempt += 1
        turn.log.append((Position(turn.attempt, 0), Kind.RESET if turn.attempt > 1 else Kind.START))

    def write(self, write: Write) -> Verdict:
        turn, entry = self.turns.get(write.ref), write.entry
        if turn is None:
            return Verdict.GONE
        if turn.state.ended:
            known = entry in (turn.written.get(entry.id), turn.forced) and entry.id.attempt == turn.last.attempt
            return Verdict.DUP if known else Verdict.ENDED
        if not turn.owned_by(write.token) or entry.id.attempt < turn.last.attempt:
            return Verdict.FENCED
        if entry.prev != turn.last:
            repeated = write.result is None and entry.id <= turn.last
            return Verdict.DUP if repeated else Verdict.GAP
        turn.usage = write.usage or turn.usage
        turn.log.append((entry.id, entry.kind))
        turn.written[entry.id] = entry
        if entry.kind.terminal:
            self._close(turn, entry.kind)
        return Verdict.OK

    def check(self, ref: TurnRef, token: ClaimToken) -> str:
        turn = self.turns.get(ref)
        if turn is None:
            return "GONE"
        if turn.state.ended:
            return "ENDED"
        if not turn.owned_by(token):
            return "FENCED"
        return "STOP" if turn.stop else "OK"

    def give_away(self, ref: TurnRef, owner: ClaimToken | None, *, counts: bool) -> bool:
        """A put-back or a takeover; whether the turn waits for another by it."""
        turn = self.turns.get(ref)
        if turn is None or owner is None or not turn.owned_by(owner):
            return False
        if turn.stop:
            self.force(turn, Kind.STOPPED)
            return False
        turn.state, turn.owner = State.QUEUED, None
        turn.tries -= not counts
        return True

    def stop(self, ref: TurnRef) -> StopAnswer:
        turn = self.turns.get(ref)
        if turn is None or turn.state.ended:
            return StopAnswer.ENDED
        if turn.state is State.QUEUED:
            self.force(turn, Kind.STOPPED)
            return StopAnswer.STOPPED
        turn.stop = True
        return StopAnswer.ASKED

    def force(self, turn: Turn, kind: Kind) -> None:
        last = turn.last
        end = Position(last.attempt, last.seq + 1)
        if kind is Kind.STOPPED:
            used = turn.usage.as_json() if turn.usage else {}
            turn.forced = Entry(end, last, kind, msgspec.json.encode({"usage": used}))
        turn.log.append((end, kind))
        self._close(turn, kind)

    def _close(self, turn: Turn, kind: Kind) -> None:
        self._book(turn)
        turn.state, turn.owner = State(kind.value), None
        assert self.running is turn
        self.running = None
        if kind is not Kind.FAILED:
            self.history.append(Remembered(turn.text, turn.images, turn.answer, kind is Kind.STOPPED))
            del self.history[:-HISTORY_TURNS]
        elif self.text is None and not self.images:
            self.text, self.images = turn.text, turn.images

    def _book(self, turn: Turn) -> None:
        used, turn.usage = turn.usage or Usage(), None
        had = self.usage
        self.usage = Usage(
            had.input_tokens + used.input_tokens,
            had.output_tokens + used.output_tokens,
            had.total_tokens + used.total_tokens,
        )

    def forget(self) -> "Conversation":
        """What is left when history is cleared."""
        if self.running:
            self._book(self.running)
        return Conversation(usage=self.usage)
