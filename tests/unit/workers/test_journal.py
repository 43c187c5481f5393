"""The journal against a log that answers as the append script does, and fails as a server can."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state.errors import StateUnavailable
from gateway.state.ids import ClaimToken, Position, SessionId, TurnId, TurnRef
from gateway.state.records import Claim, Entry, Kind, Result, TurnInput, Usage
from gateway.state.turnlog import TurnLog, Verdict, Write, WriteReply
from tests.instant import run_instantly
from workers.journal import PACE, Journal, Writer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def claim(turn: str = "a" * 24, attempt: int = 1) -> Claim:
    return Claim(
        ref=TurnRef(SessionId("s"), TurnId(turn)),
        token=ClaimToken("w/1"),
        attempt=attempt,
        input=TurnInput("hi", (), NOW),
        deadline=NOW,
    )


class ScriptedLog:
    """Keeps entries by the script's rules. ``faults`` are heeded one a pipeline: how the server misbehaves."""

    def __init__(self, faults: Sequence[str] = ()) -> None:
        self.entries: list[Entry] = []
        self.faults = list(faults)
        self.pipelines: list[int] = []
        self.moments: list[float] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.verdict: Verdict | None = None

    @property
    def text(self) -> str:
        return b"".join(entry.data for entry in self.entries if entry.kind is Kind.TEXT).decode()

    async def write(self, writes: Sequence[Write]) -> list[WriteReply]:
        await self.hold.wait()
        self.pipelines.append(len(writes))
        self.moments.append(asyncio.get_running_loop().time())
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "away":
            raise StateUnavailable("away")
        replies = [self._one(write, refuse=fault == "refuse first" and i == 0) for i, write in enumerate(writes)]
        if fault == "lose tail":
            del self.entries[-2:]
        if fault == "lose reply":
            raise StateUnavailable("reply lost")
        return replies

    def _one(self, write: Write, *, refuse: bool) -> WriteReply:
        if self.verdict:
            return WriteReply(self.verdict)
        if refuse:
            return WriteReply(Verdict.ERROR)
        last = self.entries[-1].id if self.entries else Position(1, 0)
        if write.entry.prev != last:
            return WriteReply(Verdict.DUP) if write.entry.id <= last else WriteReply(Verdict.GAP, last)
        self.entries.append(write.entry)
        return WriteReply(Verdict.OK)


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


async def flushed(writer: Writer) -> None:
    """Returns when everything put so far is in the log, or can't be any more."""
    while writer.unsent:
        await asyncio.sleep(PACE / 10)


@asynccontextmanager
async def journal_on(log: ScriptedLog, buffer: int = 1 << 20) -> AsyncIterator[Journal]:
    journal = Journal(cast(TurnLog, log), buffer=buffer, sleep=no_sleep)
    task = asyncio.ensure_future(journal.run())
    try:
        yield journal
    finally:
        task.cancel()


def opened(journal: Journal, lost: list[str] | None = None) -> Writer:
    return journal.open(claim(), on_lost=lambda: None if lost is None else lost.append("lost"))


async def finish(writer: Writer) -> Verdict:
    return await writer.finish(Kind.DONE, b"{}", Result("STOP"))


async def test_text_that_queues_while_a_write_is_in_flight_becomes_one_entry() -> None:
    log = ScriptedLog()
    async with journal_on(log) as journal:
        writer = opened(journal)
        writer.put("a")
        await asyncio.sleep(0)
        log.hold.clear()
        for letter in "bcd":
            writer.put(letter)
        log.hold.set()
        await finish(writer)
    assert log.text == "abcd"
    assert [entry.kind for entry in log.entries].count(Kind.TEXT) <= 2


async def test_several_turns_share_a_pipeline() -> None:
    log = ScriptedLog()
    log.verdict = Verdict.OK
    async with journal_on(log) as journal:
        writers = [journal.open(claim(f"{n:024x}"), on_lost=lambda: None) for n in range(5)]
        for writer in writers:
            writer.put("x")
        await asyncio.gather(*(finish(writer) for writer in writers))
    assert log.pipelines[0] >= 5


