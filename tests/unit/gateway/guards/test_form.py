"""Bodies of forms as the parser reads them."""

import asyncio

from gateway.guards.form import PiecemealBody


async def test_what_arrived_in_one_go_is_read_in_pieces_with_others_turns_in_between() -> None:
    body = PiecemealBody(None, None)
    content = bytes(range(256)) * 1024
    body.append(content)
    body.set_complete()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    pieces = [piece async for piece in body]
    other.cancel()
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 64 * 1024
    assert turns >= len(pieces) - 1


async def test_it_waits_for_what_has_not_arrived() -> None:
    body = PiecemealBody(None, None)
    body.append(b"first")
    assert await anext(body) == b"first"
    reading = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    assert not reading.done()
    body.append(b"second")
    assert await reading == b"second"
    body.set_complete()
    assert [piece async for piece in body] == []


async def test_it_can_be_awaited_whole() -> None:
    body = PiecemealBody(None, None)
    body.append(b"x" * 100_000)
    body.set_complete()
    assert len(await body) == 100_000
