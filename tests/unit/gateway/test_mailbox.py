"""What has arrived of a request, on its way to the app."""

import asyncio

from gateway.mailbox import Mailbox
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
