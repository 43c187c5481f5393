"""Random interleavings of everything that two gateways and two workers may do to one conversation, against a model.

A failure prints the steps that lead to it, and a ``reproduce_failure`` line that repeats them.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.errors import NothingPending, SessionGone, TurnRunning
from gateway.state.ids import START, ClaimToken, Position, TurnRef, new_claim_token, new_token, session_id
from gateway.state.queue import Queue
from gateway.state.records import Claim, Kind, Session, State, TurnStatus, Usage
from gateway.state.turnlog import Verdict, Write
from gateway.state.turns import Begun, TurnLimits
from tests.integration.state.model import CLAIMS_ALLOWED, HISTORY_TURNS, Conversation, Remembered, Turn
from tests.integration.state.scene import Scene, end_write, picture, text_write
from tests.servers import RedisServer

T = TypeVar("T")

BOUNDS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

QUEUE_KEYS = {keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT}

texts = st.sampled_from(["", "a", "b\n", " text\n", "\N{SNOWMAN}", "long " * 50])
usages = st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
either = st.integers(0, 1)
times = st.sampled_from([1, 1, 2])
"""Twice: the reply was lost, and the command was sent again."""
back = st.sampled_from([0, 0, 0, 0, 0, 1, 2, 4, 8])
"""How long ago the thing was taken up that is used now: mostly it is the latest."""
idempotency_keys = st.sampled_from([None, None, "x", "y", "z"])
skips = st.sampled_from([0, 0, 0, 0, 1])
ends = st.sampled_from([Kind.DONE, Kind.DONE, Kind.STOPPED, Kind.FAILED])


def picked(things: list[T], back: int) -> T:
    return things[-1 - min(back, len(things) - 1)]


class Died(BaseException):
    pass


class NoHint(Queue):
    async def ready(self, ref: TurnRef) -> None:
        raise Died


class Interleavings(RuleBasedStateMachine):
    """The lists hold what clients and workers have in their hands, the stale beside the fresh; ``back`` picks from them."""

    limits = TurnLimits(history_turns=HISTORY_TURNS)

    def __init__(self, runner: asyncio.Runner, scenes: list[Scene]) -> None:
        super().__init__()
        self._runner = runner
        self.scenes = scenes
        self.sid = session_id(new_token())
        self.model = Conversation()
        self.current: Session | None = None
        self.sessions: list[Session] = []
        self.refs: list[TurnRef] = []
        self.claims: list[Claim] = []
        self.writes: list[Write] = []
        self.looks: list[tuple[TurnRef, TurnStatus]] = []
        self.hints_may_lack = False
        self.steps_since_forgotten = 0
        self.steps_without_a_turn = 0
        """Bounds what is tried on turns that ended: else hardly a run would get anywhere."""
        self.do(self._empty())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _empty(self) -> None:
        await self.scenes[0].redis.flushall()
        for scene in self.scenes:
            await scene.beat()

    # Sessions.

    @initialize()
    def open_the_first(self) -> None:
        self._open()

    @precondition(lambda self: not self.model.open)
    @rule()
    def open_another(self) -> None:
        self._open()

    def _open(self) -> None:
        self.model = Conversation()
        self.current = self.do(self.scenes[0].sessions.create(self.sid))
        self.sessions.append(self.current)

    @rule(client=either, back=back, text=texts, key=idempotency_keys, times=times)
    def put_message(self, client: int, back: int, text: str, key: str | None, times: int) -> None:
        session = picked(self.sessions, back)
        for _ in range(times):
            put = self.scenes[client].sessions.put_message(session, text, key=key)
            if self._refuses(session, put):
                continue
            begun = self.do(put)
            known = self.model.keys.get(key) if key else None
            assert begun == (known.turn if known else None)
            if not known:
                self.model.text, self.model.key = text, key

    @rule(client=either, back=back, names=st.frozensets(st.sampled_from("pqr"), max_size=2))
    def put_images(self, client: int, back: int, names: frozenset[str]) -> None:
        session = picked(self.sessions, back)
        put = self.scenes[client].sessions.put_images(session, [picture(name) for name in sorted(names)])
        if not self._refuses(session, put):
            self.do(put)
            self.model.images = names

    @precondition(lambda self: self.model.open and self.steps_since_forgotten > 12)
    @rule(client=either, wholly=st.booleans(), times=times)
    def forget(self, client: int, wholly: bool, times: int) -> None:
        assert self.current
        self.steps_since_forgotten = 0
        for _ in range(times):
            if wholly:
                self.do(self.scenes[client].sessions.delete(self.sid))
            else:
                self.do(self.scenes[client].sessions.clear(self.current))
        if wholly:
            self.model, self.current = Conversation(open=False), None
        else:
            self.model = self.model.forget()
            self.current = self.do(self.scenes[client].reload(self.current))
            self.sessions.append(self.current)

    def _refuses(self, session: Session, work: Coroutine[Any, Any, object]) -> bool:
        """Runs it if it must fail: the session is of a time that is over."""
        if self.model.open and self.current and session.epoch == self.current.epoch:
            return False
        with pytest.raises(SessionGone):
            self.do(work)
        return True

    # What gateways do to turns.

    @rule(client=either, back=back, message=st.none() | texts, key=idempotency_keys, times=times)
    def begin(self, client: int, back: int, message: str | None, key: str | None, times: int) -> None:
        session = picked(self.sessions, back)
        for _ in range(times):
            self._begin(self.scenes[client], session, message, key if message is not None else None)

    @precondition(lambda self: self.model.open and not self.model.running)
    @rule(client=either, worker=either, message=texts)
    def begin_and_claim(self, client: int, worker: int, message: str) -> None:
        assert self.current
        self._begin(self.scenes[client], self.current, message, None)
        self.claim(worker, 0, 1)

    def _begin(self, scene: Scene, session: Session, message: str | None, key: str | None) -> None:
        work = scene.turns.begin(session, message=message, key=key)
        model = self.model
        if self._refuses(session, work):
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
            self._begun(TurnRef(self.sid, begun.turn), message, key)

    def _begun(self, ref: TurnRef, message: str | None, key: str | None) -> None:
        self.model.begin(ref, message, key)
        self.refs.append(ref)

    @precondition(lambda self: self.model.open and not self.model.running)
    @rule(text=texts)
    def begin_and_die_before_the_hint(self, text: str) -> None:
        assert self.current
        dying = Scene(self.scenes[0].redis, queue=NoHint(self.scenes[0].redis), turn_limits=self.limits)
        with pytest.raises(Died):
            self.do(dying.turns.begin(self.current, message=text))
        running = self.do(dying.reload(self.current)).running
        assert running
        self._begun(TurnRef(self.sid, running), text, None)
        self.hints_may_lack = True

    @precondition(lambda self: self.refs)
    @rule(client=either, back=back, how=st.sampled_from(["stop", "stop", "force", "overdue"]), times=times)
    def end_from_outside(self, client: int, back: int, how: str, times: int) -> None:
        ref, turns = picked(self.refs, back), self.scenes[client].turns
        for _ in range(times):
            if how == "stop":
                assert self.do(turns.stop(ref)) is self.model.stop(ref)
            elif how == "force":
                self._end(ref, turns.force_stop(ref), Kind.STOPPED)
            else:
                assert self.model.turns.get(ref) is None or not self.do(turns.end_overdue(ref)), "its time is not up"
                self.do(self._pass_deadline(ref))
                self._end(ref, turns.end_overdue(ref), Kind.FAILED)

    def _end(self, ref: TurnRef, end: Coroutine[Any, Any, bool], kind: Kind) -> None:
        turn = self._unended(ref)
        assert self.do(end) == (turn is not None)
        if turn:
            self.model.force(turn, kind)

    async def _pass_deadline(self, ref: TurnRef) -> None:
        if ref in self.model.turns:
            await self.scenes[0].raw.hset(keys.turn(*ref), "deadline", "1")

    def _unended(self, ref: TurnRef) -> Turn | None:
        turn = self.model.turns.get(ref)
        return turn if turn and not turn.state.ended else None

    # What workers do.

    @precondition(lambda self: self.refs and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, times=times)
    def claim(self, worker: int, back: int, times: int) -> None:
        token = new_claim_token(self.scenes[worker].worker)
        for _ in range(times):
            self._claim(self.scenes[worker], picked(self.refs, back), token)

    @precondition(lambda self: self.model.running and self.model.running.state is State.QUEUED)
    @rule(worker=either)
    def pop_and_claim(self, worker: int) -> None:
        scene = self.scenes[worker]
        if self.do(scene.queue.census()).waiting:  # an empty line would be waited for
            ref = self.do(scene.queue.pop(0.1))
            assert ref
            self._claim(scene, ref, new_claim_token(scene.worker))

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back)
    def claim_again(self, worker: int, back: int) -> None:
        claim = picked(self.claims, back)
        self._claim(self.scenes[worker], claim.ref, claim.token)

    def _claim(self, scene: Scene, ref: TurnRef, token: ClaimToken) -> None:
        claim = self.do(scene.turns.claim(ref, token, claims_allowed=CLAIMS_ALLOWED))
        attempt = self.model.claim(ref, token)
        assert (claim.attempt if claim else None) == attempt
        if claim:
            turn = self.model.turns[ref]
            assert (claim.input.text, claim.stop) == (turn.text, turn.stop)
            assert {image.id for image in claim.input.images} == {picture(name).ref.id for name in turn.images}
            self.claims.append(claim)

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, times=times)
    def reattempt(self, worker: int, back: int, times: int) -> None:
        claim = picked(self.claims, back)
        for _ in range(times):
            attempt = self.do(self.scenes[worker].turns.reattempt(claim, "upstream_broke"))
            assert attempt == self.model.reattempt(claim.ref, claim.token, claim.attempt)
            if attempt:
                self.claims.append(replace(claim, attempt=attempt))

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back)
    def renew(self, worker: int, back: int) -> None:
        claim = picked(self.claims, back)
        expected = self.model.renew(claim.ref, claim.token)
        assert self.do(self.scenes[worker].turns.renew([claim])) == [expected]

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(
        worker=either, back=back, several=st.lists(texts, min_size=1, max_size=3), usage=usages, skip=skips, times=times
    )
    def append(self, worker: int, back: int, several: list[str], usage: Usage | None, skip: int, times: int) -> None:
        claim = picked(self.claims, back)
        first = self._next(claim) + skip
        for _ in range(times):
            self._write_all(worker, [text_write(claim, seq, text, usage) for seq, text in enumerate(several, first)])

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, usage=usages, kind=ends, times=times)
    def finish(self, worker: int, back: int, usage: Usage | None, kind: Kind, times: int) -> None:
        claim = picked(self.claims, back)
        write = end_write(claim, self._next(claim), kind, usage)
        for _ in range(times):
            self._write(worker, write)

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, texts=st.lists(texts, max_size=3), usage=usages)
    def append_and_finish_in_one_pipeline_twice(
        self, worker: int, back: int, texts: list[str], usage: Usage | None
    ) -> None:
        claim = picked(self.claims, back)
        seq = self._next(claim)
        writes = [text_write(claim, at, text) for at, text in enumerate(texts, seq)]
        writes.append(end_write(claim, seq + len(texts), Kind.DONE, usage))
        self._write_all(worker, writes)
        self._write_all(worker, writes)

    @precondition(lambda self: self.writes)
    @rule(worker=either, back=back, several=st.integers(1, 4))
    def send_again(self, worker: int, back: int, several: int) -> None:
        latest = len(self.writes) - min(back, len(self.writes) - 1)
        self._write_all(worker, self.writes[max(0, latest - several) : latest])

    def _next(self, claim: Claim) -> int:
        """The seq that a worker would give now: it knows what it wrote in this attempt, and nothing of others."""
        turn = self.model.turns.get(claim.ref)
        written = [at.seq for at in turn.written if at.attempt == claim.attempt] if turn else []
        return max(written, default=0) + 1

    def _write(self, worker: int, write: Write) -> None:
        turn = self.model.turns.get(write.ref)
        last = turn.last if turn else None
        reply = self.do(self.scenes[worker].write(write))
        assert reply.verdict is self.model.write(write)
        assert reply.last == (last if reply.verdict is Verdict.GAP else None)
        self.writes.append(write)

    def _write_all(self, worker: int, writes: list[Write]) -> None:
        replies = self.do(self.scenes[worker].log.write(writes))
        assert [reply.verdict for reply in replies] == [self.model.write(write) for write in writes]
        self.writes += writes

    @precondition(lambda self: self.claims and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, times=times)
    def put_back(self, worker: int, back: int, times: int) -> None:
        claim = picked(self.claims, back)
        for _ in range(times):
            self.do(self.scenes[worker].turns.put_back(claim))
            self.model.give_away(claim.ref, claim.token, counts=False)

    @precondition(lambda self: self.refs and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back)
    def look(self, worker: int, back: int) -> None:
        ref = picked(self.refs, back)
        status = self.do(self.scenes[worker].turns.status(ref))
        if status:
            self.looks.append((ref, status))

    @precondition(lambda self: self.refs and self.steps_without_a_turn < 3)
    @rule(worker=either, back=back, stale=st.booleans())
    def take_over(self, worker: int, back: int, stale: bool) -> None:
        if not stale:
            self.look(worker, back)
        if not self.looks:
            return
        ref, seen = picked(self.looks, back if stale else 0)
        turn = self._unended(ref)
        stands_still = turn is not None and (turn.owner, turn.lease) == (seen.owner, seen.lease)
        taken = stands_still and self.model.give_away(ref, seen.owner, counts=True)
        assert self.do(self.scenes[worker].turns.expire(ref, seen)) == taken

    @precondition(lambda self: self.hints_may_lack)
    @rule(worker=either)
    def sweep(self, worker: int) -> None:
        self.do(self._sweep(self.scenes[worker]))
        self.hints_may_lack = False

    async def _sweep(self, scene: Scene) -> None:
        refs = list(await scene.live())
        waiting = await scene.queue.waiting(refs)
        for ref, status in zip(refs, await scene.turns.observe(refs), strict=True):
            if status is None or status.state.ended:
                await scene.queue.leave(ref)
            elif status.state is State.QUEUED and ref not in waiting:
                await scene.queue.ready(ref)

    # What holds after every step.

    @invariant()
    def time_passes(self) -> None:
        self.steps_since_forgotten += 1
        self.steps_without_a_turn = 0 if self.model.running else self.steps_without_a_turn + 1

    @invariant()
    def the_session_is_what_the_model_says(self) -> None:
        scene, model = self.scenes[0], self.model
        found = self.do(scene.sessions.load(self.sid))
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
        assert self.do(scene.images_stored(found)) == {picture(name).ref.id for name in model.images_kept}

    @invariant()
    def history_holds_one_entry_for_each_turn_that_ended_well(self) -> None:
        by_id = {picture(name).ref.id: name for name in "pqr"}
        history = [
            Remembered(
                turn.input.text,
                frozenset(by_id[image.id] for image in turn.input.images),
                turn.answer,
                turn.result.stopped,
            )
            for turn in self.do(self.scenes[1].sessions.history(self.sid))
        ]
        assert history == self.model.history

    @invariant()
    def no_turn_is_forgotten(self) -> None:
        unended = {ref for ref, turn in self.model.turns.items() if not turn.state.ended}
        assert unended <= self.do(self.scenes[0].live())
        queued = {ref for ref in unended if self.model.turns[ref].state is State.QUEUED}
        if not self.hints_may_lack:
            assert self.do(self.scenes[0].queue.waiting(list(queued))) == queued

    @invariant()
    def the_latest_turn_is_what_the_model_says(self) -> None:
        if self.model.turns:
            self._check(next(reversed(self.model.turns.values())))

    def _check(self, turn: Turn) -> None:
        page = self.do(self.scenes[1].log.read(turn.ref, START, count=1000))
        assert page.status == TurnStatus(
            turn.state,
            turn.attempt,
            turn.last,
            turn.owner,
            turn.lease,
            overdue=page.status is not None and page.status.overdue,
        )
        assert [(entry.id, entry.kind) for entry in page.entries] == turn.log
        before = START
        for entry in page.entries:
            assert entry.prev == before < entry.id, "ids rise and are linked"
            assert turn.written.get(entry.id, entry) == entry, "an entry is stored as it was written"
            before = entry.id
        assert not any(entry.kind.terminal for entry in page.entries[:-1]), "nothing follows the end"

    def teardown(self) -> None:
        for turn in self.model.turns.values():
            self._check(turn)
        assert self.do(self.scenes[0].without_lifetime()) <= QUEUE_KEYS
        self._goes_on()

    def _goes_on(self) -> None:
        """Whatever happened, the conversation can: end what runs, ask, be answered."""
        if not self.model.open or self.current is None:
            self._open()
        if self.model.running:
            assert self.do(self.scenes[1].turns.force_stop(self.model.running.ref))
            self.model.force(self.model.running, Kind.STOPPED)
        assert self.current
        self._begin(self.scenes[0], self.current, "and now?", None)
        ref = self.refs[-1]
        self._claim(self.scenes[1], ref, new_claim_token(self.scenes[1].worker))
        claim = self.claims[-1]
        self._write(1, text_write(claim, 1, "Go on."))
        self._write(1, end_write(claim, 2))
        self.history_holds_one_entry_for_each_turn_that_ended_well()
        assert self.model.history[-1].answer == "Go on."
        assert self.model.turns[ref].last == Position(1, 2)


@pytest.mark.timeout(120)
def test_whatever_the_order_the_conversation_is_what_the_model_says(valkey: RedisServer) -> None:
    with asyncio.Runner() as runner:
        clients = [connect(valkey.url, timeout=5) for _ in range(2)]
        scenes = [Scene(client, turn_limits=Interleavings.limits) for client in clients]
        try:
            run_state_machine_as_test(lambda: Interleavings(runner, scenes), settings=BOUNDS)
        finally:
            for client in clients:
                runner.run(client.aclose())
