"""What stands between Hypercorn's connections and the app."""

import asyncio

import pytest
from hypercorn.events import Closed, RawData

from gateway.connections import Connection, Flag, Mailbox
from tests.instant import run_instantly

WHOLE = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def test_messages_arrive_in_their_order() -> None:
    async def main() -> None:
        mailbox = Mailbox(3)
        for number in range(3):
            await mailbox.put({"body": number})
        assert [(await mailbox.get())["body"] for _ in range(3)] == [0, 1, 2]

    run_instantly(main())


def test_who_gets_waits_for_a_message() -> None:
    async def main() -> None:
        mailbox = Mailbox(3)
        getting = asyncio.ensure_future(mailbox.get())
        await asyncio.sleep(1)
        assert not getting.done()
        await mailbox.put(GONE)
        assert await getting == GONE

    run_instantly(main())


def test_all_who_put_wait_for_room() -> None:
    async def main() -> None:
        mailbox = Mailbox(1)
        await mailbox.put({"body": 0})
        putting = [asyncio.ensure_future(mailbox.put({"body": number})) for number in (1, 2)]
        await asyncio.sleep(1)
        assert not any(put.done() for put in putting)
        assert [(await mailbox.get())["body"] for _ in range(3)] == [0, 1, 2]
        await asyncio.gather(*putting)

    run_instantly(main())


def test_a_message_outlives_one_who_stopped_waiting_for_it() -> None:
    async def main() -> None:
        mailbox = Mailbox(1)
        getting = asyncio.ensure_future(mailbox.get())
        await asyncio.sleep(1)
        await mailbox.put(GONE)
        getting.cancel()
        await asyncio.wait({getting})
        assert getting.cancelled()
        assert await mailbox.get() == GONE

    run_instantly(main())


def test_whoever_has_taken_the_whole_body_can_be_called_when_the_caller_goes() -> None:
    async def main() -> None:
        mailbox, calls = Mailbox(3), list[str]()
        assert not mailbox.on_disconnect(lambda: calls.append("too early"))
        await mailbox.put(WHOLE)
        assert not mailbox.on_disconnect(lambda: calls.append("not taken"))
        await mailbox.get()
        assert mailbox.on_disconnect(lambda: calls.append("gone"))
        assert calls == []
        await mailbox.put(GONE)
        assert calls == ["gone"]

    run_instantly(main())


def test_a_caller_who_has_gone_already_is_not_called_about() -> None:
    async def main() -> None:
        mailbox = Mailbox(3)
        for message in (WHOLE, GONE):
            await mailbox.put(message)
        await mailbox.get()
        assert not mailbox.on_disconnect(lambda: None)
        assert await mailbox.get() == GONE

    run_instantly(main())


def test_a_flag_is_waited_for_until_it_is_set_and_again_once_cleared() -> None:
    async def main() -> None:
        flag = Flag()
        waiting = [asyncio.ensure_future(flag.wait()) for _ in range(2)]
        await asyncio.sleep(1)
        await flag.set()
        await asyncio.gather(*waiting)
        assert flag.is_set()
        await flag.wait()
        await flag.clear()
        assert not flag.is_set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flag.wait(), 1)

    run_instantly(main())


class Wire:
    """What a caller receives, piece by piece as it is sent."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    async def drain(self) -> None:
        """Nothing waits."""

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


HEAD = b"HTTP/1.1 200 \r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "pieces"),
    [
        ([HEAD, b"body", b""], [HEAD + b"body"]),
        ([HEAD, b"", b"", b"next"], [HEAD, b"next"]),
        ([HEAD, HEAD, b"more"], [HEAD + HEAD, b"more"]),
        ([b"HTTP/1.1 100 \r\n\r\n", HEAD, b"body"], [b"HTTP/1.1 100 \r\n\r\n", HEAD + b"body"]),
        ([HEAD, b"5\r\nfirst\r\n", b"6\r\nsecond\r\n"], [HEAD + b"5\r\nfirst\r\n", b"6\r\nsecond\r\n"]),
    ],
)
def test_a_head_goes_out_with_what_follows_it(sent: list[bytes], pieces: list[bytes]) -> None:
    async def main() -> None:
        wire = Wire()
        connection = Connection(None, None, None, None, None, None, wire)
        for data in sent:
            await connection.protocol_send(RawData(data))
        assert wire.pieces == pieces

    run_instantly(main())


def test_a_head_goes_out_also_where_nothing_follows() -> None:
    async def main() -> None:
        wire = Wire()
        connection = Connection(None, None, None, None, None, None, wire)
        await connection.protocol_send(RawData(HEAD))
        await connection.protocol_send(Closed())
        assert wire.pieces == [HEAD]

    run_instantly(main())
