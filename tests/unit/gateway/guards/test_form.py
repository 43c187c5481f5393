"""Bodies of forms as the parser reads them."""

import asyncio
from typing import IO, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage

from gateway.guards.form import PiecemealBody, Pieces, in_memory


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


async def test_crumbs_are_kept_together() -> None:
    body = PiecemealBody(None, None)
    for _ in range(200_000):
        body.append(b"xy")
    body.set_complete()
    pieces = [piece async for piece in body]
    assert sum(map(len, pieces)) == 400_000
    assert len(pieces) == 7


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 200_000)), max_size=30))
@example([1000] * 262)
def test_a_file_is_taken_out_in_pieces_as_it_was_written(sizes: list[int]) -> None:
    written, content = Pieces(), bytes(range(256)) * 64
    written_whole = [(content * (size // len(content) + 1))[:size] for size in sizes]
    for part in written_whole:
        written.write(part)
    written.seek(0)
    pieces = in_memory(FileStorage(cast("IO[bytes]", written), "cat.png"))
    assert b"".join(pieces) == b"".join(written_whole)
    assert max(map(len, pieces), default=0) <= 64 * 1024
    assert len(pieces) <= 1 + sum(sizes) // 2048
