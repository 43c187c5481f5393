"""What is counted and told of a turn and its calls."""

import asyncio
from datetime import UTC, datetime

import pytest

from gateway.state.ids import ClaimToken, SessionId, TurnId, TurnRef
from gateway.state.records import Claim, TurnInput, Usage
from tests.scrape import Scrape, of
from workers.model import Fault, GenerationError
from workers.watch import Watch

NOW = 1_700_000_000.0


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def claim(attempt: int = 1) -> Claim:
    moment = datetime.fromtimestamp(NOW, UTC)
    given = TurnInput("hello", (), moment)
    return Claim(TurnRef(SessionId("s"), TurnId("t")), ClaimToken("w:1"), attempt, given, moment)


def watch(time: Time) -> Watch:
    return Watch(clock=time, now=lambda: NOW + 0.5)


def told(seen: Watch) -> Scrape:
    return of(seen.metrics.vitals.registry)


def test_a_turns_times_are_told_in_milliseconds() -> None:
    time = Time()
    seen = watch(time)
    with seen.turn(claim()) as turn:
        time.now = 1.0
        with turn.call("m") as call:
            time.now = 1.25
            call.first_text()
        turn.again("m", "m")
        time.now = 3.0
        assert turn.told() == {"waited_ms": 500, "first_chunk_ms": 1250, "total_ms": 3000, "retries": 1}
        turn.ends("done")
    assert told(seen)("worker_time_to_first_chunk_seconds_sum", model="m") == 0.25
    assert told(seen)("worker_claim_latency_seconds_sum") == 0.5
    assert told(seen)("worker_turns_total", end="done") == 1


def test_a_turn_that_had_no_text_tells_no_first_chunk() -> None:
    turn = watch(Time()).turn(claim())
    assert "first_chunk_ms" not in turn.told()


def test_a_turn_that_nobody_ended_was_lost() -> None:
    seen = watch(Time())
    with seen.turn(claim()):
        pass
    turn = seen.turn(claim())
    turn.ends("done")
    with pytest.raises(RuntimeError), turn:
        raise RuntimeError
    assert told(seen)("worker_turns_total", end="lost") == 2


def test_a_failed_turn_is_counted_by_its_code() -> None:
    seen = watch(Time())
    with seen.turn(claim()) as turn:
        turn.ends("failed", "timeout")
    assert told(seen)("worker_failures_total", code="timeout") == 1


def test_attempts_are_counted_by_their_cause_and_only_the_first_has_a_latency() -> None:
    seen = watch(Time())
    with seen.turn(claim()) as turn:
        turn.attempt(2, "truncated")
    with seen.turn(claim(attempt=3)):
        pass
    for cause in ("first", "retry", "takeover"):
        assert told(seen)("worker_attempts_total", cause=cause) == 1
    assert told(seen)("worker_claim_latency_seconds_count") == 1


def test_a_call_is_counted_with_its_tokens_and_its_error() -> None:
    time = Time()
    seen = watch(time)
    turn = seen.turn(claim())
    call = turn.call("m")
    call.usage = Usage(3, 4, 7)
    time.now = 2.0
    with pytest.raises(GenerationError), call:
        raise GenerationError(Fault.RATE_LIMITED)
    assert told(seen)("worker_upstream_errors_total", model="m", code="rate_limited") == 1
    assert told(seen)("worker_upstream_duration_seconds_sum", model="m") == 2.0
    assert told(seen)("worker_tokens_total", model="m", kind="input") == 3
    assert told(seen)("worker_tokens_total", model="m", kind="output") == 4


def test_a_call_that_the_worker_ended_itself_is_no_error() -> None:
    seen = watch(Time())
    with pytest.raises(asyncio.CancelledError), seen.turn(claim()).call("m"):
        raise asyncio.CancelledError
    assert told(seen).labels("worker_upstream_errors_total") == []


def test_another_model_is_a_fallback_and_the_same_one_a_retry() -> None:
    seen = watch(Time())
    turn = seen.turn(claim())
    turn.again("m", "m")
    turn.again("n", "m")
    assert told(seen)("worker_upstream_retries_total", model="m") == 1
    assert told(seen)("worker_fallbacks_total", model="n") == 1
