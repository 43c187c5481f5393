"""The load client reads answers however they are cut, and calls nothing a success that is none."""

import asyncio
import json

import pytest

from tests.bench import chunks, stamp
from tests.bench.answer import Answer
from tests.bench.plan import Dialect, Plan
from tests.bench.tally import Tally
from tests.bench.visitor import Visitor, requests, with_cookie

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: s=abc; Path=/\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def framed(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def event(moment: int = 1) -> bytes:
    return b"id: t:1-1\ndata: %b\n\n" % stamp.text(moment)


DONE = b"event: done\nid: t:1-2\ndata: {}\n\n"


def read(data: bytes, size: int) -> Answer:
    answer = Answer()
    for start in range(0, len(data), size):
        assert not answer.done
        answer.feed(data[start : start + size])
    return answer


@pytest.mark.parametrize("size", [1, 3, 17, 4096])
class TestCutAnywhere:
    def test_a_stream_ends_where_its_last_chunk_is(self, size: int) -> None:
        answer = read(HEAD + framed(event(), event(), DONE), size)
        assert (answer.status, answer.cookie, answer.streamed) == (200, b"s=abc", True)
        assert (answer.done, answer.whole, answer.trouble) == (True, True, "")

    def test_a_stream_that_ends_without_its_answer_s_end_is_not_whole(self, size: int) -> None:
        answer = read(HEAD + framed(event(), b"retry: 1000\n\n"), size)
        assert answer.done
        assert not answer.whole

    def test_an_answer_of_known_length_ends_there(self, size: int) -> None:
        answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", size)
        assert (answer.done, answer.whole, answer.streamed) == (True, True, False)

    def test_an_answer_without_content_ends_with_its_head(self, size: int) -> None:
        assert read(b"HTTP/1.1 204 No Content\r\n\r\n", size).done

    def test_a_stream_without_any_chunk_ends(self, size: int) -> None:
        assert read(HEAD + framed(), size).done

    def test_gemini_s_own_stream_is_whole_by_its_finish_reason(self, size: int) -> None:
        answer = read(chunks.HEAD + chunks.chunk(0, 1) + chunks.end(1), size)
        assert answer.done
        assert answer.whole


def test_a_failed_turn_is_no_success() -> None:
    failed = b'event: failed\nid: t:1-2\ndata: {"error":"unavailable"}\n\n'
    assert read(HEAD + framed(event(), failed), 4096).trouble == "event: failed"


def test_a_tally_counts_what_arrives_in_its_time_and_no_more() -> None:
    tally = Tally(1000, 9000)
    for now in (500, 1500, 2500, 8500, 9000):
        tally.arrived(now, [now - 400])
    tally.first(999, 0)
    tally.first(1001, 1)
    tally.ended(999, 0, 0.5)
    tally.ended(2001, 1, 0.0015)
    outcome = tally.outcome()
    assert (outcome.chunks, outcome.delays.p50, outcome.silence, outcome.latest) == (3, 0.4, 6.0, 8500)
    assert (outcome.firsts.count, outcome.firsts.p50) == (1, 1.0)
    assert (outcome.turns.longest, outcome.held.count, outcome.held.longest) == (2.0, 1, 0.5)


class Server(asyncio.Transport):
    """Answers each request in turn with what it was given."""

    def __init__(self, visitor: Visitor, answers: list[bytes]) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        self.aborted = False
        self._visitor = visitor
        self._answers = answers

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.requests.append(bytes(data))
        if self._answers:
            asyncio.get_running_loop().call_soon(self._visitor.data_received, self._answers.pop(0))

    def abort(self) -> None:
        self.aborted = True


def plan(dialect: Dialect, turns: int = 1) -> Plan:
    now = stamp.now()
    return Plan(
        dialect=dialect,
        ports=(1,),
        message="hi",
        streams=1,
        begin=now,
        turns=turns,
        since=0,
        until=now + 60_000_000,
        stop=now + 60_000_000,
    )


async def visited(asked: Plan, answers: list[bytes]) -> tuple[Server, Tally]:
    tally = Tally(asked.since, asked.until)
    visitor = Visitor(asked, tally)
    server = Server(visitor, answers)
    visitor.connection_made(server)
    await visitor.over
    return server, tally


OKAY = b'HTTP/1.1 200 OK\r\nset-cookie: s=abc; Path=/\r\ncontent-length: 16\r\n\r\n{"success":true}'


async def test_a_page_s_turn_is_two_calls_of_one_session() -> None:
    asked = plan(Dialect.TWO_CALLS, turns=2)
    server, tally = await visited(asked, [OKAY, HEAD + framed(event(), DONE), OKAY, HEAD + framed(event(), DONE)])
    assert [request.split(b" ")[0] for request in server.requests] == [b"POST", b"GET", b"POST", b"GET"]
    assert [b"Cookie: s=abc\r\n" in request for request in server.requests] == [False, True, True, True]
    outcome = tally.outcome()
    assert (outcome.begun, outcome.turns.count, outcome.firsts.count, outcome.chunks) == (2, 2, 2, 2)
    assert outcome.failures == {}
    assert server.aborted


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "status 503"),
        (HEAD + framed(b"retry: 1000\n\n"), "ended too early"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nretry: 1000\n\n", "no stream"),
        (HEAD + framed(b"event: failed\ndata: {}\n\n"), "event: failed"),
    ],
)
async def test_a_turn_that_is_not_answered_is_counted_as_such(answer: bytes, failure: str) -> None:
    _, tally = await visited(plan(Dialect.ONE_CALL), [answer])
    assert tally.outcome().failures == {failure: 1}
    assert tally.outcome().turns.count == 0


async def test_a_connection_that_breaks_or_is_closed_is_a_failure_once() -> None:
    tally = Tally(0, 1)
    visitor = Visitor(plan(Dialect.ONE_CALL), tally)
    visitor.connection_made(Server(visitor, []))
    visitor.connection_lost(None)
    visitor.close()
    assert tally.outcome().failures == {"connection lost": 1}


@pytest.mark.parametrize("dialect", list(Dialect))
def test_each_dialect_s_requests_are_whole(dialect: Dialect) -> None:
    for request in requests(dialect, 'say "hi"'):
        head, _, body = with_cookie(request, b"s=abc").partition(b"\r\n\r\n")
        assert b"Cookie: s=abc" in head.split(b"\r\n")
        if body:
            assert b"Content-Length: %d" % len(body) in head
            assert 'say "hi"' in json.dumps(json.loads(body), ensure_ascii=False).replace("\\", "")
