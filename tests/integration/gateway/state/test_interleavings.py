"""Random interleavings of everything that two gateways and two workers may do to one conversation, against a model.

A failure prints the steps that lead to it, and a ``reproduce_failure`` line that repeats them.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from gateway.state import keys
from gateway.state.connect import connect
from gateway.state.ids import TurnRef, new_claim_token
from gateway.state.records import Kind, State, Usage
from tests.integration.gateway.state.machine import PICTURES, ConversationMachine, picked
from tests.integration.gateway.state.model import Conversation
from tests.integration.gateway.state.scene import Scene, end_write, picture, text_write
from tests.servers import RedisServer

BOUNDS = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

either = st.integers(0, 1)
times = st.sampled_from([1, 1, 2])
"""Twice: the reply was lost, and the command was sent again."""
back = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 4])
"""How long ago the thing was taken up that is used now: mostly it is the latest."""
texts = st.sampled_from(["", "a", "b\n", " text\n", "\N{SNOWMAN}", "long " * 50])
usages = st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
idempotency_keys = st.sampled_from([None, None, "x", "y", "z"])
skips = st.sampled_from([0, 0, 0, 0, 1])
ends = st.sampled_from([Kind.DONE, Kind.DONE, Kind.STOPPED, Kind.FAILED])


class Interleavings(ConversationMachine):
    # Sessions.

    @initialize()
    def open_the_first(self) -> None:
        self.open_session()

    @precondition(lambda self: not self.model.open)
    @rule()
    def open_another(self) -> None:
        self.open_session()

    @precondition(lambda self: self.aside)
    @rule(client=either, back=back, text=texts, key=idempotency_keys, times=times)
    def put_message(self, client: int, back: int, text: str, key: str | None, times: int) -> None:
        session = picked(self.sessions, back)
        for _ in range(times):
            put = self.scenes[client].sessions.put_message(session, text, key=key)
            if self.refuses(session, put):
                continue
            begun = self.do(put)
            known = self.model.keys.get(key) if key else None
            assert begun == (known.turn if known else None)
            if not known:
                self.model.text, self.model.key = text, key

    @precondition(lambda self: self.aside)
    @rule(client=either, back=back, names=st.frozensets(st.sampled_from(PICTURES), max_size=2))
    def put_images(self, client: int, back: int, names: frozenset[str]) -> None:
        session = picked(self.sessions, back)
        put = self.scenes[client].sessions.put_images(session, [picture(name) for name in sorted(names)])
        if not self.refuses(session, put):
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

    # What gateways do to turns.

    @precondition(lambda self: self.aside)
    @rule(client=either, back=back, message=st.none() | texts, key=idempotency_keys, times=times)
    def begin(self, client: int, back: int, message: str | None, key: str | None, times: int) -> None:
        session = picked(self.sessions, back)
        for _ in range(times):
            self.begin_turn(self.scenes[client], session, message, key if message is not None else None)

    @precondition(lambda self: self.model.open and not self.model.running)
    @rule(client=either, worker=either, message=texts)
    def begin_and_claim(self, client: int, worker: int, message: str) -> None:
        assert self.current
        self.begin_turn(self.scenes[client], self.current, message, None)
        self.claim(worker, 0, 1)

    @precondition(lambda self: self.model.open and not self.model.running)
    @rule(text=texts)
    def begin_and_die_before_the_hint(self, text: str) -> None:
        assert self.current
        self.begun(self.do(self.scenes[0].begun_without_hint(self.current, text)), text, None)
        self.hints_may_lack = True

    @precondition(lambda self: self.refs and self.aside)
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
        turn = self.unended(ref)
        assert self.do(end) == (turn is not None)
        if turn:
            self.model.force(turn, kind)

    async def _pass_deadline(self, ref: TurnRef) -> None:
        if ref in self.model.turns:
            await self.scenes[0].raw.hset(keys.turn(*ref), "deadline", "1")

    # What workers do.

    @precondition(lambda self: self.refs and self.at_work)
    @rule(worker=either, back=back, times=times)
    def claim(self, worker: int, back: int, times: int) -> None:
        token = new_claim_token(self.scenes[worker].worker)
        for _ in range(times):
            self.claim_turn(self.scenes[worker], picked(self.refs, back), token)

    @precondition(lambda self: self.model.running and self.model.running.state is State.QUEUED)
    @rule(worker=either)
    def pop_and_claim(self, worker: int) -> None:
        scene = self.scenes[worker]
        if self.do(scene.queue.census()).waiting:  # an empty line would be waited for
            ref = self.do(scene.queue.pop(0.1))
            assert ref
            self.claim_turn(scene, ref, new_claim_token(scene.worker))

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back)
    def claim_again(self, worker: int, back: int) -> None:
        claim = picked(self.claims, back)
        self.claim_turn(self.scenes[worker], claim.ref, claim.token)

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back, times=times)
    def reattempt(self, worker: int, back: int, times: int) -> None:
        claim = picked(self.claims, back)
        for _ in range(times):
            attempt = self.do(self.scenes[worker].turns.reattempt(claim, "upstream_broke"))
            assert attempt == self.model.reattempt(claim.ref, claim.token, claim.attempt)
            if attempt:
                self.claims.append(replace(claim, attempt=attempt))

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back)
    def check(self, worker: int, back: int) -> None:
        claim = picked(self.claims, back)
        expected = self.model.check(claim.ref, claim.token)
        assert self.do(self.scenes[worker].turns.check([claim])) == [expected]

    @precondition(lambda self: self.claims and self.at_work)
    @rule(
        worker=either, back=back, several=st.lists(texts, min_size=1, max_size=3), usage=usages, skip=skips, times=times
    )
    def append(self, worker: int, back: int, several: list[str], usage: Usage | None, skip: int, times: int) -> None:
        claim = picked(self.claims, back)
        first = self.next_seq(claim) + skip
        for _ in range(times):
            self.write_all(worker, [text_write(claim, seq, text, usage) for seq, text in enumerate(several, first)])

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back, usage=usages, kind=ends, times=times)
    def finish(self, worker: int, back: int, usage: Usage | None, kind: Kind, times: int) -> None:
        claim = picked(self.claims, back)
        write = end_write(claim, self.next_seq(claim), kind, usage)
        for _ in range(times):
            self.write(worker, write)

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back, texts=st.lists(texts, max_size=3), usage=usages)
    def append_and_finish_in_one_pipeline_twice(
        self, worker: int, back: int, texts: list[str], usage: Usage | None
    ) -> None:
        claim = picked(self.claims, back)
        seq = self.next_seq(claim)
        writes = [text_write(claim, at, text) for at, text in enumerate(texts, seq)]
        writes.append(end_write(claim, seq + len(texts), Kind.DONE, usage))
        self.write_all(worker, writes)
        self.write_all(worker, writes)

    @precondition(lambda self: self.writes)
    @rule(worker=either, back=back, several=st.integers(1, 4))
    def send_again(self, worker: int, back: int, several: int) -> None:
        latest = len(self.writes) - min(back, len(self.writes) - 1)
        self.write_all(worker, self.writes[max(0, latest - several) : latest])

    @precondition(lambda self: self.claims and self.at_work)
    @rule(worker=either, back=back, times=times)
    def put_back(self, worker: int, back: int, times: int) -> None:
        claim = picked(self.claims, back)
        for _ in range(times):
            self.do(self.scenes[worker].turns.put_back(claim))
            self.model.give_away(claim.ref, claim.token, counts=False)

    @precondition(lambda self: self.refs and self.at_work)
    @rule(worker=either, back=back)
    def look(self, worker: int, back: int) -> None:
        ref = picked(self.refs, back)
        status = self.do(self.scenes[worker].turns.status(ref))
        if status:
            self.looks.append((ref, status))

    @precondition(lambda self: self.refs and self.at_work)
    @rule(worker=either, back=back, stale=st.booleans())
    def take_over(self, worker: int, back: int, stale: bool) -> None:
        if not stale:
            self.look(worker, back)
        if not self.looks:
            return
        ref, seen = picked(self.looks, back if stale else 0)
        turn = self.unended(ref)
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


@pytest.mark.timeout(400)  # a failure is shrunk for five minutes at most
def test_whatever_the_order_the_conversation_is_what_the_model_says(valkey: RedisServer) -> None:
    with asyncio.Runner() as runner:
        clients = [connect(valkey.url, timeout=5) for _ in range(2)]
        scenes = [Scene(client, turn_limits=Interleavings.limits) for client in clients]

        class OnThisServer(Interleavings):
            def __init__(self) -> None:
                super().__init__(runner, scenes)

        try:
            run_state_machine_as_test(OnThisServer, settings=BOUNDS)
        finally:
            for client in clients:
                runner.run(client.aclose())
