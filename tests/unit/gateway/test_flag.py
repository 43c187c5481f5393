"""Events as Hypercorn wants them."""

import asyncio

import pytest

from gateway.flag import Flag
from tests.instant import run_instantly


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
