"""The systems under test: each a few processes on loopback, and how a turn is asked of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.bench.knock import get
from tests.bench.plan import Dialect
from tests.processes import Process, found, python

STARTING = 30.0


@dataclass(frozen=True, slots=True)
class System:
    name: str
    dialect: Dialect
    ports: Sequence[int]
    pids: Mapping[str, int] = field(default_factory=dict)
    """By role: what of this system is paid for."""
    setup: float = 0.01
    """Seconds that opening one stream may take. Nothing is measured before all are open."""


class _Told(msgspec.Struct, frozen=True):
    port: int


@asynccontextmanager
async def server(module: str, directory: Path, *args: str) -> AsyncIterator[tuple[Process, int]]:
    """A server of ours that says its port in its first line, once it answers there."""
    process = Process(module, python(f"tests.bench.{module}", *args), directory / f"{module}.log")
    try:

        async def said() -> str | None:
            assert process.running, process.output
            return process.output.partition("\n")[0] if "\n" in process.output else None

        told = msgspec.json.decode(await found(said, f"{module} to say its port", STARTING), type=_Told)

        async def answers() -> bool:
            assert process.running, process.output
            return await get(told.port) > 0

        await found(answers, f"{module} to answer", STARTING)
        yield process, told.port
    finally:
        process.kill()


def direct(port: int) -> System:
    """The client at the stand-in itself: what remains of any delay when there is nothing in between."""
    return System("direct", Dialect.GEMINI, [port], setup=0.002)


@asynccontextmanager
async def naive(directory: Path, upstream: int) -> AsyncIterator[System]:
    async with server("naive", directory, f"http://127.0.0.1:{upstream}") as (process, port):
        yield System("naive", Dialect.ONE_CALL, [port], {"naive": process.pid})


@asynccontextmanager
async def synthetic(directory: Path) -> AsyncIterator[System]:
    async with server("synthetic", directory) as (process, port):
        yield System("synthetic", Dialect.ONE_CALL, [port], {"synthetic": process.pid}, setup=0.004)
