"""The machine behind the interleavings: what clients and workers have in their hands, and what holds at every step."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from gateway.state import keys
from gateway.state.errors import NothingPending, SessionGone, TurnRunning
from gateway.state.history import HistoryTurn
from gateway.state.ids import START, ClaimToken, Position, SessionId, TurnRef, new_claim_token, new_token, session_id
from gateway.state.records import Claim, Kind, Session, State, TurnStatus
from gateway.state.turnlog import LogPage, Verdict, Write
from gateway.state.turns import Begun, TurnLimits
from tests.integration.gateway.state.model import CLAIMS_ALLOWED, HISTORY_TURNS, Conversation, Remembered, Turn
from tests.integration.gateway.state.scene import Scene, end_write, picture, text_write

T = TypeVar("T")

PICTURES = "pqr"
_BY_ID: dict[str, str] = {picture(name).ref.id: name for name in PICTURES}
_QUEUE_KEYS = {keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT, keys.LEASES}


def picked(things: list[T], back: int) -> T:
    """The latest, or one that was taken up so long before it."""
    return things[-1 - min(back, len(things) - 1)]


class ConversationMachine(RuleBasedStateMachine):
    """Two clients, each a gateway and a worker, at one conversation; the lists hold the stale beside the fresh."""

    limits = TurnLimits(history_turns=HISTORY_TURNS)

    def __init__(self, runner: asyncio.Runner, scenes: list[Scene]) -> None:
        super().__init__()
        self._runner = runner
        self.scenes = scenes
        self.sid: SessionId = session_id(new_token())
        self.model = Conversation()
        self.current: Session | None = None
        self.sessions: list[Session] = []
        self.refs: list[TurnRef] = []
        self.claims: list[Claim] = []
        self.writes: list[Write] = []
        self.looks: list[tuple[TurnRef, TurnStatus]] = []
        self.hints_may_lack = False
        self.steps = self.steps_since_forgotten = self.steps_without_a_turn = 0
        self.do(self._empty())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _empty(self) -> None:
        await self.scenes[0].redis.flushall()
        for scene in self.scenes:
            await scene.beat()

    @property
    def aside(self) -> bool:
        """Whether it is time for something else than the work on a running turn: else hardly one would get anywhere."""
        return self.model.running is None or self.steps % 3 == 0

    @property
    def at_work(self) -> bool:
        """Whether a turn runs, or ended a moment ago."""
        return self.steps_without_a_turn < 3

    # What more than one rule does.

    def open_session(self) -> None:
        self.model = Conversation()
        self.current = self.do(self.scenes[0].sessions.create(self.sid))
        self.sessions.append(self.current)

    def refuses(self, session: Session, work: Coroutine[Any, Any, object]) -> bool:
        """Runs it if it must fail: the session is of a time that is over."""
        if self.model.open and self.current and session.epoch == self.current.epoch:
            return False
        with pytest.raises(SessionGone):
            self.do(work)
        return True

    def begin_turn(self, scene: Scene, session: Session, message: str | None, key: str | None) -> None:
        work = scene.turns.begin(session, message=message, key=key)
        model = self.model
        if self.refuses(session, work):
            return
        if key and key in model.keys:
            assert self.do(work) == Begun(model.keys[key].turn, new=False)
        elif model.running and message is None:
            assert self.do(work) == Begun(model.running.ref.turn, new=False)
        elif model.running:
            with pytest.raises(TurnRunning):
                self.do(work)
        elif message is None and model.text is None and not model.images:
            with pytest.raises(NothingPending):
                self.do(work)
        else:
            begun = self.do(work)
            assert begun.new
            self.begun(TurnRef(self.sid, begun.turn), message, key)

    def begun(self, ref: TurnRef, message: str | None, key: str | None) -> None:
        self.model.begin(ref, message, key)
        self.refs.append(ref)

    def unended(self, ref: TurnRef) -> Turn | None:
        turn = self.model.turns.get(ref)
        return turn if turn and not turn.state.ended else None

    def claim_turn(self, scene: Scene, ref: TurnRef, token: ClaimToken) -> None:
        claim = self.do(scene.turns.claim(ref, token, claims_allowed=CLAIMS_ALLOWED))
        attempt = self.model.claim(ref, token)
        assert (claim.attempt if claim else None) == attempt
        if claim:
            turn = self.model.turns[ref]
            assert (claim.input.text, claim.stop) == (turn.text, turn.stop)
            assert {image.id for image in claim.input.images} == {picture(name).ref.id for name in turn.images}
            self.claims.append(claim)

    def next_seq(self, claim: Claim) -> int:
        """The seq that a worker would give now: it knows what it wrote in this attempt, and nothing of others."""
        turn = self.model.turns.get(claim.ref)
        written = [at.seq for at in turn.written if at.attempt == claim.attempt] if turn else []
        return max(written, default=0) + 1

    def write(self, worker: int, write: Write) -> None:
        turn = self.model.turns.get(write.ref)
        last = turn.last if turn else None
        reply = self.do(self.scenes[worker].write(write))
        assert reply.verdict is self.model.write(write)
        assert reply.last == (last if reply.verdict is Verdict.GAP else None)
        self.writes.append(write)

    def write_all(self, worker: int, writes: list[Write]) -> None:
        replies = self.do(self.scenes[worker].log.write(writes))
        assert [reply.verdict for reply in replies] == [self.model.write(write) for write in writes]
        self.writes += writes

    # What holds after every step.

    @invariant()
    def everything_is_what_the_model_says(self) -> None:
        self.steps += 1
        self.steps_since_forgotten += 1
        self.steps_without_a_turn = 0 if self.model.running else self.steps_without_a_turn + 1
        latest = next(reversed(self.model.turns.values()), None)
        session, images, history, live, waiting, page = self.do(self._look_around(latest))
        self._check_session(session, images)
        self._check_history(history)
        self._check_queue(live, waiting)
        if latest and page:
            self._check_turn(latest, page)

    async def _look_around(
        self, latest: Turn | None
    ) -> tuple[Session | None, set[str], list[HistoryTurn], set[TurnRef], set[TurnRef], LogPage | None]:
        one, other = self.scenes
        return await asyncio.gather(
            one.sessions.load(self.sid),
            other.images_stored(self.sid),
            one.sessions.history(self.sid),
            other.live(),
            one.queue.waiting([latest.ref] if latest else []),
            self._page(latest),
        )

    async def _page(self, turn: Turn | None) -> LogPage | None:
        return await self.scenes[1].log.read(turn.ref, START, count=1000) if turn else None

    def _check_session(self, found: Session | None, images: set[str]) -> None:
        model = self.model
        assert {_BY_ID[image] for image in images} == model.images_kept
        if not model.open or self.current is None:
            assert found is None
            return
        assert found == Session(
            self.sid,
            self.current.epoch,
            pending_message=model.text is not None,
            pending_images=len(model.images),
            running=model.running.ref.turn if model.running else None,
            usage=model.usage,
        )

    def _check_history(self, history: list[HistoryTurn]) -> None:
        """One entry for each turn that ended well, with the text of its last attempt."""
        assert [
            Remembered(
                turn.input.text,
                frozenset(_BY_ID[image.id] for image in turn.input.images),
                turn.answer,
                turn.result.stopped,
            )
            for turn in history
        ] == self.model.history

    def _check_queue(self, live: set[TurnRef], waiting: set[TurnRef]) -> None:
        """No turn is forgotten: every one that has not ended is in the index, and has a hint while it waits."""
        running = self.model.running
        if running:
            assert running.ref in live
            if running.state is State.QUEUED and not self.hints_may_lack:
                assert running.ref in waiting

    def _check_turn(self, turn: Turn, page: LogPage) -> None:
        assert page.status is not None
        overdue = page.status.overdue
        assert page.status == TurnStatus(turn.state, turn.attempt, turn.last, turn.owner, turn.lease, overdue=overdue)
        assert [(entry.id, entry.kind) for entry in page.entries] == turn.log
        before = START
        for entry in page.entries:
            assert entry.prev == before < entry.id, "ids rise and are linked"
            assert turn.written.get(entry.id, entry) == entry, "an entry is stored as it was written"
            assert turn.forced is None or turn.forced.id != entry.id or turn.forced == entry
            before = entry.id
        assert not any(entry.kind.terminal for entry in page.entries[:-1]), "nothing follows the end"

    # What holds in the end.

    def teardown(self) -> None:
        if sys.exc_info()[0] is not None:
            return  # a step has failed, and that is what shall be told
        for turn in self.model.turns.values():
            page = self.do(self._page(turn))
            assert page
            self._check_turn(turn, page)
        assert self.do(self.scenes[0].without_lifetime()) <= _QUEUE_KEYS
        self._goes_on()

    def _goes_on(self) -> None:
        """Whatever happened, the conversation can: end what runs, ask, be answered."""
        if not self.model.open or self.current is None:
            self.open_session()
        if self.model.running:
            assert self.do(self.scenes[1].turns.force_stop(self.model.running.ref))
            self.model.force(self.model.running, Kind.STOPPED)
        assert self.current
        self.begin_turn(self.scenes[0], self.current, "and now?", None)
        self.claim_turn(self.scenes[1], self.refs[-1], new_claim_token(self.scenes[1].worker))
        self.write(1, text_write(self.claims[-1], 1, "Go on."))
        self.write(1, end_write(self.claims[-1], 2))
        assert self.model.turns[self.refs[-1]].last == Position(1, 2)
        self.everything_is_what_the_model_says()
        assert self.model.history[-1].answer == "Go on."