async def test_a_lost_reply_neither_doubles_nor_loses_text() -> None:
    log = ScriptedLog(["lose reply", "none", "lose reply"])
    async with journal_on(log) as journal:
        writer = opened(journal)
        writer.put("one ")
        await asyncio.sleep(0)
        writer.put("two")
        assert await finish(writer) is Verdict.OK
    assert log.text == "one two"


async def test_an_append_refused_in_mid_pipeline_is_found_as_a_gap_and_sent_again() -> None:
    log = ScriptedLog(["refuse first"])
    async with journal_on(log) as journal:
        writer = opened(journal)
        writer.put("whole")
        assert await finish(writer) is Verdict.OK
    assert log.text == "whole"
    assert log.entries[-1].kind is Kind.DONE


async def test_a_log_that_lost_its_tail_gets_it_again() -> None:
    log = ScriptedLog()
    async with journal_on(log) as journal:
        writer = opened(journal)
        for part in ("one ", "two ", "three "):
            writer.put(part)
            await flushed(writer)
        del log.entries[-2:]
        writer.put("four")
        assert await finish(writer) is Verdict.OK
    assert log.text == "one two three four"


@pytest.mark.parametrize("verdict", [Verdict.FENCED, Verdict.ENDED, Verdict.GONE])
async def test_a_writer_whose_turn_was_taken_says_so_and_stops(verdict: Verdict) -> None:
    log = ScriptedLog()
    log.verdict = verdict
    lost: list[str] = []
    async with journal_on(log) as journal:
        writer = opened(journal, lost)
        writer.put("late")
        assert await finish(writer) is verdict
    assert lost == ["lost"]
    assert log.entries == []


async def test_a_full_buffer_makes_the_upstream_wait_until_the_log_has_caught_up() -> None:
    log = ScriptedLog()
    log.hold.clear()
    async with journal_on(log, buffer=8) as journal:
        writer = opened(journal)
        writer.put("first")
        await asyncio.sleep(0)
        writer.put("more than eight bytes")
        waiting = asyncio.ensure_future(writer.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        log.hold.set()
        await waiting
        assert await finish(writer) is Verdict.OK


async def test_closing_drops_what_was_not_sent_and_leaves_nothing_in_flight() -> None:
    log = ScriptedLog()
    async with journal_on(log) as journal:
        writer = opened(journal)
        writer.put("shown")
        await flushed(writer)
        log.hold.clear()
        writer.put("in flight")
        await asyncio.sleep(0)
        writer.put("dropped")
        closing = asyncio.ensure_future(writer.close())
        log.hold.set()
        await closing
    assert log.text in ("shown", "shownin flight")
    assert writer.wrote_text


async def test_the_last_usage_known_goes_with_the_end() -> None:
    log = ScriptedLog()
    sent: list[Write] = []
    original = log.write

    async def write(writes: Sequence[Write]) -> list[WriteReply]:
        sent.extend(writes)
        return await original(writes)

    log.write = write  # type: ignore[method-assign]
    async with journal_on(log) as journal:
        writer = opened(journal)
        writer.put("x", Usage(1, 1, 2))
        await flushed(writer)
        writer.put("", Usage(1, 5, 6))
        await finish(writer)
    assert sent[-1].usage == Usage(1, 5, 6)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8),
    faults=st.lists(st.sampled_from(["none", "away", "lose reply", "refuse first", "lose tail"]), max_size=8),
)
def test_whatever_the_server_does_the_log_ends_up_whole(parts: list[str], faults: list[str]) -> None:
    async def scenario() -> ScriptedLog:
        log = ScriptedLog(faults)
        async with journal_on(log) as journal, asyncio.timeout(5):
            writer = opened(journal)
            for part in parts:
                writer.put(part)
                await asyncio.sleep(0)
            # A tail lost after the last reply can't be seen by anybody: this one is lost before the end.
            await flushed(writer)
            log.faults.clear()
            assert await finish(writer) is Verdict.OK
        return log

    log = asyncio.run(scenario())
    assert log.text == "".join(parts)
    assert [entry.id.seq for entry in log.entries] == list(range(1, len(log.entries) + 1))
    assert log.entries[-1].kind is Kind.DONE


