"""One turn's run, from claim to terminal event, on a real server with a scripted model."""

import asyncio

import msgspec
import pytest

from gateway.state.ids import image_id
from gateway.state.records import Image, ImageRef, Kind, State, Usage
from tests.integration.workers.bench_worker import BenchWorker
from workers.holds import Interrupt
from workers.model import End, Fault, GenerationError
from workers.prompt import Blob

END = End("STOP", Usage(3, 2, 5))


async def forever() -> None:
    await asyncio.Event().wait()


async def test_an_answer_goes_to_log_history_and_usage(worker: BenchWorker) -> None:
    worker.model.answers("Hello ", ("you", Usage(3, 1, 4)), END)
    ref = await worker.begun("hi")
    await worker.run(ref)
    *texts, done = (await worker.entries(ref))[1:]
    assert b"".join(entry.data for entry in texts) == b"Hello you"
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    assert msgspec.json.decode(done.data) == {"finish_reason": "STOP", "model": "model-a", "usage": usage}
    [turn] = await worker.history(ref)
    assert (turn.input.text, turn.answer, turn.result.finish_reason) == ("hi", "Hello you", "STOP")
    session = await worker.sessions.load(ref.session)
    assert session is not None
    assert (session.running, session.usage) == (None, Usage(3, 2, 5))


async def test_an_ended_turn_leaves_the_index(worker: BenchWorker) -> None:
    worker.model.answers("x", END)
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    await worker.run(ref)
    await worker.departures.flush()
    census = await worker.queue.census()
    assert (census.live, census.waiting) == (0, 0)


async def test_the_model_sees_history_and_images_where_they_stood(worker: BenchWorker) -> None:
    session = await worker.sessions.create((await worker.begun()).session)
    await worker.sessions.clear(session)
    session = await worker.sessions.create(session.id)
    content = b"pretend this is a PNG"
    await worker.sessions.put_images(session, [Image.of(ImageRef(image_id(content), "image/png", 1, 1, 21), content)])
    for number in (1, 2):
        worker.model.answers(f"answer {number}", END)
        await worker.run(await worker.begun(f"question {number}", session))
    first, second = worker.model.prompts
    assert first.messages[0].parts == (Blob("image/png", content), "question 1")
    assert [message.role for message in second.messages] == ["user", "model", "user"]
    assert second.messages[0].parts == (Blob("image/png", content), "question 1")
    assert second.messages[1].parts == ("answer 1",)
    assert second.messages[2].parts == ("question 2",)


async def test_a_fault_before_the_first_text_is_retried_unseen(worker: BenchWorker) -> None:
    worker.model.answers(GenerationError(Fault.RATE_LIMITED, retry_after=2.0))
    worker.model.answers("fine", END)
    ref = await worker.begun()
    await worker.run(ref)
    assert await worker.kinds(ref) == [Kind.START, Kind.TEXT, Kind.DONE]
    assert len(worker.waits) == 1
    assert worker.waits[0] >= 2.0


async def test_a_fault_after_text_begins_a_new_attempt_with_reset(worker: BenchWorker) -> None:
    ref = await worker.begun()

    async def until_shown() -> None:
        await worker.until(ref, lambda status: status.last.seq > 0)

    worker.model.answers("half an ans", until_shown, GenerationError(Fault.TRUNCATED))
    worker.model.answers("whole answer", END)
    await worker.run(ref)
    assert await worker.kinds(ref) == [Kind.START, Kind.TEXT, Kind.RESET, Kind.TEXT, Kind.DONE]
    reset = (await worker.entries(ref))[2]
    assert msgspec.json.decode(reset.data) == {"attempt": 2, "reason": "truncated"}
    assert str(reset.id) == "2-0"
    [turn] = await worker.history(ref)
    assert turn.answer == "whole answer"


async def test_the_fallback_model_answers_when_the_first_stays_away(worker: BenchWorker) -> None:
    for _ in range(3):
        worker.model.answers(GenerationError(Fault.UNAVAILABLE))
    worker.model.answers("from b", END)
    ref = await worker.begun()
    await worker.run(ref)
    assert worker.model.models == ["model-a"] * 3 + ["model-b"]
    [turn] = await worker.history(ref)
    assert turn.result.model == "model-b"


async def test_a_refused_request_fails_at_once_and_the_input_is_pending_again(worker: BenchWorker) -> None:
    worker.model.answers(GenerationError(Fault.BLOCKED, message="Gemini refused to answer (SAFETY)."))
    ref = await worker.begun("hi")
    await worker.run(ref)
    failed = (await worker.entries(ref))[-1]
    assert failed.kind is Kind.FAILED
    assert msgspec.json.decode(failed.data) == {
        "error": "blocked",
        "message": "Gemini refused to answer (SAFETY).",
        "retryable": False,
    }
    assert await worker.history(ref) == []
    session = await worker.sessions.load(ref.session)
    assert session is not None
    assert session.pending_message


