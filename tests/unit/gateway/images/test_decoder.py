"""Pictures decoded by real processes, and what becomes of those."""

import asyncio
import io
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow

from gateway.images.decoder import ImageDecoder
from gateway.images.frames import Kept, head
from gateway.images.limits import ImageLimits
from gateway.images.picture import decode
from gateway.problems import Draining, Passing, Problem, TooLarge, Unsupported
from tests.processes import until

LIMITS = ImageLimits(pixels=1_000_000, side=200, frames=20, stored_bytes=200_000)

DEAF = "import time; time.sleep(60)"
"""A process that reads nothing and says nothing."""


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Pillow.radial_gradient("L").resize(size).convert("RGB").save(out, form)
    return out.getvalue()


def pieces(content: bytes) -> deque[bytes | bytearray]:
    """As an upload brings it: in two."""
    return deque([bytearray(content[:20]), content[20:]])


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def kept(mime_type: str, size: int) -> str:
    said = Kept("a" * 32, "image/png", 1, 1, size)
    return head(said).decode().replace("image/png", mime_type)


def dying(by: signal.Signals) -> list[str]:
    """A process that dies over each picture."""
    return python(f"import os, sys; sys.stdin.buffer.readline(); os.kill(os.getpid(), {by.value})")


@pytest.fixture
def handed_down() -> Iterator[str]:
    """A file that this process would pass on to every other, as whoever started it may have passed it on to us."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    yield str(Path(f"/proc/self/fd/{reading}").readlink())
    os.close(reading)
    os.close(writing)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def refused(decoder: ImageDecoder, content: bytes = b"x") -> Problem:
    with pytest.raises(Problem) as caught:
        await decoder.decode(pieces(content), "cat.png")
    return caught.value


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_a_picture_becomes_what_it_becomes_without_a_process(form: str) -> None:
    async with ImageDecoder(LIMITS) as decoder:
        for content in (picture(form), picture(form, (400, 300))):
            image = await decoder.decode(pieces(content), "cat")
            assert image == decode(content, "cat", LIMITS)
            assert image.content == decode(content, "cat", LIMITS).content
        assert len(decoder.pids) == 1


async def test_a_refusal_says_what_it_says_without_a_process() -> None:
    async with ImageDecoder(LIMITS) as decoder:
        not_one = await refused(decoder, b"<svg/>")
        too_large = await refused(decoder, picture(size=(2000, 1000)))
        assert (await decoder.decode(pieces(picture()), "cat")).ref.width == 40
        assert len(decoder.pids) == 1
    assert isinstance(not_one, Unsupported)
    assert (not_one.code, not_one.message.split()[0]) == ("not_an_image", "cat.png")
    assert isinstance(too_large, TooLarge)
    assert too_large.message == "cat.png has more than 1000000 pixels."


async def test_no_process_is_there_before_the_first_picture_and_none_after_leaving() -> None:
    async with ImageDecoder(LIMITS) as decoder:
        assert decoder.pids == []
        await decoder.decode(pieces(picture()), "cat")
        [pid] = decoder.pids
    assert not alive(pid)
    assert isinstance(await refused(decoder), Draining)


async def test_a_process_that_died_while_it_waited_is_replaced() -> None:
    async with ImageDecoder(LIMITS) as decoder:
        await decoder.decode(pieces(picture()), "cat")
        [pid] = decoder.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: decoder.pids == [], "the end to be noticed")
        await decoder.decode(pieces(picture()), "cat")
        assert len(decoder.pids) == 1


async def test_signals_to_the_whole_family_are_the_gateways_to_heed() -> None:
    async with ImageDecoder(LIMITS) as decoder:
        await decoder.decode(pieces(picture()), "cat")
        [pid] = decoder.pids
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        await decoder.decode(pieces(picture()), "cat")
        assert decoder.pids == [pid]
        assert os.getsid(pid) != os.getsid(0), "a terminal's signals do not come at all"


async def test_a_process_without_work_ends() -> None:
    async with ImageDecoder(LIMITS, idle=0.01) as decoder:
        await decoder.decode(pieces(picture()), "cat")
        await until(lambda: decoder.pids == [], "the process to end")
        await decoder.decode(pieces(picture()), "cat")


@pytest.mark.parametrize(
    ("by", "kind"),
    [
        (signal.SIGSEGV, Unsupported),
        (signal.SIGABRT, Unsupported),
        (signal.SIGXCPU, TooLarge),
        (signal.SIGKILL, Passing),
        (signal.SIGTERM, Passing),
    ],
)
async def test_a_picture_that_kills_its_process_is_refused(by: signal.Signals, kind: type[Problem]) -> None:
    async with ImageDecoder(LIMITS, command=dying(by)) as decoder:
        assert isinstance(await refused(decoder), kind)
        assert decoder.pids == []


@pytest.mark.parametrize(
    "command",
    [
        ["/nowhere/python"],
        python("raise SystemExit(1)"),
        python("print('nonsense')"),
        python("print('x' * 200_000)"),
        python(f"print({kept('text/html', 1)!r})"),
        python(f"print({kept('image/png', LIMITS.stored_bytes + 1)!r})"),
    ],
)
async def test_a_process_that_makes_no_sense_is_told_as_something_that_passes(command: list[str]) -> None:
    async with ImageDecoder(LIMITS, command=command) as decoder:
        problem = await refused(decoder)
        assert isinstance(problem, Passing)
        assert problem.code == "unavailable"
        await until(lambda: decoder.pids == [], "the process to end")


async def test_a_picture_that_hangs_is_refused_and_the_next_is_not() -> None:
    async with ImageDecoder(LIMITS, patience=2.0) as decoder:
        await decoder.decode(pieces(picture()), "cat")
        [pid] = decoder.pids
        os.kill(pid, signal.SIGSTOP)
        problem = await refused(decoder, picture())
        assert isinstance(problem, Passing)
        assert problem.code == "busy"
        assert not alive(pid)
        await decoder.decode(pieces(picture()), "cat")


async def test_memory_is_bounded() -> None:
    code = """