class TestPace:
    """On a clock that leaps: what happens when is exact."""

    def test_the_first_text_goes_out_at_once_and_what_follows_keeps_the_pace(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            async with journal_on(log) as journal:
                writer = opened(journal)
                await asyncio.sleep(1)
                for part in ("a", "b", "c"):
                    writer.put(part)
                    await asyncio.sleep(PACE / 4)
                await flushed(writer)
            return log

        log = run_instantly(scenario())
        assert log.moments == pytest.approx([1, 1 + PACE])
        assert [entry.data for entry in log.entries] == [b"a", b"bc"]

    def test_an_end_goes_out_at_once(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            async with journal_on(log) as journal:
                writer = opened(journal)
                writer.put("a")
                await asyncio.sleep(PACE / 4)
                writer.put("b")
                await asyncio.sleep(PACE / 4)
                await finish(writer)
            return log

        log = run_instantly(scenario())
        assert log.moments == pytest.approx([0, PACE / 2])
        assert [entry.kind for entry in log.entries] == [Kind.TEXT, Kind.TEXT, Kind.DONE]

    def test_the_first_text_of_another_turn_does_not_wait_and_takes_along_what_does(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            log.verdict = Verdict.OK
            async with journal_on(log) as journal:
                one, other = (journal.open(claim(letter * 24), on_lost=lambda: None) for letter in "ab")
                one.put("a")
                await asyncio.sleep(PACE / 4)
                one.put("b")
                other.put("first")
                await asyncio.sleep(PACE * 4)
            return log

        log = run_instantly(scenario())
        assert log.moments == pytest.approx([0, PACE / 4])
        assert log.pipelines == [1, 2]

    def test_a_flood_is_one_entry_a_commit(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            async with journal_on(log) as journal:
                writer = opened(journal)
                for _ in range(1000):
                    writer.put("x")
                    await asyncio.sleep(PACE / 100)
                await finish(writer)
            return log

        log = run_instantly(scenario())
        assert log.text == "x" * 1000
        assert set(log.pipelines[:-1]) == {1}
        assert 10 <= len(log.entries) <= 13

    def test_after_a_while_without_text_the_next_one_goes_out_at_once(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            async with journal_on(log) as journal:
                writer = opened(journal)
                writer.put("a")
                await asyncio.sleep(10 * PACE)
                writer.put("b")
                await flushed(writer)
            return log

        assert run_instantly(scenario()).moments == pytest.approx([0, 10 * PACE])

    def test_what_was_put_during_a_slow_write_goes_out_when_that_is_over(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog()
            async with journal_on(log) as journal:
                writer = opened(journal)
                log.hold.clear()
                writer.put("a")
                await asyncio.sleep(PACE)
                writer.put("b")
                await asyncio.sleep(PACE)
                log.hold.set()
                await flushed(writer)
            return log

        log = run_instantly(scenario())
        assert log.moments == pytest.approx([2 * PACE, 2 * PACE])
        assert log.text == "ab"

    def test_what_was_refused_is_sent_again_without_regard_to_the_pace(self) -> None:
        async def scenario() -> ScriptedLog:
            log = ScriptedLog(["away", "lose reply"])
            async with journal_on(log) as journal:
                writer = opened(journal)
                writer.put("a")
                await flushed(writer)
            return log

        log = run_instantly(scenario())
        assert log.moments == [0, 0, 0]
        assert log.text == "a"