async def test_an_answer_that_outgrows_its_bound_fails_instead_of_being_cut(worker: BenchWorker) -> None:
    worker.model.answers(*["x" * 1000] * 9, END)
    ref = await worker.begun()
    await worker.run(ref)
    failed = (await worker.entries(ref))[-1]
    assert msgspec.json.decode(failed.data)["error"] == "too_long"


async def test_text_that_is_no_unicode_is_garbage(worker: BenchWorker) -> None:
    for _ in range(6):
        worker.model.answers("\ud800", END)
    ref = await worker.begun()
    await worker.run(ref)
    failed = (await worker.entries(ref))[-1]
    assert msgspec.json.decode(failed.data)["error"] == "garbled"


async def test_a_stop_in_mid_answer_keeps_what_was_said_and_closes_the_upstream(worker: BenchWorker) -> None:
    said = asyncio.Event()

    async def tell() -> None:
        said.set()

    worker.model.answers(("so far", Usage(3, 1, 4)), tell, forever)
    ref = await worker.begun()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(ref))
        await said.wait()
        await worker.turns.stop(ref)
    assert worker.model.open == 0
    assert (await worker.kinds(ref))[-1] is Kind.STOPPED
    [turn] = await worker.history(ref)
    assert (turn.answer, turn.result.stopped) == ("so far", True)
    assert turn.result.usage == {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}


async def test_a_stop_during_a_retry_wait_ends_the_turn(worker: BenchWorker) -> None:
    waiting = asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await forever()

    worker.model.answers(GenerationError(Fault.UNAVAILABLE))
    ref = await worker.begun()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(ref, sleep))
        await waiting.wait()
        await worker.turns.stop(ref)
    assert (await worker.kinds(ref))[-1] is Kind.STOPPED


async def test_a_turn_stopped_before_its_claim_never_calls_the_model(worker: BenchWorker) -> None:
    ref = await worker.begun()
    claim = await worker.claimed(ref)
    await worker.turns.stop(ref)
    again = await worker.turns.claim(ref, claim.token, claims_allowed=3)
    assert again is not None
    assert again.stop
    with worker.holds.keep(again) as hold:
        await worker.run_held(hold)
    assert worker.model.prompts == []
    assert (await worker.kinds(ref))[-1] is Kind.STOPPED


async def test_a_draining_worker_gives_the_turn_back_and_another_goes_on_at_once(worker: BenchWorker) -> None:
    said = asyncio.Event()

    async def tell() -> None:
        said.set()

    worker.model.answers("half", tell, forever)
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    with worker.holds.keep(await worker.claimed(ref)) as hold:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run_held(hold))
            await said.wait()
            hold.raise_interrupt(Interrupt.PUT_BACK)
    status = await worker.turns.status(ref)
    assert status is not None
    assert (status.state, status.owner) == (State.QUEUED, None)
    assert await worker.queue.pop(0.1) == ref
    worker.model.answers("whole", END)
    await worker.run(ref)
    assert (await worker.history(ref))[0].answer == "whole"


@pytest.mark.parametrize("taken_by", ["force_stop", "delete", "expire"])
async def test_a_turn_that_was_taken_closes_its_upstream_and_writes_no_more(worker: BenchWorker, taken_by: str) -> None:
    said = asyncio.Event()

    async def tell() -> None:
        said.set()

    worker.model.answers("half", tell, forever)
    ref = await worker.begun()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(ref))
        await said.wait()
        if taken_by == "force_stop":
            await worker.turns.force_stop(ref)
        elif taken_by == "delete":
            await worker.sessions.delete(ref.session)
        else:
            await _expire(worker)
    assert worker.model.open == 0
    kinds = await worker.kinds(ref)
    assert Kind.DONE not in kinds
    assert kinds == [] or taken_by != "delete"


async def test_the_late_end_of_a_turn_that_was_taken_leaves_it_to_the_others(worker: BenchWorker) -> None:
    async def taken() -> None:
        await _expire(worker)

    worker.model.answers(taken, END)
    ref = await worker.begun()
    await worker.queue.pop(0.1)
    await worker.run(ref)
    await worker.departures.flush()
    status = await worker.turns.status(ref)
    assert status is not None
    assert status.state is State.QUEUED
    assert [live for live, _ in await worker.queue.live(limit=9)] == [ref], (
        "should the next worker die, a sweep finds it"
    )
    assert await worker.queue.pop(0.1) == ref


async def _expire(worker: BenchWorker) -> None:
    [(ref, _)] = await worker.queue.live(limit=1)
    while True:
        seen = await worker.turns.status(ref)
        assert seen is not None
        if await worker.turns.expire(ref, seen):
            return