import sys, msgspec
from gateway.images import __main__ as process, picture
from gateway.images.limits import ImageLimits
picture.Pillow.open = lambda *_, **__: bytearray(2**30)
process.main(msgspec.json.decode(sys.argv[1], type=ImageLimits))
"""
    limits = b'{"pixels":1000,"side":10,"frames":1,"stored_bytes":1000}'.decode()
    async with ImageDecoder(LIMITS, command=[*python(code), limits]) as decoder:
        problem = await refused(decoder)
        assert isinstance(problem, TooLarge)
        assert problem.message == "cat.png takes too much memory to be decoded."


async def test_a_caller_who_goes_frees_the_process() -> None:
    async with ImageDecoder(LIMITS, command=python(DEAF)) as decoder:
        asking = asyncio.create_task(decoder.decode(pieces(b"x"), "cat"))
        await until(lambda: len(decoder.pids) == 1, "the process to start")
        [pid] = decoder.pids
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert not alive(pid)
        assert decoder.pids == []


async def test_two_are_decoded_at_a_time_some_wait_and_the_rest_is_refused() -> None:
    async with ImageDecoder(LIMITS, command=python(DEAF), waiting=3) as decoder:
        asking = [asyncio.create_task(decoder.decode(pieces(b"x"), "cat")) for _ in range(5)]
        await until(lambda: len(decoder.pids) == 2, "two processes")
        problem = await refused(decoder)
        assert isinstance(problem, Passing)
        assert problem.code == "busy"
        assert len(decoder.pids) == 2
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)


async def test_many_pictures_at_once_all_become_images() -> None:
    contents = [picture(size=(40 + n, 30)) for n in range(8)]
    async with ImageDecoder(LIMITS) as decoder:
        images = await asyncio.gather(*(decoder.decode(pieces(content), "cat") for content in contents))
        assert len(decoder.pids) == 2
    assert [image.ref.width for image in images] == [40 + n for n in range(8)]


async def test_leaving_ends_a_process_that_is_at_work() -> None:
    async with asyncio.TaskGroup() as tasks:
        async with ImageDecoder(LIMITS, command=python(DEAF)) as decoder:
            asking = tasks.create_task(refused(decoder))
            await until(lambda: len(decoder.pids) == 1, "the process to start")
            [pid] = decoder.pids
        assert not alive(pid)
    assert isinstance(asking.result(), Passing)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_process_inherits_nothing_of_the_gateways(
    loop: str, monkeypatch: pytest.MonkeyPatch, handed_down: str
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@somewhere")

    async def look() -> tuple[str, list[str]]:
        async with ImageDecoder(LIMITS) as decoder:
            await asyncio.gather(*(decoder.decode(pieces(picture()), "cat") for _ in range(2)))
            here = Path(f"/proc/{decoder.pids[-1]}")
            environ = (here / "environ").read_text()
            return environ, [str(each.readlink()) for each in (here / "fd").iterdir()]

    factory = asyncio.new_event_loop if loop == "asyncio" else __import__("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        environ, files = runner.run(look())
    assert "secret" not in environ
    assert handed_down not in files
    assert len(files) == 3
