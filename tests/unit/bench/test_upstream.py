"""The stand-in Gemini: its JSON as the SDK reads it, its framing, its pace."""

import asyncio
import json
import time
from itertools import pairwise
from typing import cast

import pytest
from google.genai import types

from tests.bench import chunks, stamp
from tests.bench.directive import Directive
from tests.bench.request import Request, Requests
from tests.bench.stamp import Stamps
from tests.bench.upstream import Answer
from tests.bench.wheel import Wheel
from tests.processes import until


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    @property
    def body(self) -> bytes:
        return b"".join(self.written).partition(b"\r\n\r\n")[2]


def answer(directive: Directive, wheel: Wheel | None = None) -> tuple[Answer, Transport]:
    transport = Transport()
    wheel = wheel or Wheel(asyncio.get_running_loop())
    return Answer(cast("asyncio.WriteTransport", transport), wheel, directive, 0), transport


def events(body: bytes) -> list[types.GenerateContentResponse]:
    """The body without its chunked framing, as the SDK's own types read it."""
    data = b""
    while (head := body.partition(b"\r\n"))[0] != b"0":
        size = int(head[0], 16)
        data, body = data + head[2][:size], head[2][size + 2 :]
    assert body == b"0\r\n\r\n"
    found = [event.removeprefix(b"data: ") for event in data.split(b"\r\n\r\n") if event]
    return [types.GenerateContentResponse.model_validate(json.loads(event)) for event in found]


async def test_an_answer_reads_as_gemini_s() -> None:
    made, transport = answer(Directive(count=3))
    made.begin()
    *texts, end = events(transport.body)
    assert [len(one.text or "") for one in texts] == [stamp.TEXT_BYTES] * 3
    assert [one.usage_metadata.candidates_token_count for one in texts if one.usage_metadata] == [8, 16, 24]
    assert end.candidates is not None
    assert end.candidates[0].finish_reason is types.FinishReason.STOP
    assert made.ended


async def test_an_answer_without_chunks_is_a_finish_reason_alone() -> None:
    made, transport = answer(Directive())
    made.begin()
    assert len(events(transport.body)) == 1


async def test_chunks_come_when_they_are_due_and_say_so() -> None:
    at = stamp.now() + 20_000
    made, transport = answer(Directive(at=at, every=5_000, count=4))
    made.begin()
    assert transport.body == b""
    await until(lambda: made.ended, "the answer to end")
    times = Stamps().feed(transport.body)
    assert len(times) == 4
    assert times[0] >= at
    assert all(moment >= at + 5_000 * number for number, moment in enumerate(times))


def test_calls_that_wait_for_one_moment_begin_spread_over_a_period() -> None:
    directive = Directive(at=1_000_000, every=100_000)
    firsts = sorted(directive.first_due(number) for number in range(100))
    gaps = [late - early for early, late in pairwise(firsts)]
    assert firsts[0] >= 1.0
    assert firsts[-1] < 1.1
    assert max(gaps) < 0.003


async def test_a_flood_waits_for_its_reader_and_comes_whole() -> None:
    made, transport = answer(Directive(count=500))
    made.begin()
    made.pause(paused=True)
    await asyncio.sleep(0)
    held = len(transport.written)
    await asyncio.sleep(0)
    assert len(transport.written) == held
    made.pause(paused=False)
    await until(lambda: made.ended, "the answer to end")
    assert len(Stamps().feed(transport.body)) == 500
    assert transport.body.endswith(b"0\r\n\r\n")


async def test_an_answer_that_was_finished_early_sends_nothing_more() -> None:
    wheel, later = Wheel(asyncio.get_running_loop()), asyncio.Event()
    made, transport = answer(Directive(at=stamp.now() + 1_000, every=1_000, count=1000), wheel)
    made.begin()
    made.finish()
    whole = transport.body
    wheel.at(time.monotonic() + 0.01, later.set)
    await later.wait()
    assert transport.body == whole
    assert len(events(whole)) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_are_read_however_they_are_cut(size: int) -> None:
    data = b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = Requests()
    found = [one for start in range(0, len(data), size) for one in requests.feed(data[start : start + size])]
    assert found == [Request(b"/a", b"hello"), Request(b"/b", b"")]


def test_of_several_directives_the_last_is_meant() -> None:
    first, last = Directive(count=1), Directive(at=1, every=2, count=3)
    assert Directive.find(f"{first} and {last} thanks".encode()) == last
    with pytest.raises(ValueError, match="no directive"):
        Directive.find(b"hello")


def test_a_chunk_is_framed_by_its_length() -> None:
    size, _, rest = chunks.chunk(0, 1).partition(b"\r\n")
    assert len(rest) == int(size, 16) + 2
